#include "bkd/base/io.h"

#include <errno.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

static int real_openat(UNUSED const struct io *self, int dirfd, const char *path, int flags, mode_t mode) { return openat(dirfd, path, flags, mode); }
static int real_close(UNUSED const struct io *self, int fd) { return close(fd); }
static ssize_t real_read(UNUSED const struct io *self, int fd, void *data, size_t n) { return read(fd, data, n); }
static ssize_t real_pread(UNUSED const struct io *self, int fd, void *data, size_t n, off_t offset) { return pread(fd, data, n, offset); }
static ssize_t real_write(UNUSED const struct io *self, int fd, const void *data, size_t n) { return write(fd, data, n); }
static ssize_t real_pwrite(UNUSED const struct io *self, int fd, const void *data, size_t n, off_t offset) { return pwrite(fd, data, n, offset); }
static int real_fsync(UNUSED const struct io *self, int fd) { return fsync(fd); }
static int real_syncfs(UNUSED const struct io *self, int fd) { return syncfs(fd); }
static off_t real_lseek(UNUSED const struct io *self, int fd, off_t offset, int whence) { return lseek(fd, offset, whence); }
static int real_ftruncate(UNUSED const struct io *self, int fd, off_t size) { return ftruncate(fd, size); }
static int real_fallocate(UNUSED const struct io *self, int fd, int mode, off_t offset, off_t length) { return fallocate(fd, mode, offset, length); }
static int real_mkdirat(UNUSED const struct io *self, int dirfd, const char *path, mode_t mode) { return mkdirat(dirfd, path, mode); }
static int real_unlinkat(UNUSED const struct io *self, int dirfd, const char *path, int flags) { return unlinkat(dirfd, path, flags); }

static int real_renameat2(UNUSED const struct io *self, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, unsigned flags)
{
    return renameat2(old_dirfd, old_path, new_dirfd, new_path, flags);
}

static int real_linkat(UNUSED const struct io *self, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, int flags)
{
    return linkat(old_dirfd, old_path, new_dirfd, new_path, flags);
}

static int real_symlinkat(UNUSED const struct io *self, const char *target, int dirfd, const char *path) { return symlinkat(target, dirfd, path); }
static int real_mknodat(UNUSED const struct io *self, int dirfd, const char *path, mode_t mode, dev_t device) { return mknodat(dirfd, path, mode, device); }
static ssize_t real_readlinkat(UNUSED const struct io *self, int dirfd, const char *path, char *target, size_t n) { return readlinkat(dirfd, path, target, n); }

static int real_statx(UNUSED const struct io *self, int dirfd, const char *path, int flags, unsigned mask, struct statx *st)
{
    return statx(dirfd, path, flags, mask, st);
}

static ssize_t real_getdents64(UNUSED const struct io *self, int fd, void *data, size_t n) { return getdents64(fd, data, n); }

static int real_fchownat(UNUSED const struct io *self, int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
    return fchownat(dirfd, path, uid, gid, flags);
}

// A descriptor opened with O_PATH (a symbolic link, a device) is changed only through its name in /proc.
struct proc_name {
    char text[40];
};

static struct proc_name name_in_proc(int fd)
{
    struct proc_name name;
    (void)snprintf(name.text, sizeof name.text, "/proc/self/fd/%d", fd);
    return name;
}

static int real_fchmod(UNUSED const struct io *self, int fd, mode_t mode)
{
    int r = fchmod(fd, mode);
    return r < 0 && errno == EBADF ? chmod(name_in_proc(fd).text, mode) : r;
}

// futimens spares kernels before 5.8, which know no AT_EMPTY_PATH here.
static int real_utimensat(UNUSED const struct io *self, int dirfd, const char *path, const struct timespec times[2], int flags)
{
    if ((flags & AT_EMPTY_PATH) == 0)
        return utimensat(dirfd, path, times, flags);
    int r = futimens(dirfd, times);
    return r < 0 && errno == EBADF ? utimensat(dirfd, "", times, AT_EMPTY_PATH) : r;
}

static int real_fsetxattr(UNUSED const struct io *self, int fd, const char *name, const void *value, size_t n)
{
    int r = fsetxattr(fd, name, value, n, 0);
    return r < 0 && errno == EBADF ? setxattr(name_in_proc(fd).text, name, value, n, 0) : r;
}

static int real_fremovexattr(UNUSED const struct io *self, int fd, const char *name)
{
    int r = fremovexattr(fd, name);
    return r < 0 && errno == EBADF ? removexattr(name_in_proc(fd).text, name) : r;
}

// Some file systems pass over flags they do not hold: looking again tells.
static int real_setflags(UNUSED const struct io *self, int fd, unsigned flags, unsigned mask)
{
    int now = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &now) < 0)
        return -1;
    int wanted = (int)(((unsigned)now & ~mask) | (flags & mask));
    if (wanted == now)
        return 0;
    if (ioctl(fd, FS_IOC_SETFLAGS, &wanted) < 0 || ioctl(fd, FS_IOC_GETFLAGS, &now) < 0)
        return -1;
    errno = EOPNOTSUPP;
    return (((unsigned)now ^ flags) & mask) == 0 ? 0 : -1;
}

