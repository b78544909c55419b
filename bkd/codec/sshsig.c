#include "bkd/codec/sshsig.h"

#include <assert.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"

#define MAGIC "SSHSIG" // without its NUL
#define VERSION 1
#define HASH "sha512"
#define SIGNATURE_TYPE "ssh-ed25519"
#define ARMOR_END "-----END SSH SIGNATURE-----\n"
#define ARMOR_COLUMNS 70

static void put_string(struct buf *out, const void *data, size_t n)
{
    put_u32be(buf_extend(out, 4), (uint32_t)n);
    buf_add(out, data, n);
}

static bool take_string(struct cursor *c, const uint8_t **ret_data, size_t *ret_n)
{
    uint32_t n;
    if (!cursor_u32be(c, &n) || !cursor_take(c, n, ret_data))
        return false;
    *ret_n = n;
    return true;
}

static bool take_text(struct cursor *c, const char *text)
{
    const uint8_t *data;
    size_t n;
    return take_string(c, &data, &n) && n == strlen(text) && memcmp(data, text, n) == 0;
}

// What is signed: the namespace and the hash of the data, not the data itself.
static void signed_blob(const char *name_space, const void *data, size_t n, struct buf *ret_blob)
{
    uint8_t digest[CRYPTO_SHA512_SIZE];
    crypto_sha512(data, n, digest);
    buf_add(ret_blob, MAGIC, strlen(MAGIC));
    put_string(ret_blob, name_space, strlen(name_space));
    put_string(ret_blob, "", 0); // reserved
    put_string(ret_blob, HASH, strlen(HASH));
    put_string(ret_blob, digest, sizeof digest);
}

static void armor(const uint8_t *raw, size_t n, struct buf *ret_armored)
{
    char digits[SSHSIG_ARMOR_MAX];
    assert((n + 2) / 3 * 4 < sizeof digits);
    size_t len = base64_encode(digits, raw, n, true);
    buf_add_str(ret_armored, SSHSIG_BEGIN);
    for (size_t at = 0; at < len; at += ARMOR_COLUMNS) {
        buf_add(ret_armored, digits + at, len - at < ARMOR_COLUMNS ? len - at : ARMOR_COLUMNS);
        buf_add_char(ret_armored, '\n');
    }
    buf_add_str(ret_armored, ARMOR_END);
}

void sshsig_sign(const struct sshkey *key, const char *name_space, const void *data, size_t n, struct buf *ret_armored)
{
    assert(*name_space != '\0' && strlen(name_space) <= SSHSIG_NAMESPACE_MAX);
    _cleanup_buf_ struct buf message = { 0 }, public_key = { 0 }, signature = { 0 }, raw = { 0 };
    uint8_t bytes[CURVE_SIGNATURE_SIZE];
    signed_blob(name_space, data, n, &message);
    curve_ed25519_sign(key->secret, message.data, message.len, bytes);
    put_string(&signature, SIGNATURE_TYPE, strlen(SIGNATURE_TYPE));
    put_string(&signature, bytes, sizeof bytes);
    sshkey_blob_write(key->public_key, &public_key);
    buf_add(&raw, MAGIC, strlen(MAGIC));
    put_u32be(buf_extend(&raw, 4), VERSION);
    put_string(&raw, public_key.data, public_key.len);
    put_string(&raw, name_space, strlen(name_space));
    put_string(&raw, "", 0); // reserved
    put_string(&raw, HASH, strlen(HASH));
    put_string(&raw, signature.data, signature.len);
    armor(raw.data, raw.len, ret_armored);
}

bool sshsig_split(const void *data, size_t n, size_t *ret_text_len)
{
    struct cursor c = cursor_of(data, n);
    const char *line;
    size_t len;
    while (cursor_line(&c, &line, &len)) {
        if (len == strlen(SSHSIG_BEGIN) - 1 && memcmp(line, SSHSIG_BEGIN, len) == 0) {
            *ret_text_len = (size_t)(line - (const char *)data);
            return true;
        }
    }
    return false;
}

