// Policies run themselves: joins what the policies say, what the catalogue remembers and what runs now to the decisions of bkd/policy/agenda, and carries them
// out. `bkd daemon` does so for ever, `bkd run --due` until nothing is due.
//
// Several of them, and crontabs, may work on one state directory: a slot is decided by whoever records it first, and the lock of a policy lets one run in.
#ifndef BKD_DAEMON_SCHEDULER_H
#define BKD_DAEMON_SCHEDULER_H

#include "bkd/daemon/jobs.h"
#include "bkd/daemon/tasks.h"
#include "bkd/host/policies.h"
#include "bkd/policy/config.h"

// A run that has ended.
struct scheduler_end {
    const struct job *job;
    int exit_code;       // of bkd(1); -1 when it was killed
    const char *message; // one sentence, "" when there is nothing to say
};

struct scheduler {
    struct loop *loop;
    const struct context *ctx;
    enum run_trigger trigger;
    struct policies policies;
    struct config config;
    bool has_config;
    struct jobs jobs;
    struct tasks tasks;
    // Set by the owner after scheduler_init:
    void (*ended)(void *arg, const struct scheduler_end *end); // NULL = not wanted
    void *arg;
};

void scheduler_init(struct scheduler *s, const struct context *ctx, struct loop *loop, enum run_trigger trigger, const char *starter);
// Runs that go on are left alone.
void scheduler_done(struct scheduler *s);
// Reads policies and configuration, as far as they changed, raising and clearing alarms about files with mistakes. Fails only when there is no way on.
MUST_USE int scheduler_read(struct scheduler *s, struct error *err);
// Looks at the files of time zones anew, which change under a daemon that works for years.
void scheduler_refresh(struct scheduler *s);
// How many policies have files with mistakes.
size_t scheduler_count_bad(const struct scheduler *s);
// Decides what is due now, and does it. *ret_started: runs that began. Returns when to look again at the latest, in ns of wall time.
uint64_t scheduler_turn(struct scheduler *s, size_t *ret_started);
// Starts a run that somebody asked for. ERROR_BUSY when that policy is at work, ERROR_USAGE when there is none.
MUST_USE int scheduler_start(struct scheduler *s, const char *policy, const char *action, struct job **ret_job, struct error *err);
// Asks a run to end, and records who wanted it.
MUST_USE int scheduler_cancel(struct scheduler *s, struct job *job, const char *by, struct error *err);
// Makes the runs known that others started.
void scheduler_adopt(struct scheduler *s);

#endif
