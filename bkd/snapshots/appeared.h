// What has appeared in the live tree since a snapshot: collected while comparing, and removed again when that is wanted. Only these very names are
// removed, never through a link; a directory only when it is empty then, so that what the policy leaves out stays, and a mount does.
#ifndef BKD_SNAPSHOTS_APPEARED_H
#define BKD_SNAPSHOTS_APPEARED_H

#include "bkd/base/io.h"
#include "bkd/base/spill.h"
#include "bkd/repo/manifest.h"
#include "bkd/snapshots/spared.h"

struct appeared {
    const struct io *io;
    struct spill *names; // deepest first
    uint64_t removed, kept;
};

// Sorted runs go to the directory scratch_fd (borrowed).
void appeared_init(struct appeared *a, const struct io *io, int scratch_fd);
void appeared_done(struct appeared *a);
MUST_USE int appeared_add(struct appeared *a, const struct manifest_entry *entry, struct error *err);

// Removes them all but what is spared (NULL: nothing is). What stays, and why, goes to `kept`; one that is gone already is no matter. Errors are
// those of the list.
typedef void appeared_kept_fn(void *arg, const char *path, const char *why);
MUST_USE int appeared_remove(struct appeared *a, const struct spared *spared, appeared_kept_fn *kept, void *arg, struct error *err);

#endif
