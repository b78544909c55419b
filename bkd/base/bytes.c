#include "bkd/base/bytes.h"

#include <string.h>

bool cursor_take(struct cursor *c, size_t n, const uint8_t **ret_data)
{
    if (cursor_left(c) < n)
        return false;
    *ret_data = c->at;
    c->at += n;
    return true;
}

bool cursor_ube(struct cursor *c, size_t n, uint64_t *ret_value)
{
    const uint8_t *p;
    if (n > 8 || !cursor_take(c, n, &p))
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value = value << 8 | p[i];
    *ret_value = value;
    return true;
}

bool cursor_u8(struct cursor *c, uint8_t *ret_value)
{
    const uint8_t *p;
    if (!cursor_take(c, 1, &p))
        return false;
    *ret_value = *p;
    return true;
}

bool cursor_u32be(struct cursor *c, uint32_t *ret_value)
{
    const uint8_t *p;
    if (!cursor_take(c, 4, &p))
        return false;
    *ret_value = get_u32be(p);
    return true;
}

bool cursor_u32le(struct cursor *c, uint32_t *ret_value)
{
    const uint8_t *p;
    if (!cursor_take(c, 4, &p))
        return false;
    *ret_value = get_u32le(p);
    return true;
}

bool cursor_line(struct cursor *c, const char **ret_line, size_t *ret_len)
{
    if (c->at == c->end)
        return false;
    const uint8_t *lf = memchr(c->at, '\n', cursor_left(c));
    if (lf == NULL)
        return false;
    *ret_line = (const char *)c->at;
    *ret_len = (size_t)(lf - c->at);
    c->at = lf + 1;
    return true;
}

bool parse_u64(const char *s, size_t n, uint64_t max, uint64_t *ret_value)
{
    if (n == 0 || n > 20 || (n > 1 && s[0] == '0'))
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) || __builtin_add_overflow(value, (uint64_t)(s[i] - '0'), &value))
            return false;
    }
    if (value > max)
        return false;
    *ret_value = value;
    return true;
}

bool parse_i64(const char *s, size_t n, int64_t *ret_value)
{
    bool negative = n > 0 && s[0] == '-';
    uint64_t value;
    if (!parse_u64(s + negative, n - negative, (uint64_t)INT64_MAX, &value))
        return false;
    *ret_value = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool parse_hex(const char *s, size_t len, uint8_t *ret_bytes, size_t n)
{
    if (len != 2 * n)
        return false;
    for (size_t i = 0; i < len; i++)
        if (hex_digit(s[i]) < 0)
            return false;
    for (size_t i = 0; i < n; i++)
        ret_bytes[i] = (uint8_t)(hex_digit(s[2 * i]) << 4 | hex_digit(s[2 * i + 1]));
    return true;
}

void format_hex(char *ret_text, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        ret_text[2 * i] = digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_text[2 * n] = '\0';
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(char *ret_text, const uint8_t *bytes, size_t n, bool padded)
{
    char *out = ret_text;
    for (size_t i = 0; i < n; i += 3) {
        size_t have = n - i < 3 ? n - i : 3;
        uint32_t v = (uint32_t)bytes[i] << 16 | (have > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (have > 2 ? bytes[i + 2] : 0);
        for (size_t k = 0; k < have + 1; k++)
            *out++ = base64_digits[v >> (18 - 6 * k) & 63];
        for (size_t k = have; padded && k < 3; k++)
            *out++ = '=';
    }
    *out = '\0';
    return (size_t)(out - ret_text);
}

bool base64_decode(const char *text, size_t len, bool padded, uint8_t *ret_bytes, size_t cap, size_t *ret_n)
{
    if (padded) {
        if (len % 4 != 0)
            return false;
        for (int k = 0; k < 2 && len > 0 && text[len - 1] == '='; k++)
            len--;
    }
    size_t n = len / 4 * 3 + (len % 4 == 0 ? 0 : len % 4 - 1);
    if (len % 4 == 1 || n > cap)
        return false;
    uint32_t bits = 0;
    unsigned have = 0;
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        const char *digit = text[i] == '\0' ? NULL : strchr(base64_digits, text[i]);
        if (digit == NULL)
            return false;
        bits = bits << 6 | (uint32_t)(digit - base64_digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            ret_bytes[out++] = (uint8_t)(bits >> have);
        }
    }
    // Canonical form: the bits left over are zero.
    if ((bits & ((1u << have) - 1)) != 0)
        return false;
    *ret_n = out;
    return true;
}
