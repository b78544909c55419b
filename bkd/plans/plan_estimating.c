#include "bkd/plans/plan_estimating.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/compare.h"
#include "bkd/host/setup.h"

enum { RUNS_FOR_RANGE = 3 }; // so many runs show how much they differ; of fewer nobody knows
#define RANGE_UNKNOWN 2.0
#define RANGE_LEAST 1.1

const char *plan_estimating_kind_name(unsigned kind) { return kind == PLAN_ESTIMATING_COMMANDS ? "commands" : estimate_part_name((enum estimate_part)kind); }

const char *plan_estimating_source_name(enum plan_estimating_source source)
{
    static const char *const names[] = { "model", "runs", "deadline", "unknown", "arrival" };
    return names[source];
}

void plan_estimating_done(struct plan_estimating *e)
{
    free(e->parts);
    free(e->needs);
    free(e->sources);
    free(e->kinds);
    e->parts = NULL;
    e->needs = NULL;
    e->sources = NULL;
    e->kinds = NULL;
}

// What is made: an estimate as of today, or what would have been said of an earlier run when it began.
struct making {
    struct plan_estimating *e;
    const struct plan_past *past; // NULL = as of today
    size_t *together;             // restores that share the line with each; owned
};

static uint64_t before_of(const struct making *m) { return m->past == NULL ? 0 : m->past->started_ns; }

// ---- what waits for what

static size_t arrival_of(const struct plan_estimating *e, const char *role)
{
    size_t i = 0;
    while (i < e->plan->role_count && strcmp(e->plan->roles[i].name, role) != 0)
        i++;
    return e->plan->step_count + i;
}

static void add_needs(struct plan_estimating *e)
{
    size_t steps = e->plan->step_count, begin = e->n - 1;
    for (size_t i = 0; i < steps; i++) {
        const struct recovery_step *step = &e->plan->steps[i];
        bool by_people = step->type == RECOVERY_MANUAL || step->type == RECOVERY_DECISION;
        for (size_t k = 0; k < steps; k++)
            e->needs[i * e->n + k] = recovery_graph_needs(e->graph, i, k);
        e->needs[i * e->n + begin] = true;
        if (by_people && step->owner[0] != '\0')
            e->needs[i * e->n + arrival_of(e, step->owner)] = true;
        e->parts[i].is_restore = step->type == RECOVERY_RESTORE;
    }
}

// ---- people

static void set_exactly(struct plan_estimating *e, size_t i, double seconds)
{
    e->parts[i].low_s = e->parts[i].likely_s = e->parts[i].high_s = e->kinds[i][ESTIMATE_PEOPLE] = seconds;
    e->sources[i] = PLAN_BY_ARRIVAL;
}

// Somebody begins: as is said, else the first of those who answer for something. A run's own clock begins with its begin.
static void set_arrivals(const struct making *m)
{
    struct plan_estimating *e = m->e;
    size_t roles = e->plan->role_count, steps = e->plan->step_count;
    double begin = estimating_people_s(e->options, e->config, e->scenario), first = INFINITY;
    for (size_t i = 0; i < roles; i++) {
        double arrival = (double)e->plan->roles[i].arrival_s;
        if (arrival > 0 && e->scenario->is_elsewhere)
            arrival = fmax(arrival, (double)e->config->arrival_elsewhere_s);
        first = arrival > 0 ? fmin(first, arrival) : first;
        set_exactly(e, steps + i, m->past != NULL ? 0 : arrival);
    }
    if (!e->options->has_people && begin <= 0 && isfinite(first))
        begin = first;
    set_exactly(e, e->n - 1, m->past != NULL ? 0 : begin);
}

// ---- steps

static unsigned kind_of(const struct recovery_step *step)
{
    return step->type == RECOVERY_CHECK                                               ? ESTIMATE_CHECKS
           : step->type == RECOVERY_MANUAL || step->type == RECOVERY_DECISION ? ESTIMATE_PEOPLE
           : step->type == RECOVERY_RESTORE                                           ? ESTIMATE_BYTES
                                                                                      : PLAN_ESTIMATING_COMMANDS;
}

static void set_part(struct plan_estimating *e, size_t i, double low, double likely, double high, enum plan_estimating_source source)
{
    e->parts[i].low_s = low;
    e->parts[i].likely_s = likely;
    e->parts[i].high_s = high;
    e->sources[i] = source;
    e->kinds[i][kind_of(&e->plan->steps[i])] = likely;
}

