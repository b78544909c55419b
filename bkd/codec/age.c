#include "bkd/codec/age.h"

#include <assert.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/codec/ageheader.h"
#include "bkd/codec/bech32.h"

#define FILE_KEY_SIZE 16
#define WRAPPED_SIZE (FILE_KEY_SIZE + CRYPTO_AEAD_TAG_SIZE)
#define X25519_INFO "age-encryption.org/v1/X25519"
#define SCRYPT_LABEL "age-encryption.org/v1/scrypt"
#define SCRYPT_SALT_SIZE 16
#define RECIPIENT_PREFIX "age"
#define IDENTITY_PREFIX "AGE-SECRET-KEY-"

// ---- keys

static bool looks_like_identity(const char *text, size_t len)
{
    size_t n = strlen(IDENTITY_PREFIX);
    return len >= n && strncasecmp(text, IDENTITY_PREFIX, n) == 0;
}

// Decodes a key of 32 bytes. A valid text of another kind leaves *ret_prefix_fits false.
static int parse_key(const char *text, size_t len, const char *prefix, uint8_t ret_key[CURVE_KEY_SIZE], bool *ret_prefix_fits,
                     struct error *err)
{
    char found[BECH32_PREFIX_MAX + 1];
    uint8_t key[CURVE_KEY_SIZE];
    size_t n = 0;
    int r = bech32_decode(text, len, found, key, sizeof key, &n, err);
    if (r == 0) {
        *ret_prefix_fits = strcmp(found, prefix) == 0;
        if (*ret_prefix_fits && n != sizeof key)
            r = error_set(err, ERROR_FORMAT, "it holds %zu bytes instead of 32", n);
        else
            memcpy(ret_key, key, sizeof key);
    }
    curve_wipe(key, sizeof key);
    return r;
}

int age_recipient_parse(const char *text, size_t len, struct age_recipient *ret_recipient, struct error *err)
{
    if (looks_like_identity(text, len))
        return error_set(err, ERROR_KEY,
                         "this is an identity (a secret key); a recipient belongs here, the 'age1…' from its comment line, or "
                         "from: age-keygen -y FILE");
    struct age_recipient recipient;
    bool fits = false;
    int r = parse_key(text, len, RECIPIENT_PREFIX, recipient.public_key, &fits, err);
    if (r < 0)
        return error_prefix(err, "not a valid age recipient ('age1…', 62 characters)");
    if (!fits)
        return error_set(err, ERROR_FORMAT,
                         "not a recipient that can be used here: only X25519 recipients ('age1…', 62 lower-case characters) are");
    *ret_recipient = recipient;
    return 0;
}

void age_recipient_format(const struct age_recipient *recipient, char ret_text[AGE_RECIPIENT_TEXT_SIZE])
{
    _cleanup_buf_ struct buf text = { 0 };
    bech32_encode(RECIPIENT_PREFIX, recipient->public_key, sizeof recipient->public_key, &text);
    assert(text.len == AGE_RECIPIENT_TEXT_SIZE - 1);
    memcpy(ret_text, text.data, AGE_RECIPIENT_TEXT_SIZE);
}

int age_identity_parse(const char *text, size_t len, struct age_identity *ret_identity, struct error *err)
{
    if (len >= 4 && strncasecmp(text, "age1", 4) == 0)
        return error_set(err, ERROR_KEY,
                         "this is a recipient (a public key); the identity that belongs to it is needed, 'AGE-SECRET-KEY-1…'");
    uint8_t secret[CURVE_KEY_SIZE];
    bool fits = false;
    int r = parse_key(text, len, IDENTITY_PREFIX, secret, &fits, err);
    if (r < 0)
        (void)error_prefix(err, "not a valid age identity ('AGE-SECRET-KEY-1…', 74 characters)");
    else if (!fits)
        r = error_set(
            err, ERROR_FORMAT,
            "not an identity that can be used here: only X25519 identities ('AGE-SECRET-KEY-1…', 74 capital characters) are");
    if (r == 0) {
        memcpy(ret_identity->secret, secret, sizeof secret);
        curve_x25519_public(ret_identity->secret, ret_identity->recipient.public_key);
    }
    curve_wipe(secret, sizeof secret);
    return r;
}

void age_identity_format(const struct age_identity *identity, char ret_text[AGE_IDENTITY_TEXT_SIZE])
{
    struct buf text = { 0 };
    bech32_encode(IDENTITY_PREFIX, identity->secret, sizeof identity->secret, &text);
    assert(text.len == AGE_IDENTITY_TEXT_SIZE - 1);
    memcpy(ret_text, text.data, AGE_IDENTITY_TEXT_SIZE);
    curve_wipe(text.data, text.cap);
    buf_done(&text);
}

