// A restore under way: what its steps share. Private to restore/run*.c.
#ifndef BKD_RESTORE_RUN_STATE_H
#define BKD_RESTORE_RUN_STATE_H

#include "restore/entries.h"
#include "restore/expect.h"
#include "restore/flush.h"
#include "restore/marker.h"
#include "restore/mirror.h"
#include "restore/run.h"

struct run {
    const struct io *io;
    const struct run_options *options;
    struct snapshot *snapshot;
    struct timing *timing;
    struct report *report;
    int scratch_fd;
    bool leave_streams;
    bool counts_holes; // the bytes of its progress are logical sizes
    struct attrs_self self;
    struct attrs_names *names;
    struct plan plan;
    struct target target;
    struct apply apply;
    struct decide_rules rules;
    struct survey survey;
    struct expect_rates rates;
    struct marker marker;
    struct mirror mirror;
    struct told told;
    struct meet meet;
    struct deferred deferred;
    struct windows windows;
    struct flush *flush; // NULL when nothing is being written
    struct entries entries;
    struct progress *progress;
};

// restore/run_prepare.c: the target is opened, looked at, asked about and marked; nothing else is written. What is not in the snapshot is known to
// r->mirror, what stood there to r->survey; r->rules and r->meet are ready.
MUST_USE int run_prepare(struct run *r, struct error *err);
// The same looks without a mark, and what would be done is listed.
MUST_USE int run_rehearse(struct run *r, struct error *err);

#endif
