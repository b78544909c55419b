#include "bkd/store/grow_dir.h"

#include <errno.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

int grow_dir_open(struct grow_dir *d, const struct io *io, const char *path)
{
    *d = (struct grow_dir){ .io = io, .fd = -1, .path = realpath(path, NULL) };
    if (d->path != NULL)
        d->fd = io->openat(io, AT_FDCWD, d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (d->fd >= 0)
        return 0;
    int r = -errno;
    grow_dir_close(d);
    return r;
}

void grow_dir_close(struct grow_dir *d)
{
    if (d->fd >= 0)
        io_close_quietly(d->io, &d->fd);
    free(d->path);
    d->path = NULL;
}

// ---- names

// Without empty and "." components; "" is the directory itself. False when it is no path of ours.
static bool join_components(const char *path, struct buf *out)
{
    if (strlen(path) > GROW_DIR_PATH_MAX)
        return false;
    for (const char *p = path; *p != '\0';) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return false;
        if (n > 0 && !(n == 1 && p[0] == '.')) {
            buf_add_str(out, out->len > 0 ? "/" : "");
            buf_add(out, p, n);
        }
        p += n + (p[n] == '/');
    }
    return true;
}

// `own` is the directory's path without the first slash. Nothing but "" for what leads to it, the rest for what lies below, all of it else.
static const char *below_own(const char *own, const char *name)
{
    size_t n = strlen(name), own_len = strlen(own);
    if (n <= own_len && strncmp(own, name, n) == 0 && (own[n] == '/' || own[n] == '\0'))
        return "";
    return own_len > 0 && strncmp(name, own, own_len) == 0 && name[own_len] == '/' ? name + own_len + 1 : name;
}

char *grow_dir_name(const struct grow_dir *d, const char *path)
{
    _cleanup_buf_ struct buf out = { 0 };
    if (!join_components(path, &out))
        return NULL;
    const char *name = path[0] == '/' ? below_own(d->path + 1, buf_str(&out)) : buf_str(&out);
    return xstrdup(name[0] == '\0' ? "." : name);
}

bool grow_dir_is_part(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    size_t n = strlen(name);
    return strstr(name, GROW_DIR_PART) != NULL || (n > 5 && strcmp(name + n - 5, ".part") == 0);
}

// ---- opening below the directory

