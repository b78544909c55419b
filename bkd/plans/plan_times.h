// How long the steps of a recovery plan take, as far as it is known, and what follows for the whole.
#ifndef BKD_PLANS_PLAN_TIMES_H
#define BKD_PLANS_PLAN_TIMES_H

#include "bkd/dr/critical_path.h"
#include "bkd/host/context.h"
#include "bkd/policy/recovery.h"

// Where a figure comes from.
enum plan_times_source { PLAN_TIMES_MEASURED, PLAN_TIMES_DEADLINE, PLAN_TIMES_UNKNOWN };
const char *plan_times_source_name(enum plan_times_source source); // "measured", "deadline", "unknown"

struct plan_times {
    size_t n;
    struct critical_path_node *nodes; // of the steps, in nanoseconds; owned
    enum plan_times_source *sources;  // owned
    size_t *measurements;             // of how many measurements a figure is the median; owned
    uint64_t total_ns;
};

// Restores: the median of the policy's verifications of whole snapshots; other steps: what they took in the last run or rehearsal that passed. What was never measured
// takes as long as its deadline; without one nothing, so that no objective is called impossible for want of figures. A catalogue that cannot be read counts as empty.
void plan_times_load(const struct context *ctx, const struct recovery *plan, struct plan_times *ret_times);
void plan_times_done(struct plan_times *times);
#define _cleanup_plan_times_ __attribute__((cleanup(plan_times_done)))

// When the last step of a system ends at the earliest; 0 when it has none.
uint64_t plan_times_of_system(const struct plan_times *times, const struct recovery *plan, const char *system);

#endif
