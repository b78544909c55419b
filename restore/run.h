// A restore from an open snapshot to a finished tree, as one straight line.
#ifndef BKD_RESTORE_RUN_H
#define BKD_RESTORE_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "bkd/repo/snapshot.h"
#include "restore/decide.h"
#include "restore/owner_map.h"
#include "restore/report.h"
#include "restore/selection.h"
#include "restore/timing.h"

struct run_options {
    const char *target; // directory; made when it does not exist
    struct selection *selection; // what to restore, borrowed; NULL = everything
    unsigned strip; // components taken off the front of each path
    unsigned jobs;  // worker threads; 0 = one more than processors, 8 at most
    enum decide_mode overwrite; // what becomes of names that are taken
    bool in_place_delta; // existing files serve what they hold; only blocks that differ are written
    bool delete;         // what the selected directories hold beside the snapshot goes
    // Asked before the first write when something would be deleted; NULL = nobody can be asked, which refuses.
    bool (*may_delete)(uint64_t count, const char *first, const char *target);
    const char *repository; // where it is, spared by `delete`; may be NULL
    bool resume;         // go on with an interrupted restore of the same
    const char *again;   // the command line that goes on with it, for messages; NULL = not known, or too long for one
    bool verify;         // read everything again at the end
    bool no_sync;        // what was written may still be in the page cache at the end
    bool dry_run;
    bool strict; // ends before the first write when the target cannot hold everything as it was
    bool keep_going; // files whose stored data is damaged do not stop the others
    bool numeric_owner;
    bool untrusted; // nothing that raises rights: no setuid, setgid, devices, capabilities
    bool target_attributes; // the target gets its directory's metadata, also when it existed
    const struct owner_map *owners; // borrowed; NULL = none
    bool json, quiet;
    bool (*interrupted)(void); // asked between steps; NULL = never
};

// Overwrites in the target what options->overwrite says, by default nothing. 0, or the error that says how it ended: ERROR_INCOMPLETE when something is not there or not exact,
// ERROR_INTEGRITY when stored data was not what it should be. ret_report is filled in every case.
MUST_USE int run_restore(const struct io *io, struct snapshot *snapshot, const struct run_options *options, struct timing *timing,
                         struct report *ret_report, struct error *err);

#endif
