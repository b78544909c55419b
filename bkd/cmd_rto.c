// bkd rto: how long restores take, as far as it was measured.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/dr/evidence.h"
#include "bkd/record/verifications.h"
#include "bkd/setup.h"

// Restores are compared with those like the newest: all of a snapshot, from the same copy, of a size within a factor of two.
struct comparable {
    const char *from; // address of the copy that is asked for; NULL = that of the newest
    bool has_newest;
    char *copy; // owned
    uint64_t bytes, newest_ns;
    uint64_t *durations_ms; // owned; the newest first
    size_t n;
    uint64_t others; // full restores that are not comparable
};

static void comparable_done(struct comparable *c)
{
    free(c->copy);
    free(c->durations_ms);
}

static bool is_alike(const struct comparable *c, const struct verification *v)
{
    return strcmp(c->copy, v->copy) == 0 && v->bytes <= 2 * c->bytes && c->bytes <= 2 * v->bytes;
}

static int take(void *arg, const struct verification *v, struct error *err)
{
    struct comparable *c = arg;
    (void)err;
    if (!v->is_proven || strcmp(v->mode, "full") != 0)
        return 0;
    if (!c->has_newest && (c->from == NULL || strcmp(c->from, v->copy) == 0)) {
        c->has_newest = true;
        c->copy = xstrdup(v->copy);
        c->bytes = v->bytes;
        c->newest_ns = v->time_ns;
    }
    if (!c->has_newest || !is_alike(c, v)) {
        c->others++;
        return 0;
    }
    c->durations_ms = xrealloc(c->durations_ms, (c->n + 1) * sizeof *c->durations_ms);
    c->durations_ms[c->n++] = v->duration_ns / 1000000;
    return 0;
}

static void add_ms(struct json *line, const char *key, bool is_known, uint64_t value)
{
    if (is_known)
        json_add_u64(line, key, value);
    else
        json_add_null(line, key);
}

static int print_json(const struct policy *policy, const struct comparable *c, const struct evidence *e, const char *text, struct error *err)
{
    struct json *line = json_line_new("rto");
    json_add_str(line, "policy", policy->name);
    json_add_str(line, "from", c->copy == NULL || c->copy[0] == '\0' ? policy->repository.url : c->copy);
    json_add_u64(line, "runs", e->runs);
    add_ms(line, "median_ms", e->runs > 0, e->median);
    add_ms(line, "p90_ms", e->runs > 0, e->p90);
    add_ms(line, "worst_ms", e->runs > 0, e->worst);
    add_ms(line, "bound_p90_ms", e->has_bound_p90, e->bound_p90);
    json_add_str(line, "evidence", text);
    json_add_u64(line, "not_comparable", c->others);
    add_ms(line, "objective_rto_ms", policy->objectives.rto_s > 0, policy->objectives.rto_s * 1000);
    if (policy->objectives.rto_s > 0 && e->runs > 0)
        json_add_bool(line, "met", e->worst <= policy->objectives.rto_s * 1000);
    if (c->has_newest)
        json_add_time(line, "newest", c->newest_ns);
    return cmd_print_line(&line, err);
}

static void print_text(const struct policy *policy, const struct comparable *c, const struct evidence *e, const char *text)
{
    char median[CLOCK_TEXT_MAX], p90[CLOCK_TEXT_MAX], worst[CLOCK_TEXT_MAX], promised[CLOCK_TEXT_MAX];
    clock_format_duration(median, e->median * 1000000);
    clock_format_duration(p90, e->p90 * 1000000);
    clock_format_duration(worst, e->worst * 1000000);
    clock_format_duration(promised, policy->objectives.rto_s * UINT64_C(1000000000));
    if (e->runs == 0)
        printf("%s: no restore was measured%s yet: run `bkd verify %s`\n", policy->name, c->from == NULL ? "" : " from there", policy->name);
    else
        printf("%s: median %s, p90 %s, worst %s of %zu restores from %s\n  %s\n", policy->name, median, p90, worst, e->runs,
               c->copy[0] == '\0' ? policy->repository.url : c->copy, text);
    if (policy->objectives.rto_s > 0 && e->runs > 0)
        printf("  promised are %s: %s\n", promised, e->worst <= policy->objectives.rto_s * 1000 ? "met by every measured restore" : "MISSED by the slowest");
    if (c->others > 0)
        printf("  %llu other restores are not comparable (another copy, another size)\n", (unsigned long long)c->others);
}

int cmd_rto(struct cmd_context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_policy_ struct policy policy = { 0 };
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    __attribute__((cleanup(comparable_done))) struct comparable c = { .from = cli_args_option(args, "from") };
    struct evidence evidence;
    char text[EVIDENCE_TEXT_MAX];
    int r = cmd_load_policy(ctx, cli_args_value(args, 0), &policy, err);
    if (r < 0)
        return r;
    if (c.from != NULL && (strcmp(c.from, "repository") == 0 || strcmp(c.from, policy.repository.url) == 0))
        c.from = "";
    r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_READ, &catalogue, err);
    if (r == 0)
        r = verifications_list(&catalogue, policy.name, 0, take, &c, err);
    if (r < 0 && r != ERROR_NOT_FOUND) // nothing was ever recorded here
        return r;
    evidence_of(c.durations_ms, c.n, &evidence);
    evidence_text(&evidence, text);
    if (ctx->json)
        return print_json(&policy, &c, &evidence, text, err);
    print_text(&policy, &c, &evidence, text);
    return 0;
}
