#include "bkd/codec/version_cache.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/codec/delta.h"

#define MAGIC "bkdvcac1"
#define HEADER_SIZE 128u
#define TRAILER_SIZE 32u
#define VERIFY_SIZE (256u << 10) // read at once while verifying

// Where the sections of a file lie.
struct layout {
    uint64_t tags_at, n_tags;
    uint64_t signature_at, n_entries, signature_size;
    uint64_t trailer_at;
};

static struct layout layout_of(const struct version_cache_info *info)
{
    struct layout l = { .tags_at = HEADER_SIZE, .n_tags = sameplace_count(info->file_size) };
    l.signature_at = l.tags_at + l.n_tags * SAMEPLACE_TAG;
    if (info->signature_block != 0) {
        l.n_entries = delta_signature_count(info->file_size, info->signature_block);
        l.signature_size = DELTA_SIGNATURE_HEAD + l.n_entries * DELTA_SIGNATURE_ENTRY;
    }
    l.trailer_at = l.signature_at + l.signature_size;
    return l;
}

static bool info_is_sane(const struct version_cache_info *info)
{
    uint32_t block = info->signature_block;
    if (info->file_size == 0 || info->file_size > VERSION_CACHE_FILE_MAX)
        return false;
    if (block == 0)
        return true;
    return block >= DELTA_BLOCK_MIN && block <= DELTA_BLOCK_MAX && (block & (block - 1)) == 0 &&
           delta_signature_count(info->file_size, block) <= VERSION_CACHE_SIGNATURE_MAX / DELTA_SIGNATURE_ENTRY;
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

static void make_trailer(const uint8_t header[HEADER_SIZE], struct crypto_sha256 *tags, struct crypto_sha256 *signature,
                         const uint8_t host_key[VERSION_CACHE_HOST_KEY], uint8_t ret_trailer[TRAILER_SIZE])
{
    uint8_t message[HEADER_SIZE + 2 * CRYPTO_SHA256_SIZE];
    memcpy(message, header, HEADER_SIZE);
    crypto_sha256_final(tags, message + HEADER_SIZE);
    crypto_sha256_final(signature, message + HEADER_SIZE + CRYPTO_SHA256_SIZE);
    crypto_hmac_sha256(host_key, VERSION_CACHE_HOST_KEY, message, sizeof(message), ret_trailer);
}

// ---- writing ----

#define STAGE_SIZE (1u << 20)

// A section being written: bytes wait in `stage` until there are enough for one write.
struct section {
    uint64_t at, end; // next byte to write, end of the section
    struct buf stage;
    struct crypto_sha256 hash;
};

struct version_cache_writer {
    const struct io *io;
    int dirfd, fd;
    char *name;
    struct version_cache_info info;
    uint8_t host_key[VERSION_CACHE_HOST_KEY];
    struct layout layout;
    struct section tags, signature;
};

static int section_flush(struct version_cache_writer *w, struct section *s, struct error *err)
{
    int rc = io_pwrite_all(w->io, w->fd, s->stage.data, s->stage.len, s->at, w->name, err);
    if (rc < 0)
        return rc;
    s->at += s->stage.len;
    buf_reset(&s->stage);
    return 0;
}

static int section_add(struct version_cache_writer *w, struct section *s, const uint8_t *data, size_t n, struct error *err)
{
    if (n > s->end - s->at - s->stage.len)
        return error_set(err, ERROR_FAILED, "'%s': more tags or signature entries than a file of %llu bytes has", w->name,
                         (unsigned long long)w->info.file_size);
    crypto_sha256_update(&s->hash, data, n);
    buf_add(&s->stage, data, n);
    return s->stage.len >= STAGE_SIZE ? section_flush(w, s, err) : 0;
}

static void writer_free(struct version_cache_writer *w)
{
    io_close_quietly(w->io, &w->fd);
    crypto_sha256_done(&w->tags.hash);
    crypto_sha256_done(&w->signature.hash);
    buf_done(&w->tags.stage);
    buf_done(&w->signature.stage);
    explicit_bzero(w->host_key, sizeof(w->host_key));
    free(w->name);
    free(w);
}

int version_cache_create(const struct io *io, int dirfd, const char *name, const struct version_cache_info *info,
                         const uint8_t host_key[VERSION_CACHE_HOST_KEY], struct version_cache_writer **ret_writer, struct error *err)
{
    if (!info_is_sane(info))
        return error_set(err, ERROR_FAILED, "'%s': no version cache for a file of %llu bytes with signature blocks of %u", name,
                         (unsigned long long)info->file_size, info->signature_block);
    int fd;
    int rc = io_open(io, dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, err);
    if (rc < 0)
        return rc;
    struct version_cache_writer *w = xcalloc(1, sizeof(*w));
    w->io = io;
    w->dirfd = dirfd;
    w->fd = fd;
    w->name = xstrdup(name);
    w->info = *info;
    memcpy(w->host_key, host_key, sizeof(w->host_key));
    w->layout = layout_of(info);
    w->tags.at = w->layout.tags_at;
    w->tags.end = w->signature.at = w->layout.signature_at;
    w->signature.end = w->layout.trailer_at;
    crypto_sha256_init(&w->tags.hash);
    crypto_sha256_init(&w->signature.hash);
    if (info->signature_block != 0) {
        delta_signature_begin(&w->signature.stage, info->signature_block);
        crypto_sha256_update(&w->signature.hash, w->signature.stage.data, w->signature.stage.len);
    }
    *ret_writer = w;
    return 0;
}

int version_cache_add(struct version_cache_writer *w, const uint8_t *tags, size_t n_tags, const uint8_t *entries, size_t n_entries, struct error *err)
{
    int rc = section_add(w, &w->tags, tags, n_tags * SAMEPLACE_TAG, err);
    if (rc < 0)
        return rc;
    return section_add(w, &w->signature, entries, n_entries * DELTA_SIGNATURE_ENTRY, err);
}

static int finish(struct version_cache_writer *w, const uint8_t sha256[32], struct error *err)
{
    uint8_t header[HEADER_SIZE], trailer[TRAILER_SIZE];
    int rc = section_flush(w, &w->tags, err);
    if (rc == 0)
        rc = section_flush(w, &w->signature, err);
    if (rc < 0)
        return rc;
    if (w->tags.at != w->tags.end || w->signature.at != w->signature.end)
        return error_set(err, ERROR_FAILED, "'%s': tags or signature entries are missing", w->name);
    memcpy(w->info.sha256, sha256, 32);
    format_header(header, &w->info);
    make_trailer(header, &w->tags.hash, &w->signature.hash, w->host_key, trailer);
    rc = io_pwrite_all(w->io, w->fd, trailer, sizeof(trailer), w->layout.trailer_at, w->name, err);
    if (rc == 0)
        rc = io_pwrite_all(w->io, w->fd, header, sizeof(header), 0, w->name, err);
    if (rc == 0)
        rc = io_close(w->io, &w->fd, w->name, err);
    return rc;
}

int version_cache_close(struct version_cache_writer **w, const uint8_t sha256[32], struct error *err)
{
    int rc = finish(*w, sha256, err);
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

static int hash_section(const struct version_cache *c, uint64_t at, uint64_t end, struct crypto_sha256 *hash, struct error *err)
{
    _cleanup_buf_ struct buf chunk = { 0 };
    uint8_t *data = buf_extend(&chunk, VERIFY_SIZE);
    while (at < end) {
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
    _cleanup_crypto_sha256_ struct crypto_sha256 tags = { 0 }, signature = { 0 };
    crypto_sha256_init(&tags);
    crypto_sha256_init(&signature);
    rc = hash_section(c, c->layout.tags_at, c->layout.signature_at, &tags, err);
    if (rc == 0)
        rc = hash_section(c, c->layout.signature_at, c->layout.trailer_at, &signature, err);
    if (rc < 0)
        return rc;
    make_trailer(header, &tags, &signature, host_key, trailer);
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

// Items [first, first + max) of a section of `total` items of `size` bytes.
static int read_items(const struct version_cache *c, uint64_t section_at, uint64_t total, size_t size, uint64_t first, size_t max, uint8_t *ret_items,
                      size_t *ret_n, struct error *err)
{
    size_t n = first >= total ? 0 : total - first < max ? (size_t)(total - first) : max;
    if (n > 0) {
        int rc = read_exactly(c, section_at + first * size, ret_items, n * size, err);
        if (rc < 0)
            return rc;
    }
    *ret_n = n;
    return 0;
}

int version_cache_tags(const struct version_cache *c, uint64_t first, size_t max, uint8_t *ret_tags, size_t *ret_n, struct error *err)
{
    return read_items(c, c->layout.tags_at, c->layout.n_tags, SAMEPLACE_TAG, first, max, ret_tags, ret_n, err);
}

int version_cache_entries(const struct version_cache *c, uint64_t first, size_t max, uint8_t *ret_entries, size_t *ret_n, struct error *err)
{
    uint64_t at = c->layout.signature_at + DELTA_SIGNATURE_HEAD;
    return read_items(c, at, c->layout.n_entries, DELTA_SIGNATURE_ENTRY, first, max, ret_entries, ret_n, err);
}

int version_cache_signature(const struct version_cache *c, struct buf *ret_signature, struct error *err)
{
    size_t size = (size_t)c->layout.signature_size; // bounded by VERSION_CACHE_SIGNATURE_MAX
    if (size == 0)
        return error_set(err, ERROR_NOT_FOUND, "version cache '%s' has no signature", c->name);
    size_t before = ret_signature->len;
    int rc = read_exactly(c, c->layout.signature_at, buf_extend(ret_signature, size), size, err);
    if (rc < 0)
        ret_signature->len = before;
    return rc;
}
