#include "bkd/base/crypto.h"

#include <assert.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/log.h"

// What "cannot fail" means here; see the header.
static void need(int ok, const char *what)
{
    if (ok == 1)
        return;
    log_error("libcrypto failed at %s: out of memory, or built without it", what);
    abort();
}

// ---- digests

static void digest(const char *name, const void *data, size_t n, uint8_t *ret_digest)
{
    need(EVP_Q_digest(NULL, name, NULL, data == NULL ? "" : data, n, ret_digest, NULL), name);
}

void crypto_sha256(const void *data, size_t n, uint8_t ret_digest[CRYPTO_SHA256_SIZE]) { digest("SHA256", data, n, ret_digest); }

void crypto_sha512(const void *data, size_t n, uint8_t ret_digest[CRYPTO_SHA512_SIZE]) { digest("SHA512", data, n, ret_digest); }

void crypto_sha256_init(struct crypto_sha256 *h)
{
    EVP_MD *algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    h->ctx = EVP_MD_CTX_new();
    need(algorithm != NULL && h->ctx != NULL && EVP_DigestInit_ex2(h->ctx, algorithm, NULL) == 1, "SHA256");
    EVP_MD_free(algorithm); // the context holds its own reference
}

void crypto_sha256_update(struct crypto_sha256 *h, const void *data, size_t n)
{
    need(EVP_DigestUpdate(h->ctx, data, n), "SHA256");
}

void crypto_sha256_final(struct crypto_sha256 *h, uint8_t ret_digest[CRYPTO_SHA256_SIZE])
{
    need(EVP_DigestFinal_ex(h->ctx, ret_digest, NULL), "SHA256");
    need(EVP_DigestInit_ex2(h->ctx, NULL, NULL), "SHA256");
}

void crypto_sha256_done(struct crypto_sha256 *h)
{
    EVP_MD_CTX_free(h->ctx);
    h->ctx = NULL;
}

// ---- HMAC and key derivation

void crypto_hmac_sha256(const void *key, size_t key_len, const void *data, size_t n, uint8_t ret_mac[CRYPTO_SHA256_SIZE])
{
    assert(key_len <= INT_MAX);
    // HMAC() takes a NULL key for "the key used before": an empty one must not be NULL.
    need(HMAC(EVP_sha256(), key == NULL ? "" : key, (int)key_len, data, n, ret_mac, NULL) != NULL, "HMAC");
}

void crypto_hmac_sha1(const void *key, size_t key_len, const void *data, size_t n, uint8_t ret_mac[CRYPTO_SHA1_SIZE])
{
    assert(key_len <= INT_MAX);
    need(HMAC(EVP_sha1(), key == NULL ? "" : key, (int)key_len, data, n, ret_mac, NULL) != NULL, "HMAC");
}

void crypto_hkdf_sha256(const void *secret, size_t secret_len, const void *salt, size_t salt_len, const void *info,
                        size_t info_len, void *ret_out, size_t out_len)
{
    uint8_t prk[CRYPTO_SHA256_SIZE], t[CRYPTO_SHA256_SIZE], input[CRYPTO_SHA256_SIZE + 256 + 1];
    assert(info_len <= 256 && out_len <= 255 * sizeof t);
    // Extract. HMAC pads its key with zeros, so that an empty salt is the same as 32 zero bytes.
    crypto_hmac_sha256(salt, salt_len, secret, secret_len, prk);
    // Expand: T(i) = HMAC(PRK, T(i-1) || info || i).
    size_t t_len = 0;
    for (uint8_t i = 1; out_len > 0; i++) {
        memcpy(input, t, t_len);
        if (info_len > 0)
            memcpy(input + t_len, info, info_len);
        input[t_len + info_len] = i;
        crypto_hmac_sha256(prk, sizeof prk, input, t_len + info_len + 1, t);
        t_len = sizeof t;
        size_t take = out_len < t_len ? out_len : t_len;
        memcpy(ret_out, t, take);
        ret_out = (uint8_t *)ret_out + take;
        out_len -= take;
    }
    OPENSSL_cleanse(prk, sizeof prk);
    OPENSSL_cleanse(t, sizeof t);
    OPENSSL_cleanse(input, sizeof input);
}

int crypto_scrypt(const void *passphrase, size_t passphrase_len, const void *salt, size_t salt_len, unsigned log_n,
                  uint8_t *ret_key, size_t key_len, struct error *err)
{
    const uint64_t r = 8, p = 1;
    if (log_n < 1 || log_n > 22)
        return error_set(err, ERROR_FORMAT, "scrypt's work factor %u is not within 1 to 22", log_n);
    uint64_t n = UINT64_C(1) << log_n;
    uint64_t memory = 128 * r * (n + p + 2) + 4096;
    if (EVP_PBE_scrypt(passphrase, passphrase_len, salt, salt_len, n, r, p, memory, ret_key, key_len) != 1)
        return error_set(err, ERROR_FAILED, "scrypt failed: it needs %llu MiB of memory", (unsigned long long)(memory >> 20));
    return 0;
}

