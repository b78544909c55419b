// Which mounted file system a path is on, from /proc/self/mountinfo (proc(5)).
#ifndef BKD_AROUND_MOUNTS_H
#define BKD_AROUND_MOUNTS_H

#include <stdbool.h>

#include "bkd/base/io.h"

#define MOUNTS_FILE "/proc/self/mountinfo"

struct mount {
    char *place;  // where it is mounted
    char *root;   // what of the file system is mounted there: "/", or a directory of it
    char *type;   // "ext4"
    char *device; // as it was named: "/dev/mapper/vg-lv", a ZFS dataset
};

// The mount that `path` (absolute, without links) lies on: of the deepest place the one mounted last. `file`: MOUNTS_FILE, or another of its form.
// ERROR_NOT_FOUND when there is none.
MUST_USE int mounts_find(const struct io *io, const char *file, const char *path, struct mount *ret_mount, struct error *err);
void mount_done(struct mount *m);
#define _cleanup_mount_ __attribute__((cleanup(mount_done)))

// What of `path` lies behind `dir` ("/x/y", or "" when they are the same); NULL when path is not in dir.
const char *mounts_below(const char *path, const char *dir);

#endif
