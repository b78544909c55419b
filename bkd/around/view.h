// One source frozen while it is read: a snapshot of its file system, made by a program, read in the source's place, and released by a program.
// What is needed to release it is known before it is made, so that it can be written down first. Only for bkd/around/views.c and the kinds of views.
#ifndef BKD_AROUND_VIEW_H
#define BKD_AROUND_VIEW_H

#include <stdbool.h>

#include "bkd/around/mounts.h"
#include "bkd/base/buf.h"
#include "bkd/base/env.h"
#include "bkd/policy/policy.h"

// What of the system views use, so that tests can tell what would be run where the kernel lacks it.
struct view_system {
    const struct io *io;
    const char *mounts_file;
    // Runs a program to its end; *ret_said (may be NULL) gets what it wrote to standard output. Fails unless it exits with 0, and says what it said.
    int (*run)(const struct view_system *system, const char *const *argv, const struct env *env, uint64_t timeout_ms, struct buf *ret_said, struct error *err);
    bool (*stop)(void *arg); // NULL = nothing stops programs
    void *arg;
};

struct view {
    enum policy_snapshot_type type;
    char *source; // the path that is backed up
    char *name;   // "bkd-POLICY-N"
    uint64_t timeout_ms;
    // Enough to release it:
    char *made;           // a subvolume's path, VG/NAME, DATASET@NAME; NULL for commands
    char *mount;          // where it gets mounted; NULL for those that need no mount
    const char **release; // argv of a command; NULL for others
    // Only in the run that makes it:
    char *origin;     // what it is a snapshot of: a subvolume, VG/LV, a dataset
    bool is_thin;     // lvm
    char *filesystem; // lvm: its type
    char *below;      // where the source is in the snapshot: "/x/y" or ""
    char *path;       // what to read in the place of the source, when it is made
};

// The kinds of views. plan finds out origin, made and the like, makes nothing, and fails when what it would make is there already. make makes it and sets
// path. release removes whatever is there of it: nothing, when nothing is; also after another process planned it.
struct view_kind {
    int (*plan)(const struct view_system *system, const struct policy_snapshot *policy, struct view *v, struct error *err);
    int (*make)(const struct view_system *system, const struct policy_snapshot *policy, const struct env *env, struct view *v, struct error *err);
    int (*release)(const struct view_system *system, const struct env *env, const struct view *v, struct error *err);
};
extern const struct view_kind view_btrfs, view_command, view_lvm, view_zfs;

void view_done(struct view *v);
// Runs a program with our environment; the arguments end with NULL.
MUST_USE int view_run(const struct view_system *system, const struct view *v, struct buf *ret_said, struct error *err, ...) __attribute__((sentinel));
// The last line of what a program said, without blanks around; caller frees.
char *view_last_line(const struct buf *said);

#endif
