// bkd estimate: how long the recovery of a policy would take after a disaster, by what was measured before it. Of a plan: plan_estimating.h.
#include <stdio.h>

#include "bkd/base/clock.h"
#include "bkd/cmd.h"
#include "bkd/plans/plan_estimating.h"
#include "bkd/plans/planning.h"
#include "bkd/proof/estimating.h"

enum { TESTS_SHOWN = 5 };

static const char *place_of(const struct estimating *e, bool is_offsite) { return is_offsite ? e->policy.offsite.items[0].url : e->policy.repository.url; }

static int print_json(const struct estimating *e, const struct estimating_scenario *s, bool is_offsite, const struct estimate *x, struct error *err)
{
    const struct estimate_model *m = &e->model;
    struct json *line = json_line_new("estimate");
    json_add_str(line, "policy", e->policy.name);
    json_add_str(line, "scenario", s->name);
    json_add_str(line, "from", place_of(e, is_offsite));
    json_add_u64(line, "snapshot", e->snapshot);
    json_add_u64(line, "files", e->files);
    json_add_u64(line, "bytes", e->bytes);
    json_add_u64(line, "likely_ms", estimating_ms(x->likely_s));
    json_add_u64(line, "low_ms", estimating_ms(x->low_s));
    json_add_u64(line, "high_ms", estimating_ms(x->high_s));
    struct json *parts = json_add_object(line, "parts");
    for (int i = 0; i < ESTIMATE_PARTS; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "%s_ms", estimate_part_name((enum estimate_part)i));
        json_add_u64(parts, key, estimating_ms(x->part_s[i]));
    }
    json_add_str(line, "bottleneck", estimate_part_name(x->bottleneck));
    json_add_str(line, "help", estimate_part_help(x->bottleneck));
    json_add_bool(line, "extrapolated", x->is_beyond);
    json_add_bool(line, "line_known", x->line_is_known);
    struct json *model = json_add_object(line, "model");
    json_add_u64(model, "runs", m->runs);
    json_add_double(model, "fixed_ms", m->fixed_s * 1000);
    json_add_double(model, "per_file_us", m->per_file_s * 1e6);
    json_add_double(model, "per_mib_ms", m->per_byte_s * 1048576 * 1000);
    json_add_double(model, "line_bytes_per_s", is_offsite ? m->offsite_rate : m->home_rate);
    json_add_u64(model, "tested", m->tested);
    if (m->tested > 0) {
        json_add_double(model, "median_error", m->median_error);
        json_add_double(model, "worst_error", m->worst_error);
    }
    if (e->policy.objectives.rto_s > 0) {
        json_add_u64(line, "objective_rto_ms", e->policy.objectives.rto_s * 1000);
        json_add_bool(line, "met", x->high_s <= (double)e->policy.objectives.rto_s);
    }
    return json_line_print(&line, stdout, err);
}

static void print_text(const struct estimating *e, const struct estimating_scenario *s, bool is_offsite, const struct estimate *x)
{
    char likely[CLOCK_TEXT_MAX], low[CLOCK_TEXT_MAX], high[CLOCK_TEXT_MAX], part[CLOCK_TEXT_MAX], promised[CLOCK_TEXT_MAX];
    estimating_format(likely, x->likely_s);
    estimating_format(low, x->low_s);
    estimating_format(high, x->high_s);
    estimating_format(promised, (double)e->policy.objectives.rto_s);
    printf("%s, %s: %s, between %s and %s, from %s\n  (%s)\n  ", e->policy.name, s->name, likely, low, high, place_of(e, is_offsite), s->text);
    for (int i = 0; i < ESTIMATE_PARTS; i++) {
        estimating_format(part, x->part_s[i]);
        if (x->part_s[i] >= 0.0005)
            printf(" %s %s", estimate_part_name((enum estimate_part)i), part);
    }
    printf("\n  most of it: %s; what would help: %s\n", estimate_part_name(x->bottleneck), estimate_part_help(x->bottleneck));
    if (x->is_beyond)
        printf("  far larger than any restore that was measured: prove a whole snapshot once, `bkd verify %s --sample full`\n", e->policy.name);
    if (!x->line_is_known)
        printf("  nothing is counted for the line: no restore from there was measured; give --link\n");
    if (e->policy.objectives.rto_s > 0)
        printf("  promised are %s: %s\n", promised, x->high_s <= (double)e->policy.objectives.rto_s ? "kept" : x->likely_s <= (double)e->policy.objectives.rto_s ? "not for certain" : "NOT kept");
}

static void print_model(const struct estimating *e)
{
    const struct estimate_model *m = &e->model;
    printf("fitted to %zu measured restores; ", m->runs);
    if (m->tested == 0)
        printf("too few to tell how wrong it is: the interval is a factor of two\n");
    else
        printf("%zu of them foretold from those before: wrong by %.0f %% in the middle, by %.0f %% at worst\n", m->tested, m->median_error * 100, m->worst_error * 100);
}