static int real_clone(UNUSED const struct io *self, int to_fd, int from_fd) { return ioctl(to_fd, FICLONE, from_fd); }

static int real_punch(UNUSED const struct io *self, int fd, off_t offset, off_t n)
{
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, n);
}

static int real_fstatvfs(UNUSED const struct io *self, int fd, struct statvfs *ret_st) { return fstatvfs(fd, ret_st); }
static int real_clock(UNUSED const struct io *self, clockid_t clock, struct timespec *ret_now) { return clock_gettime(clock, ret_now); }

static int real_random(UNUSED const struct io *self, void *data, size_t n)
{
    uint8_t *p = data;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        p += got;
        n -= (size_t)got;
    }
    return 0;
}

static void *real_alloc(UNUSED const struct io *self, size_t n) { return malloc(n); }

static const struct io real = {
    .openat = real_openat,
    .close = real_close,
    .read = real_read,
    .pread = real_pread,
    .write = real_write,
    .pwrite = real_pwrite,
    .fsync = real_fsync,
    .syncfs = real_syncfs,
    .lseek = real_lseek,
    .ftruncate = real_ftruncate,
    .fallocate = real_fallocate,
    .mkdirat = real_mkdirat,
    .unlinkat = real_unlinkat,
    .renameat2 = real_renameat2,
    .linkat = real_linkat,
    .symlinkat = real_symlinkat,
    .mknodat = real_mknodat,
    .readlinkat = real_readlinkat,
    .statx = real_statx,
    .getdents64 = real_getdents64,
    .fchownat = real_fchownat,
    .fchmod = real_fchmod,
    .utimensat = real_utimensat,
    .fsetxattr = real_fsetxattr,
    .fremovexattr = real_fremovexattr,
    .setflags = real_setflags,
    .clone = real_clone,
    .punch = real_punch,
    .fstatvfs = real_fstatvfs,
    .clock = real_clock,
    .random = real_random,
    .alloc = real_alloc,
};

const struct io *io_real(void) { return &real; }

#define RETRY_EINTR(call)                                                                                                                            \
    ({                                                                                                                                               \
        __typeof__(call) result_;                                                                                                                    \
        do                                                                                                                                           \
            result_ = (call);                                                                                                                        \
        while (result_ < 0 && errno == EINTR);                                                                                                       \
        result_;                                                                                                                                     \
    })

int io_open(const struct io *io, int dirfd, const char *path, int flags, mode_t mode, int *ret_fd, struct error *err)
{
    int fd = RETRY_EINTR(io->openat(io, dirfd, path, flags | O_CLOEXEC, mode));
    if (fd < 0)
        return error_set_errno(err, errno, "%s '%s'", (flags & O_CREAT) != 0 ? "create" : "open", path);
    *ret_fd = fd;
    return 0;
}

int io_close(const struct io *io, int *fd, const char *path, struct error *err)
{
    int closing = *fd;
    *fd = -1; // Linux releases the descriptor even when close fails
    if (io->close(io, closing) < 0 && errno != EINTR)
        return error_set_errno(err, errno, "close '%s'", path);
    return 0;
}

void io_close_quietly(const struct io *io, int *fd)
{
    if (*fd >= 0)
        (void)io->close(io, *fd); // nothing written depends on it
    *fd = -1;
}

int io_read_full(const struct io *io, int fd, void *data, size_t n, const char *path, size_t *ret_n, struct error *err)
{
    size_t have = 0;
    while (have < n) {
        ssize_t got = RETRY_EINTR(io->read(io, fd, (uint8_t *)data + have, n - have));
        if (got < 0)
            return error_set_errno(err, errno, "read '%s'", path);
        if (got == 0)
            break;
        have += (size_t)got;
    }
    *ret_n = have;
    return 0;
}

int io_pread_full(const struct io *io, int fd, void *data, size_t n, uint64_t offset, const char *path, size_t *ret_n, struct error *err)
{
    size_t have = 0;
    while (have < n) {
        ssize_t got = RETRY_EINTR(io->pread(io, fd, (uint8_t *)data + have, n - have, (off_t)(offset + have)));
        if (got < 0)
            return error_set_errno(err, errno, "read '%s' at %llu", path, (unsigned long long)(offset + have));
        if (got == 0)
            break;
        have += (size_t)got;
    }
    *ret_n = have;
    return 0;
}

int io_write_all(const struct io *io, int fd, const void *data, size_t n, const char *path, struct error *err)
{
    size_t done = 0;
    while (done < n) {
        ssize_t put = RETRY_EINTR(io->write(io, fd, (const uint8_t *)data + done, n - done));
        if (put <= 0)
            return error_set_errno(err, put == 0 ? EIO : errno, "write '%s'", path);
        done += (size_t)put;
    }
    return 0;
}

