// Opening many files of a tree by path, directory by directory, without following links and without a limit on path length.
// The descriptors of the last directory's ancestors are kept, so files visited in path order cost one openat each.
#ifndef BKD_BASE_DIRCHAIN_H
#define BKD_BASE_DIRCHAIN_H

#include <stddef.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"
#include "bkd/base/io.h"

#define DIRCHAIN_OPEN_MAX 32 // descriptors kept at most

struct dirchain {
    const struct io *io;
    int root_fd;         // owned
    struct buf path;     // of the directory at the end of the chain, relative to the root, no slashes at the ends
    struct dirchain_level {
        int fd;          // -1 when it had to be given up
        size_t path_len; // of `path` up to and including this directory
    } *levels;
    size_t depth, cap;
    struct dirchain_alias {
        const char *path, *place; // borrowed
    } *aliases;
    size_t n_aliases;
    struct buf real; // of the path looked for last, where an alias holds
};

// root: an absolute directory all paths are below ("/" usually).
MUST_USE int dirchain_init(struct dirchain *d, const struct io *io, const char *root, struct error *err);
void dirchain_done(struct dirchain *d);
#define _cleanup_dirchain_ __attribute__((cleanup(dirchain_done)))

// From now on `path` and all below it is looked for at `place` (both absolute, below the root; borrowed).
void dirchain_alias(struct dirchain *d, const char *path, const char *place);

// The directory that holds `path` (absolute below the root, leading slashes ignored), and the last component (points into `path`, or into *d where an alias holds; "." for
// the root itself). The descriptor (O_PATH: good for the *at calls) is borrowed until the next call. A component that is a symbolic link is an
// error (ENOTDIR).
MUST_USE int dirchain_parent(struct dirchain *d, const char *path, int *ret_dirfd, const char **ret_name, struct error *err);

#endif