void age_identity_new(const struct io *io, struct age_identity *ret_identity)
{
    curve_x25519_new(io, ret_identity->secret);
    curve_x25519_public(ret_identity->secret, ret_identity->recipient.public_key);
}

void age_key_done(struct age_key *key) { curve_wipe(key, sizeof *key); }

// ---- the derivations that writing and reading share

static const uint8_t zero_nonce[CRYPTO_AEAD_NONCE_SIZE];

static void x25519_wrap_key(const uint8_t *shared, const uint8_t *share, const uint8_t *recipient,
                            uint8_t ret_key[CRYPTO_AEAD_KEY_SIZE])
{
    uint8_t salt[2 * CURVE_KEY_SIZE];
    memcpy(salt, share, CURVE_KEY_SIZE);
    memcpy(salt + CURVE_KEY_SIZE, recipient, CURVE_KEY_SIZE);
    crypto_hkdf_sha256(shared, CURVE_KEY_SIZE, salt, sizeof salt, X25519_INFO, strlen(X25519_INFO), ret_key,
                       CRYPTO_AEAD_KEY_SIZE);
}

static void header_mac(const uint8_t file_key[FILE_KEY_SIZE], const uint8_t *header, size_t n,
                       uint8_t ret_mac[CRYPTO_SHA256_SIZE])
{
    uint8_t key[CRYPTO_SHA256_SIZE];
    crypto_hkdf_sha256(file_key, FILE_KEY_SIZE, NULL, 0, "header", 6, key, sizeof key);
    crypto_hmac_sha256(key, sizeof key, header, n, ret_mac);
    curve_wipe(key, sizeof key);
}

static void payload_key(const uint8_t file_key[FILE_KEY_SIZE], const uint8_t nonce[AGE_NONCE_SIZE],
                        uint8_t ret_key[CRYPTO_AEAD_KEY_SIZE])
{
    crypto_hkdf_sha256(file_key, FILE_KEY_SIZE, nonce, AGE_NONCE_SIZE, "payload", 7, ret_key, CRYPTO_AEAD_KEY_SIZE);
}

// ---- writing a header

static void add_base64(struct buf *text, const uint8_t *bytes, size_t n)
{
    char line[64];
    assert(n <= 46);
    (void)base64_encode(line, bytes, n, false);
    buf_add_str(text, line);
}

static int add_stanza(const struct io *io, const struct age_recipient *recipient, const uint8_t file_key[FILE_KEY_SIZE],
                      struct buf *header, struct error *err)
{
    uint8_t ephemeral[CURVE_KEY_SIZE], share[CURVE_KEY_SIZE], shared[CURVE_KEY_SIZE], wrap_key[CRYPTO_AEAD_KEY_SIZE],
        body[WRAPPED_SIZE];
    curve_x25519_new(io, ephemeral);
    curve_x25519_public(ephemeral, share);
    bool good = curve_x25519_shared(ephemeral, recipient->public_key, shared);
    curve_wipe(ephemeral, sizeof ephemeral);
    if (!good)
        return error_set(err, ERROR_KEY, "a recipient is not a usable public key (a point of low order)");
    x25519_wrap_key(shared, share, recipient->public_key, wrap_key);
    _cleanup_crypto_aead_ struct crypto_aead aead = { 0 };
    crypto_aead_init(&aead, CRYPTO_SEAL, wrap_key);
    crypto_aead_seal(&aead, zero_nonce, file_key, FILE_KEY_SIZE, body);
    buf_add_str(header, "-> X25519 ");
    add_base64(header, share, sizeof share);
    buf_add_char(header, '\n');
    add_base64(header, body, sizeof body);
    buf_add_char(header, '\n');
    curve_wipe(shared, sizeof shared);
    curve_wipe(wrap_key, sizeof wrap_key);
    return 0;
}

