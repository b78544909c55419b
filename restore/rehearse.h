// What a restore would do, without doing it: each entry meets what stands in the target by the same rules (restore/meet.h), and is listed.
//
// A line for people on standard output: "create /srv/x", and likewise replace, update (only the metadata), leave and delete; with --json an object of
// the type "action" with path, entry_type, bytes and why. What would not be restored is a problem, as in the restore.
#ifndef BKD_RESTORE_REHEARSE_H
#define BKD_RESTORE_REHEARSE_H

#include "restore/meet.h"
#include "restore/plan.h"
#include "restore/report.h"

struct rehearse {
    const struct io *io; // all borrowed
    struct plan *plan;
    const struct meet *meet;
    struct attrs_names *names;
    const struct attrs_self *self;
    struct report *report; // gets the counts of what would be made, and `needed`
    unsigned strip;
    bool leave_streams;
    int target_fd; // the target; -1 = it does not exist
    // Its own:
    struct buf blocked; // below this directory nothing can be restored; len 0 = none
    bool sparse;        // holes are counted
    struct buf fresh;   // below this one, which takes the place of something else, nothing stands
};

// Lists what --delete would remove: a path below the target (directories stand for all they hold).
void rehearse_deleted(const struct rehearse *r, const char *below);

// Errors are those of reading the plan. Frees what is its own.
MUST_USE int rehearse_run(struct rehearse *r, struct error *err);

#endif
