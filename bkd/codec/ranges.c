#include "bkd/codec/ranges.h"

#include <assert.h>
#include <stdlib.h>

#include "bkd/base/buf.h"

void ranges_done(struct ranges *r)
{
    free(r->items);
    *r = (struct ranges){ 0 };
}

void ranges_reset(struct ranges *r) { r->count = 0; }

static bool continues(const struct place *last, const struct place *next)
{
    return last->object == next->object && (next->object == 0 || last->offset + last->length == next->offset);
}

void ranges_add(struct ranges *r, const struct place *place)
{
    assert(place->length > 0);
    if (r->count > 0 && continues(&r->items[r->count - 1], place)) {
        r->items[r->count - 1].length += place->length;
        return;
    }
    if (r->count == r->cap) {
        r->cap = r->cap == 0 ? 16 : r->cap * 2;
        r->items = xrealloc(r->items, r->cap * sizeof(*r->items));
    }
    struct place kept = *place;
    if (kept.object == 0)
        kept.offset = 0;
    r->items[r->count++] = kept;
}

uint64_t ranges_length(const struct ranges *r)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < r->count; i++)
        sum += r->items[i].length;
    return sum;
}

// Where the last slice ended, so that ascending copies within one piece walk its list once.
struct slice_cursor {
    bool valid;
    uint64_t index; // of the piece
    const struct place *items;
    size_t count;
    size_t at;      // the item that holds byte `start` of the piece
    uint64_t start;
};

static int cursor_seek(const struct ranges_base *base, struct slice_cursor *c, uint64_t index, uint64_t skip, struct error *err)
{
    if (!c->valid || c->index != index) {
        struct slice_cursor fresh = { .valid = true, .index = index };
        int rc = base->piece(base->arg, index, &fresh.items, &fresh.count, err);
        if (rc < 0)
            return rc;
        *c = fresh;
    }
    if (skip < c->start) {
        c->at = 0;
        c->start = 0;
    }
    while (c->at < c->count && skip - c->start >= c->items[c->at].length)
        c->start += c->items[c->at++].length;
    return 0;
}

// Bytes [skip, skip + want) of the piece the cursor stands in; *ret_got is what its list gave.
static void slice_piece(struct slice_cursor *c, uint64_t skip, uint64_t want, struct ranges *out, uint64_t *ret_got)
{
    uint64_t got = 0;
    while (c->at < c->count && got < want) {
        struct place part = c->items[c->at];
        uint64_t inside = skip + got - c->start;
        part.offset += inside;
        part.length -= inside;
        bool all = part.length <= want - got;
        if (!all)
            part.length = want - got;
        if (part.length > 0)
            ranges_add(out, &part);
        got += part.length;
        if (all)
            c->start += c->items[c->at++].length;
    }
    *ret_got = got;
}

static int slice(const struct ranges_base *base, struct slice_cursor *c, uint64_t offset, uint64_t length, struct ranges *out, struct error *err)
{
    if (offset > base->size || length > base->size - offset)
        return error_set(err, ERROR_FORMAT, "a copy of %llu bytes at %llu lies outside the base's %llu bytes", (unsigned long long)length,
                         (unsigned long long)offset, (unsigned long long)base->size);
    while (length > 0) {
        uint64_t index = offset / RANGES_PIECE_SIZE, skip = offset % RANGES_PIECE_SIZE;
        uint64_t want = RANGES_PIECE_SIZE - skip < length ? RANGES_PIECE_SIZE - skip : length;
        int rc = cursor_seek(base, c, index, skip, err);
        if (rc < 0)
            return rc;
        uint64_t got;
        slice_piece(c, skip, want, out, &got);
        if (got != want)
            return error_set(err, ERROR_FORMAT, "the ranges of piece %llu of the base do not add up to its length", (unsigned long long)index);
        offset += want;
        length -= want;
    }
    return 0;
}

int ranges_slice(const struct ranges_base *base, uint64_t offset, uint64_t length, struct ranges *ret_ranges, struct error *err)
{
    struct slice_cursor c = { 0 };
    return slice(base, &c, offset, length, ret_ranges, err);
}

int ranges_resolve(const struct ranges_base *base, const struct rdelta_list *commands, const struct place *member, size_t max_count,
                   struct ranges *ret_ranges, bool *ret_fits, struct error *err)
{
    size_t max = max_count == 0 ? RANGES_PIECE_MAX : max_count;
    struct slice_cursor c = { 0 };
    for (size_t i = 0; i < commands->count && ret_ranges->count <= max; i++) {
        const struct rdelta_command *command = &commands->items[i];
        if (command->is_copy) {
            int rc = slice(base, &c, command->offset, command->length, ret_ranges, err);
            if (rc < 0)
                return rc;
            continue;
        }
        if (command->offset > member->length || command->length > member->length - command->offset)
            return error_set(err, ERROR_FORMAT, "a literal lies outside its delta's %llu bytes", (unsigned long long)member->length);
        ranges_add(ret_ranges, &(struct place){ .object = member->object, .offset = member->offset + command->offset, .length = command->length });
    }
    *ret_fits = ret_ranges->count <= max;
    return 0;
}
