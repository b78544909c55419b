// Untrusted bkd-repository texts: refused, or accepted as exactly what is written again, lines of "x-" keys and features for writers aside.
#include <assert.h>
#include <string.h>

#include "bkd/repo/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    struct format_repository r;
    int rc = format_repository_parse((const char *)data, size, &r, &err);
    assert(rc == 0 || rc == ERROR_FORMAT || rc == ERROR_USAGE);
    if (rc < 0)
        return 0;
    _cleanup_buf_ struct buf text = { 0 };
    format_repository_write(&text, &r);
    bool has_x = memmem(data, size, "\nx-", 3) != NULL;
    if (has_x || r.writing_needs_newer)
        assert(text.len <= size);
    else
        assert(text.len == size && memcmp(text.data, data, size) == 0);
    return 0;
}
