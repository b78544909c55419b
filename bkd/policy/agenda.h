// What is to be done now, and when to ask again: the decisions of `bkd daemon` and `bkd run --due`, without doing any of it. Pure: it knows neither
// clock nor processes nor the catalogue.
//
// A task is one action of one policy ("backup", "verify" …) with its schedule. Each slot of a task ends in exactly one way: a run is started for it,
// or it is recorded as missed, coalesced or skipped, with a reason (I9).
//
//   fill a struct agenda_task for each action from the policy and from what the catalogue remembers of it
//   loop:
//     agenda_decide(agenda, now, &decisions)     changes the tasks as if all decisions were carried out at once
//     carry them out: start runs, record slots; a run that could not be started: agenda_ended(AGENDA_FAILED)
//     wait until decisions.wake_s, or until something changes
//     when a run has ended: agenda_ended(…); when one was started by a person: agenda_began(…)
//
// The rules:
// - A slot is due at its time plus the task's start delay. The newest due slot waits for its run; older ones are coalesced into it (or, with
//   catch_up off, missed). A slot before the beginning of the last successful run needs none: that run covers it, whoever started it.
// - While an action runs, its slots are coalesced into that run. A policy does one thing at a time; the agenda at most max_parallel.
// - Of those that may begin, each counts by the time it has waited: a tier is worth AGENDA_TIER_S. So tier 1 comes first, and nobody starves.
// - A run that failed is tried again after retry.delay_s, doubled each time up to retry.max_delay_s, until the next slot is due, its window ends, or
//   another run has succeeded.
// - A task waits while one it comes after runs, is due, or is about to be tried again. Tasks that come after each other in a circle do not wait for each
//   other: such policies are a mistake (policy_order.h), and no backup is lost for it.
// - Slots are decided in their order. A clock that is set back does not make one happen twice, unless it is set back by more than AGENDA_CLOCK_S: then
//   it was wrong before, and slots up to then are decided anew (`again`).
#ifndef BKD_POLICY_AGENDA_H
#define BKD_POLICY_AGENDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/policy/policy.h"
#include "bkd/policy/schedule.h"

#define AGENDA_NEVER INT64_MIN    // for a time in the past: there is none
#define AGENDA_TIER_S 3600        // seconds of waiting that a tier is worth
#define AGENDA_CLOCK_S (3 * 3600) // a clock that goes back further is corrected; cron(8) takes the same limit
#define AGENDA_LATE_S (15 * 60)   // with catch_up off: how late a slot may be seen to be still run
#define AGENDA_SINGLY_MAX 1000u   // slots of one task recorded one by one; more are one record

enum agenda_outcome {
    AGENDA_SUCCEEDED, // exit 0, 3 or 5: there is a new snapshot
    AGENDA_FAILED,    // and may succeed later
    AGENDA_HOPELESS,  // not before somebody does something: policy, key, integrity
    AGENDA_STOPPED,   // by a person, or at the window's end
    AGENDA_KILLED,    // with the host or the daemon: nobody knows
};
enum agenda_outcome agenda_outcome_of(int exit_code);

struct agenda_run {
    bool there;       // is there such a run?
    int64_t slot_s;   // AGENDA_NEVER = started by a person
    unsigned attempt; // for this slot; 1 is the first
    int64_t began_s, ended_s;
    enum agenda_outcome outcome; // of a run that has ended
};

// Why a slot was recorded without a run, or why a task waits.
enum agenda_reason {
    AGENDA_NO_REASON,
    AGENDA_NEW,         // the task was not known before; its slots count from this moment on
    AGENDA_STILL_RUNS,  // the run before was still going on when it came due
    AGENDA_OVERTAKEN,   // it waited until the next slot came due
    AGENDA_MADE_UP,     // nobody was there to see it; the run for a later slot makes up for it
    AGENDA_COVERED,     // a run that began after it has succeeded
    AGENDA_TOO_LATE,    // nobody was there to see it, and catch_up is off
    AGENDA_WINDOW_OVER, // its window ended before the run could begin
    AGENDA_PAUSED,
    AGENDA_AFTER_FAILED, // a policy it comes after failed
    // Of waiting only:
    AGENDA_MAX_PARALLEL,
    AGENDA_POLICY_BUSY,
    AGENDA_AFTER,       // something it comes after is not done
    AGENDA_RETRY,       // until the time to try again
    AGENDA_JITTER,      // its slot has come, its start delay has not passed
};