int age_encrypt_begin(const struct io *io, const struct age_recipient *recipients, size_t n, struct buf *ret_header,
                      struct age_encrypt *ret_encrypt, struct error *err)
{
    if (n < 1 || n > AGE_RECIPIENTS_MAX)
        return error_set(err, ERROR_KEY, "encrypting needs 1 to %d recipients, there are %zu", AGE_RECIPIENTS_MAX, n);
    uint8_t file_key[FILE_KEY_SIZE], nonce[AGE_NONCE_SIZE], mac[CRYPTO_SHA256_SIZE], key[CRYPTO_AEAD_KEY_SIZE];
    io_random(io, file_key, sizeof file_key);
    io_random(io, nonce, sizeof nonce);
    _cleanup_buf_ struct buf header = { 0 };
    buf_add_str(&header, AGEHEADER_VERSION_LINE);
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = add_stanza(io, &recipients[i], file_key, &header, err);
    if (r == 0) {
        buf_add_str(&header, "---");
        header_mac(file_key, header.data, header.len, mac);
        buf_add_char(&header, ' ');
        add_base64(&header, mac, sizeof mac);
        buf_add_char(&header, '\n');
        buf_add(&header, nonce, sizeof nonce);
        buf_add(ret_header, header.data, header.len);
        payload_key(file_key, nonce, key);
        *ret_encrypt = (struct age_encrypt){ 0 };
        crypto_aead_init(&ret_encrypt->aead, CRYPTO_SEAL, key);
    }
    curve_wipe(file_key, sizeof file_key);
    curve_wipe(key, sizeof key);
    return r;
}

// ---- opening a header

bool age_header_size(const uint8_t *data, size_t n, size_t *ret_payload_offset)
{
    size_t header = 0;
    if (!ageheader_find_end(data, n, &header) || n - header < AGE_NONCE_SIZE)
        return false;
    *ret_payload_offset = header + AGE_NONCE_SIZE;
    return true;
}

// Checks what the specification demands of stanzas this program knows, whether or not it can open them.
static int check_stanzas(const struct ageheader *h, struct error *err)
{
    for (size_t i = 0; i < h->n_stanzas; i++) {
        const struct ageheader_stanza *s = &h->stanzas[i];
        const char *arg;
        size_t len, n = 0;
        uint8_t share[CURVE_KEY_SIZE];
        bool x25519 = ageheader_is(s, "X25519"), scrypt = ageheader_is(s, "scrypt");
        if (x25519 && (s->n_args != 1 || s->body_len != WRAPPED_SIZE || !ageheader_arg(s, 0, &arg, &len) ||
                       !base64_decode(arg, len, false, share, sizeof share, &n) || n != sizeof share))
            return error_set(err, ERROR_FORMAT, "recipient %zu of the age header is malformed", i + 1);
        if (scrypt && (s->n_args != 2 || s->body_len != WRAPPED_SIZE))
            return error_set(err, ERROR_FORMAT, "recipient %zu of the age header is malformed", i + 1);
        if (scrypt && h->n_stanzas != 1)
            return error_set(err, ERROR_FORMAT, "the age header has a passphrase beside other recipients");
    }
    return 0;
}

static bool unwrap_file_key(const uint8_t wrap_key[CRYPTO_AEAD_KEY_SIZE], const struct ageheader_stanza *s,
                            uint8_t ret_file_key[FILE_KEY_SIZE])
{
    _cleanup_crypto_aead_ struct crypto_aead aead = { 0 };
    crypto_aead_init(&aead, CRYPTO_OPEN, wrap_key);
    return crypto_aead_open(&aead, zero_nonce, s->body, WRAPPED_SIZE, ret_file_key);
}

// Tries one identity on one X25519 stanza (which check_stanzas found well-formed). *ret_fits says whether it opened.
static int try_x25519(const struct ageheader_stanza *s, const struct age_identity *identity, uint8_t ret_file_key[FILE_KEY_SIZE],
                      bool *ret_fits, struct error *err)
{
    uint8_t share[CURVE_KEY_SIZE], shared[CURVE_KEY_SIZE], wrap_key[CRYPTO_AEAD_KEY_SIZE];
    const char *arg;
    size_t len, n = 0;
    bool decoded = ageheader_arg(s, 0, &arg, &len) && base64_decode(arg, len, false, share, sizeof share, &n);
    if (!decoded || !curve_x25519_shared(identity->secret, share, shared))
        return error_set(err, ERROR_FORMAT, "the age header has a recipient that is a point of low order");
    x25519_wrap_key(shared, share, identity->recipient.public_key, wrap_key);
    *ret_fits = unwrap_file_key(wrap_key, s, ret_file_key);
    curve_wipe(shared, sizeof shared);
    curve_wipe(wrap_key, sizeof wrap_key);
    return 0;
}

