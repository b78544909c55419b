#include "bkd/codec/delta.h"

#include <librsync.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/codec/blocksum.h"

_Static_assert(DELTA_ENTRIES_WAITING <= BLOCKSUM_LANES && DELTA_SIGNATURE_ENTRY == BLOCKSUM_ENTRY, "entries that wait are computed together");

uint64_t delta_signature_count(uint64_t file_size, uint32_t block_size)
{
    return file_size / block_size + (file_size % block_size != 0);
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
    put_u32be(p + 8, DELTA_SIGNATURE_STRONG);
}

// The entry as librsync makes it, which takes a block of any length.
static int entry_by_librsync(uint32_t block_size, const uint8_t *block, size_t n, uint8_t *ret_entry, struct error *err)
{
    rs_job_t *job = rs_sig_begin(block_size, DELTA_SIGNATURE_STRONG, RS_RK_BLAKE2_SIG_MAGIC);
    if (job == NULL)
        return error_set(err, ERROR_FAILED, "librsync cannot make a signature with blocks of %u bytes", block_size);
    uint8_t signature[DELTA_SIGNATURE_HEAD + DELTA_SIGNATURE_ENTRY];
    rs_buffers_t buffers = { .next_in = (char *)(uintptr_t)block, .avail_in = n, .eof_in = 1, .next_out = (char *)signature, .avail_out = sizeof signature };
    rs_result result = rs_job_iter(job, &buffers);
    (void)rs_job_free(job); // repeats the job's own result
    if (result != RS_DONE || buffers.avail_out != 0)
        return error_set(err, ERROR_FAILED, "librsync signature: %s", rs_strerror(result));
    memcpy(ret_entry, signature + DELTA_SIGNATURE_HEAD, DELTA_SIGNATURE_ENTRY);
    return 0;
}

int delta_entries_end(struct delta_entries *e, struct error *err)
{
    size_t count = e->count;
    enum blocksum_way way = blocksum_way(e->block_size);
    e->count = 0;
    if (way != BLOCKSUM_NONE && count > 0)
        blocksum_entries(way, e->blocks, e->block_size, count, e->entries);
    int rc = 0;
    for (size_t i = 0; way == BLOCKSUM_NONE && i < count && rc == 0; i++)
        rc = entry_by_librsync(e->block_size, e->blocks[i], e->block_size, e->entries[i], err);
    return rc;
}

int delta_entries_add(struct delta_entries *e, const uint8_t *block, size_t n, uint8_t *ret_entry, struct error *err)
{
    if (n < e->block_size)
        return entry_by_librsync(e->block_size, block, n, ret_entry, err);
    e->blocks[e->count] = block;
    e->entries[e->count] = ret_entry;
    return ++e->count < DELTA_ENTRIES_WAITING ? 0 : delta_entries_end(e, err);
}

int delta_signature_append(struct buf *out, uint32_t block_size, const void *data, size_t n, struct error *err)
{
    struct delta_entries entries = { .block_size = block_size };
    size_t before = out->len, count = (size_t)delta_signature_count(n, block_size);
    uint8_t *place = buf_extend(out, count * DELTA_SIGNATURE_ENTRY);
    int rc = 0;
    for (size_t i = 0, at = 0; i < count && rc == 0; i++, at += block_size)
        rc = delta_entries_add(&entries, (const uint8_t *)data + at, n - at < block_size ? n - at : block_size, place + i * DELTA_SIGNATURE_ENTRY, err);
    if (rc == 0)
        rc = delta_entries_end(&entries, err);
    if (rc < 0)
        out->len = before;
    return rc;
}