// One action of one policy. The caller fills the first three parts (zero and AGENDA_NEVER where there is nothing) and keeps the second and third up
// to date; the fourth belongs to the agenda: zero it with agenda_task_init.
struct agenda_task {
    // What is configured.
    const char *policy, *action;
    const struct schedule *schedule; // NULL: runs only when asked for
    uint64_t tier;                   // 1 comes first
    int64_t start_delay_s;           // agenda_start_delay
    struct policy_window window;
    struct policy_retry retry;
    bool catch_up;
    const size_t *after; // indices of tasks
    size_t after_count;
    bool skip_after_failure;
    // What the catalogue remembers.
    int64_t last_slot_s;    // the newest slot that has a record, whatever became of it; of those up to now + AGENDA_CLOCK_S. The agenda goes on from there
    int64_t last_success_s; // when the newest successful run began, whoever started it
    int64_t since_s;        // slots up to then do not count: when this schedule came into force
    struct agenda_run last; // the newest run that has ended
    // What is going on.
    int64_t paused_s; // since when; AGENDA_NEVER = it is not
    struct agenda_run running;
    // The agenda's own.
    int64_t next_s, next_from_s; // the first slot after a moment, kept
    bool is_pending;             // a slot is due and waits
    int64_t pending_s, waiting_since_s;
    bool window_told;         // the end of the running one's window has been decided upon
    int64_t undone_until_s;   // slots up to then may have a record from when the clock was wrong
    enum agenda_reason waits; // why the pending slot or the retry has not begun; AGENDA_NO_REASON = nothing waits
    int64_t waits_until_s;    // when known, else CALENDAR_NEVER
    size_t waits_for;         // with AGENDA_AFTER and AGENDA_POLICY_BUSY: the task
};

struct agenda {
    struct agenda_task *tasks;
    size_t count;
    size_t max_parallel; // at least 1
};

enum agenda_what {
    AGENDA_START,       // a run for the slot
    AGENDA_MISSED,      // record: no run
    AGENDA_COALESCED,   // record: another run stands for it
    AGENDA_SKIPPED,     // record: it was not wanted
    AGENDA_WARN_WINDOW, // the window of the slot's run has ended, and it goes on
    AGENDA_STOP,        // the same: end it
};

struct agenda_decision {
    enum agenda_what what;
    size_t task;
    int64_t slot_s;
    int64_t first_s;  // the oldest slot that a record stands for; slot_s but for those beyond AGENDA_SINGLY_MAX
    unsigned attempt; // of AGENDA_START
    bool again;       // a record of this slot may be there from when the clock was wrong: write over it
    enum agenda_reason reason;
    int64_t other_s; // the slot, run or time that the reason speaks of
    size_t other;    // the task that it speaks of
};

struct agenda_decisions {
    struct agenda_decision *items;
    size_t count;
    int64_t wake_s; // CALENDAR_NEVER: not before something changes
};
void agenda_decisions_done(struct agenda_decisions *decisions);
#define _cleanup_agenda_decisions_ __attribute__((cleanup(agenda_decisions_done)))

// Sets all times to AGENDA_NEVER (next_s to CALENDAR_NEVER) and the rest to 0.
void agenda_task_init(struct agenda_task *task);
// From a policy's values; names, schedule, start delay, after and history are left to the caller.
void agenda_task_configure(struct agenda_task *task, const struct policy *policy);
// A time below jitter_s that is always the same for this host, policy and action.
int64_t agenda_start_delay(const char *host, const char *policy, const char *action, uint64_t jitter_s);

// *ret_decisions is zeroed by the caller (or done before). Records come before the starts they belong to.
void agenda_decide(struct agenda *agenda, int64_t now_s, struct agenda_decisions *ret_decisions);

// A run that the agenda did not decide upon has begun (a person asked for it); slot AGENDA_NEVER.
void agenda_began(struct agenda_task *task, int64_t slot_s, int64_t now_s);
// The running one has ended.
void agenda_ended(struct agenda_task *task, enum agenda_outcome outcome, int64_t now_s);
// Somebody else has decided upon the slot that agenda_decide wanted to start: nothing runs here.
void agenda_lost(struct agenda_task *task);

// When a slot's window ends; CALENDAR_NEVER when it does not.
int64_t agenda_window_end(const struct agenda_task *task, int64_t slot_s);

// Does `other`, which `task` comes after, itself come after `task`?
bool agenda_is_circle(const struct agenda *agenda, size_t task, size_t other);

// One sentence for a decision's reason, as it is recorded: "the run of 2026-03-28T00:30:00Z was still going on".
void agenda_reason_text(const struct agenda *agenda, const struct agenda_decision *decision, struct buf *ret_text);
// The same for what a task waits for, for status; nothing when it does not wait.
void agenda_waits_text(const struct agenda *agenda, const struct agenda_task *task, struct buf *ret_text);

#endif
