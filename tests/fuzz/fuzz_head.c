// Untrusted heads: refused, or accepted as exactly what is written again, lines of "x-" keys aside.
#include <assert.h>
#include <string.h>

#include "bkd/repo/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    size_t text_len = size;
    if (format_split_signed((const char *)data, size, &text_len, &err) == 0)
        assert(text_len < size);
    _cleanup_format_head_ struct format_head h = { 0 }, again = { 0 };
    int rc = format_head_parse((const char *)data, size, &h, &err);
    assert(rc == 0 || rc == ERROR_FORMAT);
    if (rc < 0)
        return 0;
    _cleanup_buf_ struct buf text = { 0 }, twice = { 0 };
    format_head_write(&text, &h);
    bool has_x = memmem(data, size, "\nx-", 3) != NULL;
    assert(has_x ? text.len < size : text.len == size && memcmp(text.data, data, size) == 0);
    rc = format_head_parse((const char *)text.data, text.len, &again, &err);
    assert(rc == 0);
    format_head_write(&twice, &again);
    assert(twice.len == text.len && memcmp(twice.data, text.data, text.len) == 0);
    return 0;
}
