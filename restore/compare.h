// Comparing what comes out of the repository with what was signed.
//
// The head is signed; it names manifest and refs by SHA-256; the refs name every object, which is authenticated before its first use (so what
// stands in it is believed: recipes, texts of attributes); the manifest names each file's SHA-256, a recipe each piece's. Pieces are compared
// all the same: whoever decodes is not trusted. The whole file's hash is needed only where a recipe stands in an object that is damaged.
#ifndef BKD_RESTORE_COMPARE_H
#define BKD_RESTORE_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/crypto.h"
#include "restore/timing.h"

// One-shot comparison, timed.
bool compare_bytes(struct timing *timing, const void *data, size_t n, const uint8_t sha256[CRYPTO_SHA256_SIZE]);
// Of several at once (file_hash_each), for little more than half the price; each is judged alone.
struct compare_item {
    const void *data;
    size_t n;
    const uint8_t *sha256;
    bool equal; // the answer
};
#define COMPARE_EACH_MAX 64u
void compare_each(struct timing *timing, struct compare_item *items, size_t count);

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
