// What the source host keeps of a stored version of a file, to make deltas against it without having its bytes: one file with its
// same-place tags and, for larger files, its librsync signature. It is a cache: when anything about it is missing or wrong the file is
// stored whole.
//
// File, numbers little-endian (it never leaves the host):
//   header, 128 bytes: "bkdvcac2", block size 4096 u32, signature block length u32 (0: none), file size u64, version id 16, file SHA-256 32,
//                      tag key 32, zeros
//   for each piece     its tags, 16 bytes for each 4 KiB block; then the entries of its signature blocks, 36 bytes each, as they stand in
//                      librsync's signature (codec/delta.h); none when the block length is 0
//   trailer, 32 bytes  HMAC-SHA-256, key of the host, over header and SHA-256 of what lies between
// Piece by piece, so that the size of the file described need not be known before its end (a stream). A file is exactly as long as its header
// says. The header is written last: a file left by a crash is not valid.
#ifndef BKD_CODEC_VERSION_CACHE_H
#define BKD_CODEC_VERSION_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"
#include "bkd/base/io.h"
#include "bkd/codec/sameplace.h"

#define VERSION_CACHE_FILE_MAX (UINT64_C(16) << 40) // bytes of the file described
#define VERSION_CACHE_SIGNATURE_MAX (UINT64_C(16) << 30) // bytes of the signature; whether it is loaded is the caller's choice
#define VERSION_CACHE_HOST_KEY 32u

struct version_cache_info {
    uint8_t version_id[16];
    uint64_t file_size;
    uint32_t signature_block; // 0: no signature
    uint8_t sha256[32];
    uint8_t key[SAMEPLACE_KEY];
};

// ---- writing: open, then tags and signature entries of piece after piece, close ----
struct version_cache_writer;
// Creates `name` below dirfd, mode 0600, exclusively (ERROR_EXISTS). info->sha256 and file_size are ignored here. host_key is copied.
MUST_USE int version_cache_create(const struct io *io, int dirfd, const char *name, const struct version_cache_info *info,
                                  const uint8_t host_key[VERSION_CACHE_HOST_KEY], struct version_cache_writer **ret_writer, struct error *err);
// The tags (n_tags * 16 bytes) and the signature entries (n_entries * 36 bytes) of the next piece. Only the last one may be short.
MUST_USE int version_cache_add(struct version_cache_writer *w, const uint8_t *tags, size_t n_tags, const uint8_t *entries, size_t n_entries,
                               struct error *err);
// Completes the file: all tags and entries of a file of that size must have been added. Not synced: a torn file fails its HMAC. Frees the
// writer in any case.
MUST_USE int version_cache_close(struct version_cache_writer **w, uint64_t file_size, const uint8_t sha256[32], struct error *err);
// Removes the unfinished file. Nothing happens for NULL.
void version_cache_abort(struct version_cache_writer **w);
#define _cleanup_version_cache_writer_ __attribute__((cleanup(version_cache_abort)))

// ---- reading ----
struct version_cache;
// Opens and verifies the whole file by reading it once (about 1.5 GB/s; 0.4 % to 1.3 % of the file described). expected_id binds it to its version.
// ERROR_NOT_FOUND when missing, ERROR_INTEGRITY when anything is wrong.
MUST_USE int version_cache_open(const struct io *io, int dirfd, const char *name, const uint8_t expected_id[16],
                                const uint8_t host_key[VERSION_CACHE_HOST_KEY], struct version_cache **ret_cache, struct error *err);
const struct version_cache_info *version_cache_info(const struct version_cache *c);
// Tags of blocks [first, first + *ret_n): at most max, fewer at the end of their piece and of the file (0 beyond it). Safe for several threads.
MUST_USE int version_cache_tags(const struct version_cache *c, uint64_t first, size_t max, uint8_t *ret_tags, size_t *ret_n, struct error *err);
// Signature entries (36 bytes each) of signature blocks in the same way; *ret_n 0 when there is no signature.
MUST_USE int version_cache_entries(const struct version_cache *c, uint64_t first, size_t max, uint8_t *ret_entries, size_t *ret_n, struct error *err);
// Appends the whole signature with its head, as delta_search_new takes it; ERROR_NOT_FOUND when there is none.
MUST_USE int version_cache_signature(const struct version_cache *c, struct buf *ret_signature, struct error *err);
void version_cache_free(struct version_cache *c);
void version_cache_freep(struct version_cache **c);
#define _cleanup_version_cache_ __attribute__((cleanup(version_cache_freep)))

#endif
