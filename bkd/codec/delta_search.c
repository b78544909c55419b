// The rolling search for a base's blocks: librsync's (2.3: src/delta.c) with the same sums and the same result, written anew because librsync's finds
// nothing at 60 MB/s, by one thread at a time. Here a filter of bits that stays in the cache answers nearly every position, a block that is found is
// followed to the next ones without rolling, and nothing is written while searching.
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/codec/delta.h"

#define RABINKARP_SEED 1u // librsync 2.3, src/rabinkarp.h
#define RABINKARP_MULT 0x08104225u

enum {
    PROBES = 16,             // slots looked at: what does not fit is not found. Bounds what hostile sums cost
    FALSE_HITS = 4096,       // equal weak sums of different blocks in one run before it is given up, for the same reason
    FOLLOW = 4,              // blocks whose strong sums are made at once
    FILTER_BITS = 22,        // at most: 512 KiB
    FILTER_BITS_A_BLOCK = 4, // log2: up to 256 Ki blocks one bit in 8 is set, and one window in 64 looked up in vain
};

struct delta_search {
    uint8_t *entries; // of all blocks
    uint64_t file_size;
    uint64_t whole;   // blocks of full length: the first ones, which are in the table
    uint32_t block_size, tail; // tail: length of the short last block, 0: none
    unsigned slot_bits, filter_bits;
    uint64_t *slots;  // weak sum and 1 + index of an entry (low half), 0: free
    uint64_t *filter; // two bits for each weak sum there is
    uint32_t leaving[256]; // what a byte adds to the sum of the window it leaves
};

// ---- loading

static unsigned bits_for(uint64_t count, unsigned max)
{
    unsigned bits = 6; // one word of the filter
    while (bits < max && (UINT64_C(1) << bits) < count)
        bits++;
    return bits;
}

static unsigned slot_bits(uint64_t blocks) { return bits_for(2 * blocks, 31); }
static unsigned filter_bits(uint64_t blocks) { return bits_for(blocks << FILTER_BITS_A_BLOCK, FILTER_BITS); }

uint64_t delta_signature_memory(uint64_t blocks)
{
    return blocks * DELTA_SIGNATURE_ENTRY + (sizeof(uint64_t) << slot_bits(blocks)) + (UINT64_C(1) << filter_bits(blocks)) / 8;
}

// The high bits of these depend on all bits of the sum.
static uint32_t mix(uint32_t weak) { return weak * 0x9e3779b1u; }
static uint32_t mix_again(uint32_t weak) { return weak * 0x85ebca6bu; }

static uint64_t *filter_word(const struct delta_search *s, uint32_t mixed) { return &s->filter[mixed >> (32 - s->filter_bits) >> 6]; }
static uint64_t filter_bit(const struct delta_search *s, uint32_t mixed) { return UINT64_C(1) << (mixed >> (32 - s->filter_bits)) % 64; }

static bool passes_filter(const struct delta_search *s, uint32_t weak)
{
    uint32_t one = mix(weak), two = mix_again(weak);
    uint64_t first = *filter_word(s, one) >> (one >> (32 - s->filter_bits)) % 64, second = *filter_word(s, two) >> (two >> (32 - s->filter_bits)) % 64;
    return (first & second & 1) != 0; // without a branch between the two: it would be guessed wrong too often
}

static void add_to_filter(struct delta_search *s, uint32_t weak)
{
    *filter_word(s, mix(weak)) |= filter_bit(s, mix(weak));
    *filter_word(s, mix_again(weak)) |= filter_bit(s, mix_again(weak));
}

static uint64_t *slot_at(const struct delta_search *s, uint32_t weak, uint32_t probe)
{
    return &s->slots[((mix(weak) >> (32 - s->slot_bits)) + probe) & ((UINT32_C(1) << s->slot_bits) - 1)];
}

static uint64_t slot_index(uint64_t slot) { return (uint32_t)slot - 1; }
static const uint8_t *entry_of(const struct delta_search *s, uint64_t index) { return s->entries + index * DELTA_SIGNATURE_ENTRY; }

