// What is to be done next in a run of a recovery plan. Pure.
#ifndef BKD_DR_PLAN_RUN_H
#define BKD_DR_PLAN_RUN_H

#include "bkd/policy/recovery.h"
#include "bkd/policy/recovery_graph.h"

// What became of a step. The order is that of its life.
enum planning_state { PLANNING_WAITING, PLANNING_RUNNING, PLANNING_DONE, PLANNING_FAILED, PLANNING_SKIPPED, PLANNING_STATES };
const char *planning_state_name(enum planning_state state); // "waiting" …
bool planning_state_parse(const char *name, enum planning_state *ret_state);

// The steps that may begin: they wait, and all that they come after are done or skipped. Lower tiers first, else in the order of the plan. ret_steps holds as many
// as the plan has steps.
size_t plan_run_ready(const struct recovery *plan, const struct recovery_graph *graph, const enum planning_state *states, size_t *ret_steps);
// Is every step done or skipped?
bool plan_run_passed(const enum planning_state *states, size_t n);

#endif
