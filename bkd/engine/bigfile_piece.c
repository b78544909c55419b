// One piece of a big file in a worker: read, hash, compare with the base at the same place, explain what differs, entries for the new signature.
#include <stdlib.h>
#include <string.h>

#include "bkd/engine/bigfile_parts.h"
#include "bkd/engine/extents.h"

enum {
    ZEROS = 64 << 10,
};

struct bigfile_job *bigfile_job_new(void)
{
    struct bigfile_job *job = xcalloc(1, sizeof *job);
    return job;
}

void bigfile_job_free(struct bigfile_job *job)
{
    if (job == NULL)
        return;
    buf_done(&job->space);
    free(job->tags);
    buf_done(&job->entries);
    piece_output_done(&job->piece);
    free(job);
}

void bigfile_piece(struct bigfile *f, uint64_t index, struct bigfile_job *job)
{
    uint64_t offset = index * RECIPE_PIECE_SIZE;
    job->file = f;
    job->index = index;
    job->planned = job->length = f->size - offset < RECIPE_PIECE_SIZE ? (uint32_t)(f->size - offset) : RECIPE_PIECE_SIZE;
    job->is_hole = extents_is_hole(&f->recipe, offset, job->length);
    job->same = job->has_delta = job->is_read = job->belied = false;
    job->texture = TEXTURE_UNKNOWN;
    job->piece.class = PIECE_WHOLE;
    job->status = 0;
    buf_reset(&job->entries);
}

size_t bigfile_job_trim(struct bigfile_job *job, size_t delta_max)
{
    size_t had = job->piece.delta.cap;
    if (had > delta_max)
        buf_done(&job->piece.delta);
    return had;
}

size_t bigfile_job_memory(const struct bigfile_job *job) { return job->is_hole && job->length == RECIPE_PIECE_SIZE ? 0 : job->length; }
struct buf *bigfile_job_space(struct bigfile_job *job) { return &job->space; }

void bigfile_stream_piece(struct bigfile *f, struct bigfile_job *job, uint32_t length)
{
    f->size += length;
    bigfile_piece(f, f->pieces++, job);
    job->is_read = true;
}

uint32_t bigfile_job_length(const struct bigfile_job *job) { return job->length; }

// ---- reading

// Data is read, holes are not: their pages would only fill the page cache.
static int read_piece(struct bigfile_job *job)
{
    const struct bigfile *f = job->file;
    uint64_t offset = job->index * RECIPE_PIECE_SIZE, end = offset + job->length, at = offset;
    buf_reserve(&job->space, job->length);
    uint8_t *data = job->space.data;
    while (!job->is_read && at < end) {
        uint64_t from, to;
        extents_next_data(&f->recipe, at, end, &from, &to);
        memset(data + (at - offset), 0, from - at);
        size_t got = 0, n = (size_t)(to - from);
        int r = n == 0 ? 0 : io_pread_full(f->ctx->io, f->fd, data + (from - offset), n, from, f->name, &got, &job->err);
        if (r < 0)
            return r;
        at = from + got;
        if (got < n) {
            job->length = (uint32_t)(at - offset);
            break;
        }
    }
    return 0;
}

// ---- comparing

bool bigfile_head(const void *data, size_t n, uint8_t ret_sha256[CRYPTO_SHA256_SIZE])
{
    const uint8_t *bytes = data;
    size_t head = n < BIGFILE_HEAD ? n : BIGFILE_HEAD;
    if (head == 0 || memcmp(bytes, bytes + 1, head - 1) == 0)
        return false;
    crypto_sha256(data, head, ret_sha256);
    return true;
}

// Tags of the base's piece at this place: all of them, or none.
static const uint8_t *base_tags(const struct bigfile *f, uint64_t index, uint8_t *space, size_t *ret_n)
{
    struct error ignored;
    *ret_n = 0;
    if (!f->has_base || f->base.cache == NULL)
        return NULL;
    if (version_cache_tags(f->base.cache, index * PIECE_TAGS, PIECE_TAGS, space, ret_n, &ignored) < 0 || *ret_n == 0)
        return NULL;
    return space;
}

