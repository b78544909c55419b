// The payload of age files: STREAM chunks and the arithmetic of their places (declared in age.h).
#include <assert.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/codec/age.h"

// ---- sizes

uint64_t age_stored_size(size_t n_recipients, uint64_t plain_size)
{
    uint64_t chunks = plain_size == 0 ? 1 : (plain_size + AGE_CHUNK_SIZE - 1) / AGE_CHUNK_SIZE;
    return 70 + 98 * (uint64_t)n_recipients + AGE_NONCE_SIZE + plain_size + CRYPTO_AEAD_TAG_SIZE * chunks;
}

bool age_plain_size(uint64_t stored_size, size_t payload_offset, uint64_t *ret_plain_size)
{
    if (stored_size < payload_offset + (uint64_t)CRYPTO_AEAD_TAG_SIZE)
        return false;
    uint64_t payload = stored_size - payload_offset;
    uint64_t chunks = (payload - 1) / AGE_SEALED_SIZE + 1;
    uint64_t last = payload - (chunks - 1) * AGE_SEALED_SIZE;
    // The last chunk is never empty, except the only one of an empty file.
    if (last < CRYPTO_AEAD_TAG_SIZE || (last == CRYPTO_AEAD_TAG_SIZE && chunks > 1))
        return false;
    *ret_plain_size = payload - chunks * CRYPTO_AEAD_TAG_SIZE;
    return true;
}

bool age_span(size_t payload_offset, uint64_t plain_size, uint64_t offset, uint64_t length, struct age_span *ret_span)
{
    if (offset > plain_size || length > plain_size - offset)
        return false;
    struct age_span span = { 0 };
    span.last_chunk = plain_size == 0 ? 0 : (plain_size - 1) / AGE_CHUNK_SIZE;
    span.first_chunk = offset / AGE_CHUNK_SIZE;
    span.stored_offset = payload_offset + span.first_chunk * AGE_SEALED_SIZE;
    span.skip = offset % AGE_CHUNK_SIZE;
    if (length > 0) {
        uint64_t last = (offset + length - 1) / AGE_CHUNK_SIZE;
        span.chunks = last - span.first_chunk + 1;
        span.stored_size = span.chunks * AGE_SEALED_SIZE;
        if (last == span.last_chunk)
            span.stored_size -= AGE_CHUNK_SIZE - (plain_size - last * AGE_CHUNK_SIZE);
    }
    *ret_span = span;
    return true;
}

// ---- chunks

// STREAM's nonce: an 11-byte big-endian counter, then 1 for the final chunk.
static void make_nonce(uint64_t index, bool is_final, uint8_t ret_nonce[CRYPTO_AEAD_NONCE_SIZE])
{
    memset(ret_nonce, 0, CRYPTO_AEAD_NONCE_SIZE);
    put_u64be(ret_nonce + 3, index);
    ret_nonce[CRYPTO_AEAD_NONCE_SIZE - 1] = is_final;
}

static void seal(struct age_encrypt *e, const void *data, size_t n, bool is_final, struct buf *sealed)
{
    uint8_t nonce[CRYPTO_AEAD_NONCE_SIZE];
    make_nonce(e->counter++, is_final, nonce);
    crypto_aead_seal(&e->aead, nonce, data, n, buf_extend(sealed, n + CRYPTO_AEAD_TAG_SIZE));
}

void age_encrypt_update(struct age_encrypt *e, const void *data, size_t n, struct buf *ret_sealed)
{
    const uint8_t *at = data;
    buf_reserve(ret_sealed, n + n / AGE_CHUNK_SIZE * CRYPTO_AEAD_TAG_SIZE + 2 * AGE_SEALED_SIZE);
    while (n > 0) {
        if (e->partial.len == AGE_CHUNK_SIZE) {
            seal(e, e->partial.data, AGE_CHUNK_SIZE, false, ret_sealed);
            buf_reset(&e->partial);
        }
        if (e->partial.len == 0 && n > AGE_CHUNK_SIZE) {
            seal(e, at, AGE_CHUNK_SIZE, false, ret_sealed);
            at += AGE_CHUNK_SIZE;
            n -= AGE_CHUNK_SIZE;
            continue;
        }
        size_t room = AGE_CHUNK_SIZE - e->partial.len;
        size_t take = n < room ? n : room;
        buf_reserve(&e->partial, room);
        buf_add(&e->partial, at, take);
        at += take;
        n -= take;
    }
}

