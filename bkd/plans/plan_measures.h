// What the steps of a recovery plan took in its earlier runs and rehearsals.
#ifndef BKD_PLANS_PLAN_MEASURES_H
#define BKD_PLANS_PLAN_MEASURES_H

#include "bkd/host/context.h"
#include "bkd/policy/recovery.h"

struct plan_measure {
    bool is_done; // in that run; others were skipped, or are new
    double took_s;
    uint64_t files, bytes; // of a restore
    char *copy;            // address it was restored from, "" = unknown; owned
};

// A run that passed, for real or as a rehearsal: in a tabletop nothing is done.
struct plan_past {
    uint64_t started_ns; // wall clock
    double took_s;
    struct plan_measure *steps; // of the plan as it is now, in its order; owned
};

struct plan_measures {
    struct plan_past *runs; // the oldest first; owned
    size_t n, n_steps;
};

// Runs that cannot be read count as none.
void plan_measures_load(const struct context *ctx, const struct recovery *plan, struct plan_measures *ret_measures);
void plan_measures_done(struct plan_measures *m);
#define _cleanup_plan_measures_ __attribute__((cleanup(plan_measures_done)))

// What the step took in runs that began before the moment (0 = in all), the shortest first; *ret_n of them. Caller frees.
double *plan_measures_of(const struct plan_measures *m, size_t step, uint64_t before_ns, size_t *ret_n);

#endif