// Entries of the new signature; those of unchanged blocks are the base's.
static int make_entries(struct bigfile_job *job, const struct piece_input *in)
{
    struct bigfile *f = job->file;
    uint32_t block = f->cache_info.signature_block;
    if (block == 0)
        return 0;
    size_t entries = RECIPE_PIECE_SIZE / block, got = 0;
    _cleanup_free_ char *old = NULL;
    if (in->base_tags != NULL && version_cache_info(f->base.cache)->signature_block == block) {
        old = xmalloc(entries * DELTA_SIGNATURE_ENTRY);
        if (version_cache_entries(f->base.cache, job->index * entries, entries, (uint8_t *)old, &got, &job->err) < 0)
            got = 0;
    }
    return piece_delta_signature(in, block, got > 0 ? (const uint8_t *)old : NULL, &job->entries, &job->err);
}

static uint8_t *tags_space(struct bigfile_job *job)
{
    if (job->tags == NULL) // the piece's, then the base's
        job->tags = xmalloc(2 * PIECE_TAGS * SAMEPLACE_TAG);
    return job->tags;
}

static int compare_with_base(struct bigfile_job *job)
{
    struct bigfile *f = job->file;
    uint8_t *tags = tags_space(job);
    _cleanup_sameplace_hasher_ struct sameplace_hasher *hasher = sameplace_hasher_new(f->cache_info.key);
    sameplace_hash(hasher, job->space.data, job->length, tags);
    size_t n;
    struct piece_input in = {
        .data = job->space.data, .length = job->length, .offset = job->index * RECIPE_PIECE_SIZE, .tags = tags,
        .base_size = f->has_base ? f->base.recipe.size : 0,
        .base_tags = base_tags(f, job->index, tags + PIECE_TAGS * SAMEPLACE_TAG, &n),
        .zero_tag = f->zeros.tag, .zero_entry = f->zeros.entry,
    };
    int r = f->has_base && f->base.recipe.size > 0 ? piece_delta_make(&in, &f->search, &job->piece, &job->err) : 0;
    return r < 0 ? r : make_entries(job, &in);
}

// ---- a piece that is nothing but a hole: nobody looks at its bytes

static const uint8_t zeros[ZEROS];

static void hash_hole_piece(uint8_t ret_sha256[CRYPTO_SHA256_SIZE])
{
    _cleanup_file_hash_ struct file_hash hash;
    file_hash_init(&hash);
    for (uint32_t n = 0; n < RECIPE_PIECE_SIZE; n += ZEROS)
        file_hash_piece(&hash, zeros, ZEROS, NULL);
    file_hash_final(&hash, ret_sha256);
}

int bigfile_make_zeros(struct bigfile *f, struct error *err)
{
    uint32_t block = f->cache_info.signature_block;
    if (f->recipe.n_extents > 0 && f->size >= RECIPE_PIECE_SIZE)
        hash_hole_piece(f->zeros.sha256);
    _cleanup_sameplace_hasher_ struct sameplace_hasher *hasher = sameplace_hasher_new(f->cache_info.key);
    sameplace_hash(hasher, zeros, SAMEPLACE_BLOCK, f->zeros.tag);
    if (block == 0)
        return 0;
    _cleanup_free_ char *space = xcalloc(1, block);
    _cleanup_buf_ struct buf entry = { 0 };
    int r = delta_signature_append(&entry, block, space, block, err);
    if (r == 0)
        memcpy(f->zeros.entry, entry.data, sizeof f->zeros.entry);
    return r;
}

