#include "bkd/dr/sabotage.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "bkd/base/buf.h"

enum { BLOCK = 256 << 10, CUT_PERCENT = 60 };

static int copy(const struct io *io, int from, int to, uint64_t size, const char *path, struct error *err)
{
    _cleanup_free_ char *block = xmalloc(BLOCK);
    int r = 0;
    for (uint64_t at = 0; r == 0 && at < size;) {
        size_t n = size - at < BLOCK ? (size_t)(size - at) : BLOCK, got = 0;
        r = io_pread_full(io, from, block, n, at, path, &got, err);
        if (r == 0 && got < n)
            r = error_set(err, ERROR_INTEGRITY, "'%s' became shorter while it was read", path);
        if (r == 0)
            r = io_pwrite_all(io, to, block, n, at, path, err);
        at += n;
    }
    return r;
}

static int flip(const struct io *io, int fd, uint64_t at, const char *path, struct error *err)
{
    unsigned char byte = 0;
    size_t got;
    int r = io_pread_full(io, fd, &byte, 1, at, path, &got, err);
    byte ^= 1;
    return r < 0 ? r : io_pwrite_all(io, fd, &byte, 1, at, path, err);
}

static int write_damaged(const struct io *io, enum sabotage_kind kind, int from, int to, const char *path, struct error *err)
{
    struct statx st;
    int r = io_stat(io, from, "", AT_EMPTY_PATH, &st, err);
    if (r == 0)
        r = copy(io, from, to, kind == SABOTAGE_CUT ? st.stx_size * CUT_PERCENT / 100 : st.stx_size, path, err);
    if (r == 0 && kind == SABOTAGE_FLIP)
        r = flip(io, to, st.stx_size / 2, path, err);
    return r;
}

int sabotage_do(const struct io *io, enum sabotage_kind kind, const char *path, struct error *err)
{
    _cleanup_free_ char *kept = xasprintf("%s.kept", path);
    int from = -1, to = -1, r = io_rename_new(io, AT_FDCWD, path, AT_FDCWD, kept, err);
    if (r < 0 || kind == SABOTAGE_REMOVE)
        return r;
    r = io_open(io, AT_FDCWD, kept, O_RDONLY | O_CLOEXEC, 0, &from, err);
    if (r == 0)
        r = io_open(io, AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &to, err);
    if (r == 0)
        r = write_damaged(io, kind, from, to, path, err);
    if (from >= 0)
        io_close_quietly(io, &from);
    if (to >= 0)
        io_close_quietly(io, &to);
    return r;
}

int sabotage_undo(const struct io *io, const char *path, struct error *err)
{
    _cleanup_free_ char *kept = xasprintf("%s.kept", path);
    return io_rename_over(io, AT_FDCWD, kept, AT_FDCWD, path, err);
}
