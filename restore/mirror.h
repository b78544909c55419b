// An exact mirror (--delete): what stands in the selected directories of the target and is not in the snapshot is counted beforehand and
// removed when everything else is in place.
//
// Only directories that the backup has listed whole count: not those on the way to its sources, not mount points and marked directories it did
// not enter, not those of which the policy left something out. What the patterns of the selection leave out stays. Mounts are not entered. Lists are sorted runs on disk.
//
// mirror_init → mirror_survey (before the first write) → mirror_run → mirror_done.
#ifndef BKD_RESTORE_MIRROR_H
#define BKD_RESTORE_MIRROR_H

#include "restore/apply.h"
#include "restore/plan.h"
#include "restore/prune.h"
#include "restore/report.h"

struct mirror {
    const struct io *io; // all borrowed
    int scratch_dirfd;
    struct plan *plan;
    struct selection *selection;
    unsigned strip;
    int target_fd;
    struct target_id spared; // a directory that stays: the repository
    bool replaces;          // directories where the snapshot has something else go too, with what they hold
    // Its own:
    struct spill *extras;   // what goes
    char *first;            // the first of them, for the question; NULL = none
    uint64_t count;         // with all that directories hold
};

// The borrowed fields are set by the caller before.
void mirror_init(struct mirror *m);
void mirror_done(struct mirror *m);

// Finds what goes: count, first. Rewinds plan and selection.
MUST_USE int mirror_survey(struct mirror *m, struct error *err);
// Calls `visit` for each of them, by its path below the target.
MUST_USE int mirror_list(struct mirror *m, void (*visit)(void *arg, const char *below), void *arg, struct error *err);
// Removes them. What stays although it should go is reported.
MUST_USE int mirror_run(struct mirror *m, struct report *report, struct error *err);

#endif
