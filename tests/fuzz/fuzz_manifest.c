// Untrusted manifests: each line is refused, or accepted as exactly what is written again; then the reader over the whole.
#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bkd/repo/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(const char *line, size_t n)
{
    struct error err;
    _cleanup_manifest_entry_ struct manifest_entry e = { 0 };
    int rc = manifest_parse(line, n, &e, &err);
    assert(rc == 0 || rc == ERROR_FORMAT);
    if (rc < 0)
        return;
    assert(e.path.len > 0 && memchr(e.path.data, '\0', e.path.len) == NULL);
    _cleanup_buf_ struct buf again = { 0 };
    manifest_format(&again, &e);
    assert(again.len == n + 1 && memcmp(again.data, line, n) == 0);
}

static void check_reader(const uint8_t *data, size_t size)
{
    struct error err;
    int fd = memfd_create("manifest", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        return;
    struct manifest_reader r;
    manifest_reader_init(&r, io_real(), fd, "manifest", 0, size);
    const struct manifest_entry *e = NULL;
    int rc;
    do {
        rc = manifest_reader_next(&r, &e, &err);
        assert(rc == 0 || rc == ERROR_FORMAT);
    } while (rc == 0 && e != NULL);
    manifest_reader_done(&r);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *line = (const char *)data, *end = line + size;
    while (line < end) {
        const char *lf = memchr(line, '\n', (size_t)(end - line));
        size_t n = (size_t)((lf == NULL ? end : lf) - line);
        check_line(line, n);
        line += n + 1;
    }
    check_reader(data, size);
    return 0;
}