// A link anywhere is ELOOP, but for O_PATH | O_NOFOLLOW: that is the link itself.
static int open_beneath(const struct grow_dir *d, const char *path, uint64_t flags, uint64_t mode)
{
    struct open_how how = {
        .flags = flags | O_CLOEXEC | ((flags & O_PATH) != 0 ? 0 : O_NONBLOCK), .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    int fd = (int)syscall(SYS_openat2, d->fd, path, &how, sizeof how);
    return fd < 0 ? -errno : fd;
}

// A regular file, or nothing. One that is written to must have no other name: a link to what was published would let it be changed.
static int open_file(const struct grow_dir *d, const char *path, uint64_t flags, uint64_t mode)
{
    struct statx st;
    int fd = open_beneath(d, path, flags, mode);
    if (fd < 0)
        return fd == -ELOOP || fd == -EXDEV ? -EPERM : fd;
    bool writing = (flags & O_ACCMODE) != O_RDONLY;
    if (d->io->statx(d->io, fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_NLINK, &st) == 0 && S_ISREG(st.stx_mode) && (!writing || st.stx_nlink <= 1))
        return fd;
    (void)close(fd);
    return -EPERM;
}

// The directory that holds the last component, which *ret_name points to in `path`.
static int open_parent(const struct grow_dir *d, const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *parent = slash == NULL ? xstrdup(".") : xstrndup(path, (size_t)(slash - path));
    *ret_name = slash == NULL ? path : slash + 1;
    int fd = open_beneath(d, parent, O_RDONLY | O_DIRECTORY, 0);
    return fd == -ELOOP || fd == -EXDEV ? -EPERM : fd;
}

static int give(int fd, int *ret_fd)
{
    if (fd < 0)
        return fd;
    *ret_fd = fd;
    return 0;
}

int grow_dir_read(const struct grow_dir *d, const char *path, int *ret_fd)
{
    _cleanup_free_ char *name = grow_dir_name(d, path);
    return name == NULL ? -EPERM : give(open_file(d, name, O_RDONLY, 0), ret_fd);
}

// ---- parts

// Still the file of that name? One that was published meanwhile is not.
static bool has_name(const struct grow_dir *d, const char *name, int fd)
{
    struct statx open, named;
    int path_fd = open_beneath(d, name, O_PATH | O_NOFOLLOW, 0);
    bool same = path_fd >= 0 && d->io->statx(d->io, fd, "", AT_EMPTY_PATH, STATX_INO, &open) == 0 &&
                d->io->statx(d->io, path_fd, "", AT_EMPTY_PATH, STATX_INO, &named) == 0 && open.stx_ino == named.stx_ino &&
                open.stx_dev_major == named.stx_dev_major && open.stx_dev_minor == named.stx_dev_minor;
    if (path_fd >= 0)
        (void)close(path_fd);
    return same;
}

static int open_part(const struct grow_dir *d, const char *path, uint64_t flags, int *ret_fd)
{
    _cleanup_free_ char *name = grow_dir_name(d, path);
    if (name == NULL || !grow_dir_is_part(name))
        return -EPERM;
    int fd = open_file(d, name, O_RDWR | flags, (flags & O_CREAT) != 0 ? 0600 : 0);
    if (fd < 0)
        return fd;
    if (flock(fd, LOCK_SH | LOCK_NB) < 0 || !has_name(d, name, fd)) {
        (void)close(fd);
        return -EBUSY;
    }
    *ret_fd = fd;
    return 0;
}

int grow_dir_create(const struct grow_dir *d, const char *path, int *ret_fd) { return open_part(d, path, O_CREAT | O_EXCL, ret_fd); }
int grow_dir_write(const struct grow_dir *d, const char *path, int *ret_fd) { return open_part(d, path, 0, ret_fd); }

static int rename_new(const struct grow_dir *d, const char *from, const char *to)
{
    const char *from_name, *to_name;
    int from_fd = open_parent(d, from, &from_name), to_fd = from_fd < 0 ? -1 : open_parent(d, to, &to_name);
    int r = from_fd < 0 ? from_fd : to_fd < 0 ? to_fd : 0;
    if (r == 0 && d->io->renameat2(d->io, from_fd, from_name, to_fd, to_name, RENAME_NOREPLACE) < 0)
        r = -errno;
    if (r == 0 && d->io->fsync(d->io, to_fd) < 0) // the name is durable before the client hears of it
        r = -errno;
    if (from_fd >= 0)
        (void)close(from_fd);
    if (to_fd >= 0)
        (void)close(to_fd);
    return r;
}

int grow_dir_publish(const struct grow_dir *d, const char *part, const char *path)
{
    _cleanup_free_ char *from = grow_dir_name(d, part), *to = grow_dir_name(d, path);
    if (from == NULL || to == NULL || strcmp(to, ".") == 0 || !grow_dir_is_part(from) || grow_dir_is_part(to))
        return -EPERM;
    int fd = open_file(d, from, O_RDWR, 0); // where locks go over a network, one that is taken alone asks for writing
    if (fd < 0)
        return fd;
    int r = flock(fd, LOCK_EX | LOCK_NB) < 0 || !has_name(d, from, fd) ? -EBUSY : 0;
    if (r == 0 && d->io->fsync(d->io, fd) < 0)
        r = -errno;
    if (r == 0)
        r = rename_new(d, from, to);
    (void)close(fd);
    return r;
}

int grow_dir_drop_part(const struct grow_dir *d, const char *path)
{
    const char *last;
    _cleanup_free_ char *name = grow_dir_name(d, path);
    if (name == NULL || !grow_dir_is_part(name))
        return -EPERM;
    int parent = open_parent(d, name, &last);
    if (parent < 0)
        return parent;
    int r = d->io->unlinkat(d->io, parent, last, 0) < 0 ? -errno : 0;
    (void)close(parent);
    return r;
}

// ---- directories

int grow_dir_mkdir(const struct grow_dir *d, const char *path)
{
    const char *last;
    _cleanup_free_ char *name = grow_dir_name(d, path);
    if (name == NULL)
        return -EPERM;
    if (strcmp(name, ".") == 0)
        return -EEXIST;
    int parent = open_parent(d, name, &last);
    if (parent < 0)
        return parent;
    int r = d->io->mkdirat(d->io, parent, last, 0700) < 0 || d->io->fsync(d->io, parent) < 0 ? -errno : 0;
    (void)close(parent);
    return r;
}

int grow_dir_stat(const struct grow_dir *d, const char *path, struct statx *ret_st)
{
    _cleanup_free_ char *name = grow_dir_name(d, path);
    if (name == NULL)
        return -EPERM;
    int fd = open_beneath(d, name, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd == -ELOOP || fd == -EXDEV ? -EPERM : fd;
    int r = d->io->statx(d->io, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, ret_st) < 0 ? -errno : 0;
    (void)close(fd);
    return r;
}

int grow_dir_list(const struct grow_dir *d, const char *path, int *ret_fd)
{
    _cleanup_free_ char *name = grow_dir_name(d, path);
    if (name == NULL)
        return -EPERM;
    int fd = open_beneath(d, name, O_RDONLY | O_DIRECTORY, 0);
    return give(fd == -ELOOP || fd == -EXDEV ? -EPERM : fd, ret_fd);
}