// ---- ChaCha20-Poly1305

void crypto_aead_init(struct crypto_aead *a, enum crypto_direction direction, const uint8_t key[CRYPTO_AEAD_KEY_SIZE])
{
    EVP_CIPHER *algorithm = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    a->seals = direction == CRYPTO_SEAL;
    a->ctx = EVP_CIPHER_CTX_new();
    need(algorithm != NULL && a->ctx != NULL && EVP_CipherInit_ex2(a->ctx, algorithm, key, NULL, a->seals, NULL) == 1,
         "ChaCha20-Poly1305");
    EVP_CIPHER_free(algorithm); // the context holds its own reference
}

void crypto_aead_seal(struct crypto_aead *a, const uint8_t nonce[CRYPTO_AEAD_NONCE_SIZE], const void *data, size_t n,
                      uint8_t *ret_sealed)
{
    assert(a->seals && n < INT_MAX);
    int done = 0, rest = 0;
    need(EVP_CipherInit_ex2(a->ctx, NULL, NULL, nonce, -1, NULL), "ChaCha20-Poly1305");
    if (n > 0)
        need(EVP_CipherUpdate(a->ctx, ret_sealed, &done, data, (int)n), "ChaCha20-Poly1305");
    need(EVP_CipherFinal_ex(a->ctx, ret_sealed + done, &rest), "ChaCha20-Poly1305");
    need(EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_GET_TAG, CRYPTO_AEAD_TAG_SIZE, ret_sealed + n), "ChaCha20-Poly1305");
}

bool crypto_aead_open(struct crypto_aead *a, const uint8_t nonce[CRYPTO_AEAD_NONCE_SIZE], const uint8_t *sealed, size_t n,
                      void *ret_data)
{
    assert(!a->seals && n < INT_MAX);
    if (n < CRYPTO_AEAD_TAG_SIZE)
        return false;
    size_t plain = n - CRYPTO_AEAD_TAG_SIZE;
    uint8_t tag[CRYPTO_AEAD_TAG_SIZE], nothing[16];
    int done = 0, rest = 0;
    memcpy(tag, sealed + plain, sizeof tag); // libcrypto takes a writable pointer, and ret_data may be sealed
    need(EVP_CipherInit_ex2(a->ctx, NULL, NULL, nonce, -1, NULL), "ChaCha20-Poly1305");
    need(EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_SET_TAG, CRYPTO_AEAD_TAG_SIZE, tag), "ChaCha20-Poly1305");
    if (plain > 0)
        need(EVP_CipherUpdate(a->ctx, ret_data, &done, sealed, (int)plain), "ChaCha20-Poly1305");
    if (EVP_CipherFinal_ex(a->ctx, nothing, &rest) == 1)
        return true;
    if (plain > 0)
        memset(ret_data, 0, plain);
    return false;
}

void crypto_aead_done(struct crypto_aead *a)
{
    EVP_CIPHER_CTX_free(a->ctx); // wipes the key
    a->ctx = NULL;
}

// ---- block hash

void crypto_blockhash_init(struct crypto_blockhash *h, const uint8_t key[CRYPTO_BLOCKHASH_KEY_SIZE])
{
    EVP_MAC *algorithm = EVP_MAC_fetch(NULL, "POLY1305", NULL);
    need(algorithm != NULL, "POLY1305");
    h->ctx = EVP_MAC_CTX_new(algorithm);
    EVP_MAC_free(algorithm); // the context holds its own reference
    need(h->ctx != NULL, "POLY1305");
    memcpy(h->key, key, sizeof h->key);
}

void crypto_blockhash_run(struct crypto_blockhash *h, const void *data, size_t n, uint8_t ret_tag[CRYPTO_BLOCKHASH_TAG_SIZE])
{
    size_t size = 0;
    need(EVP_MAC_init(h->ctx, h->key, sizeof h->key, NULL), "POLY1305");
    need(EVP_MAC_update(h->ctx, data, n), "POLY1305");
    need(EVP_MAC_final(h->ctx, ret_tag, &size, CRYPTO_BLOCKHASH_TAG_SIZE) == 1 && size == CRYPTO_BLOCKHASH_TAG_SIZE, "POLY1305");
}

void crypto_blockhash_done(struct crypto_blockhash *h)
{
    EVP_MAC_CTX_free(h->ctx);
    OPENSSL_cleanse(h->key, sizeof h->key);
    h->ctx = NULL;
}
