// Sealed files: local cache files that prove themselves. A 32-byte trailer, HMAC-SHA-256 under the host's cache key over the SHA-256 of the
// name and the content, tells a torn, old-named, foreign or flipped file from a good one; a bad one is treated as missing, so a
// wrong cache costs storing a file whole and never makes a wrong delta.
#ifndef BKD_ENGINE_SEALED_H
#define BKD_ENGINE_SEALED_H

#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/crypto.h"
#include "bkd/base/io.h"

#define SEALED_KEY_SIZE 32
#define SEALED_TRAILER 32

// Writing: begin, add …, commit (replaces the old file of that name) or abandon. Nothing is synced: after a power failure a file is whole
// or fails its seal.
struct sealed_writer {
    const struct io *io;
    int dirfd; // borrowed
    char *name, *aside;
    int fd;
    struct buf pending;
    uint64_t size; // content bytes so far
    struct crypto_sha256 hash;
    uint8_t key[SEALED_KEY_SIZE];
};

MUST_USE int sealed_begin(struct sealed_writer *w, const struct io *io, int dirfd, const char *name, const uint8_t key[SEALED_KEY_SIZE], struct error *err);
MUST_USE int sealed_add(struct sealed_writer *w, const void *data, size_t n, struct error *err);
MUST_USE int sealed_commit(struct sealed_writer *w, struct error *err);
// Commits under another file name than the one given to sealed_begin, which the seal covers (the role). Open it with sealed_open_as.
MUST_USE int sealed_commit_as(struct sealed_writer *w, const char *file, struct error *err);
// Writes out what is pending, so that the content can be read through w->fd.
MUST_USE int sealed_flush(struct sealed_writer *w, struct error *err);
void sealed_abandon(struct sealed_writer *w); // after commit: no effect
#define _cleanup_sealed_ __attribute__((cleanup(sealed_abandon)))

// Opens a sealed file after reading it once to check its seal; *ret_fd is at no particular offset, *ret_size without the trailer.
// ERROR_NOT_FOUND when missing, ERROR_INTEGRITY when the seal is not right. ret_sha256 (may be NULL): SHA-256 of the content alone.
MUST_USE int sealed_open(const struct io *io, int dirfd, const char *name, const uint8_t key[SEALED_KEY_SIZE], int *ret_fd, uint64_t *ret_size,
                         uint8_t *ret_sha256, struct error *err);
MUST_USE int sealed_open_as(const struct io *io, int dirfd, const char *role, const char *file, const uint8_t key[SEALED_KEY_SIZE], int *ret_fd,
                            uint64_t *ret_size, uint8_t *ret_sha256, struct error *err);
// A whole small sealed file in memory, and the writing of one.
MUST_USE int sealed_read(const struct io *io, int dirfd, const char *name, const uint8_t key[SEALED_KEY_SIZE], size_t max, struct buf *ret_data, struct error *err);
MUST_USE int sealed_write(const struct io *io, int dirfd, const char *name, const uint8_t key[SEALED_KEY_SIZE], const void *data, size_t n, struct error *err);

#endif
