// The one door to the operating system: files, time, randomness and large memory.
//
// Everything that touches them takes a `const struct io *`. io_real() is what programs use; tests pass one that fails,
// ends the process, or forgets what was not synced, at call N. Each io_* function below calls the function pointer of the
// same name and turns a failure into an error that names the operation and the path. Paths are relative to `dirfd`
// (AT_FDCWD for the working directory). Descriptors are always opened with O_CLOEXEC. EINTR is retried inside.
#ifndef BKD_BASE_IO_H
#define BKD_BASE_IO_H

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#include "bkd/base/error.h"

struct statx;

// Each function behaves as the system call it is named for: -1 and errno on failure. `self` is the struct io.
struct io {
    int (*openat)(const struct io *self, int dirfd, const char *path, int flags, mode_t mode);
    int (*close)(const struct io *self, int fd);
    ssize_t (*read)(const struct io *self, int fd, void *data, size_t n);
    ssize_t (*pread)(const struct io *self, int fd, void *data, size_t n, off_t offset);
    ssize_t (*write)(const struct io *self, int fd, const void *data, size_t n);
    ssize_t (*pwrite)(const struct io *self, int fd, const void *data, size_t n, off_t offset);
    int (*fsync)(const struct io *self, int fd);
    int (*syncfs)(const struct io *self, int fd);
    off_t (*lseek)(const struct io *self, int fd, off_t offset, int whence);
    int (*ftruncate)(const struct io *self, int fd, off_t size);
    int (*fallocate)(const struct io *self, int fd, int mode, off_t offset, off_t length);
    int (*mkdirat)(const struct io *self, int dirfd, const char *path, mode_t mode);
    int (*unlinkat)(const struct io *self, int dirfd, const char *path, int flags);
    int (*renameat2)(const struct io *self, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, unsigned flags);
    int (*linkat)(const struct io *self, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, int flags);
    int (*symlinkat)(const struct io *self, const char *target, int dirfd, const char *path);
    int (*mknodat)(const struct io *self, int dirfd, const char *path, mode_t mode, dev_t device);
    ssize_t (*readlinkat)(const struct io *self, int dirfd, const char *path, char *target, size_t n);
    int (*statx)(const struct io *self, int dirfd, const char *path, int flags, unsigned mask, struct statx *st);
    ssize_t (*getdents64)(const struct io *self, int fd, void *data, size_t n);
    // Metadata. fchownat and utimensat: path "" with AT_EMPTY_PATH means the descriptor itself.
    int (*fchownat)(const struct io *self, int dirfd, const char *path, uid_t uid, gid_t gid, int flags);
    int (*fchmod)(const struct io *self, int fd, mode_t mode);
    int (*utimensat)(const struct io *self, int dirfd, const char *path, const struct timespec times[2], int flags);
    int (*fsetxattr)(const struct io *self, int fd, const char *name, const void *value, size_t n);
    int (*fremovexattr)(const struct io *self, int fd, const char *name);
    int (*setflags)(const struct io *self, int fd, unsigned flags, unsigned mask); // FS_IOC_SETFLAGS of the bits in mask
    int (*fstatvfs)(const struct io *self, int fd, struct statvfs *ret_st);
    int (*clone)(const struct io *self, int to_fd, int from_fd);                  // FICLONE: shares all blocks of another file
    int (*punch)(const struct io *self, int fd, off_t offset, off_t n);           // makes a hole, within the file's size
    int (*clock)(const struct io *self, clockid_t clock, struct timespec *ret_now);
    int (*random)(const struct io *self, void *data, size_t n); // all n bytes or -1
    void *(*alloc)(const struct io *self, size_t n);            // large memory; free() it
    void *state;
};

// The real operating system.
const struct io *io_real(void);

MUST_USE int io_open(const struct io *io, int dirfd, const char *path, int flags, mode_t mode, int *ret_fd, struct error *err);
// Closes and reports what the kernel says: a failed close of a written file is a failed write.
MUST_USE int io_close(const struct io *io, int *fd, const char *path, struct error *err);
// Closes a descriptor that was only read from, or whose content no longer matters. *fd becomes -1.
void io_close_quietly(const struct io *io, int *fd);
// Reads until n bytes or end of file; *ret_n is what was read.
MUST_USE int io_read_full(const struct io *io, int fd, void *data, size_t n, const char *path, size_t *ret_n, struct error *err);
MUST_USE int io_pread_full(const struct io *io, int fd, void *data, size_t n, uint64_t offset, const char *path, size_t *ret_n, struct error *err);
MUST_USE int io_write_all(const struct io *io, int fd, const void *data, size_t n, const char *path, struct error *err);
MUST_USE int io_pwrite_all(const struct io *io, int fd, const void *data, size_t n, uint64_t offset, const char *path, struct error *err);
MUST_USE int io_fsync(const struct io *io, int fd, const char *path, struct error *err);
MUST_USE int io_syncfs(const struct io *io, int fd, const char *path, struct error *err);
MUST_USE int io_truncate(const struct io *io, int fd, uint64_t size, const char *path, struct error *err);
MUST_USE int io_mkdir(const struct io *io, int dirfd, const char *path, mode_t mode, struct error *err); // ERROR_EXISTS when there
MUST_USE int io_unlink(const struct io *io, int dirfd, const char *path, int flags, struct error *err);
// Never overwrites: ERROR_EXISTS when the new name is taken.
MUST_USE int io_rename_new(const struct io *io, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, struct error *err);
MUST_USE int io_rename_over(const struct io *io, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, struct error *err);
MUST_USE int io_link(const struct io *io, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, struct error *err);
// Gives the file of a descriptor a name, which it may have none of yet (O_TMPFILE). Never overwrites. Before Linux 6.10 it needs CAP_DAC_READ_SEARCH.
MUST_USE int io_link_fd(const struct io *io, int fd, int dirfd, const char *name, struct error *err);
MUST_USE int io_stat(const struct io *io, int dirfd, const char *path, int flags, struct statx *ret_st, struct error *err);

uint64_t io_realtime_ns(const struct io *io);    // since 1970-01-01 UTC; from one second to INT64_MAX (year 2262), whatever the clock says
uint64_t io_monotonic_ns(const struct io *io);   // for durations only
uint64_t io_thread_cpu_ns(const struct io *io);  // the processor's time of the calling thread; a system call
uint64_t io_process_cpu_ns(const struct io *io); // and of all threads
// Fills with kernel randomness; a failure ends the process (there is no safe way on).
void io_random(const struct io *io, void *data, size_t n);
// NULL becomes ERROR_FAILED naming `what` and the size.
MUST_USE int io_alloc(const struct io *io, size_t n, const char *what, void **ret_memory, struct error *err);

#endif
