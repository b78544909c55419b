#include "bkd/codec/delta.h"

#include <librsync.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/codec/blocksum.h"

#define STRONG_LEN 32u
#define FEED_SIZE (1u << 20)   // input offered to librsync at once
#define SCRATCH_SIZE (64u << 10)

struct delta_search {
    rs_signature_t *signature;
    uint32_t block_size;
    uint64_t file_size;
    pthread_mutex_t lock; // over signature and scratch
    uint8_t scratch[SCRATCH_SIZE];
};

uint64_t delta_signature_count(uint64_t file_size, uint32_t block_size)
{
    return file_size / block_size + (file_size % block_size != 0);
}

uint64_t delta_signature_memory(uint64_t blocks)
{
    // librsync 2.3.2: 4 + 32 bytes a block in an array that doubles; the hash table has the power of two that keeps its load below 70 %,
    // with a 4-byte key, an 8-byte pointer and one bit of a Bloom filter for each slot.
    uint64_t entries = 16, slots = 2;
    while (entries < blocks)
        entries *= 2;
    while (slots * 7 < blocks * 10)
        slots *= 2;
    return entries * 36 + slots * 12 + slots / 8;
}

uint32_t delta_block_size(uint64_t file_size, uint64_t memory_limit)
{
    uint64_t limit = memory_limit == 0 ? DELTA_SIGNATURE_MEMORY : memory_limit;
    if (file_size < DELTA_SIGNATURE_FILE_MIN)
        return 0;
    for (uint32_t block = DELTA_BLOCK_MIN; block <= DELTA_BLOCK_MAX; block *= 2)
        if (delta_signature_memory(delta_signature_count(file_size, block)) <= limit)
            return block;
    return 0;
}

void delta_signature_begin(struct buf *out, uint32_t block_size)
{
    uint8_t *p = buf_extend(out, DELTA_SIGNATURE_HEAD);
    put_u32be(p, DELTA_SIGNATURE_MAGIC);
    put_u32be(p + 4, block_size);
    put_u32be(p + 8, STRONG_LEN);
}

// The entries that librsync makes of a run of blocks.
static int append_by_librsync(struct buf *out, uint32_t block_size, const void *data, size_t n, struct error *err)
{
    if (n == 0)
        return 0;
    size_t size = DELTA_SIGNATURE_HEAD + (size_t)delta_signature_count(n, block_size) * DELTA_SIGNATURE_ENTRY;
    rs_job_t *job = rs_sig_begin(block_size, STRONG_LEN, RS_RK_BLAKE2_SIG_MAGIC);
    if (job == NULL)
        return error_set(err, ERROR_FAILED, "librsync cannot make a signature with blocks of %u bytes", block_size);
    size_t before = out->len;
    uint8_t *place = buf_extend(out, size);
    rs_buffers_t buffers = { .next_in = (char *)data, .avail_in = n, .eof_in = 1, .next_out = (char *)place, .avail_out = size };
    rs_result result = rs_job_iter(job, &buffers);
    (void)rs_job_free(job); // repeats the job's own result
    if (result != RS_DONE || buffers.avail_out != 0) {
        out->len = before;
        return error_set(err, ERROR_FAILED, "librsync signature: %s", rs_strerror(result));
    }
    // Each job writes the head anew; this module writes it once.
    memmove(place, place + DELTA_SIGNATURE_HEAD, size - DELTA_SIGNATURE_HEAD);
    out->len -= DELTA_SIGNATURE_HEAD;
    return 0;
}

int delta_signature_append(struct buf *out, uint32_t block_size, const void *data, size_t n, struct error *err)
{
    size_t before = out->len, whole = n / block_size;
    size_t done = blocksum_entries(data, block_size, whole, buf_extend(out, whole * DELTA_SIGNATURE_ENTRY));
    out->len = before + done * DELTA_SIGNATURE_ENTRY;
    size_t used = done * block_size;
    int rc = append_by_librsync(out, block_size, (const uint8_t *)data + used, n - used, err);
    if (rc < 0)
        out->len = before;
    return rc;
}

static int check_signature(const uint8_t *signature, size_t n, uint64_t file_size, uint32_t *ret_block, struct error *err)
{
    if (n < DELTA_SIGNATURE_HEAD || get_u32be(signature) != DELTA_SIGNATURE_MAGIC || get_u32be(signature + 8) != STRONG_LEN)
        return error_set(err, ERROR_FORMAT, "not a librsync signature with RabinKarp and BLAKE2 sums of 32 bytes");
    uint32_t block = get_u32be(signature + 4);
    if (block < 16 || block > DELTA_BLOCK_MAX)
        return error_set(err, ERROR_FORMAT, "librsync signature with blocks of %u bytes", block);
    uint64_t count = delta_signature_count(file_size, block);
    if (count == 0 || count > SIZE_MAX / 64 || n != DELTA_SIGNATURE_HEAD + count * DELTA_SIGNATURE_ENTRY)
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
    rs_signature_t *loaded = NULL;
    rs_job_t *job = rs_loadsig_begin(&loaded);
    rs_buffers_t buffers = { .next_in = (char *)signature, .avail_in = n, .eof_in = 1 };
    rs_result result = rs_job_iter(job, &buffers);
    (void)rs_job_free(job); // repeats the job's own result
    if (result == RS_DONE)
        result = rs_build_hash_table(loaded);
    if (result != RS_DONE) {
        if (loaded != NULL)
            rs_free_sumset(loaded);
        return error_set(err, ERROR_FORMAT, "librsync cannot load a signature: %s", rs_strerror(result));
    }
    struct delta_search *s = xmalloc(sizeof(*s));
    s->signature = loaded;
    s->block_size = block;
    s->file_size = file_size;
    (void)pthread_mutex_init(&s->lock, NULL); // cannot fail for the default kind
    *ret_search = s;
    return 0;
}

