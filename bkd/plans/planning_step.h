// Carrying out one step of a recovery plan by itself: what restores, runs, checks and tells. Steps that people answer are in planning_ask.h.
#ifndef BKD_PLANS_PLANNING_STEP_H
#define BKD_PLANS_PLANNING_STEP_H

#include "bkd/dr/scratch.h"
#include "bkd/plans/planning.h"

struct planning_work {
    const struct context *ctx;
    const struct recovery *plan;
    const struct recovery_step *step;
    const struct recovery_system *system; // NULL = of none
    struct recovery_destination place; // where the system is restored to; its tree is there also in scratch space
    const struct scratch *scratch; // borrowed: the scratch space that is; NULL = it is none
    const char *run, *scenario, *identity;
    enum planning_mode mode;
    void (*said)(void *arg, const struct recovery_step *step, const char *line); // each line of a command's output; from the thread that executes
    void *arg;
    // What came of it:
    bool passed;
    char *message, *copy; // owned; NULL = nothing to say
    uint64_t snapshot, snapshot_time_ns, files, bytes;
};

// Several may be executed at once, each in a thread of its own.
void planning_step_execute(struct planning_work *w);
// RECOVERY_RESTORE, of planning_step_execute: the system, from its policy's copy, to its place.
MUST_USE int planning_restore(struct planning_work *w, struct error *err);
void planning_work_done(struct planning_work *w);

// How ssh reaches a host. The strings it borrows are in *ret_files.
struct planning_ssh {
    struct remote *remote;
    char *identity, *known_hosts;
};
struct remote;
void planning_ssh_init(struct planning_ssh *ssh, const struct context *ctx, const struct recovery_host *host);
void planning_ssh_done(struct planning_ssh *ssh);
#define _cleanup_planning_ssh_ __attribute__((cleanup(planning_ssh_done)))

#endif
