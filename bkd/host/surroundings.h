// What a policy asks for around a backup run: hooks, and snapshots of its sources.
//   lock -> hooks before -> snapshots of sources taken -> the backup -> what belongs beside it -> snapshots released -> holds, copies or, if it failed, hooks on_failure -> hooks after
// Whatever fails once the lock is held, the part behind the backup is done. Usual order: surroundings_init; backup_run with .around; surroundings_problem.
#ifndef BKD_HOST_SURROUNDINGS_H
#define BKD_HOST_SURROUNDINGS_H

#include "bkd/around/hooks.h"
#include "bkd/around/views.h"
#include "bkd/base/progress.h"
#include "bkd/engine/backup.h"
#include "bkd/host/setup.h"

struct surroundings {
    struct setup *setup;       // borrowed
    struct progress *progress; // borrowed
    const char *tag;           // borrowed
    // What is to be done with a new snapshot, set by the caller; NULL = nothing: beside it, in its store while that is still open (nothing may fail there) ...
    void (*beside)(void *arg, struct store *store);
    // ... and while the repository is sure to be there, which the hooks after may unmount.
    int (*committed)(void *arg, const struct backup_result *result, struct error *err);
    void *arg;
    struct backup_around around;
    struct hooks hooks;
    struct view_system system;
    struct views views;
    bool was_interrupted; // before the snapshots' program at hand began: it is not to suffer for that
    bool has_ended;
    struct error problem;   // after the backup something failed: code is not 0
    struct error follow_up; // so did `committed`
};

void surroundings_init(struct surroundings *s, struct setup *setup, struct progress *progress, const char *tag);
// The run failed: runs the hooks on_failure, unless they were, or it did not even begin because there is one already or the command line is wrong.
void surroundings_tell_failure(struct surroundings *s, const struct error *err);
// Did something go wrong behind the backup? Then surroundings_problem says what, as ERROR_INCOMPLETE: the snapshot is committed.
static inline bool surroundings_failed(const struct surroundings *s) { return s->problem.code != 0; }
int surroundings_problem(const struct surroundings *s, struct error *err);
// Does the policy ask for anything here? (a dry run leaves it out; what a killed run left is released in any case)
bool surroundings_are_wanted(const struct policy *policy);

#endif
