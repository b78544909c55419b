// A run of a recovery plan under way: what the files that carry it out share. planning_begin.c fills it in, planning_run.c takes it from step to step,
// planning_note.c keeps its journal.
#ifndef BKD_PLANS_PLANNING_COURSE_H
#define BKD_PLANS_PLANNING_COURSE_H

#include <pthread.h>
#include <stdatomic.h>

#include "bkd/dr/plan_journal.h"
#include "bkd/dr/scratch.h"
#include "bkd/plans/planning_ask.h"
#include "bkd/plans/planning_step.h"

struct planning_course;

// One step.
struct planning_worker {
    pthread_t thread;
    bool is_started, is_asked; // a thread executes it; people answer it
    atomic_bool is_finished;
    struct planning_work work;
    uint64_t begun_ns; // monotonic
    unsigned lines;
    bool was_warned; // that it is late
    struct planning_course *run;
};

struct planning_course {
    const struct context *ctx;
    const struct planning_options *options;
    struct recovery plan;
    struct recovery_graph graph;
    struct plan_journal journal;
    char *directory;
    struct planning *p;
    uint64_t zero_ns; // on the monotonic clock: the begin of the run
    struct planning_worker *workers;  // of each step
    struct scratch *scratch; // of each system; path NULL = none is made
    size_t *ready;
    enum planning_state *states;
    struct planning_dialogue dialogue;
    pid_t teller;         // tells others that a step waits; 0 = none yet
    struct error trouble; // the journal cannot be written
    bool in_trouble;
};

// Now, on the monotonic clock.
static inline uint64_t planning_course_now(const struct planning_course *run) { return io_monotonic_ns(run->ctx->io); }

#endif
