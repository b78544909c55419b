// Untrusted refs: refused, or accepted as exactly what is written again, lines of "x-" keys aside.
#include <assert.h>
#include <string.h>

#include "bkd/repo/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    _cleanup_format_refs_ struct format_refs r = { 0 };
    int rc = format_refs_parse((const char *)data, size, &r, &err);
    assert(rc == 0 || rc == ERROR_FORMAT);
    if (rc < 0)
        return 0;
    for (size_t i = 0; i < r.n; i++)
        assert(format_refs_find(&r, r.refs[i].object) == &r.refs[i]);
    assert(format_refs_find(&r, 0) == NULL);
    _cleanup_buf_ struct buf text = { 0 };
    format_refs_write(&text, &r);
    bool has_x = memmem(data, size, "\nx-", 3) != NULL;
    assert(has_x ? text.len < size : text.len == size && memcmp(text.data, data, size) == 0);
    return 0;
}
