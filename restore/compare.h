// Comparing what comes out of the repository with what was signed.
//
// The head is signed; it names manifest and refs by SHA-256; the manifest names each file's SHA-256. Two things stand between:
//   - a recipe (pieces of a large file with their SHA-256) is only named by its place;
//   - the text of extended attributes likewise.
// Encryption does not help: whoever holds the store knows the recipients and can write objects of his own. So a recipe of several pieces is
// trusted only when the whole file's SHA-256 is right before the file gets its name, or when the stored object it stands in has the SHA-256
// that the refs say. The second costs one read of the object (about 128 MiB), the first a second hash of the file: the cheaper one is taken.
#ifndef BKD_RESTORE_COMPARE_H
#define BKD_RESTORE_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/crypto.h"
#include "bkd/repo/format.h"
#include "bkd/repo/store.h"
#include "restore/timing.h"

struct compare;

// All borrowed. Safe for several threads.
struct compare *compare_new(struct store *store, const struct format_refs *refs, bool encrypted, struct timing *timing);
void compare_free(struct compare *c);

// Is the stored object what the refs say? Reads and hashes it once. ERROR_INTEGRITY names the object's file.
MUST_USE int compare_object(struct compare *c, uint32_t object, struct error *err);
// Decides for a file of `size` bytes whose recipe stands in `object`: *ret_whole true = the caller hashes the whole file,
// false = the object was checked.
MUST_USE int compare_recipe(struct compare *c, uint32_t object, uint64_t size, bool *ret_whole, struct error *err);

// One-shot comparison, timed.
bool compare_bytes(struct timing *timing, const void *data, size_t n, const uint8_t sha256[CRYPTO_SHA256_SIZE]);

// The whole file's hash from pieces that are ready in any order. data NULL stands for zeros. A piece's data must stay until all pieces before
// it were given too and compare_whole_settle has returned after that.
struct compare_whole;
struct compare_whole *compare_whole_new(struct timing *timing, uint32_t n_pieces);
void compare_whole_free(struct compare_whole *w);
void compare_whole_piece(struct compare_whole *w, uint32_t index, const void *data, uint32_t length);
// Waits until nobody hashes.
void compare_whole_settle(struct compare_whole *w);
// After all pieces were given.
bool compare_whole_equal(struct compare_whole *w, const uint8_t sha256[CRYPTO_SHA256_SIZE]);

#endif
