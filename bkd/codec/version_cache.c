#include "bkd/codec/version_cache.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/codec/delta.h"
#include "bkd/codec/piece_delta.h"

#define MAGIC "bkdvcac2"
#define HEADER_SIZE 128u
#define TRAILER_SIZE 32u
#define VERIFY_SIZE (256u << 10) // read at once while verifying

// How many items a file has, and where they lie.
struct layout {
    uint64_t n_tags, n_entries;
    uint32_t piece_entries; // of a whole piece
    uint64_t piece_bytes;   // of a whole piece's record
    uint64_t trailer_at;
};

static struct layout layout_of(const struct version_cache_info *info)
{
    struct layout l = { .n_tags = sameplace_count(info->file_size), .piece_bytes = PIECE_TAGS * SAMEPLACE_TAG };
    if (info->signature_block != 0) {
        l.n_entries = delta_signature_count(info->file_size, info->signature_block);
        l.piece_entries = PIECE_SIZE / info->signature_block;
        l.piece_bytes += l.piece_entries * DELTA_SIGNATURE_ENTRY;
    }
    l.trailer_at = HEADER_SIZE + l.n_tags * SAMEPLACE_TAG + l.n_entries * DELTA_SIGNATURE_ENTRY;
    return l;
}

static uint64_t tag_at(const struct layout *l, uint64_t tag)
{
    return HEADER_SIZE + tag / PIECE_TAGS * l->piece_bytes + tag % PIECE_TAGS * SAMEPLACE_TAG;
}

static uint64_t entry_at(const struct layout *l, uint64_t entry)
{
    uint64_t piece = entry / l->piece_entries, tags = l->n_tags - piece * PIECE_TAGS;
    return HEADER_SIZE + piece * l->piece_bytes + (tags < PIECE_TAGS ? tags : PIECE_TAGS) * SAMEPLACE_TAG +
           entry % l->piece_entries * DELTA_SIGNATURE_ENTRY;
}

static bool block_is_sane(uint32_t block)
{
    return block == 0 || (block >= DELTA_BLOCK_MIN && block <= DELTA_BLOCK_MAX && (block & (block - 1)) == 0);
}

static bool info_is_sane(const struct version_cache_info *info)
{
    uint32_t block = info->signature_block;
    return info->file_size > 0 && info->file_size <= VERSION_CACHE_FILE_MAX && block_is_sane(block) &&
           (block == 0 || delta_signature_count(info->file_size, block) <= VERSION_CACHE_SIGNATURE_MAX / DELTA_SIGNATURE_ENTRY);
}

static void format_header(uint8_t header[HEADER_SIZE], const struct version_cache_info *info)
{
    memset(header, 0, HEADER_SIZE);
    memcpy(header, MAGIC, 8);
    put_u32le(header + 8, SAMEPLACE_BLOCK);
    put_u32le(header + 12, info->signature_block);
    put_u64le(header + 16, info->file_size);
    memcpy(header + 24, info->version_id, 16);
    memcpy(header + 40, info->sha256, 32);
    memcpy(header + 72, info->key, SAMEPLACE_KEY);
}

static bool parse_header(const uint8_t header[HEADER_SIZE], struct version_cache_info *ret_info)
{
    if (memcmp(header, MAGIC, 8) != 0 || get_u32le(header + 8) != SAMEPLACE_BLOCK)
        return false;
    struct version_cache_info info = { .signature_block = get_u32le(header + 12), .file_size = get_u64le(header + 16) };
    memcpy(info.version_id, header + 24, 16);
    memcpy(info.sha256, header + 40, 32);
    memcpy(info.key, header + 72, SAMEPLACE_KEY);
    if (!info_is_sane(&info))
        return false;
    *ret_info = info;
    return true;
}

static void make_trailer(const uint8_t header[HEADER_SIZE], struct crypto_sha256 *content, const uint8_t host_key[VERSION_CACHE_HOST_KEY],
                         uint8_t ret_trailer[TRAILER_SIZE])
{
    uint8_t message[HEADER_SIZE + CRYPTO_SHA256_SIZE];
    memcpy(message, header, HEADER_SIZE);
    crypto_sha256_final(content, message + HEADER_SIZE);
    crypto_hmac_sha256(host_key, VERSION_CACHE_HOST_KEY, message, sizeof(message), ret_trailer);
}

// ---- writing ----

#define STAGE_SIZE (1u << 20)

struct version_cache_writer {
    const struct io *io;
    int dirfd, fd;
    char *name;
    struct version_cache_info info;
    uint8_t host_key[VERSION_CACHE_HOST_KEY];
    uint64_t n_tags, n_entries; // added so far
    uint64_t at;                // of the next write
    struct buf stage;           // waits until there is enough for one write
    struct crypto_sha256 hash;
};

static int flush(struct version_cache_writer *w, struct error *err)
{
    int rc = io_pwrite_all(w->io, w->fd, w->stage.data, w->stage.len, w->at, w->name, err);
    if (rc < 0)
        return rc;
    crypto_sha256_update(&w->hash, w->stage.data, w->stage.len);
    w->at += w->stage.len;
    buf_reset(&w->stage);
    return 0;
}

