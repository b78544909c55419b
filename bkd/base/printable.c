#include "bkd/base/printable.h"

#include <stdint.h>

// The character at text (RFC 3629); 0 and a length of 1 when there is none.
static uint32_t decode(const unsigned char *s, size_t n, size_t *ret_len)
{
    size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint32_t c = len == 1 ? s[0] : s[0] & (0x7fu >> len);
    *ret_len = 1;
    if (len > n || (s[0] >= 0x80 && s[0] < 0xc2) || s[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    *ret_len = len;
    return c;
}

size_t printable_next(const char *text, size_t n, bool *ret_safe)
{
    size_t len;
    uint32_t c = decode((const unsigned char *)text, n, &len);
    bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
    bool direction = c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
    *ret_safe = !control && !direction;
    return len;
}

void printable_add(struct buf *out, const char *text, size_t n)
{
    for (size_t at = 0, len; at < n; at += len) {
        bool safe;
        len = printable_next(text + at, n - at, &safe);
        for (size_t i = 0; !safe && i < len; i++)
            buf_addf(out, "\\x%02x", (unsigned char)text[at + i]);
        if (safe)
            buf_add(out, text + at, len);
    }
}