// The raw bytes within the armour. Armouring them again must give the same text: one signature has one encoding.
static int dearmor(const char *text, size_t n, struct buf *ret_raw, struct error *err)
{
    const size_t begin = strlen(SSHSIG_BEGIN), end = strlen(ARMOR_END);
    if (n > SSHSIG_ARMOR_MAX)
        return error_set(err, ERROR_FORMAT, "larger than an SSH signature can be (%d bytes)", SSHSIG_ARMOR_MAX);
    if (n < begin + end || memcmp(text, SSHSIG_BEGIN, begin) != 0)
        return error_set(err, ERROR_FORMAT, "not an armoured SSH signature");
    char digits[SSHSIG_ARMOR_MAX];
    uint8_t raw[SSHSIG_ARMOR_MAX];
    size_t len = 0, raw_len = 0;
    for (size_t i = begin; i < n - end; i++)
        if (text[i] != '\n')
            digits[len++] = text[i];
    _cleanup_buf_ struct buf again = { 0 };
    if (base64_decode(digits, len, true, raw, sizeof raw, &raw_len))
        armor(raw, raw_len, &again);
    if (again.len != n || memcmp(again.data, text, n) != 0)
        return error_set(err, ERROR_FORMAT, "the armour of the SSH signature is malformed, or something follows it");
    buf_add(ret_raw, raw, raw_len);
    return 0;
}

struct parsed {
    uint8_t public_key[CURVE_KEY_SIZE];
    const uint8_t *name_space; // borrowed from the raw bytes
    size_t name_space_len;
    const uint8_t *signature; // CURVE_SIGNATURE_SIZE bytes, borrowed
};

static int parse(const struct buf *raw, struct parsed *ret_parsed, struct error *err)
{
    struct cursor c = cursor_of(raw->data, raw->len);
    const uint8_t *magic, *blob, *signature;
    size_t blob_len, signature_len, bytes_len;
    uint32_t version;
    struct parsed p;
    if (!cursor_take(&c, strlen(MAGIC), &magic) || memcmp(magic, MAGIC, strlen(MAGIC)) != 0 || !cursor_u32be(&c, &version))
        return error_set(err, ERROR_FORMAT, "the SSH signature is malformed");
    if (version != VERSION)
        return error_set(err, ERROR_FORMAT, "the SSH signature has version %u, only %d is known", version, VERSION);
    if (!take_string(&c, &blob, &blob_len))
        return error_set(err, ERROR_FORMAT, "the SSH signature is malformed");
    if (sshkey_blob_parse(blob, blob_len, p.public_key, err) < 0) {
        err->code = ERROR_FORMAT;
        return error_prefix(err, "the SSH signature");
    }
    if (!take_string(&c, &p.name_space, &p.name_space_len) || !take_text(&c, ""))
        return error_set(err, ERROR_FORMAT, "the SSH signature is malformed");
    if (!take_text(&c, HASH))
        return error_set(err, ERROR_FORMAT, "the SSH signature uses another hash than " HASH ", the only one that is accepted");
    if (!take_string(&c, &signature, &signature_len) || cursor_left(&c) != 0)
        return error_set(err, ERROR_FORMAT, "the SSH signature is malformed");
    c = cursor_of(signature, signature_len);
    if (!take_text(&c, SIGNATURE_TYPE) || !take_string(&c, &p.signature, &bytes_len) || bytes_len != CURVE_SIGNATURE_SIZE ||
        cursor_left(&c) != 0)
        return error_set(err, ERROR_FORMAT, "the SSH signature is not an " SIGNATURE_TYPE " signature");
    *ret_parsed = p;
    return 0;
}

int sshsig_check(const char *name_space, const void *data, size_t n, const void *armored, size_t armored_len,
                 uint8_t ret_public[CURVE_KEY_SIZE], struct error *err)
{
    _cleanup_buf_ struct buf raw = { 0 }, message = { 0 };
    struct parsed p;
    int r = dearmor(armored, armored_len, &raw, err);
    if (r == 0)
        r = parse(&raw, &p, err);
    if (r < 0)
        return r;
    if (p.name_space_len != strlen(name_space) || memcmp(p.name_space, name_space, p.name_space_len) != 0)
        return error_set(err, ERROR_INTEGRITY, "the signature was made for another purpose than '%s' (its namespace differs)",
                         name_space);
    signed_blob(name_space, data, n, &message);
    if (!curve_ed25519_verify(p.public_key, message.data, message.len, p.signature))
        return error_set(err, ERROR_INTEGRITY, "the signature does not belong to these bytes: one of the two was altered");
    memcpy(ret_public, p.public_key, sizeof p.public_key);
    return 0;
}

int sshsig_verify(const struct signers *signers, const char *principal, const char *name_space, uint64_t time_s, const void *data,
                  size_t n, const void *armored, size_t armored_len, const struct signers_entry **ret_entry, struct error *err)
{
    uint8_t public_key[CURVE_KEY_SIZE];
    const struct signers_entry *entry = NULL;
    int r = sshsig_check(name_space, data, n, armored, armored_len, public_key, err);
    if (r == 0)
        r = signers_find(signers, public_key, name_space, time_s, principal, &entry, err);
    if (r == 0 && ret_entry != NULL)
        *ret_entry = entry;
    return r;
}
