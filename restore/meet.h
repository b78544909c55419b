// A name of the snapshot meets what stands in the target: looked at, its content and attributes compared where the rules ask for it, decided.
// Both the restore and its rehearsal ask here.
#ifndef BKD_RESTORE_MEET_H
#define BKD_RESTORE_MEET_H

#include "restore/apply.h"
#include "restore/existing.h"
#include "restore/survey.h"

struct meet {
    const struct io *io; // all borrowed
    const struct decide_rules *rules;
    struct apply *apply;   // reads texts of attributes, as its last worker
    struct survey *survey; // rewound; NULL when nothing stood in the target
};

struct meeting {
    enum decide_action action;
    const char *why; // a few words
    struct existing existing;
};

// `sequence`: of the entry in the plan; entries come in its order. Errors are those of looking: the caller reports them for this path.
MUST_USE int meet_name(const struct meet *m, int dirfd, const char *name, const struct manifest_entry *entry, const struct attrs *attrs,
                       uint64_t sequence, struct meeting *ret_meeting, struct error *err);

#endif
