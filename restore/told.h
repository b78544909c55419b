// Of which paths a restore has told that they are not there, or not exactly: kept in sorted runs on disk for a later pass over the plan, which asks
// path by path in its order. told_init → told_add … → told_rewind → told_ask ….
#ifndef BKD_RESTORE_TOLD_H
#define BKD_RESTORE_TOLD_H

#include <stdbool.h>

#include "bkd/base/buf.h"
#include "bkd/base/spill.h"

enum told_kind {
    TOLD_NOTHING,
    TOLD_INEXACT, // its metadata is not that of the snapshot
    TOLD_LEFT,    // it is not there, or something else is
};

struct told {
    struct spill *records;
    struct buf next; // the record at hand: kind, path with its NUL; len 0 = none left
    bool failed;     // a record could not be kept: nothing is known any more
};

void told_init(struct told *t, const struct io *io, int scratch_dirfd);
void told_done(struct told *t);

void told_add(struct told *t, enum told_kind kind, const char *path);
MUST_USE int told_rewind(struct told *t, struct error *err);
// The worst that was told of the path. Paths ascend.
MUST_USE int told_ask(struct told *t, const char *path, enum told_kind *ret_kind, struct error *err);

#endif
