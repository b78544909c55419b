#include "bkd/base/spare.h"

#include <stdlib.h>
#include <string.h>

void spare_init(struct spare *s, size_t bound_bytes) { *s = (struct spare){ .bound = bound_bytes }; }

void spare_done(struct spare *s)
{
    for (size_t i = 0; i < s->n; i++)
        buf_done(&s->idle[i]);
    free(s->idle);
    *s = (struct spare){ 0 };
}

bool spare_has_room(const struct spare *s, size_t size) { return s->lent + size <= s->bound; }

// Less the buffer's NUL.
static size_t room_of(const struct buf *b) { return b->cap - 1; }

static struct buf remove_idle(struct spare *s, size_t i)
{
    struct buf b = s->idle[i];
    s->kept -= room_of(&b);
    s->n--;
    memmove(s->idle + i, s->idle + i + 1, (s->n - i) * sizeof *s->idle);
    return b;
}

// Of those that suit the newest, which the processor's caches may still have. One of more than twice the size would be a waste.
static bool find_idle(const struct spare *s, size_t size, size_t *ret_i)
{
    for (size_t i = s->n; i-- > 0;) {
        size_t room = room_of(&s->idle[i]);
        if (room >= size && room / 2 <= size) {
            *ret_i = i;
            return true;
        }
    }
    return false;
}

// The smallest whose end is enough, or else the largest: the fewer bytes go, the fewer pages must be made again.
static size_t choose_victim(const struct spare *s, size_t too_much)
{
    size_t best = 0;
    for (size_t i = 1; i < s->n; i++) {
        size_t room = room_of(&s->idle[i]), best_room = room_of(&s->idle[best]);
        if (best_room < too_much ? room > best_room : room >= too_much && room < best_room)
            best = i;
    }
    return best;
}

static void keep_within(struct spare *s, size_t bytes)
{
    while (s->kept > bytes) {
        struct buf victim = remove_idle(s, choose_victim(s, s->kept - bytes));
        buf_done(&victim);
    }
}

struct buf spare_take(struct spare *s, size_t size)
{
    size_t i;
    struct buf b;
    if (find_idle(s, size, &i)) {
        b = remove_idle(s, i);
    } else {
        keep_within(s, spare_has_room(s, size) ? s->bound - s->lent - size : 0);
        b = (struct buf){ .data = xmalloc_at_page(size + 1), .cap = size + 1 };
    }
    s->lent += room_of(&b);
    buf_reset(&b);
    return b;
}

void spare_give(struct spare *s, struct buf *b)
{
    if (b->data == NULL)
        return;
    if (s->n == s->cap) {
        s->cap = s->cap == 0 ? 8 : 2 * s->cap;
        s->idle = xrealloc(s->idle, s->cap * sizeof *s->idle);
    }
    s->lent -= room_of(b);
    s->kept += room_of(b);
    s->idle[s->n++] = *b;
    *b = (struct buf){ 0 };
    keep_within(s, spare_has_room(s, 0) ? s->bound - s->lent : 0);
}