// Of equal blocks the first is kept.
static void insert(struct delta_search *s, uint64_t index)
{
    uint32_t weak = get_u32be(entry_of(s, index));
    add_to_filter(s, weak);
    for (uint32_t i = 0; i < PROBES; i++) {
        uint64_t *slot = slot_at(s, weak, i);
        if (*slot == 0)
            *slot = (uint64_t)weak << 32 | (index + 1);
        else if (*slot >> 32 != weak || memcmp(entry_of(s, slot_index(*slot)), entry_of(s, index), DELTA_SIGNATURE_ENTRY) != 0)
            continue;
        return;
    }
}

static void fill_leaving(struct delta_search *s)
{
    uint32_t power = 1;
    for (uint32_t i = 0; i < s->block_size; i++)
        power *= RABINKARP_MULT;
    // The seed stands before the window's first byte, wherever the window is.
    for (uint32_t byte = 0; byte < 256; byte++)
        s->leaving[byte] = power * (byte + RABINKARP_SEED * (RABINKARP_MULT - 1));
}

static int check_signature(const uint8_t *signature, size_t n, uint64_t file_size, uint32_t *ret_block, struct error *err)
{
    if (n < DELTA_SIGNATURE_HEAD || get_u32be(signature) != DELTA_SIGNATURE_MAGIC || get_u32be(signature + 8) != DELTA_SIGNATURE_STRONG)
        return error_set(err, ERROR_FORMAT, "not a librsync signature with RabinKarp and BLAKE2 sums of 32 bytes");
    uint32_t block = get_u32be(signature + 4);
    if (block < 16 || block > DELTA_BLOCK_MAX)
        return error_set(err, ERROR_FORMAT, "librsync signature with blocks of %u bytes", block);
    uint64_t count = delta_signature_count(file_size, block);
    if (count == 0 || count >= UINT32_MAX / 2 || n != DELTA_SIGNATURE_HEAD + count * DELTA_SIGNATURE_ENTRY)
        return error_set(err, ERROR_FORMAT, "librsync signature of %zu bytes does not fit a file of %llu bytes", n, (unsigned long long)file_size);
    *ret_block = block;
    return 0;
}

int delta_search_new(const void *signature, size_t n, uint64_t file_size, struct delta_search **ret_search, struct error *err)
{
    uint32_t block = 0;
    int rc = check_signature(signature, n, file_size, &block, err);
    if (rc < 0)
        return rc;
    struct delta_search *s = xcalloc(1, sizeof(*s));
    *s = (struct delta_search){ .file_size = file_size, .whole = file_size / block, .block_size = block, .tail = (uint32_t)(file_size % block) };
    s->entries = xmalloc(n - DELTA_SIGNATURE_HEAD);
    memcpy(s->entries, (const uint8_t *)signature + DELTA_SIGNATURE_HEAD, n - DELTA_SIGNATURE_HEAD);
    s->slot_bits = slot_bits(s->whole);
    s->filter_bits = filter_bits(s->whole);
    s->slots = xcalloc((size_t)1 << s->slot_bits, sizeof(*s->slots));
    s->filter = xcalloc(((size_t)1 << s->filter_bits) / 64, sizeof(*s->filter));
    fill_leaving(s);
    for (uint64_t i = 0; i < s->whole; i++)
        insert(s, i);
    *ret_search = s;
    return 0;
}

void delta_search_free(struct delta_search *s)
{
    if (s == NULL)
        return;
    free(s->entries);
    free(s->slots);
    free(s->filter);
    free(s);
}

void delta_search_freep(struct delta_search **s) { delta_search_free(*s); }

uint32_t delta_search_block_size(const struct delta_search *s) { return s->block_size; }

// ---- searching

// A search under way: [literal, at) is explained by nothing yet.
struct run {
    const struct delta_search *s;
    const uint8_t *data;
    size_t n, at, literal;
    unsigned false_hits;
    struct buf sums; // scratch: entries of the data's blocks
    struct rdelta_list *commands;
};

static int make_sums(struct run *run, size_t n, struct error *err)
{
    buf_reset(&run->sums);
    return delta_signature_append(&run->sums, run->s->block_size, run->data + run->at, n, err);
}

static bool sum_equals(const struct run *run, size_t k, uint64_t index)
{
    return memcmp(run->sums.data + k * DELTA_SIGNATURE_ENTRY, entry_of(run->s, index), DELTA_SIGNATURE_ENTRY) == 0;
}

