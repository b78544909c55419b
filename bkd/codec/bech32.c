#include "bkd/codec/bech32.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "bkd/base/curve.h"

#define CHECKSUM_LENGTH 6

static const char digits[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

// The BCH code of BIP 173: one step for a 5-bit value.
static uint32_t step(uint32_t checksum, uint8_t value)
{
    static const uint32_t generator[5] = { 0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3 };
    uint32_t top = checksum >> 25;
    checksum = (checksum & 0x1ffffff) << 5 ^ value;
    for (int i = 0; i < 5; i++)
        if (top >> i & 1)
            checksum ^= generator[i];
    return checksum;
}

static char to_lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static char to_upper(char c) { return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c; }

static uint32_t start(const char *prefix, size_t n)
{
    uint32_t checksum = 1;
    for (size_t i = 0; i < n; i++)
        checksum = step(checksum, (uint8_t)to_lower(prefix[i]) >> 5);
    checksum = step(checksum, 0);
    for (size_t i = 0; i < n; i++)
        checksum = step(checksum, (uint8_t)to_lower(prefix[i]) & 31);
    return checksum;
}

static void put(struct buf *text, uint32_t *checksum, uint8_t value, bool upper)
{
    *checksum = step(*checksum, value);
    buf_add_char(text, upper ? to_upper(digits[value]) : digits[value]);
}

void bech32_encode(const char *prefix, const uint8_t *data, size_t n, struct buf *ret_text)
{
    size_t prefix_len = strlen(prefix);
    assert(prefix_len >= 1 && prefix_len <= BECH32_PREFIX_MAX);
    bool upper = false;
    for (size_t i = 0; i < prefix_len; i++)
        upper |= prefix[i] != to_lower(prefix[i]);
    // The text may be a secret: one allocation, so that no copy of it is left behind by growing.
    buf_reserve(ret_text, prefix_len + 1 + (n * 8 + 4) / 5 + CHECKSUM_LENGTH);
    uint32_t checksum = start(prefix, prefix_len), bits = 0;
    buf_add_str(ret_text, prefix);
    buf_add_char(ret_text, '1');
    unsigned have = 0;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | data[i];
        for (have += 8; have >= 5; have -= 5)
            put(ret_text, &checksum, bits >> (have - 5) & 31, upper);
    }
    if (have > 0)
        put(ret_text, &checksum, (uint8_t)(bits << (5 - have) & 31), upper);
    uint32_t sum = checksum;
    for (int i = 0; i < CHECKSUM_LENGTH; i++)
        sum = step(sum, 0);
    for (int i = 0; i < CHECKSUM_LENGTH; i++)
        put(ret_text, &checksum, (sum ^ 1) >> 5 * (5 - i) & 31, upper);
}

// The length of the prefix: all before the last "1". Checks the characters, their case and the lengths.
static int check_text(const char *text, size_t len, size_t *ret_prefix_len, struct error *err)
{
    bool upper = false, lower = false;
    if (len > BECH32_TEXT_MAX)
        return error_set(err, ERROR_FORMAT, "longer than %d characters", BECH32_TEXT_MAX);
    for (size_t i = 0; i < len; i++) {
        if (text[i] < 33 || text[i] > 126)
            return error_set(err, ERROR_FORMAT, "a blank or a character that is not ASCII at position %zu", i + 1);
        upper |= text[i] != to_lower(text[i]);
        lower |= text[i] != to_upper(text[i]);
    }
    if (upper && lower)
        return error_set(err, ERROR_FORMAT, "upper and lower case letters are mixed");
    const char *one = len == 0 ? NULL : memrchr(text, '1', len);
    if (one == NULL || one == text)
        return error_set(err, ERROR_FORMAT, "there is no prefix that ends with '1'");
    size_t prefix_len = (size_t)(one - text);
    if (prefix_len > BECH32_PREFIX_MAX || len - prefix_len - 1 < CHECKSUM_LENGTH)
        return error_set(err, ERROR_FORMAT, "it is cut off, or its prefix is too long");
    *ret_prefix_len = prefix_len;
    return 0;
}

int bech32_decode(const char *text, size_t len, char ret_prefix[BECH32_PREFIX_MAX + 1], uint8_t *ret_data, size_t cap,
                  size_t *ret_n, struct error *err)
{
    size_t prefix_len = 0;
    int r = check_text(text, len, &prefix_len, err);
    if (r < 0)
        return r;
    uint8_t data[BECH32_TEXT_MAX * 5 / 8];
    uint32_t checksum = start(text, prefix_len), bits = 0;
    unsigned have = 0;
    size_t n = 0;
    for (size_t i = prefix_len + 1; i < len && r == 0; i++) {
        const char *digit = strchr(digits, to_lower(text[i]));
        if (digit == NULL) {
            r = error_set(err, ERROR_FORMAT, "the character at position %zu cannot occur here", i + 1);
            break;
        }
        checksum = step(checksum, (uint8_t)(digit - digits));
        if (i >= len - CHECKSUM_LENGTH)
            continue;
        bits = bits << 5 | (uint32_t)(digit - digits);
        for (have += 5; have >= 8; have -= 8)
            data[n++] = (uint8_t)(bits >> (have - 8));
    }
    if (r == 0 && checksum != 1)
        r = error_set(err, ERROR_FORMAT, "the checksum is wrong: a character is mistyped or missing");
    // Padding is less than a digit and zero.
    if (r == 0 && (have >= 5 || (bits & ((1u << have) - 1)) != 0))
        r = error_set(err, ERROR_FORMAT, "bits are left over at the end");
    if (r == 0 && n > cap)
        r = error_set(err, ERROR_FORMAT, "it holds %zu bytes, %zu at most belong here", n, cap);
    if (r == 0) {
        memcpy(ret_prefix, text, prefix_len);
        ret_prefix[prefix_len] = '\0';
        memcpy(ret_data, data, n);
        *ret_n = n;
    }
    curve_wipe(data, sizeof data);
    return r;
}