static void compare_hole(struct bigfile_job *job)
{
    struct bigfile *f = job->file;
    uint8_t *tags = tags_space(job);
    for (size_t i = 0; i < PIECE_TAGS; i++)
        memcpy(tags + i * SAMEPLACE_TAG, f->zeros.tag, SAMEPLACE_TAG);
    for (uint32_t at = 0; f->cache_info.signature_block != 0 && at < RECIPE_PIECE_SIZE; at += f->cache_info.signature_block)
        buf_add(&job->entries, f->zeros.entry, sizeof f->zeros.entry);
    size_t n;
    const uint8_t *before = base_tags(f, job->index, tags + PIECE_TAGS * SAMEPLACE_TAG, &n);
    if (before != NULL && n == PIECE_TAGS && sameplace_run_end(tags, before, 0, n, true) == n)
        job->piece.class = PIECE_SAME;
}

// ---- hashing

// A piece that the tags call unchanged has the base's hash, which is checked where that costs nothing: a cache that lies is found out before it makes
// a wrong version.
static void take_base_hash(struct bigfile_job *job, bool is_hashed)
{
    const struct recipe_piece *base = &job->file->base.recipe.pieces[job->index];
    if (is_hashed && memcmp(base->sha256, job->sha256, sizeof job->sha256) != 0) {
        job->same = false;
        job->belied = true;
    }
    if (!is_hashed)
        memcpy(job->sha256, base->sha256, sizeof job->sha256);
}

// The piece's hash, and the file's up to it, from one pass: each piece waits for the one before.
static void hash_in_turn(struct bigfile_job *job, bool is_zeros, uint8_t *ret_sha256, struct profile_lap *lap)
{
    struct bigfile *f = job->file;
    profile_pause(lap);
    turns_wait(&f->hashing, job->index);
    profile_resume(lap, PROFILE_STARVED);
    if (job->status < 0)
        f->hash_ended = true;
    if (!f->hash_ended && is_zeros)
        for (uint32_t n = 0; n < job->length; n += ZEROS)
            file_hash_piece(&f->hash, zeros, ZEROS, NULL);
    else if (!f->hash_ended)
        file_hash_piece(&f->hash, job->space.data, job->length, ret_sha256);
    f->hash_ended = f->hash_ended || job->length < job->planned;
    turns_pass(&f->hashing);
}

static void hash_piece(struct bigfile_job *job, bool is_zeros, struct profile_lap *lap)
{
    const struct bigfile *f = job->file;
    // Of a piece that is the base's it may be known already; what is stored anew is hashed anew.
    bool is_needed = !is_zeros && (!job->same || f->anew || (f->hash_whole && f->hash.fast));
    if (f->hash_whole)
        hash_in_turn(job, is_zeros, is_needed ? job->sha256 : NULL, lap);
    else if (is_needed && job->status == 0)
        crypto_sha256(job->space.data, job->length, job->sha256);
    if (is_zeros)
        memcpy(job->sha256, f->zeros.sha256, sizeof job->sha256);
    else if (job->same && job->status == 0)
        take_base_hash(job, is_needed);
}

void bigfile_piece_work(struct bigfile_job *job, struct profile_lap *lap)
{
    struct bigfile *f = job->file;
    bool is_zeros = bigfile_job_memory(job) == 0;
    profile_to(lap, PROFILE_READ);
    job->status = is_zeros ? 0 : read_piece(job);
    profile_to(lap, PROFILE_DELTA);
    if (job->status == 0 && job->length > 0 && !job->is_hole) {
        job->texture = texture_of(job->space.data, job->length);
        if (job->index == 0) // only this worker touches it: others writing back what they read would lose it
            f->has_head = bigfile_head(job->space.data, job->length, f->head_sha256);
    }
    if (job->status == 0 && job->length > 0 && f->compares) {
        if (is_zeros)
            compare_hole(job);
        else
            job->status = compare_with_base(job);
    }
    job->same = job->piece.class == PIECE_SAME && job->index < f->base.recipe.n_pieces && f->base.recipe.pieces[job->index].length == job->length;
    job->has_delta = job->piece.class == PIECE_DELTA;
    profile_to(lap, PROFILE_HASH);
    hash_piece(job, is_zeros, lap);
}
