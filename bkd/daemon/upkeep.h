// What a daemon does besides starting runs: `bkd watch` in a process of its own, now and then and after each run. Messages to servers that do not answer
// must hold nothing up.
#ifndef BKD_DAEMON_UPKEEP_H
#define BKD_DAEMON_UPKEEP_H

#include "bkd/daemon/jobs.h"

struct upkeep {
    struct jobs jobs; // one at a time
    struct loop_source *time; // when to start it once more, or to end it
    bool once_more; // somebody wanted it while it was at work
};

// starter: as in struct jobs. `u` must not move afterwards.
MUST_USE int upkeep_init(struct upkeep *u, const struct context *ctx, struct loop *loop, const char *starter, struct error *err);
// One that is at work goes on to its end.
void upkeep_done(struct upkeep *u);
// Starts one; when one is at work, another follows it.
void upkeep_start(struct upkeep *u);

#endif