void age_encrypt_final(struct age_encrypt *e, struct buf *ret_sealed)
{
    seal(e, e->partial.data, e->partial.len, true, ret_sealed);
    buf_reset(&e->partial);
}

void age_encrypt_done(struct age_encrypt *e)
{
    crypto_aead_done(&e->aead);
    buf_done(&e->partial);
}

void age_decrypt_init(struct age_decrypt *d, const struct age_key *key)
{
    *d = (struct age_decrypt){ 0 };
    crypto_aead_init(&d->aead, CRYPTO_OPEN, key->payload_key);
}

void age_decrypt_done(struct age_decrypt *d)
{
    crypto_aead_done(&d->aead);
    buf_done(&d->partial);
}

static bool open_chunk(struct age_decrypt *d, uint64_t index, bool is_final, const uint8_t *sealed, size_t n, uint8_t *data)
{
    uint8_t nonce[CRYPTO_AEAD_NONCE_SIZE];
    make_nonce(index, is_final, nonce);
    return crypto_aead_open(&d->aead, nonce, sealed, n, data);
}

static int not_authentic(uint64_t index, struct error *err)
{
    return error_set(err, ERROR_INTEGRITY, "encrypted chunk %llu is damaged, or is not in its place", (unsigned long long)index);
}

int age_decrypt_chunk(struct age_decrypt *d, uint64_t index, bool is_final, const uint8_t *sealed, size_t n, uint8_t *ret_data,
                      struct error *err)
{
    bool fits = is_final ? n <= AGE_SEALED_SIZE && (n > CRYPTO_AEAD_TAG_SIZE || (n == CRYPTO_AEAD_TAG_SIZE && index == 0))
                         : n == AGE_SEALED_SIZE;
    if (!fits || !open_chunk(d, index, is_final, sealed, n, ret_data))
        return not_authentic(index, err);
    return 0;
}

// ---- a stream of chunks

// Opens the next chunk, which is full or the last of what there is. Whether a full chunk is the final one, only its tag tells.
static int open_next(struct age_decrypt *d, const uint8_t *sealed, size_t n, struct buf *out, struct error *err)
{
    if (n < CRYPTO_AEAD_TAG_SIZE || (n == CRYPTO_AEAD_TAG_SIZE && d->counter > 0))
        return error_set(err, ERROR_INTEGRITY, "the encrypted data ends within chunk %llu", (unsigned long long)d->counter);
    size_t before = out->len;
    uint8_t *data = buf_extend(out, n - CRYPTO_AEAD_TAG_SIZE);
    bool good = n == AGE_SEALED_SIZE && open_chunk(d, d->counter, false, sealed, n, data);
    if (!good)
        good = d->ended = open_chunk(d, d->counter, true, sealed, n, data);
    if (!good) {
        out->len = before;
        out->data[before] = '\0';
        return not_authentic(d->counter, err);
    }
    d->counter++;
    return 0;
}

int age_decrypt_update(struct age_decrypt *d, const void *sealed, size_t n, struct buf *ret_data, struct error *err)
{
    const uint8_t *at = sealed;
    while (n > 0) {
        int r = 0;
        if (d->partial.len == AGE_SEALED_SIZE) {
            r = open_next(d, d->partial.data, AGE_SEALED_SIZE, ret_data, err);
            buf_reset(&d->partial);
        } else if (d->partial.len == 0 && n > AGE_SEALED_SIZE && !d->ended) {
            r = open_next(d, at, AGE_SEALED_SIZE, ret_data, err);
            at += AGE_SEALED_SIZE;
            n -= AGE_SEALED_SIZE;
        }
        if (r < 0)
            return r;
        if (d->ended)
            return error_set(err, ERROR_INTEGRITY, "data follows the final encrypted chunk");
        size_t room = AGE_SEALED_SIZE - d->partial.len;
        size_t take = n < room ? n : room;
        if (n > AGE_SEALED_SIZE && d->partial.len == 0)
            continue;
        buf_reserve(&d->partial, room);
        buf_add(&d->partial, at, take);
        at += take;
        n -= take;
    }
    return 0;
}

int age_decrypt_final(struct age_decrypt *d, struct buf *ret_data, struct error *err)
{
    int r = d->ended ? 0 : open_next(d, d->partial.data, d->partial.len, ret_data, err);
    buf_reset(&d->partial);
    if (r == 0 && !d->ended)
        r = error_set(err, ERROR_INTEGRITY, "the final encrypted chunk is missing: the file was cut off");
    return r;
}
