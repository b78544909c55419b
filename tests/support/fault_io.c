#include "tests/support/fault_io.h"

#include <errno.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/fault_log.h"

struct fault_io {
    struct io io;
    struct fault_io_options options;
    pthread_mutex_t lock;
    long calls;
    bool happened;
    char call[256];
    struct fault_log *log; // FAULT_POWER
    uint64_t interrupts;
};

static struct fault_io *of(const struct io *self) { return self->state; }

// ---- when it happens

static _Noreturn void end(struct fault_io *f)
{
    if (f->log != NULL)
        fault_log_lose(f->log, f->options.power, f->options.seed);
    _exit(FAULT_EXIT);
}

// Counts a call. True: it is to fail now (errno is set). `partial` is done before a process ends.
static bool due(struct fault_io *f, unsigned kind, const char *what, const char *path)
{
    if ((f->options.kinds & kind) == 0)
        return false;
    f->calls++;
    bool now = f->options.mode == FAULT_ERRORS ? f->calls >= f->options.call : f->calls == f->options.call;
    if (!now || f->options.mode == FAULT_NONE || f->options.mode == FAULT_INTERRUPT)
        return false;
    if (!f->happened)
        (void)snprintf(f->call, sizeof f->call, "%s '%s'", what, path == NULL ? "" : path);
    f->happened = true;
    errno = f->options.os_errno;
    return true;
}

static bool ends(const struct fault_io *f) { return f->options.mode == FAULT_KILL || f->options.mode == FAULT_POWER; }

// True when the call must not be made; it ends the process where that is wanted.
static bool fails(struct fault_io *f, unsigned kind, const char *what, const char *path)
{
    if (!due(f, kind, what, path))
        return false;
    if (ends(f))
        end(f);
    errno = f->options.os_errno;
    return true;
}

// Every other call of those that may be is interrupted.
static bool interrupted(struct fault_io *f)
{
    if (f->options.mode != FAULT_INTERRUPT || ++f->interrupts % 2 == 0)
        return false;
    errno = EINTR;
    return true;
}

static size_t shorter(const struct fault_io *f, size_t n) { return f->options.mode == FAULT_INTERRUPT && n > 1 ? (n > 100000 ? n / 2 : 1 + n / 3) : n; }

static const char *fd_path(int fd, char path[PATH_MAX])
{
    char link[40];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    path[n < 0 ? 0 : n] = '\0';
    return path;
}

#define LOCKED(f) pthread_mutex_lock(&(f)->lock)
#define UNLOCKED(f)                                                                                                                                  \
    do {                                                                                                                                             \
        int kept_ = errno;                                                                                                                           \
        pthread_mutex_unlock(&(f)->lock);                                                                                                            \
        errno = kept_;                                                                                                                               \
    } while (0)
// Declares `result`: -1 when the call is to fail, else what `make_call` gives. All under one lock, so that N means the same thing to all threads.
#define CALL(type, kind, what, path, may_interrupt, make_call)                                                                                       \
    struct fault_io *f = of(self);                                                                                                                   \
    LOCKED(f);                                                                                                                                       \
    type result = -1;                                                                                                                                \
    if (!(may_interrupt && interrupted(f)) && !fails(f, kind, what, path))                                                                           \
        result = make_call;                                                                                                                          \
    UNLOCKED(f);                                                                                                                                     \
    return result

// ---- calls that change nothing

static ssize_t f_read(const struct io *self, int fd, void *data, size_t n) { CALL(ssize_t, FAULT_READ, "read", NULL, true, read(fd, data, shorter(f, n))); }

static ssize_t f_pread(const struct io *self, int fd, void *data, size_t n, off_t offset)
{
    CALL(ssize_t, FAULT_READ, "pread", NULL, true, pread(fd, data, shorter(f, n), offset));
}

static off_t f_lseek(const struct io *self, int fd, off_t offset, int whence) { CALL(off_t, FAULT_READ, "lseek", NULL, false, lseek(fd, offset, whence)); }

static ssize_t f_readlinkat(const struct io *self, int dirfd, const char *path, char *target, size_t n)
{
    CALL(ssize_t, FAULT_READ, "readlink", path, false, readlinkat(dirfd, path, target, n));
}

static int f_statx(const struct io *self, int dirfd, const char *path, int flags, unsigned mask, struct statx *st)
{
    CALL(int, FAULT_READ, "statx", path, false, statx(dirfd, path, flags, mask, st));
}

static ssize_t f_getdents64(const struct io *self, int fd, void *data, size_t n)
{
    CALL(ssize_t, FAULT_READ, "getdents64", NULL, false, getdents64(fd, data, n));
}

static int f_fstatvfs(const struct io *self, int fd, struct statvfs *ret_st) { CALL(int, FAULT_READ, "fstatvfs", NULL, true, fstatvfs(fd, ret_st)); }

static void *f_alloc(const struct io *self, size_t n)
{
    struct fault_io *f = of(self);
    LOCKED(f);
    bool fail = fails(f, FAULT_ALLOC, "alloc", NULL);
    UNLOCKED(f);
    return fail ? NULL : malloc(n);
}

