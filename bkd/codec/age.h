// age v1 files (https://c2sp.org/age): keys, header, and the payload in chunks of 64 KiB that can be read one by one.
//
// Writing:  age_encrypt_begin (header and nonce come out) → age_encrypt_update … → age_encrypt_final → age_encrypt_done
// Reading:  age_unwrap the first bytes with identities → age_plain_size → age_span for a range →
//           age_decrypt_init → age_decrypt_chunk … (any order) → age_decrypt_done
//           or, as a stream: age_decrypt_update … → age_decrypt_final.
// Only X25519 recipients; scrypt only to open identity files under a passphrase. Stanzas of other types are skipped.
// Pure functions on bytes; agekeys.h reads key files. Error texts never contain a secret.
//
// A chunk's plaintext is released only after its tag. A stream that is cut off therefore yields a valid beginning: a caller
// commits nothing before age_decrypt_final (or the final chunk) said that the end was there.
#ifndef BKD_CODEC_AGE_H
#define BKD_CODEC_AGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/crypto.h"
#include "bkd/base/curve.h"
#include "bkd/base/error.h"
#include "bkd/base/io.h"

#define AGE_CHUNK_SIZE 65536u                                   // plaintext
#define AGE_SEALED_SIZE (AGE_CHUNK_SIZE + CRYPTO_AEAD_TAG_SIZE) // the same chunk as stored
#define AGE_NONCE_SIZE 16
#define AGE_HEADER_MAX (64u << 10) // a reader's limit: bytes of header
#define AGE_STANZAS_MAX 128        // a reader's limit: recipients in a header
#define AGE_RECIPIENTS_MAX 64      // a writer's limit
#define AGE_RECIPIENT_TEXT_SIZE 63 // "age1…" and NUL
#define AGE_IDENTITY_TEXT_SIZE 75  // "AGE-SECRET-KEY-1…" and NUL
#define AGE_WORK_FACTOR_MAX 22     // scrypt's log2 N that a reader accepts

// ---- keys

struct age_recipient {
    uint8_t public_key[CURVE_KEY_SIZE];
};
struct age_identity {
    uint8_t secret[CURVE_KEY_SIZE];
    struct age_recipient recipient; // the public half
};

// "age1…" of `len` characters. ERROR_FORMAT; ERROR_KEY when an identity stands where a recipient belongs.
MUST_USE int age_recipient_parse(const char *text, size_t len, struct age_recipient *ret_recipient, struct error *err);
void age_recipient_format(const struct age_recipient *recipient, char ret_text[AGE_RECIPIENT_TEXT_SIZE]);
// "AGE-SECRET-KEY-1…" of `len` characters. ERROR_FORMAT; ERROR_KEY when a recipient stands where an identity belongs.
MUST_USE int age_identity_parse(const char *text, size_t len, struct age_identity *ret_identity, struct error *err);
void age_identity_format(const struct age_identity *identity, char ret_text[AGE_IDENTITY_TEXT_SIZE]);
// A new identity from kernel randomness.
void age_identity_new(const struct io *io, struct age_identity *ret_identity);

// ---- sizes (see "Size" in the specification; all in bytes)

// Stored size of a file of plain_size bytes for n recipients: 70 + 98 n + 16 + plain + 16 * max(1, ceil(plain / 65536)).
uint64_t age_stored_size(size_t n_recipients, uint64_t plain_size);
// The plaintext's size, from the file's stored size and where the payload starts. False when no age file can have that size.
bool age_plain_size(uint64_t stored_size, size_t payload_offset, uint64_t *ret_plain_size);

// The chunks that cover a range of plaintext, and where they lie in the stored file.
struct age_span {
    uint64_t first_chunk;
    uint64_t chunks;        // 0 only for an empty range
    uint64_t stored_offset; // of the first chunk
    uint64_t stored_size;   // of all of them together
    uint64_t skip;          // plaintext bytes of the first chunk before the range
    uint64_t last_chunk;    // index of the file's final chunk
};
// False when the range is not within plain_size (which came from age_plain_size).
bool age_span(size_t payload_offset, uint64_t plain_size, uint64_t offset, uint64_t length, struct age_span *ret_span);

