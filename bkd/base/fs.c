#include "bkd/base/fs.h"

#include <errno.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/bytes.h"

int fs_read_file(const struct io *io, int dirfd, const char *path, size_t max_bytes, struct buf *ret_data, struct error *err)
{
    int fd = -1;
    int r = io_open(io, dirfd, path, O_RDONLY | O_NOCTTY, 0, &fd, err);
    if (r < 0)
        return r;
    size_t total = 0, got = 0;
    do {
        size_t want = max_bytes + 1 - total < 65536 ? max_bytes + 1 - total : 65536;
        buf_reserve(ret_data, want);
        r = io_read_full(io, fd, ret_data->data + ret_data->len, want, path, &got, err);
        if (r < 0)
            break;
        (void)buf_extend(ret_data, got);
        total += got;
        if (total > max_bytes)
            r = error_set(err, ERROR_FORMAT, "'%s' is larger than the %zu bytes it may have", path, max_bytes);
    } while (r == 0 && got == 65536);
    io_close_quietly(io, &fd);
    return r;
}

int fs_sync_parent(const struct io *io, int dirfd, const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *parent = slash == NULL ? xstrdup(".") : xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
    int fd = -1;
    int r = io_open(io, dirfd, parent, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (r < 0)
        return r;
    r = io_fsync(io, fd, parent, err);
    io_close_quietly(io, &fd);
    return r;
}

int fs_write_aside(const struct io *io, int dirfd, const char *path, mode_t mode, const void *data, size_t n, bool durable, char **ret_aside, struct error *err)
{
    uint8_t noise[8];
    char hex[2 * sizeof noise + 1];
    io_random(io, noise, sizeof noise);
    format_hex(hex, noise, sizeof noise);
    _cleanup_free_ char *aside = xasprintf("%s.part-%s", path, hex);
    int fd = -1;
    int r = io_open(io, dirfd, aside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode, &fd, err);
    if (r < 0)
        return r;
    r = io_write_all(io, fd, data, n, aside, err);
    if (r == 0 && durable)
        r = io_fsync(io, fd, aside, err);
    struct error late;
    int closed = io_close(io, &fd, aside, r == 0 ? err : &late);
    r = r == 0 ? closed : r;
    if (r < 0) {
        (void)io->unlinkat(io, dirfd, aside, 0); // the first failure is the one to report
        return r;
    }
    *ret_aside = TAKE(aside);
    return 0;
}

typedef int rename_fn(const struct io *io, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, struct error *err);

static int put_file(const struct io *io, int dirfd, const char *path, mode_t mode, const void *data, size_t n, rename_fn *rename_file, struct error *err)
{
    _cleanup_free_ char *aside = NULL;
    int r = fs_write_aside(io, dirfd, path, mode, data, n, true, &aside, err);
    if (r < 0)
        return r;
    r = rename_file(io, dirfd, aside, dirfd, path, err);
    if (r < 0) {
        (void)io->unlinkat(io, dirfd, aside, 0);
        return r;
    }
    return fs_sync_parent(io, dirfd, path, err);
}

int fs_replace_file(const struct io *io, int dirfd, const char *path, mode_t mode, const void *data, size_t n, struct error *err)
{
    return put_file(io, dirfd, path, mode, data, n, io_rename_over, err);
}

int fs_create_file(const struct io *io, int dirfd, const char *path, mode_t mode, const void *data, size_t n, struct error *err)
{
    return put_file(io, dirfd, path, mode, data, n, io_rename_new, err);
}

int fs_make_dirs(const struct io *io, int dirfd, const char *path, mode_t mode, struct error *err)
{
    _cleanup_free_ char *copy = xstrdup(path);
    for (char *p = copy + (*copy == '/'); ; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char ended = *p;
        *p = '\0';
        if (io->mkdirat(io, dirfd, copy, mode) == 0) {
            int r = fs_sync_parent(io, dirfd, copy, err);
            if (r < 0)
                return r;
        } else if (errno != EEXIST) {
            struct statx st;
            int os_errno = errno;
            // A read-only or foreign parent says EROFS or EACCES although the directory is there.
            if (io->statx(io, dirfd, copy, 0, STATX_TYPE, &st) < 0 || !S_ISDIR(st.stx_mode))
                return error_set_errno(err, os_errno, "make directory '%s'", copy);
        }
        *p = ended;
        if (ended == '\0')
            return 0;
    }
}

int fs_list_dir(const struct io *io, int dirfd, const char *path, fs_visit_fn *visit, void *arg, struct error *err)
{
    int fd = -1;
    int r = io_open(io, dirfd, path, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (r < 0)
        return r;
    enum { LISTING = 32768 };
    _cleanup_free_ char *listing = xmalloc(LISTING);
    for (;;) {
        ssize_t n = io->getdents64(io, fd, listing, LISTING);
        if (n < 0)
            r = error_set_errno(err, errno, "list directory '%s'", path);
        if (n <= 0)
            break;
        for (ssize_t at = 0; r == 0 && at < n;) {
            const struct dirent64 *d = (const struct dirent64 *)(listing + at);
            at += d->d_reclen;
            if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
                r = visit(arg, d->d_name, d->d_type, err);
        }
        if (r != 0)
            break;
    }
    io_close_quietly(io, &fd);
    return r;
}

struct remove_tree {
    const struct io *io;
    int dirfd;
};

static int remove_entry(void *arg, const char *name, unsigned char type, struct error *err)
{
    const struct remove_tree *tree = arg;
    if (type == DT_DIR || type == DT_UNKNOWN) // some file systems do not tell
        return fs_remove_tree(tree->io, tree->dirfd, name, err);
    return io_unlink(tree->io, tree->dirfd, name, 0, err);
}

int fs_remove_tree(const struct io *io, int dirfd, const char *path, struct error *err)
{
    int fd = io->openat(io, dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0) {
        if (errno == ENOENT)
            return 0;
        if (errno != ENOTDIR && errno != ELOOP)
            return error_set_errno(err, errno, "open directory '%s'", path);
        return io_unlink(io, dirfd, path, 0, err);
    }
    struct remove_tree tree = { io, fd };
    int r = fs_list_dir(io, fd, ".", remove_entry, &tree, err);
    io_close_quietly(io, &fd);
    return r < 0 ? r : io_unlink(io, dirfd, path, AT_REMOVEDIR, err);
}

int fs_lock(const struct io *io, int dirfd, const char *path, int *ret_fd, struct error *err)
{
    int fd = -1;
    int r = io_open(io, dirfd, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &fd, err);
    if (r < 0)
        return r;
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
        r = errno == EAGAIN || errno == EACCES ? error_set(err, ERROR_BUSY, "'%s' is locked by another run; wait for it to end", path)
                                               : error_set_errno(err, errno, "lock '%s'", path);
        io_close_quietly(io, &fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

bool fs_is_locked(int fd)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool fs_try_lock(int fd)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}
