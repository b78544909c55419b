#include "bkd/codec/piece_delta.h"

#include <assert.h>
#include <string.h>

#include "bkd/codec/ranges.h"
#include "bkd/codec/sameplace.h"

_Static_assert(PIECE_SIZE == RANGES_PIECE_SIZE && PIECE_TAGS == PIECE_SIZE / SAMEPLACE_BLOCK, "one piece size");

#define WORTH_PARTS 16u  // a delta explains at least 1/16 of its piece
#define FOUND_PAYS 64u   // each byte found pays for so many searched in vain

void piece_output_done(struct piece_output *o)
{
    buf_done(&o->delta);
    rdelta_list_done(&o->commands);
    *o = (struct piece_output){ 0 };
}

// Bytes of the base's piece at the place of this one.
static uint32_t base_length(const struct piece_input *in)
{
    if (in->offset >= in->base_size)
        return 0;
    uint64_t left = in->base_size - in->offset;
    return left < PIECE_SIZE ? (uint32_t)left : PIECE_SIZE;
}

// Leading blocks that have the same length in both pieces; only they are compared.
static size_t comparable_blocks(const struct piece_input *in)
{
    uint32_t base = base_length(in);
    if (in->base_tags == NULL)
        return 0;
    if (base == in->length)
        return (size_t)sameplace_count(in->length);
    return (base < in->length ? base : in->length) / SAMEPLACE_BLOCK;
}

// ---- the search of what same-place comparison leaves ----

// A piece's explanation under way. Literals' offsets are within the piece until encode() writes them.
struct plan {
    const struct piece_input *in;
    struct piece_search *search;
    struct rdelta_list *commands;
    uint32_t unexplained; // bytes that are not the same in place
    uint32_t sampled;     // bytes searched as a sample
    uint64_t copied;
};

static uint64_t patience(const struct piece_search *search)
{
    uint64_t blocks = 8 * (uint64_t)delta_search_block_size(search->search);
    return blocks > PIECE_SEARCH_PATIENCE ? blocks : PIECE_SEARCH_PATIENCE;
}

// How many of the next `rest` bytes to search now; 0: none.
static uint32_t next_window(struct plan *plan, uint32_t rest)
{
    uint32_t least = 2 * delta_search_block_size(plan->search->search), window;
    uint64_t missed = __atomic_load_n(&plan->search->missed, __ATOMIC_RELAXED), limit = patience(plan->search);
    if (missed < limit) {
        uint64_t more = limit - missed;
        window = more > rest ? rest : (uint32_t)more;
    } else {
        uint32_t most = (uint32_t)(PIECE_SEARCH_SAMPLE * limit / missed), sample = plan->unexplained / 16 < most ? plan->unexplained / 16 : most;
        if (sample < least)
            sample = least;
        if (sample <= plan->sampled)
            return 0;
        window = sample - plan->sampled;
    }
    // Shorter than two blocks would find next to nothing, and the overlap with the next window could eat all of it.
    if (window < least)
        window = least;
    if (window > rest)
        window = rest;
    if (missed >= limit)
        plan->sampled += window;
    return window;
}

