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

// ---- several messages

struct lane {
    struct file_hash_message *message; // NULL: none
    uint32_t state[8];
    size_t done; // blocks
};

static size_t blocks_left(const struct lane *l) { return l->message->n / FILE_HASH_BLOCK - l->done; }
static const uint8_t *next_block(const struct lane *l) { return (const uint8_t *)l->message->data + l->done * FILE_HASH_BLOCK; }

// The next message, if there is one.
static void fill_lane(struct lane *l, struct file_hash_message **next, const struct file_hash_message *end)
{
    *l = (struct lane){ .message = *next < end ? (*next)++ : NULL };
    memcpy(l->state, initial_state, sizeof l->state);
}

static void end_lane(struct lane *l)
{
    size_t rest = l->message->n % FILE_HASH_BLOCK;
    sha256_ni_blocks(l->state, NULL, next_block(l), blocks_left(l));
    end_message(l->state, (const uint8_t *)l->message->data + l->message->n - rest, rest, l->message->n, l->message->digest);
}

static void take_both(struct lane *a, struct lane *b)
{
    size_t blocks = blocks_left(a) < blocks_left(b) ? blocks_left(a) : blocks_left(b);
    sha256_ni_blocks_each(a->state, next_block(a), b->state, next_block(b), blocks);
    a->done += blocks;
    b->done += blocks;
}

static void hash_in_lanes(struct file_hash_message *messages, size_t count)
{
    struct file_hash_message *next = messages, *end = messages + count;
    struct lane a, b;
    fill_lane(&a, &next, end);
    fill_lane(&b, &next, end);
    while (a.message != NULL && b.message != NULL) {
        take_both(&a, &b);
        struct lane *ended = blocks_left(&a) == 0 ? &a : &b;
        end_lane(ended);
        fill_lane(ended, &next, end);
    }
    if (a.message != NULL)
        end_lane(&a);
    if (b.message != NULL)
        end_lane(&b);
}

void file_hash_each(struct file_hash_message *messages, size_t count)
{
    if (sha256_ni_works()) {
        hash_in_lanes(messages, count);
        return;
    }
    for (size_t i = 0; i < count; i++)
        crypto_sha256(messages[i].data, messages[i].n, messages[i].digest);
}
