#include "bkd/codec/delta.h"

#include <librsync.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/codec/blocksum.h"

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

// The entries that librsync makes of a run of blocks.
static int append_by_librsync(struct buf *out, uint32_t block_size, const void *data, size_t n, struct error *err)
{
    if (n == 0)
        return 0;
    size_t size = DELTA_SIGNATURE_HEAD + (size_t)delta_signature_count(n, block_size) * DELTA_SIGNATURE_ENTRY;
    rs_job_t *job = rs_sig_begin(block_size, DELTA_SIGNATURE_STRONG, RS_RK_BLAKE2_SIG_MAGIC);
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
