// The commands of a policy around a run. What they are told comes in their environment (BKD_…), never in their arguments. What they say is kept (the last
// 64 KiB), shown in the log and recorded, with control characters escaped, in the file hooks.log of the policy's local state, which tells of the last run.
// Usual order: hooks_open; hooks_run (before); the backup; hooks_run (on_failure, if it failed); hooks_run (after); hooks_close.
#ifndef BKD_AROUND_HOOKS_H
#define BKD_AROUND_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/env.h"
#include "bkd/base/proc.h"
#include "bkd/policy/policy.h"

#define HOOKS_LOG "hooks.log"

enum hooks_phase { HOOKS_BEFORE, HOOKS_ON_FAILURE, HOOKS_AFTER };
extern const char *const hooks_phase_names[]; // "before", "on_failure", "after": as policies and BKD_PHASE call them

// One command that was run.
struct hooks_outcome {
    enum hooks_phase phase;
    const char *name, *program;
    bool started;                     // else: why not
    const char *why;
    const struct proc_result *result; // output: both of its outputs
};

struct hooks {
    const struct io *io;
    const struct policy *policy;
    int log_fd;
    bool (*interrupted)(void); // may be NULL: somebody wants this process to end
    bool was_interrupted;      // before the command at hand began: it is not to suffer for that
    void (*report)(void *arg, const struct hooks_outcome *outcome);
    void *arg;
};

// `state_dir`: of the policy; what the log held is gone. policy, interrupted, report and arg are set by the caller before.
MUST_USE int hooks_open(struct hooks *h, const struct io *io, const char *state_dir, struct error *err);
void hooks_close(struct hooks *h);

// Runs the commands of one phase, one after the other; `facts` is their environment. Of HOOKS_BEFORE the first that fails ends it, of the others all
// are run. The error tells of the first that failed. Commands are ended when `interrupted` becomes true while they run.
MUST_USE int hooks_run(struct hooks *h, enum hooks_phase phase, const struct env *facts, struct error *err);

#endif
