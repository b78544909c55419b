// --verify: everything that was restored is read again from the disk, after it was synced and the page cache was told to forget it, and compared
// with the snapshot: type, size, target, mode, owner, time, attributes, content.
#ifndef BKD_RESTORE_REREAD_H
#define BKD_RESTORE_REREAD_H

#include "bkd/base/progress.h"
#include "restore/apply.h"
#include "restore/decide.h"
#include "restore/plan.h"
#include "restore/report.h"
#include "restore/survey.h"

struct reread {
    const struct io *io; // all borrowed
    struct plan *plan;
    struct apply *apply; // reads recipes and texts of attributes
    struct attrs_names *names;
    const struct decide_rules *rules;
    struct survey *survey; // directories that kept their metadata are not compared
    struct told *told;     // what is passed over
    struct report *report; // its own list is off meanwhile
    struct progress *progress;
    unsigned strip;
    int target_fd;
    bool (*interrupted)(void); // may be NULL
};

// Reports REPORT_DIFFERS. What was reported before (left alone, not written) is passed over. Rewinds plan and survey.
MUST_USE int reread_run(const struct reread *r, struct snapshot *snapshot, struct error *err);

#endif