// ---- metadata: not part of what a power cut takes back

static int f_fchownat(const struct io *self, int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
    CALL(int, FAULT_META, "chown", path, false, io_real()->fchownat(io_real(), dirfd, path, uid, gid, flags));
}

static int f_fchmod(const struct io *self, int fd, mode_t mode) { CALL(int, FAULT_META, "chmod", NULL, false, io_real()->fchmod(io_real(), fd, mode)); }

static int f_utimensat(const struct io *self, int dirfd, const char *path, const struct timespec times[2], int flags)
{
    CALL(int, FAULT_META, "utimes", path, false, io_real()->utimensat(io_real(), dirfd, path, times, flags));
}

static int f_fsetxattr(const struct io *self, int fd, const char *name, const void *value, size_t n)
{
    CALL(int, FAULT_META, "setxattr", name, false, io_real()->fsetxattr(io_real(), fd, name, value, n));
}

static int f_fremovexattr(const struct io *self, int fd, const char *name)
{
    CALL(int, FAULT_META, "removexattr", name, false, io_real()->fremovexattr(io_real(), fd, name));
}

static int f_setflags(const struct io *self, int fd, unsigned flags, unsigned mask)
{
    CALL(int, FAULT_META, "setflags", NULL, false, io_real()->setflags(io_real(), fd, flags, mask));
}

// ---- calls that change files

static int make_open(struct fault_io *f, int dirfd, const char *path, int flags, mode_t mode)
{
    if (f->log == NULL || (flags & (O_CREAT | O_TRUNC)) == 0)
        return openat(dirfd, path, flags, mode);
    struct statx st;
    bool existed = statx(dirfd, path, AT_SYMLINK_NOFOLLOW, STATX_INO, &st) == 0;
    if (existed && (flags & O_TRUNC) != 0)
        fault_log_before_truncate(f->log, dirfd, path);
    int fd = openat(dirfd, path, flags, mode);
    if (fd >= 0 && !existed)
        fault_log_created(f->log, dirfd, path);
    return fd;
}

static int f_openat(const struct io *self, int dirfd, const char *path, int flags, mode_t mode)
{
    bool create = (flags & O_CREAT) != 0;
    CALL(int, create ? FAULT_CREATE : FAULT_OPEN, create ? "create" : "open", path, true, make_open(f, dirfd, path, flags, mode));
}

static int f_close(const struct io *self, int fd)
{
    struct fault_io *f = of(self);
    char path[PATH_MAX];
    LOCKED(f);
    int flags = fcntl(fd, F_GETFL);
    bool fail = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && (flags & O_PATH) == 0 &&
                (fails(f, FAULT_CLOSE, "close", fd_path(fd, path)) || interrupted(f)); // Linux closes it all the same
    int kept = errno;
    int result = close(fd);
    if (fail) {
        errno = kept;
        result = -1;
    }
    UNLOCKED(f);
    return result;
}

// A write that is cut off by the end of the process is made by half.
static bool write_fails(struct fault_io *f, const char *what, int fd, const void *data, size_t n, off_t offset)
{
    char path[PATH_MAX];
    if (f->log != NULL)
        fault_log_before_write(f->log, fd);
    if (!due(f, FAULT_WRITE, what, fd_path(fd, path)))
        return false;
    if (ends(f)) {
        (void)!(offset < 0 ? write(fd, data, n / 2) : pwrite(fd, data, n / 2, offset));
        end(f);
    }
    return true;
}

static ssize_t f_write(const struct io *self, int fd, const void *data, size_t n)
{
    struct fault_io *f = of(self);
    LOCKED(f);
    ssize_t result = interrupted(f) || write_fails(f, "write", fd, data, n, -1) ? -1 : write(fd, data, shorter(f, n));
    UNLOCKED(f);
    return result;
}

static ssize_t f_pwrite(const struct io *self, int fd, const void *data, size_t n, off_t offset)
{
    struct fault_io *f = of(self);
    LOCKED(f);
    ssize_t result = interrupted(f) || write_fails(f, "pwrite", fd, data, n, offset) ? -1 : pwrite(fd, data, shorter(f, n), offset);
    UNLOCKED(f);
    return result;
}

static int make_truncate(struct fault_io *f, int fd, off_t size)
{
    if (f->log != NULL)
        fault_log_before_write(f->log, fd);
    return ftruncate(fd, size);
}

static int f_fallocate(const struct io *self, int fd, int mode, off_t offset, off_t length)
{
    CALL(int, FAULT_WRITE, "fallocate", NULL, true, fallocate(fd, mode, offset, length));
}

static int f_ftruncate(const struct io *self, int fd, off_t size)
{
    char path[PATH_MAX];
    CALL(int, FAULT_WRITE, "truncate", fd_path(fd, path), true, make_truncate(f, fd, size));
}

static int make_sync(struct fault_io *f, int fd, bool all)
{
    // Files on /dev/shm or a scratch disk: that the real disk has them is of no interest here.
    if (f->log != NULL)
        fault_log_synced(f->log, fd, all);
    return 0;
}

