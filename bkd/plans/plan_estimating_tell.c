// What `bkd estimate PLAN` says.
#include <stdio.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/plans/plan_estimating.h"
#include "bkd/plans/planning.h"

#define SECONDS_WORTH_TELLING 1.0

// What would help, and how much it would save by the same time line.
static const struct improvement {
    unsigned kind, other_kind; // the kinds that take so many times as long
    double factor;
    const char *key, *text;
} improvements[] = {
    { ESTIMATE_PEOPLE, ESTIMATE_PEOPLE, 0, "people_at_once_ms", "people who are there at once, and steps that need none" },
    { ESTIMATE_LINE, ESTIMATE_LINE, 0.5, "line_twice_as_fast_ms", "a line twice as fast" },
    { ESTIMATE_FILES, ESTIMATE_BYTES, 0.5, "disks_twice_as_fast_ms", "disks and processors twice as fast" },
    { ESTIMATE_CHECKS, ESTIMATE_CHECKS, 0, "checks_afterwards_ms", "checks after everything is back" },
    { PLAN_ESTIMATING_COMMANDS, PLAN_ESTIMATING_COMMANDS, 0.5, "commands_twice_as_fast_ms", "commands that take half the time" },
};
enum { IMPROVEMENTS = sizeof improvements / sizeof *improvements };

static double saved_by(const struct plan_estimating *e, const struct improvement *x)
{
    double factors[PLAN_ESTIMATING_KINDS];
    for (unsigned kind = 0; kind < PLAN_ESTIMATING_KINDS; kind++)
        factors[kind] = kind == x->kind || kind == x->other_kind ? x->factor : 1;
    return plan_estimating_saved(e, factors);
}

static const char *name_of(const struct plan_estimating *e, size_t i, char *ret_text, size_t size)
{
    size_t steps = e->plan->step_count;
    if (i < steps)
        return e->plan->steps[i].id;
    (void)snprintf(ret_text, size, "%s%s", i + 1 == e->n ? "somebody is there" : "arrival of ", i + 1 == e->n ? "" : e->plan->roles[i - steps].name);
    return ret_text;
}

// Of the chain that makes it as long as it is: the seconds of each kind, and the kind with most of them.
static unsigned sum_chain(const struct plan_estimating *e, double ret_seconds[PLAN_ESTIMATING_KINDS])
{
    unsigned most = 0;
    memset(ret_seconds, 0, PLAN_ESTIMATING_KINDS * sizeof *ret_seconds);
    for (size_t i = 0; i < e->n; i++)
        for (unsigned kind = 0; e->parts[i].is_critical && kind < PLAN_ESTIMATING_KINDS; kind++)
            ret_seconds[kind] += e->kinds[i][kind];
    for (unsigned kind = 1; kind < PLAN_ESTIMATING_KINDS; kind++)
        most = ret_seconds[kind] > ret_seconds[most] ? kind : most;
    return most;
}

// ---- JSON

static int print_steps_json(const struct plan_estimating *e, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < e->n; i++) {
        char text[80];
        if (i >= e->plan->step_count && e->parts[i].likely_s <= 0)
            continue;
        struct json *line = json_line_new("estimate_step");
        json_add_str(line, "scenario", e->scenario->name);
        json_add_str(line, "step", name_of(e, i, text, sizeof text));
        json_add_u64(line, "start_ms", estimating_ms(e->parts[i].start_s));
        json_add_u64(line, "likely_ms", estimating_ms(e->parts[i].likely_s));
        json_add_u64(line, "low_ms", estimating_ms(e->parts[i].low_s));
        json_add_u64(line, "high_ms", estimating_ms(e->parts[i].high_s));
        json_add_str(line, "source", plan_estimating_source_name(e->sources[i]));
        json_add_bool(line, "critical", e->parts[i].is_critical);
        r = json_line_print(&line, stdout, err);
    }
    return r;
}

static int print_json(const struct plan_estimating *e, struct error *err)
{
    double seconds[PLAN_ESTIMATING_KINDS];
    unsigned most = sum_chain(e, seconds);
    int r = print_steps_json(e, err);
    if (r < 0)
        return r;
    struct json *line = json_line_new("estimate");
    json_add_str(line, "plan", e->plan->name);
    json_add_str(line, "scenario", e->scenario->name);
    json_add_u64(line, "likely_ms", estimating_ms(e->forecast.likely_s));
    json_add_u64(line, "low_ms", estimating_ms(e->forecast.low_s));
    json_add_u64(line, "high_ms", estimating_ms(e->forecast.high_s));
    struct json *parts = json_add_object(line, "parts");
    for (unsigned kind = 0; kind < PLAN_ESTIMATING_KINDS; kind++) {
        char key[32];
        (void)snprintf(key, sizeof key, "%s_ms", plan_estimating_kind_name(kind));
        json_add_u64(parts, key, estimating_ms(seconds[kind]));
    }
    json_add_str(line, "bottleneck", plan_estimating_kind_name(most));
    struct json *saves = json_add_object(line, "would_save");
    for (size_t i = 0; i < IMPROVEMENTS; i++)
        json_add_u64(saves, improvements[i].key, estimating_ms(saved_by(e, &improvements[i])));
    json_add_u64(line, "unknown_steps", e->unknown);
    json_add_u64(line, "deadline_steps", e->by_deadline);
    struct json *model = json_add_object(line, "model");
    json_add_u64(model, "tested", e->tested);
    if (e->tested > 0) {
        json_add_double(model, "median_error", e->median_error);
        json_add_double(model, "worst_error", e->worst_error);
    }
    if (e->plan->rto_s > 0) {
        json_add_u64(line, "objective_rto_ms", e->plan->rto_s * 1000);
        json_add_bool(line, "met", e->unknown == 0 && e->forecast.high_s <= (double)e->plan->rto_s);
    }
    return json_line_print(&line, stdout, err);
}