static void copy_block(struct run *run, uint64_t index, uint32_t length)
{
    if (run->at > run->literal)
        rdelta_list_add(run->commands, false, run->literal, (uint32_t)(run->at - run->literal));
    rdelta_list_add(run->commands, true, index * run->s->block_size, length);
    run->at += length;
    run->literal = run->at;
}

// Blocks that continue the one just copied, as far as they are the base's next ones.
static int follow(struct run *run, uint64_t index, struct error *err)
{
    const struct delta_search *s = run->s;
    size_t same = 1, k = 1;
    while (same == k && index < s->whole && run->n - run->at >= s->block_size) {
        size_t left = (run->n - run->at) / s->block_size;
        k = left < FOLLOW ? left : FOLLOW;
        k = s->whole - index < k ? (size_t)(s->whole - index) : k;
        int rc = make_sums(run, k * s->block_size, err);
        if (rc < 0)
            return rc;
        for (same = 0; same < k && sum_equals(run, same, index); same++, index++)
            copy_block(run, index, s->block_size);
    }
    if (same < k || index != s->whole || s->tail == 0 || run->n - run->at < s->tail)
        return 0;
    int rc = make_sums(run, s->tail, err);
    if (rc == 0 && sum_equals(run, 0, index))
        copy_block(run, index, s->tail);
    return rc;
}

// The base's block that the window at run->at is, whose weak sum is known.
static int look_up(struct run *run, uint32_t weak, bool *ret_found, uint64_t *ret_index, struct error *err)
{
    const struct delta_search *s = run->s;
    bool summed = false;
    *ret_found = false;
    for (uint32_t i = 0; i < PROBES && !*ret_found; i++) {
        uint64_t slot = *slot_at(s, weak, i);
        if (slot == 0)
            break;
        if (slot >> 32 != weak)
            continue;
        int rc = summed ? 0 : make_sums(run, s->block_size, err);
        if (rc < 0)
            return rc;
        summed = true;
        *ret_index = slot_index(slot);
        *ret_found = sum_equals(run, 0, *ret_index);
    }
    run->false_hits += summed && !*ret_found;
    return 0;
}

static uint32_t weak_sum(const uint8_t *data, size_t n)
{
    uint32_t weak = RABINKARP_SEED;
    for (size_t i = 0; i < n; i++)
        weak = weak * RABINKARP_MULT + data[i];
    return weak;
}

// Rolls from run->at to the next window that is a block of the base; false: none is.
static int roll(struct run *run, bool *ret_found, uint64_t *ret_index, struct error *err)
{
    const struct delta_search *s = run->s;
    const uint8_t *data = run->data, *leaving = data + run->at, *entering = leaving + s->block_size, *end = data + run->n;
    uint32_t weak = weak_sum(leaving, s->block_size);
    *ret_found = false;
    for (;;) {
        if (passes_filter(s, weak)) {
            run->at = (size_t)(leaving - data);
            int rc = look_up(run, weak, ret_found, ret_index, err);
            if (rc < 0 || *ret_found)
                return rc;
        }
        if (entering == end || run->false_hits > FALSE_HITS)
            return 0;
        weak = weak * RABINKARP_MULT + *entering++ - s->leaving[*leaving++];
    }
}

static int search(struct run *run, struct error *err)
{
    const struct delta_search *s = run->s;
    while (run->n - run->at >= s->block_size) {
        bool found;
        uint64_t index;
        int rc = roll(run, &found, &index, err);
        if (rc < 0)
            return rc;
        if (!found)
            break;
        copy_block(run, index, s->block_size);
        rc = follow(run, index + 1, err);
        if (rc < 0)
            return rc;
    }
    if (run->literal < run->n)
        rdelta_list_add(run->commands, false, run->literal, (uint32_t)(run->n - run->literal));
    return 0;
}

int delta_search_run(const struct delta_search *s, const void *data, size_t n, struct rdelta_list *ret_commands, struct error *err)
{
    // A list of its own: merging must not reach into the caller's commands, whose offsets mean something else.
    _cleanup_rdelta_list_ struct rdelta_list commands = { 0 };
    struct run run = { .s = s, .data = data, .n = n, .commands = &commands };
    int rc = search(&run, err);
    buf_done(&run.sums);
    for (size_t i = 0; rc == 0 && i < commands.count; i++)
        rdelta_list_push(ret_commands, &commands.items[i]);
    return rc;
}
