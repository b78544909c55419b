// SHA-256 of a file and of each of its pieces, from one pass over the bytes: what both cost is what one costs, where the processor has SHA
// instructions. Order: init; for each piece of the file, in order, piece; final; done. One thread at a time.
#ifndef BKD_BASE_FILE_HASH_H
#define BKD_BASE_FILE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/crypto.h"

#define FILE_HASH_BLOCK 64u // every piece but the last is a multiple of it

struct file_hash {
    bool fast;                     // by base/sha256_ni.h: a piece's digest costs nothing beside the file's; else by libcrypto, in two passes
    uint32_t state[8];
    uint64_t bytes;
    uint8_t tail[FILE_HASH_BLOCK]; // of the last piece, what fills no block
    size_t tail_len;
    struct crypto_sha256 slow;
};

void file_hash_init(struct file_hash *h);
// Takes the next piece; *ret_piece (NULL: not wanted) is the piece's own digest.
void file_hash_piece(struct file_hash *h, const void *data, size_t n, uint8_t ret_piece[CRYPTO_SHA256_SIZE]);
// The digest of all pieces, once.
void file_hash_final(struct file_hash *h, uint8_t ret_digest[CRYPTO_SHA256_SIZE]);
void file_hash_done(struct file_hash *h);
#define _cleanup_file_hash_ __attribute__((cleanup(file_hash_done)))

// SHA-256 of several messages, two at any time side by side: that takes little longer than half of them would one after the other.
struct file_hash_message {
    const void *data;
    size_t n;
    uint8_t digest[CRYPTO_SHA256_SIZE]; // the answer
};
void file_hash_each(struct file_hash_message *messages, size_t count);

#endif
