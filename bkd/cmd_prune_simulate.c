// bkd prune --simulate DAYS: what the rules of retention and renewal make of a repository, in a model. Touches nothing.
#include <stdlib.h>
#include <string.h>

#include "bkd/cmd.h"
#include "bkd/copies/pruning.h"
#include "bkd/engine/simulate.h"
#include "bkd/policy/units.h"

enum { SEED = 1, SOURCES = 4, USUAL_RATE = 2, USUAL_MIN_LIVE = 30, USUAL_BUDGET = 2, USUAL_CHAIN = 20, USUAL_SHARE = 100 };
#define SOURCE_BYTES (UINT64_C(100) << 30) // the figures are shares of this

struct model {
    const char *name;
    struct simulate_source source;
};

struct simulation {
    const struct context *ctx;
    struct keep_rules keep;
    uint64_t grace_s;
    unsigned min_live_percent, budget_percent;
    uint64_t budget_bytes;
    struct ancestry_limits ancestry;
    uint64_t change_percent;
    size_t nights;
};

// How the nights ended, all in shares of the source.
struct outcome {
    double stored, distinct, ratio, highest_ratio, written, renewed;
    size_t snapshots;
};

static void keep_by_rules(void *arg, const uint64_t *times_ns, size_t n, uint64_t now_ns, bool *keep)
{
    const struct simulation *s = arg;
    struct keep_snapshot *snapshots = xcalloc(n + 1, sizeof *snapshots);
    struct keep_clock clock = { .now_ns = now_ns };
    struct keep_result result;
    for (size_t i = 0; i < n; i++)
        snapshots[i] = (struct keep_snapshot){ .number = i + 1, .time_ns = times_ns[i], .complete = true };
    keep_decide(&s->keep, &clock, snapshots, n, &result);
    for (size_t i = 0; i < n; i++)
        keep[i] = snapshots[i].reasons != 0;
    free(snapshots);
}

static void use_policy(struct simulation *s, const struct policy *policy)
{
    pruning_take_rules(&policy->keep, &s->keep);
    s->grace_s = policy->grace_s;
    s->min_live_percent = policy->renewal && policy_keep_is_set(&policy->keep) ? (unsigned)policy->renewal_min_live_percent : 0;
    s->budget_percent = (unsigned)policy->renewal_budget_percent;
    s->budget_bytes = policy->renewal_budget_bytes;
    s->ancestry = (struct ancestry_limits){ (uint32_t)policy->delta_max_chain, (uint32_t)policy->delta_max_share_percent };
}

static int read_arguments(struct simulation *s, const struct cli_args *args, struct error *err)
{
    const char *rate = cli_args_option(args, "change-rate");
    unsigned long nights = 0;
    int r = cli_args_number(args, "simulate", SIMULATE_NIGHTS_MAX, &nights, err);
    if (r == 0 && rate != NULL)
        r = units_parse_percent(rate, &s->change_percent, err);
    if (r < 0)
        return rate != NULL && nights > 0 ? error_prefix(err, "--change-rate '%s'", rate) : r;
    if (nights == 0 || s->change_percent == 0 || s->change_percent > 100)
        return error_set(err, ERROR_USAGE, "--simulate takes days from 1 to %u, --change-rate a share from 1%% to 100%%", SIMULATE_NIGHTS_MAX);
    s->nights = nights;
    return 0;
}

static void sum_up(const struct simulate_night *nights, size_t n, struct outcome *ret_outcome)
{
    const struct simulate_night *last = &nights[n - 1];
    double source = (double)SOURCE_BYTES;
    struct outcome o = { .stored = (double)last->stored_bytes / source, .distinct = (double)last->unique_bytes / source, .snapshots = last->snapshots };
    o.ratio = o.stored / o.distinct;
    for (size_t i = 0; i < n; i++) {
        double ratio = (double)nights[i].stored_bytes / (double)nights[i].unique_bytes;
        o.highest_ratio = ratio > o.highest_ratio ? ratio : o.highest_ratio;
        o.written += i == 0 ? 0 : (double)nights[i].written_bytes / source / (double)(n > 1 ? n - 1 : 1);
        o.renewed += (double)nights[i].renewed_bytes / source / (double)(n > 1 ? n - 1 : 1);
    }
    *ret_outcome = o;
}

