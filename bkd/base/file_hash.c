#include "bkd/base/file_hash.h"

#include <assert.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/sha256_ni.h"

static const uint32_t initial_state[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

void file_hash_init(struct file_hash *h)
{
    *h = (struct file_hash){ .fast = sha256_ni_works() };
    memcpy(h->state, initial_state, sizeof h->state);
    if (!h->fast)
        crypto_sha256_init(&h->slow);
}

// Pads what is left of a message of `bytes` bytes (FIPS 180-4, section 5.1.1) and writes the digest.
static void end_message(uint32_t state[8], const uint8_t *tail, size_t tail_len, uint64_t bytes, uint8_t ret_digest[CRYPTO_SHA256_SIZE])
{
    uint8_t last[2 * FILE_HASH_BLOCK] = { 0 };
    size_t blocks = tail_len < FILE_HASH_BLOCK - 8 ? 1 : 2;
    memcpy(last, tail, tail_len);
    last[tail_len] = 0x80;
    put_u64be(last + blocks * FILE_HASH_BLOCK - 8, bytes * 8);
    sha256_ni_blocks(state, NULL, last, blocks);
    for (unsigned i = 0; i < 8; i++)
        put_u32be(ret_digest + 4 * i, state[i]);
}

static void take_fast(struct file_hash *h, const uint8_t *data, size_t n, uint8_t *ret_piece)
{
    uint32_t piece[8];
    size_t blocks = n / FILE_HASH_BLOCK;
    bool is_first = h->bytes == 0; // so far it is the file's hash that is the piece's
    memcpy(piece, initial_state, sizeof piece);
    sha256_ni_blocks(h->state, ret_piece == NULL || is_first ? NULL : piece, data, blocks);
    h->bytes += n;
    h->tail_len = n % FILE_HASH_BLOCK;
    memcpy(h->tail, data + blocks * FILE_HASH_BLOCK, h->tail_len);
    if (ret_piece != NULL && is_first)
        memcpy(piece, h->state, sizeof piece);
    if (ret_piece != NULL)
        end_message(piece, h->tail, h->tail_len, n, ret_piece);
}

void file_hash_piece(struct file_hash *h, const void *data, size_t n, uint8_t ret_piece[CRYPTO_SHA256_SIZE])
{
    assert(h->tail_len == 0);
    if (h->fast) {
        take_fast(h, data, n, ret_piece);
        return;
    }
    if (ret_piece != NULL)
        crypto_sha256(data, n, ret_piece);
    crypto_sha256_update(&h->slow, data, n);
}

void file_hash_final(struct file_hash *h, uint8_t ret_digest[CRYPTO_SHA256_SIZE])
{
    if (h->fast)
        end_message(h->state, h->tail, h->tail_len, h->bytes, ret_digest);
    else
        crypto_sha256_final(&h->slow, ret_digest);
}

void file_hash_done(struct file_hash *h)
{
    if (!h->fast)
        crypto_sha256_done(&h->slow);
}

// What is left of a message behind its first `done` blocks, and its digest.
static void finish_fast(uint32_t state[8], const uint8_t *data, size_t n, size_t done, uint8_t ret_digest[CRYPTO_SHA256_SIZE])
{
    size_t blocks = n / FILE_HASH_BLOCK;
    sha256_ni_blocks(state, NULL, data + done * FILE_HASH_BLOCK, blocks - done);
    end_message(state, data + blocks * FILE_HASH_BLOCK, n % FILE_HASH_BLOCK, n, ret_digest);
}

void file_hash_two(const void *a, size_t a_len, uint8_t ret_a[CRYPTO_SHA256_SIZE], const void *b, size_t b_len, uint8_t ret_b[CRYPTO_SHA256_SIZE])
{
    if (!sha256_ni_works()) {
        crypto_sha256(a, a_len, ret_a);
        crypto_sha256(b, b_len, ret_b);
        return;
    }
    uint32_t state_a[8], state_b[8];
    size_t both = (a_len < b_len ? a_len : b_len) / FILE_HASH_BLOCK;
    memcpy(state_a, initial_state, sizeof state_a);
    memcpy(state_b, initial_state, sizeof state_b);
    sha256_ni_blocks_each(state_a, a, state_b, b, both);
    finish_fast(state_a, a, a_len, both, ret_a);
    finish_fast(state_b, b, b_len, both, ret_b);
}
