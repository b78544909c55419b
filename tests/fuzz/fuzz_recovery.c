// A recovery plan is any bytes: they become a plan or mistakes, within the limits, and what is said can be printed.
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/dr/plan_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Whoever carries a plan out looks names up without asking whether they are there.
static void check_references(const struct recovery *plan)
{
    for (size_t i = 0; i < plan->system_count; i++) {
        const struct recovery_system *s = &plan->systems[i];
        assert(recovery_find_system(plan, s->name) == s);
        assert(s->host[0] == '\0' || recovery_find_host(plan, s->host));
        for (size_t k = 0; k < s->target_count; k++) {
            assert(recovery_find_target(s, s->targets[k].scenario) == &s->targets[k]);
            assert(s->targets[k].to != RECOVERY_DIRECTORY || s->targets[k].path[0] == '/');
            assert(s->targets[k].host[0] == '\0' || recovery_find_host(plan, s->targets[k].host));
        }
    }
    for (size_t i = 0; i < plan->step_count; i++) {
        const struct recovery_step *s = &plan->steps[i];
        const struct recovery_system *system = recovery_find_system(plan, s->system);
        assert(recovery_find_step(plan, s->id) == s);
        assert(s->owner[0] == '\0' || recovery_find_role(plan, s->owner));
        assert(s->system[0] == '\0' || system);
        assert(s->type != RECOVERY_RESTORE || (system && system->policy[0] != '\0'));
        assert(s->type != RECOVERY_CHECK || system);
        assert(s->type != RECOVERY_COMMAND || s->command.count > 0);
        assert(s->type != RECOVERY_DECISION || s->choices.count >= 2);
        assert(s->host[0] == '\0' || strcmp(s->host, "target") == 0 || recovery_find_host(plan, s->host));
    }
}

// Every step's turn comes: a plan that was accepted ends, each step after all that it waits for.
static void check_order(const struct recovery *plan)
{
    _cleanup_recovery_graph_ struct recovery_graph graph = { 0 };
    enum planning_state *states = xcalloc(plan->step_count + 1, sizeof *states);
    size_t *ready = xcalloc(plan->step_count + 1, sizeof *ready), n, done = 0;
    recovery_graph_init(&graph, plan);
    while ((n = plan_run_ready(plan, &graph, states, ready)) > 0) {
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < plan->step_count; k++)
                assert(!recovery_graph_needs(&graph, ready[i], k) || states[k] == PLANNING_DONE);
        for (size_t i = 0; i < n; i++)
            states[ready[i]] = PLANNING_DONE;
        done += n;
    }
    assert(done == plan->step_count);
    free(states);
    free(ready);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    _cleanup_recovery_ struct recovery plan = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    _cleanup_buf_ struct buf text = { 0 };
    int rc = recovery_parse("fuzz.yaml", data, size, &plan, &errors, &err);
    assert(rc == 0 || rc == ERROR_USAGE);
    policy_errors_format(&errors, &text);
    for (size_t i = 0; i < text.len; i++)
        assert(text.data[i] == '\n' || (text.data[i] >= 0x20 && text.data[i] != 0x7f));
    if (rc == 0) {
        check_references(&plan);
        check_order(&plan);
    }
    return 0;
}
