#include "bkd/engine/sealed.h"

#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/fs.h"

enum { CHUNK = 256 << 10 };

// The seal covers the name, so that two good files cannot be exchanged.
static void seal_of(const uint8_t key[SEALED_KEY_SIZE], const char *name, const uint8_t content[CRYPTO_SHA256_SIZE], uint8_t ret_seal[SEALED_TRAILER])
{
    struct buf message = { 0 };
    buf_add(&message, content, CRYPTO_SHA256_SIZE);
    buf_add_str(&message, name);
    crypto_hmac_sha256(key, SEALED_KEY_SIZE, message.data, message.len, ret_seal);
    buf_done(&message);
}

int sealed_begin(struct sealed_writer *w, const struct io *io, int dirfd, const char *name, const uint8_t key[SEALED_KEY_SIZE], struct error *err)
{
    *w = (struct sealed_writer){ .io = io, .dirfd = dirfd, .name = xstrdup(name), .aside = xasprintf("%s.new", name), .fd = -1 };
    memcpy(w->key, key, SEALED_KEY_SIZE);
    crypto_sha256_init(&w->hash);
    // The state directory is locked by this run: what stands under the name aside is an earlier run's leftover.
    return io_open(io, dirfd, w->aside, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600, &w->fd, err);
}

int sealed_flush(struct sealed_writer *w, struct error *err)
{
    crypto_sha256_update(&w->hash, w->pending.data, w->pending.len);
    int r = io_write_all(w->io, w->fd, w->pending.data, w->pending.len, w->aside, err);
    buf_reset(&w->pending);
    return r;
}

int sealed_add(struct sealed_writer *w, const void *data, size_t n, struct error *err)
{
    w->size += n;
    buf_add(&w->pending, data, n);
    return w->pending.len < CHUNK ? 0 : sealed_flush(w, err);
}

int sealed_commit(struct sealed_writer *w, struct error *err) { return sealed_commit_as(w, w->name, err); }

int sealed_commit_as(struct sealed_writer *w, const char *file, struct error *err)
{
    uint8_t content[CRYPTO_SHA256_SIZE], seal[SEALED_TRAILER];
    int r = sealed_flush(w, err);
    if (r < 0)
        return r;
    crypto_sha256_final(&w->hash, content);
    seal_of(w->key, w->name, content, seal);
    r = io_write_all(w->io, w->fd, seal, sizeof seal, w->aside, err);
    if (r == 0)
        r = io_close(w->io, &w->fd, w->aside, err);
    if (r == 0)
        r = io_rename_over(w->io, w->dirfd, w->aside, w->dirfd, file, err);
    if (r == 0)
        buf_done(&w->pending);
    if (r == 0) {
        free(w->aside);
        w->aside = NULL;
    }
    return r;
}

void sealed_abandon(struct sealed_writer *w)
{
    if (w->name == NULL)
        return;
    io_close_quietly(w->io, &w->fd);
    if (w->aside != NULL)
        (void)w->io->unlinkat(w->io, w->dirfd, w->aside, 0); // a leftover does no harm
    crypto_sha256_done(&w->hash);
    buf_done(&w->pending);
    free(w->name);
    free(w->aside);
    *w = (struct sealed_writer){ .fd = -1 };
}

