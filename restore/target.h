// The directories of the target, held by descriptor. Every file is made by a name without slash in a held directory, so nothing below
// the target can lead outside it: links are never followed, paths may be longer than PATH_MAX.
//
// One thread (the planner) walks in path order with target_parent and target_mkdir; it hands directories to workers with target_ref,
// which give them back with target_unref. A directory's descriptor is closed when nobody holds it.
#ifndef BKD_RESTORE_TARGET_H
#define BKD_RESTORE_TARGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"
#include "bkd/base/io.h"

struct target_id {
    uint64_t device, inode;
};

struct target_dir {
    struct target *target;
    int fd;
    atomic_uint refs;
    struct target_id id;
    bool made;        // by this restore, so it held nothing before
    bool plain_owner; // what is made in it gets our own user and group
    bool imposes_acl; // has a default ACL
};

struct target_level;

struct target {
    const struct io *io;
    char *name; // as given, for messages
    struct target_dir *root;
    uint32_t uid, gid; // ours
    struct buf path;   // of the innermost directory, relative to the root
    struct target_level *levels;
    size_t depth, cap;
    atomic_uint open_dirs; // descriptors held now, to be bounded by the caller
};

// Opens the target directory, making it (and missing parents) when it does not exist: root->made says so. A target that is a
// symbolic link or no directory is ERROR_USAGE.
MUST_USE int target_open(struct target *t, const struct io *io, const char *path, struct error *err);
// The same without making anything: *ret_exists false when there is no such directory.
MUST_USE int target_open_existing(struct target *t, const struct io *io, const char *path, bool *ret_exists, struct error *err);
// The existing directory nearest to `path`: itself, or one above it. Links are followed: it is only looked at.
MUST_USE int target_open_nearest(const struct io *io, const char *path, int *ret_fd, struct error *err);
// Is the open directory `dir` itself, or below it?
MUST_USE int target_is_within(const struct io *io, int fd, const struct target_id *dir, bool *ret_within, struct error *err);
void target_done(struct target *t);

// The directory that holds `path` (relative to the target, no slashes at the ends, not empty) and the last component, which points into path.
// It must have been made or entered with target_mkdir before: else ERROR_INTEGRITY, "entry without its directory".
MUST_USE int target_parent(struct target *t, const char *path, size_t n, struct target_dir **ret_dir, const char **ret_name,
                           struct error *err);

// Makes the directory `path` with mode 0700, or enters it when it exists (ret_dir->made says which); borrowed until the next call.
// ERROR_EXISTS: the name is taken by something else.
MUST_USE int target_mkdir(struct target *t, const char *path, size_t n, struct target_dir **ret_dir, struct error *err);

// The directory entered last is new after all: it took the place of something else.
void target_claim(struct target *t, struct target_dir *d);

struct target_dir *target_ref(struct target_dir *d);
void target_unref(struct target_dir *d);

// What fstat says of a descriptor.
MUST_USE int target_id_of(const struct io *io, int fd, struct target_id *ret_id, struct error *err);
static inline bool target_id_equal(const struct target_id *a, const struct target_id *b)
{
    return a->device == b->device && a->inode == b->inode;
}

// Is anything in the root? For the report before a restore into a directory that is not empty.
MUST_USE int target_is_empty(struct target *t, bool *ret_empty, struct error *err);

#endif
