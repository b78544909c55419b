// Hashes, message authentication and authenticated encryption at hardware speed. The only module that includes OpenSSL's headers.
//
// None of these functions reports an error, except crypto_aead_open (a wrong tag) and crypto_scrypt (memory): libcrypto can only
// fail here when memory runs out or when it was built without an algorithm, and then the process ends with a message, since there
// is no safe way on. Contexts are reused: starting one costs about a microsecond (libcrypto looks the algorithm up), using it
// again does not. A context belongs to one thread at a time.
#ifndef BKD_BASE_CRYPTO_H
#define BKD_BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/error.h"

#define CRYPTO_SHA256_SIZE 32
#define CRYPTO_SHA512_SIZE 64
#define CRYPTO_AEAD_KEY_SIZE 32
#define CRYPTO_AEAD_NONCE_SIZE 12
#define CRYPTO_AEAD_TAG_SIZE 16
#define CRYPTO_BLOCKHASH_KEY_SIZE 32
#define CRYPTO_BLOCKHASH_TAG_SIZE 16

// One-shot digests of n bytes (FIPS 180-4). data may be NULL when n is 0.
void crypto_sha256(const void *data, size_t n, uint8_t ret_digest[CRYPTO_SHA256_SIZE]);
void crypto_sha512(const void *data, size_t n, uint8_t ret_digest[CRYPTO_SHA512_SIZE]);

// A SHA-256 that is fed in parts. init → update … → final → (update … → final …) → done.
struct crypto_sha256 {
    void *ctx; // NULL when not initialised
};
void crypto_sha256_init(struct crypto_sha256 *h);
void crypto_sha256_update(struct crypto_sha256 *h, const void *data, size_t n);
// Writes the digest of everything since init or the last final, and starts anew.
void crypto_sha256_final(struct crypto_sha256 *h, uint8_t ret_digest[CRYPTO_SHA256_SIZE]);
void crypto_sha256_done(struct crypto_sha256 *h);
#define _cleanup_crypto_sha256_ __attribute__((cleanup(crypto_sha256_done)))

// HMAC-SHA-256 (RFC 2104).
void crypto_hmac_sha256(const void *key, size_t key_len, const void *data, size_t n, uint8_t ret_mac[CRYPTO_SHA256_SIZE]);

// HMAC-SHA-1: only for reading names that OpenSSH hashed in known_hosts. Nothing relies on it.
#define CRYPTO_SHA1_SIZE 20
void crypto_hmac_sha1(const void *key, size_t key_len, const void *data, size_t n, uint8_t ret_mac[CRYPTO_SHA1_SIZE]);

// HKDF-SHA-256 (RFC 5869). An empty salt (NULL, 0) means 32 zero bytes, as the RFC says. out_len is at most 255 * 32.
void crypto_hkdf_sha256(const void *secret, size_t secret_len, const void *salt, size_t salt_len, const void *info,
                        size_t info_len, void *ret_out, size_t out_len);

// ChaCha20-Poly1305 (RFC 8439) under one key, without associated data, in one direction. A nonce must never be used twice for
// sealing under one key; age's STREAM counts.
struct crypto_aead {
    void *ctx; // NULL when not initialised
    bool seals;
};
enum crypto_direction { CRYPTO_OPEN, CRYPTO_SEAL };
void crypto_aead_init(struct crypto_aead *a, enum crypto_direction direction, const uint8_t key[CRYPTO_AEAD_KEY_SIZE]);
// Writes n + 16 bytes: ciphertext and tag. In place (ret_sealed == data) is fine. n is below 2 GiB.
void crypto_aead_seal(struct crypto_aead *a, const uint8_t nonce[CRYPTO_AEAD_NONCE_SIZE], const void *data, size_t n,
                      uint8_t *ret_sealed);
// Writes n - 16 bytes. False when the tag is wrong or n < 16: ret_data is then zeroed, so that unauthenticated bytes never get
// out.
bool crypto_aead_open(struct crypto_aead *a, const uint8_t nonce[CRYPTO_AEAD_NONCE_SIZE], const uint8_t *sealed, size_t n,
                      void *ret_data) __attribute__((warn_unused_result));
// Wipes the key.
void crypto_aead_done(struct crypto_aead *a);
#define _cleanup_crypto_aead_ __attribute__((cleanup(crypto_aead_done)))

// A keyed universal hash of blocks, for same-place tables: "is this block what it was last night?"
//
// It is Poly1305 (RFC 8439) with one fixed key. For a secret random key, two different blocks of at most n bytes have the same
// tag with a probability of at most 8 * ceil(n/16) / 2^106 (Bernstein, "The Poly1305-AES message-authentication code",
// theorem 3.3; 2^-95 for 4 KiB), whatever the blocks are, as long as they were chosen without knowledge of key and tags. That is
// all a table needs, and no unkeyed hash of this speed gives it: whoever writes into a source could construct collisions for
// XXH3. It is NOT a message authentication code here: one key serves many blocks, so tags reveal the key to whoever sees them.
// Hence the rule: one random key per file, key and tags stay on this host in files of mode 0600, and copies found by tags are
// re-hashed with SHA-256 every few nights. Measured on 4 KiB blocks: Poly1305 11.2 GB/s, GMAC (AES-256-GCM over associated
// data) 7.2 GB/s, SHA-256 1.9 GB/s.
struct crypto_blockhash {
    void *ctx; // NULL when not initialised
    uint8_t key[CRYPTO_BLOCKHASH_KEY_SIZE];
};
void crypto_blockhash_init(struct crypto_blockhash *h, const uint8_t key[CRYPTO_BLOCKHASH_KEY_SIZE]);
// The tag of one block of n bytes.
void crypto_blockhash_run(struct crypto_blockhash *h, const void *data, size_t n, uint8_t ret_tag[CRYPTO_BLOCKHASH_TAG_SIZE]);
void crypto_blockhash_done(struct crypto_blockhash *h);
#define _cleanup_crypto_blockhash_ __attribute__((cleanup(crypto_blockhash_done)))

// scrypt (RFC 7914) with r = 8, p = 1 and N = 2^log_n, log_n 1..22; needs 1 KiB * 2^log_n of memory. ERROR_FAILED when there is
// not enough.
MUST_USE int crypto_scrypt(const void *passphrase, size_t passphrase_len, const void *salt, size_t salt_len, unsigned log_n,
                           uint8_t *ret_key, size_t key_len, struct error *err);

#endif
