// How long a recovery plan would take after a disaster (`bkd estimate PLAN`): its steps and the people they wait for on a time line (bkd/dr/plan_forecast.h), restores by the
// models of their policies, other steps by what they took before, else by their deadlines. Each earlier run of the plan is foretold from what was known before it.
#ifndef BKD_PLANS_PLAN_ESTIMATING_H
#define BKD_PLANS_PLAN_ESTIMATING_H

#include "bkd/dr/plan_forecast.h"
#include "bkd/plans/plan_measures.h"
#include "bkd/policy/recovery_graph.h"
#include "bkd/proof/estimating.h"

// Where the time of a step goes: the parts of a restore, and what other steps do.
enum { PLAN_ESTIMATING_COMMANDS = ESTIMATE_PARTS, PLAN_ESTIMATING_KINDS };
const char *plan_estimating_kind_name(unsigned kind);

enum plan_estimating_source { PLAN_BY_MODEL, PLAN_BY_RUNS, PLAN_BY_DEADLINE, PLAN_BY_NOTHING, PLAN_BY_ARRIVAL };
const char *plan_estimating_source_name(enum plan_estimating_source source); // "model", "runs", "deadline", "unknown", "arrival"

// The steps of the plan, then the arrivals of its roles, then that of whoever begins.
struct plan_estimating {
    const struct context *ctx; // borrowed, as all that follows
    struct catalogue *catalogue;
    const struct recovery *plan;
    const struct recovery_graph *graph;
    const struct plan_measures *measures;
    const struct estimating_options *options;
    const struct config *config;
    const struct estimating_scenario *scenario;
    size_t n;
    struct plan_forecast_part *parts; // owned
    bool *needs;                      // owned
    enum plan_estimating_source *sources; // owned
    double (*kinds)[PLAN_ESTIMATING_KINDS]; // seconds of each kind in each part; owned
    size_t unknown;     // steps of which nothing is known
    size_t by_deadline; // steps that were never measured, so that their deadlines count
    bool is_lost;       // some system has no copy that outlives the scenario
    const char *lost;   // the first of them
    struct plan_forecast forecast;
    size_t tested;
    double median_error, worst_error; // relative; of runs that were foretold
};

// Fills in all that is owned, and the forecast. plan_estimating_done in every case.
MUST_USE int plan_estimating_make(struct plan_estimating *e, struct error *err);
void plan_estimating_done(struct plan_estimating *e);
// Seconds saved if each kind took so many times as long.
double plan_estimating_saved(const struct plan_estimating *e, const double factors[PLAN_ESTIMATING_KINDS]);

// All of it for a person or, with --json, a program.
MUST_USE int plan_estimating_tell(const struct context *ctx, struct catalogue *catalogue, const char *plan, const struct estimating_options *options, const struct config *config,
                                  struct error *err);

#endif