// ---- writing

struct age_encrypt {
    struct crypto_aead aead;
    uint64_t counter;
    struct buf partial; // less than or exactly one chunk, kept until more follows
};

// Appends the header (a fresh file key wrapped for each recipient) and the payload's nonce to ret_header. n is 1 to
// AGE_RECIPIENTS_MAX. ERROR_KEY when a recipient is a point of low order. Everything random comes from io_random.
MUST_USE int age_encrypt_begin(const struct io *io, const struct age_recipient *recipients, size_t n, struct buf *ret_header,
                               struct age_encrypt *ret_encrypt, struct error *err);
// Appends the sealed chunks that are complete and not the last to ret_sealed.
void age_encrypt_update(struct age_encrypt *e, const void *data, size_t n, struct buf *ret_sealed);
// Appends the final chunk. Nothing may follow.
void age_encrypt_final(struct age_encrypt *e, struct buf *ret_sealed);
void age_encrypt_done(struct age_encrypt *e);
#define _cleanup_age_encrypt_ __attribute__((cleanup(age_encrypt_done)))

// ---- reading

struct age_key {
    uint8_t payload_key[CRYPTO_AEAD_KEY_SIZE];
    size_t payload_offset; // where the first chunk starts in the stored file: after header and nonce
};
void age_key_done(struct age_key *key); // wipes
#define _cleanup_age_key_ __attribute__((cleanup(age_key_done)))

// Do the first n bytes of a file hold its whole header and nonce? Then true, and how many bytes that is. Looks for the end only;
// age_unwrap judges. A header for 16 recipients is below 2 KiB.
bool age_header_size(const uint8_t *data, size_t n, size_t *ret_payload_offset);

// Opens a header with the first identity that fits. data holds at least header and nonce, the rest of the file may follow.
// Costs about 0.1 ms for each pair of identity and stanza that is tried.
// ERROR_FORMAT: not an age header; ERROR_KEY: no identity fits; ERROR_INTEGRITY: the header's MAC is wrong.
MUST_USE int age_unwrap(const uint8_t *data, size_t n, const struct age_identity *identities, size_t n_identities,
                        struct age_key *ret_key, struct error *err);
// The same for a file under a passphrase (one scrypt stanza). ERROR_KEY: another passphrase, or not under a passphrase.
MUST_USE int age_unwrap_passphrase(const uint8_t *data, size_t n, const char *passphrase, struct age_key *ret_key,
                                   struct error *err);

// One per thread: a decryption context under a file's key.
struct age_decrypt {
    struct crypto_aead aead;
    uint64_t counter;   // stream only
    bool ended;         // stream only: the final chunk was seen
    struct buf partial; // stream only
};
void age_decrypt_init(struct age_decrypt *d, const struct age_key *key);
// Opens chunk `index` of n stored bytes (17..65552; 16 for an empty file) into ret_data (n - 16 bytes). is_final must say whether
// it is the file's last. ERROR_INTEGRITY when it is not authentic in this place.
MUST_USE int age_decrypt_chunk(struct age_decrypt *d, uint64_t index, bool is_final, const uint8_t *sealed, size_t n,
                               uint8_t *ret_data, struct error *err);
// As a stream, from the first chunk on: appends what is authentic to ret_data, also in a call that fails after it.
// ERROR_INTEGRITY for a wrong tag and for data after the final chunk; final as well when the final chunk is missing.
MUST_USE int age_decrypt_update(struct age_decrypt *d, const void *sealed, size_t n, struct buf *ret_data, struct error *err);
MUST_USE int age_decrypt_final(struct age_decrypt *d, struct buf *ret_data, struct error *err);
void age_decrypt_done(struct age_decrypt *d);
#define _cleanup_age_decrypt_ __attribute__((cleanup(age_decrypt_done)))

#endif
