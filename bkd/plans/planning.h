// Carrying out a recovery plan (bkd/policy/recovery.h): for real, as a rehearsal that leaves live systems alone, or walked through at a table. One function for the
// three, so that what is rehearsed is what will be done. What happens is journaled as it happens, in STATE_DIR/plans/RUN/journal.jsonl; an interrupted run is
// gone on with.
#ifndef BKD_PLANS_PLANNING_H
#define BKD_PLANS_PLANNING_H

#include "bkd/dr/plan_run.h"
#include "bkd/host/context.h"
#include "bkd/policy/recovery.h"

#define PLANNING_ID_MAX 100u

enum planning_mode {
    PLANNING_RUN,      // for real: restores to where the scenario says
    PLANNING_REHEARSE, // restores into scratch space, runs checks there; commands and notifications only where the plan says so
    PLANNING_TABLETOP, // nothing is done: people answer for every step
};
const char *planning_mode_name(enum planning_mode mode); // "run", "rehearsal", "tabletop"

// NULL where there is nothing to say.
struct planning_options {
    const char *plan;     // name in CONFIG_DIR/plans, or a path with a slash
    const char *scenario;
    const char *identity; // file; NULL = as the policies say
    enum planning_mode mode;
    bool anew;            // do not go on with an interrupted run
    bool unattended;      // nobody is there: manual steps and decisions are skipped; not for real
    bool may_ask;         // on the terminal, where there is one; else answers come from `bkd plan answer`
};

struct planning_step {
    enum planning_state state;   // PLANNING_SKIPPED: not exercised in this mode
    uint64_t begun_ns, took_ns;  // begin: from that of the run
    uint64_t asked_ns;           // wall clock: when it began, while it runs
    char *question;              // of its journal: what people are asked; "" = nobody is
    uint64_t patience_ns;        // for how long nobody minds that there is no answer
    bool is_choice;              // it is a decision
    bool is_late;                // took longer than its deadline
    char *message;               // what it said at its end; "" = nothing
    char *by, *note, *choice;    // of an answer; "" = none
    char *copy;                  // restore: the address it was restored from; "" = none
    uint64_t snapshot, snapshot_time_ns, files, bytes; // restore; the time: when the snapshot was begun
};

// A run of a plan, as far as it went.
struct planning {
    char id[PLANNING_ID_MAX + 1];
    enum planning_mode mode;
    char *plan, *sha256;       // name and SHA-256 of the plan it was begun with; owned
    char *scenario, *by, *host; // "" = none in particular; who began it, where; owned
    uint64_t started_ns, ended_ns; // wall clock; ended 0: it goes on, or was interrupted
    uint64_t took_ns;          // on the monotonic clock, over interruptions too (across a boot: on the wall clock)
    bool passed;               // every step is done, or skipped as the mode wants it
    bool was_aborted;          // a decision said so, or somebody closed it
    bool was_stopped;          // its process ended in order, before the end of the run
    bool misses_rto;           // the whole, or a system, took longer than promised
    size_t n_late;
    char **ids;                // of the steps; owned
    struct planning_step *steps; // in the order of the plan
    size_t n_steps;
};
void planning_done(struct planning *p);
#define _cleanup_planning_ __attribute__((cleanup(planning_done)))

// Loads a plan by name or path, and prints its mistakes. ERROR_USAGE when there is none, or it has some.
MUST_USE int planning_load(const struct context *ctx, const char *plan, struct recovery *ret_plan, struct error *err);

// Do people answer for the step in this mode, rather than bkd carry it out?
bool planning_is_for_people(enum planning_mode mode, const struct recovery_step *step);
// "step 'go' (lead: Ana, else Ben; +49 1): is it lost?" Caller frees.
char *planning_question(const struct recovery *plan, const struct recovery_step *step);
// For how long a question may stay without an answer before somebody else is told: the step's deadline, else half an hour (doc/bkd-plan.5.in).
uint64_t planning_patience_ns(const struct recovery_step *step);

// Carries it out, to its end, to a step that fails, or until it is interrupted; *ret_planning is as far as it came. Errors are those that kept it from being
// carried out at all; planning_result says what it came to. planning_done in every case.
MUST_USE int planning_run(const struct context *ctx, const struct planning_options *options, struct planning *ret_planning, struct error *err);
// 0, ERROR_FAILED (a step failed, or it was aborted or interrupted), ERROR_OBJECTIVE (all done, later than promised).
MUST_USE int planning_result(const struct planning *p, struct error *err);

// What it came to, into the record of this run of bkd (recording.h): figures of the whole, and how long each step took.
void planning_record(const struct context *ctx, const struct planning *p);

// STATE_DIR/plans/ID. Caller frees.
char *planning_directory(const struct context *ctx, const char *id);
// The newest run of a plan for which `fits` says so (NULL: any); false when there is none.
typedef bool planning_fits_fn(const void *arg, const struct planning *p);
bool planning_find(const struct context *ctx, const char *plan, planning_fits_fn *fits, const void *arg, struct planning *ret_planning);
// A run by its id, or by a plan's name the newest one that is not over. ERROR_NOT_FOUND.
MUST_USE int planning_find_unfinished(const struct context *ctx, const char *name, struct planning *ret_planning, struct error *err);
// The newest rehearsal that passed: of the plan as it is now (*ret_is_current), else of an earlier text of it; false when there is none.
bool planning_find_rehearsal(const struct context *ctx, const struct recovery *plan, bool *ret_is_current, struct planning *ret_planning);

// A run as its journal tells it. ERROR_NOT_FOUND: there is none of this id.
MUST_USE int planning_read(const struct context *ctx, const char *id, struct planning *ret_planning, struct error *err);

#endif
