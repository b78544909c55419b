#include "bkd/codec/sshkey.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/codec/keyfile.h"

#define KEY_TYPE "ssh-ed25519"
#define KEY_MAGIC "openssh-key-v1" // with its NUL
#define KEY_BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----\n"
#define KEY_END "-----END OPENSSH PRIVATE KEY-----"
#define KEY_COLUMNS 70
#define PADDING_BLOCK 8 // of cipher "none"

void sshkey_done(struct sshkey *key) { curve_wipe(key, sizeof *key); }

void sshkey_new(const struct io *io, struct sshkey *ret_key)
{
    uint8_t seed[CURVE_KEY_SIZE];
    io_random(io, seed, sizeof seed);
    curve_ed25519_from_seed(seed, ret_key->public_key, ret_key->secret);
    curve_wipe(seed, sizeof seed);
}

// ---- SSH's strings (RFC 4251 section 5)

static void put_u32(struct buf *out, uint32_t value) { put_u32be(buf_extend(out, 4), value); }

static void put_string(struct buf *out, const void *data, size_t n)
{
    put_u32(out, (uint32_t)n);
    buf_add(out, data, n);
}

static bool take_string(struct cursor *c, const uint8_t **ret_data, size_t *ret_n)
{
    struct cursor probe = *c;
    uint32_t n;
    if (!cursor_u32be(&probe, &n) || !cursor_take(&probe, n, ret_data))
        return false;
    *ret_n = n;
    *c = probe;
    return true;
}

static bool is_text(const uint8_t *data, size_t n, const char *text) { return n == strlen(text) && memcmp(data, text, n) == 0; }

// ---- public keys

void sshkey_blob_write(const uint8_t public_key[CURVE_KEY_SIZE], struct buf *ret_blob)
{
    put_string(ret_blob, KEY_TYPE, strlen(KEY_TYPE));
    put_string(ret_blob, public_key, CURVE_KEY_SIZE);
}

int sshkey_blob_parse(const uint8_t *blob, size_t n, uint8_t ret_public[CURVE_KEY_SIZE], struct error *err)
{
    struct cursor c = cursor_of(blob, n);
    const uint8_t *type, *key;
    size_t type_len, key_len;
    if (!take_string(&c, &type, &type_len))
        return error_set(err, ERROR_FORMAT, "the SSH public key is malformed");
    if (!is_text(type, type_len, KEY_TYPE))
        return error_set(err, ERROR_KEY, "the SSH key is of another type than ssh-ed25519, the only one that can be used here");
    if (!take_string(&c, &key, &key_len) || key_len != CURVE_KEY_SIZE || cursor_left(&c) != 0)
        return error_set(err, ERROR_FORMAT, "the SSH public key is malformed");
    memcpy(ret_public, key, CURVE_KEY_SIZE);
    return 0;
}

int sshkey_public_parse(const char *line, size_t n, uint8_t ret_public[CURVE_KEY_SIZE], struct error *err)
{
    const size_t type_len = strlen(KEY_TYPE);
    if (n > 4 && memcmp(line, "----", 4) == 0)
        return error_set(err, ERROR_KEY, "this is a private key file; the line of its .pub file belongs here");
    if (n <= type_len || memcmp(line, KEY_TYPE " ", type_len + 1) != 0)
        return error_set(err, ERROR_FORMAT, "not a line 'ssh-ed25519 AAAA…'");
    const char *key = line + type_len + 1, *end = line + n;
    const char *space = memchr(key, ' ', (size_t)(end - key));
    uint8_t blob[SSHKEY_BLOB_SIZE];
    size_t blob_len = 0;
    if (!base64_decode(key, (size_t)((space == NULL ? end : space) - key), true, blob, sizeof blob, &blob_len))
        return error_set(err, ERROR_FORMAT, "the SSH public key is not valid base64 of the right length");
    return sshkey_blob_parse(blob, blob_len, ret_public, err);
}

void sshkey_public_format(const uint8_t public_key[CURVE_KEY_SIZE], const char *comment, struct buf *ret_line)
{
    _cleanup_buf_ struct buf blob = { 0 };
    char text[(SSHKEY_BLOB_SIZE + 2) / 3 * 4 + 1];
    sshkey_blob_write(public_key, &blob);
    assert(blob.len == SSHKEY_BLOB_SIZE);
    (void)base64_encode(text, blob.data, blob.len, true);
    buf_addf(ret_line, "%s %s", KEY_TYPE, text);
    if (comment != NULL && *comment != '\0')
        buf_addf(ret_line, " %s", comment);
}