static int f_fsync(const struct io *self, int fd)
{
    char path[PATH_MAX];
    CALL(int, FAULT_SYNC, "fsync", fd_path(fd, path), true, make_sync(f, fd, false));
}

static int f_syncfs(const struct io *self, int fd)
{
    char path[PATH_MAX];
    CALL(int, FAULT_SYNC, "syncfs", fd_path(fd, path), true, make_sync(f, fd, true));
}

static int make_mkdir(struct fault_io *f, int dirfd, const char *path, mode_t mode)
{
    int r = mkdirat(dirfd, path, mode);
    if (r == 0 && f->log != NULL)
        fault_log_created(f->log, dirfd, path);
    return r;
}

static int f_mkdirat(const struct io *self, int dirfd, const char *path, mode_t mode)
{
    CALL(int, FAULT_CREATE, "mkdir", path, false, make_mkdir(f, dirfd, path, mode));
}

static int make_unlink(struct fault_io *f, int dirfd, const char *path, int flags)
{
    if (f->log != NULL)
        fault_log_before_remove(f->log, dirfd, path, flags);
    int r = unlinkat(dirfd, path, flags);
    if (f->log != NULL)
        fault_log_after(f->log, r == 0);
    return r;
}

static int f_unlinkat(const struct io *self, int dirfd, const char *path, int flags)
{
    CALL(int, FAULT_REMOVE, "unlink", path, false, make_unlink(f, dirfd, path, flags));
}

static int make_rename(struct fault_io *f, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, unsigned flags)
{
    if (f->log != NULL)
        fault_log_before_rename(f->log, old_dirfd, old_path, new_dirfd, new_path);
    int r = renameat2(old_dirfd, old_path, new_dirfd, new_path, flags);
    if (f->log != NULL)
        fault_log_after(f->log, r == 0);
    return r;
}

static int f_renameat2(const struct io *self, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, unsigned flags)
{
    CALL(int, FAULT_RENAME, "rename to", new_path, false, make_rename(f, old_dirfd, old_path, new_dirfd, new_path, flags));
}

static int make_link(struct fault_io *f, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, int flags)
{
    int r = linkat(old_dirfd, old_path, new_dirfd, new_path, flags);
    if (r == 0 && f->log != NULL)
        fault_log_created(f->log, new_dirfd, new_path);
    return r;
}

static int f_linkat(const struct io *self, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, int flags)
{
    CALL(int, FAULT_CREATE, "link", new_path, false, make_link(f, old_dirfd, old_path, new_dirfd, new_path, flags));
}

static int f_symlinkat(const struct io *self, const char *target, int dirfd, const char *path)
{
    CALL(int, FAULT_CREATE, "symlink", path, false, symlinkat(target, dirfd, path));
}

static int f_mknodat(const struct io *self, int dirfd, const char *path, mode_t mode, dev_t device)
{
    CALL(int, FAULT_CREATE, "mknod", path, false, mknodat(dirfd, path, mode, device));
}

// ---- the whole

struct fault_io *fault_io_new(const struct fault_io_options *options)
{
    struct fault_io *f = calloc(1, sizeof *f);
    if (f == NULL)
        abort();
    f->options = *options;
    pthread_mutex_init(&f->lock, NULL);
    f->io = *io_real(); // clock and randomness stay
    f->io.state = f;
    f->io.openat = f_openat;
    f->io.close = f_close;
    f->io.read = f_read;
    f->io.pread = f_pread;
    f->io.write = f_write;
    f->io.pwrite = f_pwrite;
    f->io.fsync = f_fsync;
    f->io.syncfs = f_syncfs;
    f->io.lseek = f_lseek;
    f->io.ftruncate = f_ftruncate;
    f->io.fallocate = f_fallocate;
    f->io.mkdirat = f_mkdirat;
    f->io.unlinkat = f_unlinkat;
    f->io.renameat2 = f_renameat2;
    f->io.linkat = f_linkat;
    f->io.symlinkat = f_symlinkat;
    f->io.mknodat = f_mknodat;
    f->io.readlinkat = f_readlinkat;
    f->io.statx = f_statx;
    f->io.getdents64 = f_getdents64;
    f->io.fchownat = f_fchownat;
    f->io.fchmod = f_fchmod;
    f->io.utimensat = f_utimensat;
    f->io.fsetxattr = f_fsetxattr;
    f->io.fremovexattr = f_fremovexattr;
    f->io.setflags = f_setflags;
    f->io.fstatvfs = f_fstatvfs;
    f->io.alloc = f_alloc;
    if (options->mode == FAULT_POWER)
        f->log = fault_log_new(options->roots, options->aside);
    return f;
}

void fault_io_free(struct fault_io *f)
{
    if (f == NULL)
        return;
    fault_log_free(f->log);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

const struct io *fault_io(const struct fault_io *f) { return &f->io; }
long fault_io_calls(const struct fault_io *f) { return f->calls; }
bool fault_io_happened(const struct fault_io *f) { return f->happened; }
const char *fault_io_call(const struct fault_io *f) { return f->call; }