static int find_file_key(const struct ageheader *h, const struct age_identity *identities, size_t n_identities,
                         uint8_t ret_file_key[FILE_KEY_SIZE], struct error *err)
{
    for (size_t i = 0; i < h->n_stanzas; i++) {
        if (!ageheader_is(&h->stanzas[i], "X25519"))
            continue;
        for (size_t k = 0; k < n_identities; k++) {
            bool fits = false;
            int r = try_x25519(&h->stanzas[i], &identities[k], ret_file_key, &fits, err);
            if (r < 0 || fits)
                return r;
        }
    }
    if (ageheader_is(&h->stanzas[0], "scrypt"))
        return error_set(err, ERROR_KEY, "the file is encrypted with a passphrase, not to an identity");
    return error_set(err, ERROR_KEY, "none of the %zu identities given opens this; it is encrypted to %zu others", n_identities,
                     h->n_stanzas);
}

static int scrypt_file_key(const struct ageheader *h, const char *passphrase, uint8_t ret_file_key[FILE_KEY_SIZE],
                           struct error *err)
{
    const struct ageheader_stanza *s = &h->stanzas[0];
    if (!ageheader_is(s, "scrypt"))
        return error_set(err, ERROR_KEY, "the file is not encrypted with a passphrase");
    uint8_t salt[sizeof SCRYPT_LABEL - 1 + SCRYPT_SALT_SIZE], wrap_key[CRYPTO_AEAD_KEY_SIZE];
    const char *arg;
    size_t len, n = 0;
    uint64_t work = 0;
    memcpy(salt, SCRYPT_LABEL, sizeof SCRYPT_LABEL - 1);
    if (!ageheader_arg(s, 0, &arg, &len) ||
        !base64_decode(arg, len, false, salt + sizeof SCRYPT_LABEL - 1, SCRYPT_SALT_SIZE, &n) || n != SCRYPT_SALT_SIZE)
        return error_set(err, ERROR_FORMAT, "the salt of the passphrase is malformed");
    if (!ageheader_arg(s, 1, &arg, &len) || !parse_u64(arg, len, AGE_WORK_FACTOR_MAX, &work) || work == 0)
        return error_set(err, ERROR_FORMAT, "the passphrase's work factor is not a number from 1 to %d", AGE_WORK_FACTOR_MAX);
    int r = crypto_scrypt(passphrase, strlen(passphrase), salt, sizeof salt, (unsigned)work, wrap_key, sizeof wrap_key, err);
    if (r == 0 && !unwrap_file_key(wrap_key, s, ret_file_key))
        r = error_set(err, ERROR_KEY, "the passphrase is wrong");
    curve_wipe(wrap_key, sizeof wrap_key);
    return r;
}

// Exactly one of identities and passphrase is given.
static int unwrap(const uint8_t *data, size_t n, const struct age_identity *identities, size_t n_identities,
                  const char *passphrase, struct age_key *ret_key, struct error *err)
{
    _cleanup_ageheader_ struct ageheader h = { 0 };
    uint8_t file_key[FILE_KEY_SIZE], mac[CRYPTO_SHA256_SIZE];
    int r = ageheader_parse(data, n, AGE_HEADER_MAX, AGE_STANZAS_MAX, &h, err);
    if (r == 0)
        r = check_stanzas(&h, err);
    if (r < 0)
        return r;
    if (passphrase != NULL)
        r = scrypt_file_key(&h, passphrase, file_key, err);
    else
        r = find_file_key(&h, identities, n_identities, file_key, err);
    if (r < 0)
        return r;
    header_mac(file_key, data, h.mac_input_len, mac);
    if (!curve_equal(mac, h.mac, sizeof mac))
        r = error_set(err, ERROR_INTEGRITY, "the age header was altered: its MAC is wrong");
    else if (n - h.size < AGE_NONCE_SIZE)
        r = error_set(err, ERROR_FORMAT, "the age file ends after its header");
    if (r == 0) {
        payload_key(file_key, data + h.size, ret_key->payload_key);
        ret_key->payload_offset = h.size + AGE_NONCE_SIZE;
    }
    curve_wipe(file_key, sizeof file_key);
    return r;
}

int age_unwrap(const uint8_t *data, size_t n, const struct age_identity *identities, size_t n_identities, struct age_key *ret_key,
               struct error *err)
{
    return unwrap(data, n, identities, n_identities, NULL, ret_key, err);
}

int age_unwrap_passphrase(const uint8_t *data, size_t n, const char *passphrase, struct age_key *ret_key, struct error *err)
{
    return unwrap(data, n, NULL, 0, passphrase, ret_key, err);
}