void sshkey_fingerprint(const uint8_t public_key[CURVE_KEY_SIZE], char ret_text[SSHKEY_FINGERPRINT_SIZE])
{
    _cleanup_buf_ struct buf blob = { 0 };
    uint8_t digest[CRYPTO_SHA256_SIZE];
    sshkey_blob_write(public_key, &blob);
    crypto_sha256(blob.data, blob.len, digest);
    memcpy(ret_text, "SHA256:", 7);
    (void)base64_encode(ret_text + 7, digest, sizeof digest, false);
}

// ---- private key files

// The base64 between the BEGIN and END lines, wherever its lines are broken.
static int dearmor(const char *text, size_t n, struct buf *ret_raw, struct error *err)
{
    const size_t begin_len = strlen(KEY_BEGIN);
    if (n < begin_len || memcmp(text, KEY_BEGIN, begin_len) != 0)
        return error_set(err, ERROR_FORMAT, "not an OpenSSH private key file");
    const char *stop = memmem(text + begin_len, n - begin_len, "\n" KEY_END, strlen(KEY_END) + 1);
    if (stop == NULL)
        return error_set(err, ERROR_FORMAT, "the private key file is cut off");
    _cleanup_keyfile_ struct buf digits = { 0 };
    buf_reserve(&digits, n);
    for (const char *at = text + begin_len; at < stop; at++)
        if (*at != '\n' && *at != '\r')
            buf_add_char(&digits, *at);
    buf_reserve(ret_raw, digits.len);
    size_t raw_len = 0;
    if (!base64_decode(buf_str(&digits), digits.len, true, ret_raw->data, digits.len, &raw_len))
        return error_set(err, ERROR_FORMAT, "the private key file is not valid base64");
    (void)buf_extend(ret_raw, raw_len);
    return 0;
}

// The part that a passphrase would protect: check numbers, the key, comment, padding 1 2 3 ….
static int parse_private_section(const uint8_t *data, size_t n, struct sshkey *ret_key, struct error *err)
{
    struct cursor c = cursor_of(data, n);
    uint32_t check1, check2;
    const uint8_t *type, *public_key, *secret, *comment;
    size_t type_len, public_len, secret_len, comment_len;
    if (!cursor_u32be(&c, &check1) || !cursor_u32be(&c, &check2) || check1 != check2 || !take_string(&c, &type, &type_len))
        return error_set(err, ERROR_FORMAT, "the private key file is damaged");
    if (!is_text(type, type_len, KEY_TYPE))
        return error_set(err, ERROR_KEY,
                         "the private key is of another type than ssh-ed25519, the only one that can be used here");
    if (!take_string(&c, &public_key, &public_len) || public_len != CURVE_KEY_SIZE || !take_string(&c, &secret, &secret_len) ||
        secret_len != CURVE_SECRET_SIZE || !take_string(&c, &comment, &comment_len) || cursor_left(&c) >= PADDING_BLOCK)
        return error_set(err, ERROR_FORMAT, "the private key file is damaged");
    for (uint8_t i = 1, byte; cursor_u8(&c, &byte); i++)
        if (byte != i)
            return error_set(err, ERROR_FORMAT, "the private key file is damaged");
    struct sshkey key;
    curve_ed25519_from_seed(secret, key.public_key, key.secret);
    int r = 0;
    // A public half that does not belong to the seed would make signatures that give the key away.
    if (!curve_equal(key.public_key, public_key, CURVE_KEY_SIZE) || !curve_equal(key.secret, secret, CURVE_SECRET_SIZE))
        r = error_set(err, ERROR_FORMAT, "the private key file is damaged: its halves do not belong together");
    else
        *ret_key = key;
    sshkey_done(&key);
    return r;
}

