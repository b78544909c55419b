#include "bkd/codec/sameplace.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/base/crypto.h"

_Static_assert(SAMEPLACE_TAG == CRYPTO_BLOCKHASH_TAG_SIZE && SAMEPLACE_KEY == CRYPTO_BLOCKHASH_KEY_SIZE, "sizes of the block hash");

struct sameplace_hasher {
    struct crypto_blockhash hash;
    uint8_t zeros[SAMEPLACE_TAG]; // the tag of a whole block of zeros
};

struct sameplace_hasher *sameplace_hasher_new(const uint8_t key[SAMEPLACE_KEY])
{
    struct sameplace_hasher *h = xcalloc(1, sizeof(*h));
    crypto_blockhash_init(&h->hash, key);
    crypto_blockhash_run(&h->hash, (const uint8_t[SAMEPLACE_BLOCK]){ 0 }, SAMEPLACE_BLOCK, h->zeros);
    return h;
}

void sameplace_hasher_free(struct sameplace_hasher *h)
{
    if (h == NULL)
        return;
    crypto_blockhash_done(&h->hash);
    free(h);
}

void sameplace_hasher_freep(struct sameplace_hasher **h) { sameplace_hasher_free(*h); }

static bool is_zeros(const uint8_t *block) { return block[0] == 0 && memcmp(block, block + 1, SAMEPLACE_BLOCK - 1) == 0; }

// Images have many blocks of zeros, and to see that a block is one costs a fraction of its tag.
void sameplace_hash(struct sameplace_hasher *h, const void *data, size_t n, uint8_t *ret_tags)
{
    const uint8_t *at = data;
    for (; n > 0; ret_tags += SAMEPLACE_TAG) {
        size_t block = n < SAMEPLACE_BLOCK ? n : SAMEPLACE_BLOCK;
        if (block == SAMEPLACE_BLOCK && is_zeros(at))
            memcpy(ret_tags, h->zeros, SAMEPLACE_TAG);
        else
            crypto_blockhash_run(&h->hash, at, block, ret_tags);
        at += block;
        n -= block;
    }
}

size_t sameplace_run_end(const uint8_t *tags, const uint8_t *base_tags, size_t from, size_t count, bool same)
{
    while (from < count && (memcmp(tags + from * SAMEPLACE_TAG, base_tags + from * SAMEPLACE_TAG, SAMEPLACE_TAG) == 0) == same)
        from++;
    return from;
}
