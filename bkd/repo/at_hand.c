#include "bkd/repo/at_hand.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct kept {
    struct kept *next;
    size_t index;
    uint64_t offset;
    size_t n;
    uint8_t data[];
};

struct at_hand {
    struct store *store;
    size_t max_bytes, bytes;
    pthread_mutex_t lock;
    struct kept *first, *last; // oldest first
};

struct at_hand *at_hand_new(struct store *store, size_t max_bytes)
{
    struct at_hand *h = xcalloc(1, sizeof *h);
    h->store = store;
    h->max_bytes = max_bytes;
    pthread_mutex_init(&h->lock, NULL);
    return h;
}

static void drop_first(struct at_hand *h)
{
    struct kept *k = h->first;
    h->first = k->next;
    if (h->first == NULL)
        h->last = NULL;
    h->bytes -= k->n;
    free(k);
}

void at_hand_free(struct at_hand *h)
{
    if (h == NULL)
        return;
    while (h->first != NULL)
        drop_first(h);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

static const struct kept *find(const struct at_hand *h, size_t index, uint64_t offset, size_t n)
{
    for (const struct kept *k = h->first; k != NULL; k = k->next)
        if (k->index == index && offset >= k->offset && offset - k->offset <= k->n && k->n - (offset - k->offset) >= n)
            return k;
    return NULL;
}

bool at_hand_take(struct at_hand *h, size_t index, uint64_t offset, void *data, size_t n)
{
    pthread_mutex_lock(&h->lock);
    const struct kept *k = find(h, index, offset, n);
    if (k != NULL)
        memcpy(data, k->data + (offset - k->offset), n);
    pthread_mutex_unlock(&h->lock);
    return k != NULL;
}

void at_hand_forget(struct at_hand *h, size_t index)
{
    pthread_mutex_lock(&h->lock);
    h->last = NULL;
    for (struct kept **at = &h->first; *at != NULL;) {
        struct kept *k = *at;
        if (k->index != index) {
            h->last = k;
            at = &k->next;
            continue;
        }
        *at = k->next;
        h->bytes -= k->n;
        free(k);
    }
    pthread_mutex_unlock(&h->lock);
}

static void keep(struct at_hand *h, struct kept *k)
{
    pthread_mutex_lock(&h->lock);
    *(h->last == NULL ? &h->first : &h->last->next) = k;
    h->last = k;
    h->bytes += k->n;
    while (h->bytes > h->max_bytes && h->first != k)
        drop_first(h);
    pthread_mutex_unlock(&h->lock);
}

static size_t choose(struct at_hand *h, const struct at_hand_part *parts, size_t n, struct kept **ret_kept, struct store_part *ret_parts)
{
    size_t chosen = 0, bytes = 0;
    pthread_mutex_lock(&h->lock);
    for (size_t i = 0; i < n && bytes + parts[i].n <= h->max_bytes; i++) {
        if (find(h, parts[i].index, parts[i].offset, parts[i].n) != NULL)
            continue;
        struct kept *k = xmalloc(sizeof *k + parts[i].n);
        *k = (struct kept){ .index = parts[i].index, .offset = parts[i].offset, .n = parts[i].n };
        ret_parts[chosen] = (struct store_part){ .name = parts[i].name, .offset = k->offset, .n = k->n, .data = k->data };
        ret_kept[chosen++] = k;
        bytes += k->n;
    }
    pthread_mutex_unlock(&h->lock);
    return chosen;
}

void at_hand_fetch(struct at_hand *h, const struct at_hand_part *parts, size_t n, uint64_t *ret_bytes)
{
    struct kept **kept = xcalloc(n + 1, sizeof(struct kept *));
    struct store_part *wanted = xcalloc(n + 1, sizeof *wanted);
    struct error ignored; // whoever reads in the usual way meets it again
    size_t chosen = choose(h, parts, n, kept, wanted);
    *ret_bytes = 0;
    if (chosen > 0)
        (void)!h->store->ops->get_parts(h->store, wanted, chosen, &ignored);
    for (size_t i = 0; i < chosen; i++) {
        if (wanted[i].read) {
            *ret_bytes += kept[i]->n;
            keep(h, kept[i]);
        } else {
            free(kept[i]);
        }
    }
    free(wanted);
    free(kept);
}
