#include "bkd/base/printable.h"

#include "bkd/base/utf8.h"

size_t printable_next(const char *text, size_t n, bool *ret_safe)
{
    uint32_t c = 0;
    size_t len = utf8_decode((const uint8_t *)text, n, &c);
    bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
    bool direction = c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
    *ret_safe = len > 0 && !control && !direction;
    return len > 0 ? len : 1;
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
