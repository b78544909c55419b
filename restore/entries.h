// Entries of the selection become directories, files, links and devices below the target: here they are made, or handed to the windows.
#ifndef BKD_RESTORE_ENTRIES_H
#define BKD_RESTORE_ENTRIES_H

#include "restore/meet.h"
#include "restore/plan.h"
#include "restore/windows.h"

struct entries {
    const struct io *io; // all borrowed
    struct snapshot *snapshot;
    struct timing *timing;
    struct apply *apply;
    struct target *target;
    struct deferred *deferred;
    struct report *report;
    struct windows *windows;
    struct plan *plan;
    struct attrs_names *names;
    const struct attrs_self *self;
    struct meet *meet;
    unsigned strip;
    bool keep_going;
    bool leave_streams;
    bool counts_holes;   // they are among the bytes of the progress
    bool in_place_delta; // existing files serve what they hold
    bool root_wanted;    // … and gets the metadata of the directory it stands for in any case
    bool root_made;      // the target itself was made by this restore, in this run or the one it goes on with
    bool (*interrupted)(void); // may be NULL
    // Its own:
    struct buf skipped; // below this directory nothing can be restored; len 0 = none
    bool has_stream_dir;
    bool root_claimed;  // the target itself stands for a directory of the snapshot
};

void entries_done(struct entries *r);

// Reads the plan from its beginning and makes all entries. What concerns one entry is reported; an error ends the restore.
MUST_USE int entries_restore(struct entries *r, struct error *err);

#endif