static void count_search(struct piece_search *search, uint64_t found, uint64_t in_vain)
{
    uint64_t before = __atomic_load_n(&search->missed, __ATOMIC_RELAXED), after;
    do {
        uint64_t owed = before + in_vain, paid = found * FOUND_PAYS;
        after = owed > paid ? owed - paid : 0;
    } while (!__atomic_compare_exchange_n(&search->missed, &before, after, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

// Searches one window at `at` of the piece. *ret_done is how much of it is explained: what follows the last match may continue in the
// next window, so less than a block of it is left over unless this window is the last.
static int search_window(struct plan *plan, uint32_t at, uint32_t window, bool is_last, uint32_t *ret_done, struct error *err)
{
    _cleanup_rdelta_list_ struct rdelta_list found = { 0 };
    int rc = delta_search_run(plan->search->search, plan->in->data + at, window, &found, err);
    if (rc < 0)
        return rc;
    uint32_t left_over = 0, block = delta_search_block_size(plan->search->search);
    if (!is_last && found.count > 0 && !found.items[found.count - 1].is_copy) {
        struct rdelta_command *tail = &found.items[found.count - 1];
        left_over = tail->length < block - 1 ? tail->length : block - 1;
        tail->length -= left_over;
    }
    uint64_t copied = 0;
    for (size_t i = 0; i < found.count; i++) {
        const struct rdelta_command *c = &found.items[i];
        if (c->length == 0)
            continue;
        rdelta_list_add(plan->commands, c->is_copy, c->is_copy ? c->offset : at + c->offset, c->length);
        copied += c->is_copy ? c->length : 0;
    }
    plan->copied += copied;
    count_search(plan->search, copied, window - left_over - copied);
    *ret_done = window - left_over;
    return 0;
}

// Explains bytes [at, end) of the piece, which are not as they were in place.
static int explain_region(struct plan *plan, uint32_t at, uint32_t end, struct error *err)
{
    bool search = plan->search != NULL && plan->search->search != NULL;
    while (search && end - at >= delta_search_block_size(plan->search->search)) {
        uint32_t done, window = next_window(plan, end - at);
        if (window == 0)
            break;
        int rc = search_window(plan, at, window, window == end - at, &done, err);
        if (rc < 0)
            return rc;
        at += done;
    }
    if (at < end)
        rdelta_list_add(plan->commands, false, at, end - at);
    return 0;
}

// ---- putting it together ----

static uint32_t unexplained_bytes(const struct piece_input *in, size_t comparable)
{
    uint64_t same = 0;
    for (size_t at = 0; at < comparable;) {
        size_t end = sameplace_run_end(in->tags, in->base_tags, at, comparable, true);
        same += end - at;
        at = sameplace_run_end(in->tags, in->base_tags, end, comparable, false);
    }
    uint64_t bytes = same * SAMEPLACE_BLOCK;
    return bytes >= in->length ? 0 : in->length - (uint32_t)bytes;
}

static uint32_t block_start(const struct piece_input *in, size_t block)
{
    uint64_t at = (uint64_t)block * SAMEPLACE_BLOCK;
    return at < in->length ? (uint32_t)at : in->length;
}

static int explain(struct plan *plan, size_t comparable, struct error *err)
{
    const struct piece_input *in = plan->in;
    size_t blocks = (size_t)sameplace_count(in->length);
    for (size_t at = 0; at < blocks;) {
        size_t end = at < comparable ? sameplace_run_end(in->tags, in->base_tags, at, comparable, true) : at;
        if (end > at) {
            uint32_t from = block_start(in, at), length = block_start(in, end) - from;
            rdelta_list_add(plan->commands, true, in->offset + from, length);
            plan->copied += length;
        }
        at = end < comparable ? sameplace_run_end(in->tags, in->base_tags, end, comparable, false) : end;
        if (at >= comparable)
            at = blocks; // what has no counterpart in the base's piece differs
        if (at > end) {
            int rc = explain_region(plan, block_start(in, end), block_start(in, at), err);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

// Writes the delta and turns literals' offsets into offsets within it.
static void encode(const struct piece_input *in, struct piece_output *o)
{
    rdelta_begin(&o->delta);
    for (size_t i = 0; i < o->commands.count; i++) {
        struct rdelta_command *c = &o->commands.items[i];
        if (c->is_copy)
            rdelta_put_copy(&o->delta, c->offset, c->length);
        else
            rdelta_put_literal(&o->delta, in->data + c->offset, c->length, &c->offset);
    }
    rdelta_end(&o->delta);
}

static void set_whole(const struct piece_input *in, struct piece_output *o)
{
    rdelta_list_reset(&o->commands);
    o->class = PIECE_WHOLE;
    o->copied_bytes = 0;
    o->literal_bytes = in->length;
}

int piece_delta_make(const struct piece_input *in, struct piece_search *search, struct piece_output *ret_output, struct error *err)
{
    assert(in->length > 0 && in->length <= PIECE_SIZE && in->offset % PIECE_SIZE == 0);
    struct piece_output *o = ret_output;
    buf_reset(&o->delta);
    rdelta_list_reset(&o->commands);
    size_t comparable = comparable_blocks(in);
    struct plan plan = { .in = in, .search = search, .commands = &o->commands, .unexplained = unexplained_bytes(in, comparable) };
    if (plan.unexplained == 0 && base_length(in) == in->length) {
        o->class = PIECE_SAME;
        o->copied_bytes = in->length;
        o->literal_bytes = 0;
        return 0;
    }
    int rc = explain(&plan, comparable, err);
    if (rc < 0)
        return rc;
    if (plan.copied < in->length / WORTH_PARTS || plan.copied == 0 || o->commands.count > RANGES_PIECE_MAX) {
        set_whole(in, o);
        return 0;
    }
    encode(in, o);
    o->class = PIECE_DELTA;
    o->copied_bytes = plan.copied;
    o->literal_bytes = in->length - plan.copied;
    return 0;
}

// ---- the new version's signature ----

// Is signature block k of the piece, all its 4 KiB blocks, as it was in place?
static bool entry_is_kept(const struct piece_input *in, uint32_t block_size, size_t k)
{
    uint64_t from = (uint64_t)k * block_size, base = base_length(in);
    uint64_t length = in->length - from < block_size ? in->length - from : block_size;
    if (from >= base || (base - from < block_size ? base - from : block_size) != length)
        return false;
    size_t first = (size_t)(from / SAMEPLACE_BLOCK), count = (size_t)sameplace_count(length);
    return sameplace_run_end(in->tags, in->base_tags, first, first + count, true) == first + count;
}

// Is signature block k whole, and nothing but zeros?
static bool entry_is_of_zeros(const struct piece_input *in, uint32_t block_size, size_t k)
{
    size_t first = k * (block_size / SAMEPLACE_BLOCK), end = first + block_size / SAMEPLACE_BLOCK;
    if (in->zero_tag == NULL || in->length < end * SAMEPLACE_BLOCK)
        return false;
    while (first < end && memcmp(in->tags + first * SAMEPLACE_TAG, in->zero_tag, SAMEPLACE_TAG) == 0)
        first++;
    return first == end;
}

int piece_delta_signature(const struct piece_input *in, uint32_t block_size, const uint8_t *base_entries, struct buf *out, struct error *err)
{
    assert(block_size % SAMEPLACE_BLOCK == 0 && PIECE_SIZE % block_size == 0);
    struct delta_entries changed = { .block_size = block_size };
    size_t before = out->len, count = (size_t)delta_signature_count(in->length, block_size);
    uint8_t *entries = buf_extend(out, count * DELTA_SIGNATURE_ENTRY);
    bool may_keep = base_entries != NULL && in->base_tags != NULL;
    int rc = 0;
    for (size_t k = 0; k < count && rc == 0; k++) {
        uint32_t from = (uint32_t)k * block_size, left = in->length - from;
        if (may_keep && entry_is_kept(in, block_size, k))
            memcpy(entries + k * DELTA_SIGNATURE_ENTRY, base_entries + k * DELTA_SIGNATURE_ENTRY, DELTA_SIGNATURE_ENTRY);
        else if (entry_is_of_zeros(in, block_size, k))
            memcpy(entries + k * DELTA_SIGNATURE_ENTRY, in->zero_entry, DELTA_SIGNATURE_ENTRY);
        else
            rc = delta_entries_add(&changed, in->data + from, left < block_size ? left : block_size, entries + k * DELTA_SIGNATURE_ENTRY, err);
    }
    if (rc == 0)
        rc = delta_entries_end(&changed, err);
    if (rc < 0)
        out->len = before;
    return rc;
}