// ---- text

// The next of the chain, in the order of their ends; n = there is none.
static size_t next_of_chain(const struct plan_estimating *e, double after_s)
{
    size_t next = e->n;
    for (size_t i = 0; i < e->n; i++)
        if (e->parts[i].is_critical && e->parts[i].likely_s > 0 && e->parts[i].end_s > after_s && (next == e->n || e->parts[i].end_s < e->parts[next].end_s))
            next = i;
    return next;
}

static void print_chain(const struct plan_estimating *e)
{
    const char *between = "  so long because of:";
    for (size_t i = next_of_chain(e, 0); i < e->n; i = next_of_chain(e, e->parts[i].end_s)) {
        char name[80], took[CLOCK_TEXT_MAX];
        estimating_format(took, e->parts[i].likely_s);
        printf("%s %s %s (%s)", between, name_of(e, i, name, sizeof name), took, plan_estimating_source_name(e->sources[i]));
        between = ", then";
    }
    printf("\n");
}

static void print_help(const struct plan_estimating *e)
{
    bool has_any = false;
    for (size_t i = 0; i < IMPROVEMENTS; i++) {
        char text[CLOCK_TEXT_MAX];
        double seconds = saved_by(e, &improvements[i]);
        if (seconds < SECONDS_WORTH_TELLING && seconds < e->forecast.likely_s / 100)
            continue;
        estimating_format(text, seconds);
        printf("%s %s (saves %s)", has_any ? ";" : "  what would help:", improvements[i].text, text);
        has_any = true;
    }
    if (has_any)
        printf("\n");
}

static void print_text(const struct plan_estimating *e)
{
    char likely[CLOCK_TEXT_MAX], low[CLOCK_TEXT_MAX], high[CLOCK_TEXT_MAX], promised[CLOCK_TEXT_MAX];
    double seconds[PLAN_ESTIMATING_KINDS], rto_s = (double)e->plan->rto_s;
    estimating_format(likely, e->forecast.likely_s);
    estimating_format(low, e->forecast.low_s);
    estimating_format(high, e->forecast.high_s);
    estimating_format(promised, rto_s);
    printf("%s, %s: %s%s, between %s and %s\n  (%s)\n", e->plan->name, e->scenario->name, e->unknown > 0 ? "at least " : "", likely, low, high, e->scenario->text);
    print_chain(e);
    printf("  most of it: %s\n", plan_estimating_kind_name(sum_chain(e, seconds)));
    print_help(e);
    if (e->unknown > 0)
        printf("  nothing is counted for %zu step%s without measurement and deadline\n", e->unknown, e->unknown == 1 ? "" : "s");
    if (rto_s > 0)
        printf("  promised are %s: %s\n", promised, e->forecast.likely_s > rto_s                       ? "NOT kept"
                                                    : e->forecast.high_s > rto_s || e->unknown > 0 ? "not for certain"
                                                    : e->by_deadline > 0                           ? "kept, as long as the deadlines of steps are that were never measured"
                                                                                                   : "kept");
}

static void print_tested(const struct plan_estimating *e)
{
    if (e->tested == 0)
        printf("no earlier run or rehearsal could be foretold yet, so how wrong this is is not known: rehearse the plan, `bkd drill run %s`\n", e->plan->name);
    else
        printf("%zu earlier run%s foretold from what was known before: wrong by %.0f %% in the middle, by %.0f %% at worst\n", e->tested, e->tested == 1 ? "" : "s",
               e->median_error * 100, e->worst_error * 100);
}

static int tell_lost(const struct plan_estimating *e, struct error *err)
{
    _cleanup_free_ char *reason = xasprintf("nothing would be left of system '%s': its policy has no copy elsewhere, or the plan restores from another", e->lost);
    if (!e->ctx->json) {
        printf("%s, %s: %s\n", e->plan->name, e->scenario->name, reason);
        return 0;
    }
    struct json *line = json_line_new("estimate");
    json_add_str(line, "plan", e->plan->name);
    json_add_str(line, "scenario", e->scenario->name);
    json_add_null(line, "likely_ms");
    json_add_str(line, "reason", reason);
    return json_line_print(&line, stdout, err);
}

static int tell(struct plan_estimating *e, bool is_last, struct error *err)
{
    int r = plan_estimating_make(e, err);
    if (r < 0)
        return r;
    if (e->is_lost)
        return tell_lost(e, err);
    if (e->ctx->json)
        return print_json(e, err);
    print_text(e);
    if (is_last)
        print_tested(e);
    return 0;
}

int plan_estimating_tell(const struct context *ctx, struct catalogue *catalogue, const char *plan_name, const struct estimating_options *options, const struct config *config,
                         struct error *err)
{
    _cleanup_recovery_ struct recovery plan = { 0 };
    _cleanup_recovery_graph_ struct recovery_graph graph = { 0 };
    _cleanup_plan_measures_ struct plan_measures measures = { 0 };
    int r = planning_load(ctx, plan_name, &plan, err);
    if (r < 0)
        return r;
    recovery_graph_init(&graph, &plan);
    plan_measures_load(ctx, &plan, &measures);
    for (size_t i = 0; r == 0 && i < ESTIMATING_SCENARIOS; i++) {
        struct plan_estimating e = { .ctx = ctx, .catalogue = catalogue, .plan = &plan, .graph = &graph, .measures = &measures, .options = options, .config = config,
                                     .scenario = &estimating_scenarios[i] };
        if (options->scenario == NULL || options->scenario == e.scenario)
            r = tell(&e, options->scenario != NULL || i + 1 == ESTIMATING_SCENARIOS, err);
        plan_estimating_done(&e);
    }
    return r;
}