// By earlier runs, else by the deadline, which says when it would be late; else nothing is known.
static void set_measured(const struct making *m, size_t i)
{
    struct plan_estimating *e = m->e;
    const struct recovery_step *step = &e->plan->steps[i];
    size_t n;
    double *values = plan_measures_of(e->measures, i, before_of(m), &n);
    if (n > 0) {
        double likely = values[n / 2];
        set_part(e, i, n < RUNS_FOR_RANGE ? likely / RANGE_UNKNOWN : fmin(values[0], likely / RANGE_LEAST), likely,
                 n < RUNS_FOR_RANGE ? likely * RANGE_UNKNOWN : fmax(values[n - 1], likely * RANGE_LEAST), PLAN_BY_RUNS);
    } else if (step->deadline_s > 0) {
        set_part(e, i, 0, (double)step->deadline_s, (double)step->deadline_s, PLAN_BY_DEADLINE);
        e->by_deadline++;
    } else {
        set_part(e, i, 0, 0, 0, PLAN_BY_NOTHING);
        e->unknown++;
    }
    free(values);
}

static bool is_from_offsite(const struct making *m, const struct recovery_step *step, size_t i, const struct policy *policy)
{
    if (m->past != NULL && m->past->steps[i].copy != NULL)
        return strcmp(m->past->steps[i].copy, policy->repository.url) != 0;
    return policy->offsite.count > 0 && strcmp(step->from, "repository") != 0 && strcmp(step->from, policy->repository.url) != 0;
}

// Checks are steps of their own.
static void set_restore(const struct making *m, size_t i, const struct estimating *model)
{
    struct plan_estimating *e = m->e;
    bool is_offsite = is_from_offsite(m, &e->plan->steps[i], i, &model->policy), is_far = is_offsite || policy_store_is_remote(&model->policy.repository);
    const struct estimate_question q = {
        .files = m->past != NULL ? m->past->steps[i].files : model->files, .bytes = m->past != NULL ? m->past->steps[i].bytes : model->bytes, .is_offsite = is_offsite,
        .line_rate = is_far && m->past == NULL ? e->options->line_rate : 0, .parallel = (unsigned)m->together[i], .restores = m->past != NULL ? 1 : e->scenario->restores,
    };
    struct estimate x;
    estimate_answer(&model->model, &q, &x);
    double checks = x.part_s[ESTIMATE_CHECKS], likely = x.likely_s - checks, range = x.likely_s > 0 ? x.high_s / x.likely_s : RANGE_UNKNOWN;
    set_part(e, i, likely / range, likely, likely * range, PLAN_BY_MODEL);
    memcpy(e->kinds[i], x.part_s, sizeof x.part_s);
    e->kinds[i][ESTIMATE_CHECKS] = 0;
}

// Which copy is restored from is the step's word; whether it is there afterwards that of the scenario.
static void note_lost(const struct making *m, size_t i, const struct policy *policy)
{
    struct plan_estimating *e = m->e;
    bool from_home = !is_from_offsite(m, &e->plan->steps[i], i, policy);
    bool is_gone = from_home && !e->scenario->from_repository && !policy_store_is_remote(&policy->repository) && !policy_only_verifies(policy);
    if (m->past == NULL && is_gone && !e->is_lost) {
        e->is_lost = true;
        e->lost = e->plan->steps[i].system;
    }
}

static bool has_own_measures(const struct making *m, size_t i)
{
    size_t n;
    free(plan_measures_of(m->e->measures, i, before_of(m), &n));
    return n > 0;
}

static int set_by_policy(const struct making *m, size_t i, struct error *err)
{
    const struct recovery_step *step = &m->e->plan->steps[i];
    const struct recovery_system *system = recovery_find_system(m->e->plan, step->system);
    _cleanup_estimating_ struct estimating model = { 0 };
    int r = estimating_load(m->e->ctx, m->e->catalogue, system->policy, before_of(m), &model, err);
    if (r < 0 && r != ERROR_NOT_FOUND)
        return r;
    if (step->type == RECOVERY_RESTORE)
        note_lost(m, i, &model.policy);
    if (r == 0 && step->type == RECOVERY_RESTORE)
        set_restore(m, i, &model);
    else if (r == 0 && model.model.checks_s > 0)
        set_part(m->e, i, model.model.checks_s / RANGE_UNKNOWN, model.model.checks_s, model.model.checks_s * RANGE_UNKNOWN, PLAN_BY_MODEL);
    else
        set_measured(m, i);
    return 0;
}