static void writer_free(struct version_cache_writer *w)
{
    io_close_quietly(w->io, &w->fd);
    crypto_sha256_done(&w->hash);
    buf_done(&w->stage);
    explicit_bzero(w->host_key, sizeof(w->host_key));
    free(w->name);
    free(w);
}

int version_cache_create(const struct io *io, int dirfd, const char *name, const struct version_cache_info *info,
                         const uint8_t host_key[VERSION_CACHE_HOST_KEY], struct version_cache_writer **ret_writer, struct error *err)
{
    if (!block_is_sane(info->signature_block))
        return error_set(err, ERROR_FAILED, "'%s': no version cache with signature blocks of %u", name, info->signature_block);
    int fd;
    int rc = io_open(io, dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, err);
    if (rc < 0)
        return rc;
    struct version_cache_writer *w = xcalloc(1, sizeof(*w));
    *w = (struct version_cache_writer){ .io = io, .dirfd = dirfd, .fd = fd, .name = xstrdup(name), .info = *info, .at = HEADER_SIZE };
    memcpy(w->host_key, host_key, sizeof(w->host_key));
    crypto_sha256_init(&w->hash);
    *ret_writer = w;
    return 0;
}

int version_cache_add(struct version_cache_writer *w, const uint8_t *tags, size_t n_tags, const uint8_t *entries, size_t n_entries, struct error *err)
{
    if (w->n_tags % PIECE_TAGS != 0 || n_tags > PIECE_TAGS)
        return error_set(err, ERROR_FAILED, "'%s': a piece is not whole, or more than that", w->name);
    buf_add(&w->stage, tags, n_tags * SAMEPLACE_TAG);
    buf_add(&w->stage, entries, n_entries * DELTA_SIGNATURE_ENTRY);
    w->n_tags += n_tags;
    w->n_entries += n_entries;
    return w->stage.len >= STAGE_SIZE ? flush(w, err) : 0;
}

static int finish(struct version_cache_writer *w, struct error *err)
{
    uint8_t header[HEADER_SIZE], trailer[TRAILER_SIZE];
    if (!info_is_sane(&w->info))
        return error_set(err, ERROR_FAILED, "'%s': no version cache for a file of %llu bytes with signature blocks of %u", w->name,
                         (unsigned long long)w->info.file_size, w->info.signature_block);
    struct layout layout = layout_of(&w->info);
    if (w->n_tags != layout.n_tags || w->n_entries != layout.n_entries)
        return error_set(err, ERROR_FAILED, "'%s': tags or signature entries are missing, or too many", w->name);
    int rc = flush(w, err);
    if (rc < 0)
        return rc;
    format_header(header, &w->info);
    make_trailer(header, &w->hash, w->host_key, trailer);
    rc = io_pwrite_all(w->io, w->fd, trailer, sizeof(trailer), layout.trailer_at, w->name, err);
    if (rc == 0)
        rc = io_pwrite_all(w->io, w->fd, header, sizeof(header), 0, w->name, err);
    if (rc == 0)
        rc = io_close(w->io, &w->fd, w->name, err);
    return rc;
}

int version_cache_close(struct version_cache_writer **w, uint64_t file_size, const uint8_t sha256[32], struct error *err)
{
    (*w)->info.file_size = file_size;
    memcpy((*w)->info.sha256, sha256, 32);
    int rc = finish(*w, err);
    if (rc < 0) {
        version_cache_abort(w);
        return rc;
    }
    writer_free(*w);
    *w = NULL;
    return 0;
}

void version_cache_abort(struct version_cache_writer **w)
{
    if (*w == NULL)
        return;
    (void)(*w)->io->unlinkat((*w)->io, (*w)->dirfd, (*w)->name, 0); // a file that stays is not valid and is swept with its directory
    writer_free(*w);
    *w = NULL;
}

// ---- reading ----

struct version_cache {
    const struct io *io;
    int fd;
    char *name;
    struct version_cache_info info;
    struct layout layout;
};

static int damaged(const char *name, const char *what, struct error *err)
{
    return error_set(err, ERROR_INTEGRITY, "version cache '%s' %s", name, what);
}

static int read_exactly(const struct version_cache *c, uint64_t at, void *data, size_t n, struct error *err)
{
    size_t got;
    int rc = io_pread_full(c->io, c->fd, data, n, at, c->name, &got, err);
    if (rc < 0)
        return rc;
    return got == n ? 0 : damaged(c->name, "is cut short", err);
}

static int hash_content(const struct version_cache *c, struct crypto_sha256 *hash, struct error *err)
{
    _cleanup_buf_ struct buf chunk = { 0 };
    uint8_t *data = buf_extend(&chunk, VERIFY_SIZE);
    for (uint64_t at = HEADER_SIZE, end = c->layout.trailer_at; at < end;) {
        size_t n = end - at < VERIFY_SIZE ? (size_t)(end - at) : VERIFY_SIZE;
        int rc = read_exactly(c, at, data, n, err);
        if (rc < 0)
            return rc;
        crypto_sha256_update(hash, data, n);
        at += n;
    }
    return 0;
}

