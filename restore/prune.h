// Removing trees from the target: never through a link, never into another file system, never what is to be spared.
#ifndef BKD_RESTORE_PRUNE_H
#define BKD_RESTORE_PRUNE_H

#include "restore/target.h"

struct prune {
    const struct io *io;
    const struct target_id *spared; // directories that stay with all they hold; borrowed
    size_t n_spared;
    bool count_only; // remove nothing
    // Asked for each name before anything below it: does it stay (with all it holds)? NULL = nothing does. `path`: see prune_name.
    bool (*stays)(void *arg, const char *path, bool is_dir);
    void *arg;
    struct buf path; // of the name at hand
    uint64_t removed;
    uint64_t kept;  // what should have gone: mounts, spared directories, failures
    struct buf why; // the first reason for that; empty = none
};

void prune_done(struct prune *p);

// `name` in dirfd and, when it is a directory, all it holds. Returns false when something of it stays; p->why says what should have gone.
// p->path is set by the caller to the name's path for `stays`, and is the same afterwards.
bool prune_name(struct prune *p, int dirfd, const char *name);

#endif
