// What has to wait until all content is in place: further names of hard-linked files, flags that forbid changes, and directories'
// metadata, deepest first. Kept in sorted runs on disk, so memory does not grow with the number of entries.
//
// Each thing is found again by walking down from the target's root without following links, and only touched when it is the very inode
// this restore made: somebody who exchanges directories meanwhile gains nothing.
#ifndef BKD_RESTORE_DEFERRED_H
#define BKD_RESTORE_DEFERRED_H

#include "restore/apply.h"
#include "restore/decide.h"
#include "restore/plan.h"
#include "restore/report.h"

struct deferred {
    const struct io *io;
    int scratch_dirfd;                // borrowed
    const struct decide_rules *rules; // borrowed; what becomes of further names that are taken
    struct spill *firsts, *flags, *dirs;
};

void deferred_init(struct deferred *d, const struct io *io, int scratch_dirfd, const struct decide_rules *rules);
void deferred_done(struct deferred *d);

// An inode with several names, made or left under its first one.
struct deferred_first {
    struct target_id id;
    int64_t mtime_s; // the snapshot's, which taken further names are measured against: the first may have stayed because it is newer
    uint32_t mtime_ns;
};
MUST_USE int deferred_add_first(struct deferred *d, uint64_t sequence, const struct deferred_first *first, struct error *err);
// A file gets INODE_FLAGS_LATE. path: in the snapshot; its last n bytes are the path below the target.
MUST_USE int deferred_add_flags(struct deferred *d, const char *path, size_t n, const struct target_id *id, uint32_t flags,
                                struct error *err);
// A directory gets its metadata. n 0 is the target itself.
struct deferred_dir {
    struct target_id id;
    struct attrs attrs;
    bool clear_acl;
    bool existed; // attributes it has beside the recorded ones go
    bool above;   // on the way to the sources
};
MUST_USE int deferred_add_dir(struct deferred *d, const char *path, size_t n, const struct deferred_dir *dir, struct error *err);

// What it is done with and told to; all borrowed.
struct deferred_context {
    struct plan *plan;
    struct target *target;
    struct apply *apply;
    struct report *report;
    unsigned strip;
};
// Further names; then, when every name stands, flags and directories. The planner's thread, workers idle. What fails for one path is reported;
// errors are those of scratch files.
MUST_USE int deferred_link(struct deferred *d, const struct deferred_context *context, struct error *err);
MUST_USE int deferred_finish(struct deferred *d, const struct deferred_context *context, struct error *err);

#endif