static int check_seal(const struct io *io, int fd, const char *name, const uint8_t key[SEALED_KEY_SIZE], uint64_t size, uint8_t ret_sha256[CRYPTO_SHA256_SIZE],
                      struct error *err)
{
    _cleanup_free_ char *chunk = xmalloc(CHUNK);
    struct crypto_sha256 hash;
    crypto_sha256_init(&hash);
    int r = 0;
    for (uint64_t at = 0; r == 0 && at < size;) {
        size_t want = size - at < CHUNK ? (size_t)(size - at) : CHUNK, got = 0;
        r = io_pread_full(io, fd, chunk, want, at, name, &got, err);
        if (r == 0 && got != want)
            r = error_set(err, ERROR_INTEGRITY, "'%s' was cut short", name);
        if (r == 0)
            crypto_sha256_update(&hash, chunk, got);
        at += want;
    }
    uint8_t content[CRYPTO_SHA256_SIZE], expected[SEALED_TRAILER], stored[SEALED_TRAILER] = { 0 };
    crypto_sha256_final(&hash, content);
    crypto_sha256_done(&hash);
    size_t got = 0;
    if (r == 0)
        r = io_pread_full(io, fd, stored, sizeof stored, size, name, &got, err);
    if (r < 0)
        return r;
    seal_of(key, name, content, expected);
    if (got != sizeof stored || memcmp(expected, stored, sizeof stored) != 0)
        return error_set(err, ERROR_INTEGRITY, "local cache file '%s' does not carry its seal", name);
    memcpy(ret_sha256, content, sizeof content);
    return 0;
}

int sealed_open(const struct io *io, int dirfd, const char *name, const uint8_t key[SEALED_KEY_SIZE], int *ret_fd, uint64_t *ret_size, uint8_t *ret_sha256,
                struct error *err)
{
    return sealed_open_as(io, dirfd, name, name, key, ret_fd, ret_size, ret_sha256, err);
}

int sealed_open_as(const struct io *io, int dirfd, const char *role, const char *name, const uint8_t key[SEALED_KEY_SIZE], int *ret_fd,
                   uint64_t *ret_size, uint8_t *ret_sha256, struct error *err)
{
    int fd = -1;
    struct statx st;
    uint8_t content[CRYPTO_SHA256_SIZE];
    int r = io_open(io, dirfd, name, O_RDONLY | O_NOFOLLOW, 0, &fd, err);
    if (r < 0)
        return r;
    r = io_stat(io, fd, "", AT_EMPTY_PATH, &st, err);
    if (r == 0 && st.stx_size < SEALED_TRAILER)
        r = error_set(err, ERROR_INTEGRITY, "local cache file '%s' is too short", name);
    if (r == 0)
        r = check_seal(io, fd, role, key, st.stx_size - SEALED_TRAILER, content, err);
    if (r < 0) {
        io_close_quietly(io, &fd);
        return r;
    }
    *ret_fd = fd;
    *ret_size = st.stx_size - SEALED_TRAILER;
    if (ret_sha256 != NULL)
        memcpy(ret_sha256, content, sizeof content);
    return 0;
}

int sealed_read(const struct io *io, int dirfd, const char *name, const uint8_t key[SEALED_KEY_SIZE], size_t max, struct buf *ret_data, struct error *err)
{
    int fd = -1;
    uint64_t size = 0;
    int r = sealed_open(io, dirfd, name, key, &fd, &size, NULL, err);
    if (r < 0)
        return r;
    size_t got = 0;
    if (size > max)
        r = error_set(err, ERROR_INTEGRITY, "local cache file '%s' is too large", name);
    if (r == 0) {
        size_t before = ret_data->len;
        r = io_pread_full(io, fd, buf_extend(ret_data, (size_t)size), (size_t)size, 0, name, &got, err);
        if (r == 0 && got != size)
            r = error_set(err, ERROR_INTEGRITY, "local cache file '%s' was cut short", name);
        if (r < 0)
            ret_data->len = before;
    }
    io_close_quietly(io, &fd);
    return r;
}

int sealed_write(const struct io *io, int dirfd, const char *name, const uint8_t key[SEALED_KEY_SIZE], const void *data, size_t n, struct error *err)
{
    _cleanup_sealed_ struct sealed_writer w = { .fd = -1 };
    int r = sealed_begin(&w, io, dirfd, name, key, err);
    if (r == 0)
        r = sealed_add(&w, data, n, err);
    return r < 0 ? r : sealed_commit(&w, err);
}
