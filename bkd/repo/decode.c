#include "bkd/repo/decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"

struct decode {
    const struct age_identity *identities;
    size_t n_identities;
    struct zframe_decompressor *decompressor;
    uint8_t *plain; // decrypted, still compressed
};

struct decode *decode_new(const struct age_identity *identities, size_t n_identities)
{
    struct decode *d = xcalloc(1, sizeof *d);
    d->identities = identities;
    d->n_identities = n_identities;
    d->decompressor = zframe_decompressor_new();
    d->plain = xmalloc(DECODE_IN_SIZE);
    return d;
}

void decode_free(struct decode *d)
{
    if (d == NULL)
        return;
    zframe_decompressor_free(d->decompressor);
    free(d->plain);
    free(d);
}

void decode_warm_up(void)
{
    uint8_t key[CRYPTO_AEAD_KEY_SIZE] = { 0 }, sealed[CRYPTO_AEAD_TAG_SIZE] = { 0 }, out[32];
    const uint8_t nonce[CRYPTO_AEAD_NONCE_SIZE] = { 0 };
    _cleanup_crypto_aead_ struct crypto_aead aead = { 0 };
    crypto_hkdf_sha256(key, sizeof key, NULL, 0, "", 0, out, sizeof out);
    curve_x25519_public(key, out);
    crypto_aead_init(&aead, CRYPTO_OPEN, key);
    (void)!crypto_aead_open(&aead, nonce, sealed, sizeof sealed, out);
}

// ---- bytes after decryption

static int decrypt(const struct decode *d, const struct decode_job *job, const uint8_t *sealed, struct error *err)
{
    _cleanup_age_decrypt_ struct age_decrypt decrypt;
    age_decrypt_init(&decrypt, &job->key);
    uint64_t left = job->in_size;
    int r = 0;
    for (uint64_t i = 0; r == 0 && left > 0; i++) {
        size_t n = left < AGE_SEALED_SIZE ? (size_t)left : AGE_SEALED_SIZE;
        uint64_t chunk = job->span.first_chunk + i;
        r = age_decrypt_chunk(&decrypt, chunk, chunk == job->span.last_chunk, sealed + i * AGE_SEALED_SIZE, n, d->plain + i * AGE_CHUNK_SIZE, err);
        left -= n;
    }
    return r;
}

// The job's plain_size bytes, in the input or in d->plain.
static int plain_bytes(const struct decode *d, const struct decode_job *job, const uint8_t *in, const uint8_t **ret_plain, struct error *err)
{
    uint64_t last = job->in_size % AGE_SEALED_SIZE, have = job->in_size;
    if (job->encrypted != 0)
        have = job->in_size / AGE_SEALED_SIZE * AGE_CHUNK_SIZE + (last > CRYPTO_AEAD_TAG_SIZE ? last - CRYPTO_AEAD_TAG_SIZE : 0);
    if (job->span.skip > have || job->plain_size > have - job->span.skip)
        return error_set(err, ERROR_INTEGRITY, "bytes beyond its end are asked for");
    int r = job->encrypted != 0 ? decrypt(d, job, in + job->in_offset, err) : 0;
    if (r == 0)
        *ret_plain = (job->encrypted != 0 ? d->plain : in + job->in_offset) + job->span.skip;
    return r;
}

// ---- jobs

static int unwrap(const struct decode *d, const struct decode_job *job, const uint8_t *in, struct decode_reply *reply, struct error *err)
{
    return age_unwrap(in + job->in_offset, job->in_size, d->identities, d->n_identities, &reply->key, err);
}

static void put_entries(const struct zframe_table *t, uint8_t *out, struct decode_reply *reply)
{
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t entry[2] = { (uint32_t)(t->stored[i + 1] - t->stored[i]), (uint32_t)(t->plain[i + 1] - t->plain[i]) };
        memcpy(out + i * sizeof entry, entry, sizeof entry);
    }
    reply->entries = t->count;
    reply->size = t->count * 2 * (uint32_t)sizeof(uint32_t);
}

static int table(const struct decode *d, const struct decode_job *job, const uint8_t *in, uint8_t *out, struct decode_reply *reply,
                 struct error *err)
{
    const uint8_t *tail = NULL;
    size_t size = 0, n = job->plain_size;
    int r = plain_bytes(d, job, in, &tail, err);
    if (r == 0 && n < ZFRAME_FOOTER_SIZE)
        r = error_set(err, ERROR_INTEGRITY, "too short for a seek table");
    if (r == 0)
        r = zframe_table_size(tail + n - ZFRAME_FOOTER_SIZE, &size, err);
    reply->size = (uint32_t)size;
    if (r < 0 || (size > n && size <= job->plain_total))
        return r;
    _cleanup_zframe_table_ struct zframe_table t = { 0 };
    if (size > job->plain_total)
        return error_set(err, ERROR_INTEGRITY, "its seek table is larger than itself");
    r = zframe_table_parse(tail + n - size, size, job->plain_total - size, &t, err);
    if (r == 0)
        put_entries(&t, out, reply);
    return r;
}

static int frame(struct decode *d, const struct decode_job *job, const uint8_t *in, uint8_t *out, struct decode_reply *reply, struct error *err)
{
    const uint8_t *stored = NULL;
    int r = plain_bytes(d, job, in, &stored, err);
    if (r == 0)
        r = zframe_decompress(d->decompressor, stored, job->plain_size, out, job->frame_size, err);
    if (r == 0)
        reply->size = job->frame_size;
    return r;
}

static int run(struct decode *d, const struct decode_job *job, const uint8_t *in, uint8_t *out, struct decode_reply *reply, struct error *err)
{
    if (job->in_offset > DECODE_IN_SIZE || job->in_size > DECODE_IN_SIZE - job->in_offset || job->frame_size > DECODE_OUT_SIZE)
        return error_set(err, ERROR_INTEGRITY, "more bytes than an object's part may have");
    switch (job->op) {
    case DECODE_UNWRAP:
        return unwrap(d, job, in, reply, err);
    case DECODE_TABLE:
        return table(d, job, in, out, reply, err);
    case DECODE_FRAME:
        return frame(d, job, in, out, reply, err);
    default:
        return error_set(err, ERROR_FAILED, "no such job");
    }
}

void decode_run(struct decode *d, const struct decode_job *job, const uint8_t *in, uint8_t *out, struct decode_reply *ret_reply)
{
    struct error err = { 0 };
    *ret_reply = (struct decode_reply){ 0 };
    ret_reply->code = run(d, job, in, out, ret_reply, &err);
    if (ret_reply->code < 0)
        (void)snprintf(ret_reply->text, sizeof ret_reply->text, "%.*s", (int)sizeof ret_reply->text - 1, err.text);
}
