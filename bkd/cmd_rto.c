// bkd rto: how long restores take, as far as it was measured.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/cmd.h"
#include "bkd/dr/comparable.h"
#include "bkd/dr/draws.h"

// What is known of a policy's restores.
struct known {
    struct policy policy;
    struct comparable restores;
    struct evidence evidence;
    char text[EVIDENCE_TEXT_MAX];
    struct trend trend;
    uint64_t crossing_days; // until the trend is above the objective
    struct draws draws;
};

static void known_done(struct known *k)
{
    policy_done(&k->policy);
    comparable_done(&k->restores);
}

static void add_ms(struct json *line, const char *key, bool is_known, uint64_t value)
{
    if (is_known)
        json_add_u64(line, key, value);
    else
        json_add_null(line, key);
}

static void add_trend(struct json *line, const struct known *k)
{
    if (!k->trend.is_known)
        return;
    json_add_double(line, "trend_ms_per_day", k->trend.per_day);
    add_ms(line, "objective_crossed_in_days", k->crossing_days != TREND_NEVER, k->crossing_days);
}

static int print_json(const struct known *k, struct error *err)
{
    const struct policy *policy = &k->policy;
    const struct comparable *c = &k->restores;
    const struct evidence *e = &k->evidence;
    struct json *line = json_line_new("rto");
    json_add_str(line, "policy", policy->name);
    json_add_str(line, "from", c->copy == NULL || c->copy[0] == '\0' ? policy->repository.url : c->copy);
    json_add_u64(line, "runs", e->runs);
    add_ms(line, "median_ms", e->runs > 0, e->median);
    add_ms(line, "p90_ms", e->runs > 0, e->p90);
    add_ms(line, "worst_ms", e->runs > 0, e->worst);
    add_ms(line, "bound_p90_ms", e->has_bound_p90, e->bound_p90);
    json_add_str(line, "evidence", k->text);
    json_add_str(line, "host", c->host);
    json_add_u64(line, "not_comparable", c->others);
    add_ms(line, "objective_rto_ms", policy->objectives.rto_s > 0, policy->objectives.rto_s * 1000);
    if (policy->objectives.rto_s > 0 && e->runs > 0)
        json_add_bool(line, "met", e->worst <= policy->objectives.rto_s * 1000);
    add_trend(line, k);
    draws_add_json(line, &k->draws);
    if (c->has_newest)
        json_add_time(line, "newest", c->newest_ns);
    return json_line_print(&line, stdout, err);
}

static void print_trend(const struct known *k)
{
    char change[CLOCK_TEXT_MAX];
    double per_month = k->trend.per_day * 30;
    if (!k->trend.is_known)
        return;
    clock_format_duration(change, (uint64_t)(fabs(per_month) * 1e6));
    printf("  trend: %s %s in 30 days", change, per_month < 0 ? "less" : "more");
    if (k->crossing_days == TREND_NEVER)
        printf("\n");
    else
        printf("; it is above what is promised in %llu days\n", (unsigned long long)k->crossing_days);
}

static void print_draws(const struct draws *d)
{
    _cleanup_buf_ struct buf text = { 0 };
    draws_format(d, &text);
    if (d->files > 0)
        printf("  %s\n", buf_str(&text));
}

static void print_text(const struct known *k, bool asks_copy)
{
    const struct policy *policy = &k->policy;
    const struct comparable *c = &k->restores;
    const struct evidence *e = &k->evidence;
    char median[CLOCK_TEXT_MAX], p90[CLOCK_TEXT_MAX], worst[CLOCK_TEXT_MAX], promised[CLOCK_TEXT_MAX];
    clock_format_duration(median, e->median * 1000000);
    clock_format_duration(p90, e->p90 * 1000000);
    clock_format_duration(worst, e->worst * 1000000);
    clock_format_duration(promised, policy->objectives.rto_s * UINT64_C(1000000000));
    if (e->runs == 0)
        printf("%s: no restore was measured%s yet: run `bkd verify %s`\n", policy->name, asks_copy ? " from there" : "", policy->name);
    else
        printf("%s: median %s, p90 %s, worst %s of %zu restores from %s\n  %s\n", policy->name, median, p90, worst, e->runs,
               c->copy[0] == '\0' ? policy->repository.url : c->copy, k->text);
    if (policy->objectives.rto_s > 0 && e->runs > 0)
        printf("  promised are %s: %s\n", promised, e->worst <= policy->objectives.rto_s * 1000 ? "met by every measured restore" : "MISSED by the slowest");
    print_trend(k);
    print_draws(&k->draws);
    if (c->others > 0)
        printf("  %llu other restores are not comparable (another copy, host or size)\n", (unsigned long long)c->others);
}

static int load(const struct context *ctx, struct catalogue *c, const char *from, struct known *k, struct error *err)
{
    const struct policy *policy = &k->policy;
    uint64_t now_ns = io_realtime_ns(ctx->io);
    if (from != NULL && (strcmp(from, "repository") == 0 || strcmp(from, policy->repository.url) == 0))
        from = "";
    int r = comparable_load(c, policy->name, from, &k->restores, err);
    if (r == 0)
        r = draws_load(c, policy->name, now_ns, &k->draws, err);
    k->trend = trend_of(k->restores.runs, k->restores.n);
    k->crossing_days = policy->objectives.rto_s > 0 ? trend_crossing_days(&k->trend, (double)policy->objectives.rto_s * 1000, now_ns) : TREND_NEVER;
    return r;
}

static int tell(const struct context *ctx, struct catalogue *c, const char *name, const char *from, struct error *err)
{
    __attribute__((cleanup(known_done))) struct known k = { 0 };
    int r = context_load_policy(ctx, name, &k.policy, err);
    if (r == 0 && c != NULL)
        r = load(ctx, c, from, &k, err);
    if (r < 0)
        return r;
    comparable_evidence(&k.restores, &k.evidence);
    evidence_text(&k.evidence, k.text);
    if (ctx->json)
        return print_json(&k, err);
    print_text(&k, from != NULL);
    return 0;
}

int cmd_rto(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    _cleanup_context_names_ struct context_names names = { 0 };
    const char *from = cli_args_option(args, "from"), *only = cli_args_value(args, 0);
    int r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_READ, &catalogue, err);
    struct catalogue *c = r == 0 ? &catalogue : NULL;
    if (r == ERROR_NOT_FOUND) // nothing was ever recorded here
        r = 0;
    if (r == 0 && only != NULL)
        return tell(ctx, c, only, from, err);
    if (r == 0)
        r = context_policy_names(ctx, &names, err);
    for (size_t i = 0; r == 0 && i < names.count; i++)
        r = tell(ctx, c, names.items[i], from, err);
    return r;
}
