#include "bkd/dr/plan_run.h"

#include <string.h>

static const char *const names[PLANNING_STATES] = { "waiting", "running", "done", "failed", "skipped" };

const char *planning_state_name(enum planning_state state) { return names[state]; }

bool planning_state_parse(const char *name, enum planning_state *ret_state)
{
    for (int i = 0; i < PLANNING_STATES; i++) {
        if (strcmp(names[i], name) == 0) {
            *ret_state = (enum planning_state)i;
            return true;
        }
    }
    return false;
}

static bool is_over(enum planning_state state) { return state == PLANNING_DONE || state == PLANNING_SKIPPED; }

static bool is_ready(const struct recovery_graph *graph, const enum planning_state *states, size_t step)
{
    if (states[step] != PLANNING_WAITING)
        return false;
    for (size_t k = 0; k < graph->n; k++)
        if (recovery_graph_needs(graph, step, k) && !is_over(states[k]))
            return false;
    return true;
}

// What belongs to no system does not wait for one.
static uint64_t tier_of(const struct recovery *plan, size_t step)
{
    const struct recovery_system *system = recovery_find_system(plan, plan->steps[step].system);
    return system == NULL ? 0 : system->tier;
}

size_t plan_run_ready(const struct recovery *plan, const struct recovery_graph *graph, const enum planning_state *states, size_t *ret_steps)
{
    size_t n = 0;
    for (size_t i = 0; i < graph->n; i++) {
        if (!is_ready(graph, states, i))
            continue;
        size_t at = n++;
        for (; at > 0 && tier_of(plan, ret_steps[at - 1]) > tier_of(plan, i); at--)
            ret_steps[at] = ret_steps[at - 1];
        ret_steps[at] = i;
    }
    return n;
}

bool plan_run_passed(const enum planning_state *states, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_over(states[i]))
            return false;
    return true;
}
