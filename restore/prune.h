// Removing trees from the target: never through a link, never into another file system, never what is to be spared.
#ifndef BKD_RESTORE_PRUNE_H
#define BKD_RESTORE_PRUNE_H

#include "restore/target.h"

struct prune {
    const struct io *io;
    const struct target_id *spared; // directories that stay with all they hold; borrowed
    size_t n_spared;
    bool count_only; // remove nothing
    uint64_t removed;
    uint64_t kept; // what stays, mounts and spared directories included
    struct buf why; // the first reason for something that stays; empty = none
};

void prune_done(struct prune *p);

// `name` in dirfd and, when it is a directory, all it holds. Returns false when something of it stays; p->why says what and why.
bool prune_name(struct prune *p, int dirfd, const char *name);

#endif
