// What several modules do with files, built on io: whole files, durable replacement, directory listings, making directories.
#ifndef BKD_BASE_FS_H
#define BKD_BASE_FS_H

#include "bkd/base/buf.h"
#include "bkd/base/io.h"

// Reads a whole file of at most max_bytes; larger is ERROR_FORMAT. ret_data is appended to.
MUST_USE int fs_read_file(const struct io *io, int dirfd, const char *path, size_t max_bytes, struct buf *ret_data, struct error *err);

// A file reaches its name by: write aside (mode `mode`, exclusive), fsync, rename, fsync of the directory.
// fs_replace_file overwrites; fs_create_file fails with ERROR_EXISTS when the name is taken and leaves the other's bytes alone.
MUST_USE int fs_replace_file(const struct io *io, int dirfd, const char *path, mode_t mode, const void *data, size_t n, struct error *err);
MUST_USE int fs_create_file(const struct io *io, int dirfd, const char *path, mode_t mode, const void *data, size_t n, struct error *err);
// The first steps alone, with or without the fsync, for whoever gives many files their names together. The caller renames or removes *ret_aside, and frees it.
MUST_USE int fs_write_aside(const struct io *io, int dirfd, const char *path, mode_t mode, const void *data, size_t n, bool durable, char **ret_aside, struct error *err);

// mkdir -p below dirfd; existing directories are fine. Every directory that was made is made durable in its parent.
MUST_USE int fs_make_dirs(const struct io *io, int dirfd, const char *path, mode_t mode, struct error *err);
// fsync of the directory that holds `path`.
MUST_USE int fs_sync_parent(const struct io *io, int dirfd, const char *path, struct error *err);

// Calls visit for each name (not "." and "..") of a directory in the order the kernel gives; type is DT_*. A visit that
// returns non-zero ends the listing with that value.
typedef int fs_visit_fn(void *arg, const char *name, unsigned char type, struct error *err);
MUST_USE int fs_list_dir(const struct io *io, int dirfd, const char *path, fs_visit_fn *visit, void *arg, struct error *err);

// Removes a file or directory tree below dirfd without following links; a missing one is fine.
MUST_USE int fs_remove_tree(const struct io *io, int dirfd, const char *path, struct error *err);

// An advisory lock (open file description lock, gone with the process). ERROR_BUSY when another holds it.
MUST_USE int fs_lock(const struct io *io, int dirfd, const char *path, int *ret_fd, struct error *err);

// The same on an open file, at once; false when another holds it.
bool fs_try_lock(int fd);
// Does another hold it? Takes nothing.
bool fs_is_locked(int fd);

#endif