// The last estimates that a measurement followed, and how far off they were.
static int tell_tests(const struct context *ctx, const struct estimating *e, struct error *err)
{
    size_t first = e->n > ESTIMATE_LEARN + TESTS_SHOWN ? e->n - TESTS_SHOWN : ESTIMATE_LEARN;
    for (size_t k = first; k < e->n; k++) {
        char told[CLOCK_TEXT_MAX], took[CLOCK_TEXT_MAX], when[CLOCK_TEXT_MAX];
        double told_s, took_s;
        estimate_foretell(e->runs, k, &told_s, &took_s);
        if (ctx->json) {
            struct json *line = json_line_new("estimate_test");
            json_add_str(line, "policy", e->policy.name);
            json_add_time(line, "time", e->runs[k].time_ns);
            json_add_u64(line, "told_ms", estimating_ms(told_s));
            json_add_u64(line, "took_ms", estimating_ms(took_s));
            json_add_double(line, "error", (told_s - took_s) / took_s);
            int r = json_line_print(&line, stdout, err);
            if (r < 0)
                return r;
            continue;
        }
        estimating_format(told, told_s);
        estimating_format(took, took_s);
        clock_format_utc(when, e->runs[k].time_ns, false);
        printf("  %s: foretold %s, took %s (%+.0f %%)\n", when, told, took, (told_s - took_s) / took_s * 100);
    }
    return 0;
}

static int tell_lost(const struct context *ctx, const struct estimating *e, const struct estimating_scenario *s, struct error *err)
{
    static const char reason[] = "nothing would be left: the policy has no copy elsewhere; list one below `offsite`";
    if (!ctx->json) {
        printf("%s, %s: %s\n", e->policy.name, s->name, reason);
        return 0;
    }
    struct json *line = json_line_new("estimate");
    json_add_str(line, "policy", e->policy.name);
    json_add_str(line, "scenario", s->name);
    json_add_null(line, "likely_ms");
    json_add_str(line, "reason", reason);
    return json_line_print(&line, stdout, err);
}

static int answer(const struct context *ctx, const struct estimating *e, const struct estimating_options *o, const struct config *config, const struct estimating_scenario *s,
                  struct error *err)
{
    struct estimate x;
    bool is_offsite = !s->from_repository && e->policy.offsite.count > 0;
    const struct estimate_question q = {
        .files = e->files, .bytes = e->bytes, .is_offsite = is_offsite, .line_rate = s->from_repository && !policy_store_is_remote(&e->policy.repository) ? 0 : o->line_rate,
        .parallel = o->parallel, .restores = s->restores, .people_s = estimating_people_s(o, config, s),
    };
    if (!estimating_is_survived(&e->policy, s))
        return tell_lost(ctx, e, s, err);
    estimate_answer(&e->model, &q, &x);
    if (ctx->json)
        return print_json(e, s, is_offsite, &x, err);
    print_text(e, s, is_offsite, &x);
    return 0;
}

static int estimate_policy(const struct context *ctx, struct catalogue *catalogue, const char *name, const struct estimating_options *o, const struct config *config,
                           struct error *err)
{
    _cleanup_estimating_ struct estimating e = { 0 };
    int r = estimating_load(ctx, catalogue, name, 0, &e, err);
    if (r == 0 && ctx->json)
        r = tell_tests(ctx, &e, err);
    for (size_t i = 0; r == 0 && i < ESTIMATING_SCENARIOS; i++)
        if (o->scenario == NULL || o->scenario == &estimating_scenarios[i])
            r = answer(ctx, &e, o, config, &estimating_scenarios[i], err);
    if (r < 0 || ctx->json)
        return r;
    print_model(&e);
    return tell_tests(ctx, &e, err);
}

// A policy, unless there is only a plan of that name, or a plan is meant.
static bool is_plan(const struct context *ctx, const struct cli_args *args)
{
    _cleanup_free_ char *policy = context_policy_path(ctx, cli_args_value(args, 0)), *plan = context_plan_path(ctx, cli_args_value(args, 0));
    struct statx st;
    struct error ignored;
    return cli_args_flag(args, "plan") || (io_stat(ctx->io, AT_FDCWD, policy, 0, &st, &ignored) < 0 && io_stat(ctx->io, AT_FDCWD, plan, 0, &st, &ignored) == 0);
}

int cmd_estimate(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    _cleanup_config_ struct config config = { 0 };
    struct estimating_options options;
    int r = estimating_read_options(args, &options, err);
    if (r == 0)
        r = context_load_config(ctx, &config, err);
    if (r == 0)
        r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_READ, &catalogue, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, r, "nothing was ever measured on this host: run `bkd verify`, then ask again");
    if (r < 0)
        return r;
    if (is_plan(ctx, args))
        return plan_estimating_tell(ctx, &catalogue, cli_args_value(args, 0), &options, &config, err);
    return estimate_policy(ctx, &catalogue, cli_args_value(args, 0), &options, &config, err);
}