static int verify(struct version_cache *c, const uint8_t expected_id[16], const uint8_t host_key[VERSION_CACHE_HOST_KEY], struct error *err)
{
    uint8_t header[HEADER_SIZE], canonical[HEADER_SIZE], stored[TRAILER_SIZE + 1], trailer[TRAILER_SIZE];
    int rc = read_exactly(c, 0, header, sizeof(header), err);
    if (rc < 0)
        return rc;
    if (!parse_header(header, &c->info))
        return damaged(c->name, "is not one of this version", err);
    format_header(canonical, &c->info);
    if (memcmp(header, canonical, HEADER_SIZE) != 0)
        return damaged(c->name, "has a header with unknown content", err);
    if (memcmp(c->info.version_id, expected_id, 16) != 0)
        return damaged(c->name, "belongs to another version", err);
    c->layout = layout_of(&c->info);
    size_t got;
    rc = io_pread_full(c->io, c->fd, stored, sizeof(stored), c->layout.trailer_at, c->name, &got, err);
    if (rc < 0)
        return rc;
    if (got != TRAILER_SIZE)
        return damaged(c->name, "has a wrong length", err);
    _cleanup_crypto_sha256_ struct crypto_sha256 content = { 0 };
    crypto_sha256_init(&content);
    rc = hash_content(c, &content, err);
    if (rc < 0)
        return rc;
    make_trailer(header, &content, host_key, trailer);
    return memcmp(trailer, stored, TRAILER_SIZE) == 0 ? 0 : damaged(c->name, "was damaged or altered", err);
}

int version_cache_open(const struct io *io, int dirfd, const char *name, const uint8_t expected_id[16],
                       const uint8_t host_key[VERSION_CACHE_HOST_KEY], struct version_cache **ret_cache, struct error *err)
{
    int fd;
    int rc = io_open(io, dirfd, name, O_RDONLY | O_NOFOLLOW, 0, &fd, err);
    if (rc < 0)
        return rc;
    _cleanup_version_cache_ struct version_cache *c = xcalloc(1, sizeof(*c));
    c->io = io;
    c->fd = fd;
    c->name = xstrdup(name);
    rc = verify(c, expected_id, host_key, err);
    if (rc < 0)
        return rc;
    *ret_cache = TAKE(c);
    return 0;
}

void version_cache_free(struct version_cache *c)
{
    if (c == NULL)
        return;
    io_close_quietly(c->io, &c->fd);
    free(c->name);
    free(c);
}

void version_cache_freep(struct version_cache **c) { version_cache_free(*c); }

const struct version_cache_info *version_cache_info(const struct version_cache *c) { return &c->info; }

// How many of the items from `first` on: those that are left of its piece's (`per_piece`), at most max.
static size_t items_at(uint64_t first, uint64_t total, uint64_t per_piece, size_t max)
{
    if (first >= total)
        return 0;
    uint64_t n = per_piece - first % per_piece;
    n = total - first < n ? total - first : n;
    return n < max ? (size_t)n : max;
}

int version_cache_tags(const struct version_cache *c, uint64_t first, size_t max, uint8_t *ret_tags, size_t *ret_n, struct error *err)
{
    size_t n = items_at(first, c->layout.n_tags, PIECE_TAGS, max);
    int rc = n == 0 ? 0 : read_exactly(c, tag_at(&c->layout, first), ret_tags, n * SAMEPLACE_TAG, err);
    if (rc == 0)
        *ret_n = n;
    return rc;
}

int version_cache_entries(const struct version_cache *c, uint64_t first, size_t max, uint8_t *ret_entries, size_t *ret_n, struct error *err)
{
    size_t n = items_at(first, c->layout.n_entries, c->layout.piece_entries, max);
    int rc = n == 0 ? 0 : read_exactly(c, entry_at(&c->layout, first), ret_entries, n * DELTA_SIGNATURE_ENTRY, err);
    if (rc == 0)
        *ret_n = n;
    return rc;
}

int version_cache_signature(const struct version_cache *c, struct buf *ret_signature, struct error *err)
{
    if (c->info.signature_block == 0)
        return error_set(err, ERROR_NOT_FOUND, "version cache '%s' has no signature", c->name);
    size_t before = ret_signature->len;
    delta_signature_begin(ret_signature, c->info.signature_block);
    for (uint64_t entry = 0; entry < c->layout.n_entries;) {
        size_t n = items_at(entry, c->layout.n_entries, c->layout.piece_entries, SIZE_MAX);
        int rc = read_exactly(c, entry_at(&c->layout, entry), buf_extend(ret_signature, n * DELTA_SIGNATURE_ENTRY), n * DELTA_SIGNATURE_ENTRY, err);
        if (rc < 0) {
            ret_signature->len = before;
            return rc;
        }
        entry += n;
    }
    return 0;
}