void delta_search_free(struct delta_search *s)
{
    if (s == NULL)
        return;
    rs_free_sumset(s->signature);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

void delta_search_freep(struct delta_search **s) { delta_search_free(*s); }

uint32_t delta_search_block_size(const struct delta_search *s) { return s->block_size; }

// Turns the delta that librsync writes piecemeal into commands, without keeping the literal bytes, which the caller has anyway.
struct reading {
    struct rdelta_list *commands;
    uint64_t base_size;
    uint64_t made;       // bytes of the region explained so far
    uint64_t to_skip;    // literal bytes still to come
    size_t size;         // of the region
    bool magic_seen;
    bool ended;
};

// Bytes of the command that starts with `op`, literal data not counted.
static size_t command_size(uint8_t op)
{
    if (op >= 0x45)
        return 1 + ((size_t)1 << ((op - 0x45) / 4)) + ((size_t)1 << ((op - 0x45) % 4));
    return op >= 0x41 ? 1 + ((size_t)1 << (op - 0x41)) : 1;
}

static bool take_command(struct reading *r, const uint8_t *p)
{
    struct cursor c = cursor_of(p + 1, RDELTA_COPY_SIZE_MAX);
    uint64_t offset = r->made, length = *p;
    if (*p == 0) {
        r->ended = true;
        return r->made == r->size;
    }
    bool is_copy = *p >= 0x45;
    bool ok = !is_copy || cursor_ube(&c, (size_t)1 << ((*p - 0x45) / 4), &offset);
    if (*p >= 0x41)
        ok = ok && cursor_ube(&c, (size_t)1 << ((*p - (is_copy ? 0x45 : 0x41)) % 4), &length);
    // What librsync says is a claim like any other: a copy outside the base must not get into a delta.
    if (!ok || length == 0 || length > r->size - r->made || (is_copy && (offset > r->base_size || length > r->base_size - offset)))
        return false;
    rdelta_list_add(r->commands, is_copy, offset, (uint32_t)length);
    r->made += length;
    r->to_skip = is_copy ? 0 : length;
    return true;
}

// Uses up what it can of n bytes; *ret_used is how many. A command cut off at the end is left for the next call.
static bool take_output(struct reading *r, const uint8_t *data, size_t n, size_t *ret_used)
{
    size_t at = 0;
    while (at < n && !r->ended) {
        if (r->to_skip > 0) {
            size_t skip = r->to_skip < n - at ? (size_t)r->to_skip : n - at;
            at += skip;
            r->to_skip -= skip;
            continue;
        }
        if (!r->magic_seen) {
            if (n - at < 4)
                break;
            if (get_u32be(data + at) != RDELTA_MAGIC)
                return false;
            r->magic_seen = true;
            at += 4;
            continue;
        }
        size_t size = data[at] <= 0x54 ? command_size(data[at]) : 0;
        if (size == 0)
            return false;
        if (size > n - at)
            break;
        if (!take_command(r, data + at))
            return false;
        at += size;
    }
    *ret_used = at;
    return true;
}

static int drive(struct delta_search *s, rs_job_t *job, const uint8_t *data, size_t n, struct reading *r, struct error *err)
{
    rs_buffers_t buffers = { .next_in = (char *)data };
    size_t offered = 0, kept = 0; // kept: bytes of a cut-off command at the start of scratch
    for (;;) {
        if (buffers.avail_in == 0 && offered < n) {
            buffers.avail_in = n - offered < FEED_SIZE ? n - offered : FEED_SIZE;
            offered += buffers.avail_in;
            buffers.eof_in = offered == n;
        }
        buffers.next_out = (char *)s->scratch + kept;
        buffers.avail_out = sizeof(s->scratch) - RDELTA_COPY_SIZE_MAX - kept;
        rs_result result = rs_job_iter(job, &buffers);
        size_t filled = (size_t)(buffers.next_out - (char *)s->scratch), used;
        if (result != RS_DONE && result != RS_BLOCKED)
            return error_set(err, ERROR_FAILED, "librsync search: %s", rs_strerror(result));
        if (!take_output(r, s->scratch, filled, &used))
            return error_set(err, ERROR_FAILED, "librsync search made a delta that does not fit its input");
        kept = filled - used;
        memmove(s->scratch, s->scratch + used, kept);
        if (result == RS_DONE)
            return r->ended && kept == 0 ? 0 : error_set(err, ERROR_FAILED, "librsync search ended early");
    }
}

int delta_search_run(struct delta_search *s, const void *data, size_t n, struct rdelta_list *ret_commands, struct error *err)
{
    if (n == 0)
        return 0;
    // A list of its own: merging must not reach into the caller's commands, whose offsets mean something else.
    _cleanup_rdelta_list_ struct rdelta_list commands = { 0 };
    struct reading r = { .commands = &commands, .base_size = s->file_size, .size = n };
    (void)pthread_mutex_lock(&s->lock);
    rs_job_t *job = rs_delta_begin(s->signature);
    int rc = drive(s, job, data, n, &r, err);
    (void)rs_job_free(job); // repeats the job's own result
    (void)pthread_mutex_unlock(&s->lock);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < commands.count; i++)
        rdelta_list_push(ret_commands, &commands.items[i]);
    return 0;
}
