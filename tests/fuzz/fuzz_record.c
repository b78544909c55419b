// Untrusted records: refused, passed over as of an unknown kind, or accepted as exactly what is written again, lines of "x-" keys aside.
#include <assert.h>
#include <string.h>

#include "bkd/repo/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    _cleanup_record_ struct record r = { 0 }, again = { 0 };
    int rc = record_parse((const char *)data, size, &r, &err);
    assert(rc == 0 || rc == ERROR_FORMAT);
    if (rc < 0 || r.kind == RECORD_OTHER)
        return 0;
    _cleanup_buf_ struct buf text = { 0 }, twice = { 0 };
    record_write(&text, &r);
    bool has_x = memmem(data, size, "\nx-", 3) != NULL;
    assert(has_x ? text.len < size : text.len == size && memcmp(text.data, data, size) == 0);
    rc = record_parse((const char *)text.data, text.len, &again, &err);
    assert(rc == 0);
    record_write(&twice, &again);
    assert(twice.len == text.len && memcmp(twice.data, text.data, text.len) == 0);
    return 0;
}