int io_pwrite_all(const struct io *io, int fd, const void *data, size_t n, uint64_t offset, const char *path, struct error *err)
{
    size_t done = 0;
    while (done < n) {
        ssize_t put = RETRY_EINTR(io->pwrite(io, fd, (const uint8_t *)data + done, n - done, (off_t)(offset + done)));
        if (put <= 0)
            return error_set_errno(err, put == 0 ? EIO : errno, "write '%s' at %llu", path, (unsigned long long)(offset + done));
        done += (size_t)put;
    }
    return 0;
}

int io_fsync(const struct io *io, int fd, const char *path, struct error *err)
{
    if (RETRY_EINTR(io->fsync(io, fd)) < 0)
        return error_set_errno(err, errno, "fsync '%s'", path);
    return 0;
}

int io_syncfs(const struct io *io, int fd, const char *path, struct error *err)
{
    if (RETRY_EINTR(io->syncfs(io, fd)) < 0)
        return error_set_errno(err, errno, "sync the file system of '%s'", path);
    return 0;
}

int io_truncate(const struct io *io, int fd, uint64_t size, const char *path, struct error *err)
{
    if (RETRY_EINTR(io->ftruncate(io, fd, (off_t)size)) < 0)
        return error_set_errno(err, errno, "set the size of '%s' to %llu", path, (unsigned long long)size);
    return 0;
}

int io_mkdir(const struct io *io, int dirfd, const char *path, mode_t mode, struct error *err)
{
    if (io->mkdirat(io, dirfd, path, mode) < 0)
        return error_set_errno(err, errno, "make directory '%s'", path);
    return 0;
}

int io_unlink(const struct io *io, int dirfd, const char *path, int flags, struct error *err)
{
    if (io->unlinkat(io, dirfd, path, flags) < 0)
        return error_set_errno(err, errno, "remove '%s'", path);
    return 0;
}

int io_rename_new(const struct io *io, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, struct error *err)
{
    if (io->renameat2(io, old_dirfd, old_path, new_dirfd, new_path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return error_set_errno(err, errno, "rename '%s' to '%s'", old_path, new_path);
    // File systems without RENAME_NOREPLACE: a hard link refuses an existing name just as well.
    int r = io_link(io, old_dirfd, old_path, new_dirfd, new_path, err);
    return r < 0 ? r : io_unlink(io, old_dirfd, old_path, 0, err);
}

int io_rename_over(const struct io *io, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, struct error *err)
{
    if (io->renameat2(io, old_dirfd, old_path, new_dirfd, new_path, 0) < 0)
        return error_set_errno(err, errno, "rename '%s' to '%s'", old_path, new_path);
    return 0;
}

int io_link(const struct io *io, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, struct error *err)
{
    if (io->linkat(io, old_dirfd, old_path, new_dirfd, new_path, 0) < 0)
        return error_set_errno(err, errno, "link '%s' to '%s'", old_path, new_path);
    return 0;
}

int io_link_fd(const struct io *io, int fd, int dirfd, const char *name, struct error *err)
{
    if (io->linkat(io, fd, "", dirfd, name, AT_EMPTY_PATH) < 0)
        return error_set_errno(err, errno, "give '%s' its name", name);
    return 0;
}

int io_stat(const struct io *io, int dirfd, const char *path, int flags, struct statx *ret_st, struct error *err)
{
    if (io->statx(io, dirfd, path, flags, STATX_BASIC_STATS, ret_st) < 0)
        return error_set_errno(err, errno, "stat '%s'", path);
    return 0;
}

#define REALTIME_MIN_NS 1000000000u // 0 means "no time" in many places

static struct timespec ask_clock(const struct io *io, clockid_t clock)
{
    struct timespec now = { 0 };
    if (io->clock(io, clock, &now) < 0)
        abort(); // no clock, no promise
    return now;
}

// A clock before 1970 or after 2262 is wrong, and must not become a time that looks right.
uint64_t io_realtime_ns(const struct io *io)
{
    struct timespec now = ask_clock(io, CLOCK_REALTIME);
    if (now.tv_sec < 1)
        return REALTIME_MIN_NS;
    if (now.tv_sec >= INT64_MAX / 1000000000)
        return INT64_MAX;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t elapsed_ns(const struct io *io, clockid_t clock)
{
    struct timespec now = ask_clock(io, clock);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t io_monotonic_ns(const struct io *io) { return elapsed_ns(io, CLOCK_MONOTONIC); }
uint64_t io_thread_cpu_ns(const struct io *io) { return elapsed_ns(io, CLOCK_THREAD_CPUTIME_ID); }
uint64_t io_process_cpu_ns(const struct io *io) { return elapsed_ns(io, CLOCK_PROCESS_CPUTIME_ID); }

void io_random(const struct io *io, void *data, size_t n)
{
    if (io->random(io, data, n) < 0) {
        (void)fprintf(stderr, "bkd: the kernel gives no random bytes\n");
        abort();
    }
}

int io_alloc(const struct io *io, size_t n, const char *what, void **ret_memory, struct error *err)
{
    void *memory = io->alloc(io, n);
    if (memory == NULL && n > 0)
        return error_set(err, ERROR_FAILED, "no memory for %s (%zu bytes)", what, n);
    *ret_memory = memory;
    return 0;
}
