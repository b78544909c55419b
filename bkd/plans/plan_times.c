#include "bkd/plans/plan_times.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/log.h"
#include "bkd/dr/evidence.h"
#include "bkd/plans/planning.h"
#include "bkd/policy/recovery_graph.h"
#include "bkd/record/verifications.h"

const char *plan_times_source_name(enum plan_times_source source)
{
    static const char *const names[] = { "measured", "deadline", "unknown" };
    return names[source];
}

struct measured {
    uint64_t *values; // owned
    size_t n;
};

static void measured_done(struct measured *m) { free(m->values); }

static void add_value(struct measured *m, uint64_t value)
{
    m->values = xrealloc(m->values, (m->n + 1) * sizeof *m->values);
    m->values[m->n++] = value;
}

static int take_verification(void *arg, const struct verification *v, struct error *err)
{
    (void)err;
    if (v->is_proven && strcmp(v->mode, "full") == 0)
        add_value(arg, v->duration_ns);
    return 0;
}

static void find_restores(struct catalogue *catalogue, const char *policy, struct measured *m)
{
    struct error err;
    if (verifications_list(catalogue, policy, 0, take_verification, m, &err) < 0)
        log_debug("no measured restores of policy %s: %s", policy, err.text);
}

static bool is_measured(const void *arg, const struct planning *p)
{
    (void)arg;
    return p->passed && p->mode != PLANNING_TABLETOP;
}

static void find_step(const struct planning *last, const char *id, struct measured *m)
{
    for (size_t i = 0; i < last->n_steps; i++)
        if (strcmp(last->ids[i], id) == 0 && last->steps[i].state == PLANNING_DONE)
            add_value(m, last->steps[i].took_ns);
}

static void set_time(struct plan_times *t, size_t i, const struct recovery_step *step, struct measured *m)
{
    struct evidence evidence;
    evidence_of(m->values, m->n, &evidence);
    t->measurements[i] = m->n;
    t->sources[i] = m->n > 0 ? PLAN_TIMES_MEASURED : step->deadline_s > 0 ? PLAN_TIMES_DEADLINE : PLAN_TIMES_UNKNOWN;
    t->nodes[i].duration = m->n > 0 ? evidence.median : step->deadline_s * UINT64_C(1000000000);
}

void plan_times_load(const struct context *ctx, const struct recovery *plan, struct plan_times *ret_times)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    _cleanup_recovery_graph_ struct recovery_graph graph = { 0 };
    _cleanup_planning_ struct planning last = { 0 };
    struct error err;
    size_t n = plan->step_count;
    *ret_times = (struct plan_times){ .n = n, .nodes = xcalloc(n + 1, sizeof *ret_times->nodes), .sources = xcalloc(n + 1, sizeof *ret_times->sources),
                                      .measurements = xcalloc(n + 1, sizeof *ret_times->measurements) };
    bool opened = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_READ, &catalogue, &err) == 0;
    (void)planning_find(ctx, plan->name, is_measured, NULL, &last); // without one there are no steps
    for (size_t i = 0; i < n; i++) {
        const struct recovery_step *step = &plan->steps[i];
        const struct recovery_system *system = recovery_find_system(plan, step->system);
        __attribute__((cleanup(measured_done))) struct measured m = { 0 };
        if (opened && step->type == RECOVERY_RESTORE && system != NULL)
            find_restores(&catalogue, system->policy, &m);
        if (m.n == 0)
            find_step(&last, step->id, &m);
        set_time(ret_times, i, step, &m);
    }
    recovery_graph_init(&graph, plan);
    if (!critical_path(ret_times->nodes, n, graph.needs, &ret_times->total_ns))
        abort(); // a plan whose steps wait for each other does not load
}

void plan_times_done(struct plan_times *times)
{
    free(times->nodes);
    free(times->sources);
    free(times->measurements);
    *times = (struct plan_times){ 0 };
}

uint64_t plan_times_of_system(const struct plan_times *times, const struct recovery *plan, const char *system)
{
    uint64_t end = 0;
    for (size_t i = 0; i < times->n; i++)
        if (strcmp(plan->steps[i].system, system) == 0 && times->nodes[i].end > end)
            end = times->nodes[i].end;
    return end;
}