int sshkey_parse(const void *text, size_t n, struct sshkey *ret_key, struct error *err)
{
    if (n > SSHKEY_FILE_MAX)
        return error_set(err, ERROR_FORMAT, "larger than a private key file can be (%u bytes)", SSHKEY_FILE_MAX);
    _cleanup_keyfile_ struct buf raw = { 0 };
    int r = dearmor(text, n, &raw, err);
    if (r < 0)
        return r;
    struct cursor c = cursor_of(raw.data, raw.len);
    const uint8_t *magic, *cipher, *kdf, *options, *blob, *section;
    size_t cipher_len, kdf_len, options_len, blob_len, section_len;
    uint32_t keys;
    uint8_t public_key[CURVE_KEY_SIZE];
    if (!cursor_take(&c, sizeof KEY_MAGIC, &magic) || memcmp(magic, KEY_MAGIC, sizeof KEY_MAGIC) != 0 ||
        !take_string(&c, &cipher, &cipher_len) || !take_string(&c, &kdf, &kdf_len) || !take_string(&c, &options, &options_len) ||
        !cursor_u32be(&c, &keys) || keys != 1 || !take_string(&c, &blob, &blob_len))
        return error_set(err, ERROR_FORMAT, "the private key file is damaged");
    if (!is_text(cipher, cipher_len, "none") || !is_text(kdf, kdf_len, "none") || options_len != 0)
        return error_set(
            err, ERROR_KEY,
            "the private key is under a passphrase, but bkd signs unattended: remove it with ssh-keygen -p -N '' -f FILE, "
            "or make a key of its own");
    r = sshkey_blob_parse(blob, blob_len, public_key, err);
    if (r < 0)
        return r;
    if (!take_string(&c, &section, &section_len) || section_len % PADDING_BLOCK != 0 || cursor_left(&c) != 0)
        return error_set(err, ERROR_FORMAT, "the private key file is damaged");
    struct sshkey key;
    r = parse_private_section(section, section_len, &key, err);
    if (r < 0)
        return r;
    if (!curve_equal(key.public_key, public_key, sizeof public_key))
        r = error_set(err, ERROR_FORMAT, "the private key file is damaged: its halves do not belong together");
    else
        *ret_key = key;
    sshkey_done(&key);
    return r;
}

int sshkey_load(const struct io *io, int dirfd, const char *path, struct sshkey *ret_key, struct error *err)
{
    _cleanup_keyfile_ struct buf text = { 0 };
    int r = keyfile_read(io, dirfd, path, &text, err);
    if (r < 0)
        return r;
    r = keyfile_wrong(sshkey_parse(buf_str(&text), text.len, ret_key, err), err);
    return r < 0 ? error_prefix(err, "'%s'", path) : 0;
}

void sshkey_format(const struct io *io, const struct sshkey *key, const char *comment, struct buf *ret_text)
{
    // Sizes are known beforehand, so that growing leaves no copies of the secret behind.
    _cleanup_keyfile_ struct buf section = { 0 }, raw = { 0 }, digits = { 0 };
    _cleanup_buf_ struct buf blob = { 0 };
    uint32_t check;
    io_random(io, &check, sizeof check);
    buf_reserve(&section, 256 + strlen(comment));
    put_u32(&section, check);
    put_u32(&section, check);
    sshkey_blob_write(key->public_key, &section);
    put_string(&section, key->secret, CURVE_SECRET_SIZE);
    put_string(&section, comment, strlen(comment));
    for (char pad = 1; section.len % PADDING_BLOCK != 0; pad++)
        buf_add_char(&section, pad);
    sshkey_blob_write(key->public_key, &blob);
    buf_reserve(&raw, 256 + section.len);
    buf_add(&raw, KEY_MAGIC, sizeof KEY_MAGIC);
    put_string(&raw, "none", 4);
    put_string(&raw, "none", 4);
    put_string(&raw, "", 0);
    put_u32(&raw, 1);
    put_string(&raw, blob.data, blob.len);
    put_string(&raw, section.data, section.len);
    buf_reserve(&digits, raw.len * 2);
    size_t n = base64_encode((char *)digits.data, raw.data, raw.len, true);
    buf_reserve(ret_text, n + n / KEY_COLUMNS + 128);
    buf_add_str(ret_text, KEY_BEGIN);
    for (size_t at = 0; at < n; at += KEY_COLUMNS) {
        buf_add(ret_text, digits.data + at, n - at < KEY_COLUMNS ? n - at : KEY_COLUMNS);
        buf_add_char(ret_text, '\n');
    }
    buf_add_str(ret_text, KEY_END "\n");
}