static int set_step(const struct making *m, size_t i, struct error *err)
{
    const struct recovery_step *step = &m->e->plan->steps[i];
    const struct recovery_system *system = recovery_find_system(m->e->plan, step->system);
    bool has_policy = system != NULL && system->policy[0] != '\0';
    if (m->past != NULL && !m->past->steps[i].is_done) {
        set_part(m->e, i, 0, 0, 0, PLAN_BY_RUNS); // it was left out
        return 0;
    }
    if (has_policy && (step->type == RECOVERY_RESTORE || (step->type == RECOVERY_CHECK && step->check_count == 0 && !has_own_measures(m, i))))
        return set_by_policy(m, i, err);
    set_measured(m, i);
    return 0;
}

// ---- all of it

static int make(const struct making *making, struct error *err)
{
    struct plan_estimating *e = making->e;
    struct making m = *making;
    size_t steps = e->plan->step_count;
    int r = 0;
    e->n = steps + e->plan->role_count + 1;
    e->parts = xcalloc(e->n, sizeof *e->parts);
    e->needs = xcalloc(e->n * e->n, sizeof *e->needs);
    e->sources = xcalloc(e->n, sizeof *e->sources);
    e->kinds = xcalloc(e->n, sizeof *e->kinds);
    m.together = xcalloc(e->n, sizeof *m.together);
    add_needs(e);
    plan_forecast_together(e->parts, e->n, e->needs, e->options->parallel, m.together);
    set_arrivals(&m);
    for (size_t i = 0; r == 0 && i < steps; i++)
        r = set_step(&m, i, err);
    free(m.together);
    if (r == 0 && !plan_forecast(e->parts, e->n, e->needs, e->options->parallel, &e->forecast))
        abort(); // a plan whose steps wait for each other does not load
    return r;
}

// Runs before of which nothing was known cannot be foretold.
static int test(struct plan_estimating *e, struct error *err)
{
    double *errors = xcalloc(e->measures->n + 1, sizeof *errors);
    int r = 0;
    for (size_t k = 0; r == 0 && k < e->measures->n; k++) {
        const struct plan_past *past = &e->measures->runs[k];
        struct plan_estimating told = { .ctx = e->ctx, .catalogue = e->catalogue, .plan = e->plan, .graph = e->graph, .measures = e->measures, .options = e->options,
                                        .config = e->config, .scenario = e->scenario };
        r = make(&(struct making){ .e = &told, .past = past }, err);
        if (r == 0 && told.unknown == 0 && told.by_deadline == 0 && past->took_s > 0)
            errors[e->tested++] = fabs(told.forecast.likely_s - past->took_s) / past->took_s;
        plan_estimating_done(&told);
    }
    if (e->tested > 0) {
        qsort(errors, e->tested, sizeof *errors, compare_doubles);
        e->median_error = errors[e->tested / 2];
        e->worst_error = errors[e->tested - 1];
    }
    free(errors);
    return r;
}

int plan_estimating_make(struct plan_estimating *e, struct error *err)
{
    int r = make(&(struct making){ .e = e }, err);
    if (r == 0)
        r = test(e, err);
    if (r < 0)
        return r;
    e->forecast.low_s = fmin(e->forecast.low_s, e->forecast.likely_s / (1 + e->worst_error));
    e->forecast.high_s = fmax(e->forecast.high_s, e->forecast.likely_s * (1 + e->worst_error));
    return 0;
}

double plan_estimating_saved(const struct plan_estimating *e, const double factors[PLAN_ESTIMATING_KINDS])
{
    struct plan_forecast_part *parts = xcalloc(e->n, sizeof *parts);
    struct plan_forecast f;
    for (size_t i = 0; i < e->n; i++) {
        double seconds = 0;
        for (unsigned kind = 0; kind < PLAN_ESTIMATING_KINDS; kind++)
            seconds += e->kinds[i][kind] * factors[kind];
        parts[i] = (struct plan_forecast_part){ .low_s = seconds, .likely_s = seconds, .high_s = seconds, .is_restore = e->parts[i].is_restore };
    }
    (void)plan_forecast(parts, e->n, e->needs, e->options->parallel, &f); // its order is as good as that of the estimate
    free(parts);
    return fmax(0, e->forecast.likely_s - f.likely_s);
}