static int print_json(const struct model *model, const struct simulate_night *nights, size_t n, const struct outcome *o, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct json *line = json_line_new("night");
        json_add_str(line, "source", model->name);
        json_add_u64(line, "night", i + 1);
        json_add_u64(line, "snapshots", nights[i].snapshots);
        json_add_u64(line, "stored_bytes", nights[i].stored_bytes);
        json_add_u64(line, "distinct_bytes", nights[i].unique_bytes);
        json_add_u64(line, "written_bytes", nights[i].written_bytes);
        json_add_u64(line, "renewed_bytes", nights[i].renewed_bytes);
        r = json_line_print(&line, stdout, err);
    }
    if (r < 0)
        return r;
    struct json *line = json_line_new("simulation");
    json_add_str(line, "source", model->name);
    json_add_u64(line, "source_bytes", SOURCE_BYTES);
    json_add_u64(line, "nights", n);
    json_add_u64(line, "snapshots", o->snapshots);
    json_add_double(line, "stored", o->stored);
    json_add_double(line, "distinct", o->distinct);
    json_add_double(line, "ratio", o->ratio);
    json_add_double(line, "highest_ratio", o->highest_ratio);
    json_add_double(line, "written_a_day", o->written);
    json_add_double(line, "renewed_a_day", o->renewed);
    return json_line_print(&line, stdout, err);
}

static void print_head(const struct simulation *s)
{
    _cleanup_buf_ struct buf rules = { 0 };
    pruning_rules_text(&s->keep, &rules);
    printf("%zu days, one snapshot a day, keep %s; %u%% of the files change each day, of the image half as much.\n", s->nights,
           keep_rules_given(&s->keep) ? buf_str(&rules) : "all", (unsigned)s->change_percent);
    if (s->min_live_percent > 0)
        printf("Renewal: objects of which less than %u%% is in use. ", s->min_live_percent);
    else
        printf("Nothing is renewed. ");
    printf("Chains of %u versions at most. All sizes in times that of the source.\n\n", s->ancestry.max_chain);
    printf("%-34s %9s %9s %9s %7s %8s %12s %12s\n", "source", "snapshots", "distinct", "stored", "ratio", "highest", "written/day", "renewed/day");
}

static int simulate_model(const struct simulation *s, const struct model *model, struct error *err)
{
    struct simulate_night *nights = xcalloc(s->nights, sizeof *nights);
    uint64_t budget = s->budget_bytes > 0 ? s->budget_bytes : SOURCE_BYTES / 100 * s->budget_percent;
    struct simulate_rules rules = {
        .keep = keep_by_rules, .keep_arg = (void *)s, .grace_ns = s->grace_s * 1000000000u,
        .renewal = { .min_live_percent = s->min_live_percent, .budget_bytes = budget }, .ancestry = s->ancestry,
    };
    struct outcome o;
    int r = 0;
    simulate_run(&model->source, &rules, s->nights, SEED, nights);
    sum_up(nights, s->nights, &o);
    if (s->ctx->json)
        r = print_json(model, nights, s->nights, &o, err);
    else
        printf("%-34s %9zu %9.2f %9.2f %7.2f %8.2f %11.2f%% %11.2f%%\n", model->name, o.snapshots, o.distinct, o.stored, o.ratio, o.highest_ratio, 100 * o.written,
               100 * o.renewed);
    free(nights);
    return r;
}

int cmd_prune_simulate(struct context *ctx, const struct cli_args *args, struct error *err)
{
    struct simulation s = {
        .ctx = ctx, .keep = { .daily = 14, .weekly = 8, .monthly = 6 }, .grace_s = 86400, .min_live_percent = USUAL_MIN_LIVE, .budget_percent = USUAL_BUDGET,
        .ancestry = { USUAL_CHAIN, USUAL_SHARE }, .change_percent = USUAL_RATE,
    };
    _cleanup_policy_ struct policy policy = { 0 };
    int r = read_arguments(&s, args, err);
    if (r == 0 && cli_args_value(args, 0) != NULL) {
        r = context_load_policy(ctx, cli_args_value(args, 0), &policy, err);
        if (r == 0)
            use_policy(&s, &policy);
    }
    double rate = (double)s.change_percent / 100;
    const struct model models[SOURCES] = {
        { "tree, files alike", { .bytes = SOURCE_BYTES, .change_share = rate } },
        { "tree, 80% of changes in 20%", { .bytes = SOURCE_BYTES, .change_share = rate, .hot_share = 0.2, .hot_changes = 0.8 } },
        { "tree, 90% of changes in 10%", { .bytes = SOURCE_BYTES, .change_share = rate, .hot_share = 0.1, .hot_changes = 0.9 } },
        { "image, scattered blocks", { .is_image = true, .bytes = SOURCE_BYTES, .change_share = rate / 2 } },
    };
    if (r == 0 && !ctx->json)
        print_head(&s);
    for (size_t i = 0; r == 0 && i < SOURCES; i++)
        r = simulate_model(&s, &models[i], err);
    return r;
}
