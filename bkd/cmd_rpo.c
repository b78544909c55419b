// bkd rpo: how much would be lost now, and how much would have been over the last weeks.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/cmd.h"
#include "bkd/dr/rpo.h"
#include "bkd/host/setup.h"
#include "bkd/record/snapshots.h"
#include "bkd/record/verifications.h"

enum { DAYS = 30, DAYS_MAX = 3660 };
#define DAY_NS UINT64_C(86400000000000)

struct history {
    struct catalogue *catalogue;
    bool has_copies;          // the policy has copies elsewhere: only what is there counts
    struct rpo_point *points; // owned
    int64_t *ids;             // of the snapshots; owned
    size_t n, at;
};

static void history_done(struct history *h)
{
    free(h->points);
    free(h->ids);
}

static int take_snapshot(void *arg, const struct snapshot_record *s, struct error *err)
{
    struct history *h = arg;
    (void)err;
    h->points = xrealloc(h->points, (h->n + 1) * sizeof *h->points);
    h->ids = xrealloc(h->ids, (h->n + 1) * sizeof *h->ids);
    h->ids[h->n] = s->id;
    h->points[h->n++] = (struct rpo_point){ s->number, s->time_ns, s->time_ns, h->has_copies ? RPO_NEVER : s->time_ns, RPO_NEVER, RPO_NEVER };
    return 0;
}

// When it was first in another place; while it is still somewhere it counts.
static int take_place(void *arg, int64_t copy, const char *url, const char *serial, uint64_t arrived_ns, uint64_t gone_ns, struct error *err)
{
    struct rpo_point *p = arg;
    (void)copy, (void)url, (void)serial, (void)err;
    if (gone_ns == 0 && arrived_ns < p->offsite_ns)
        p->offsite_ns = arrived_ns;
    return 0;
}

static int take_proof(void *arg, const struct verification *v, struct error *err)
{
    struct history *h = arg;
    (void)err;
    bool counts = v->is_proven && strcmp(v->mode, "full") == 0 && (!h->has_copies || v->copy[0] != '\0');
    for (size_t i = 0; counts && i < h->n; i++)
        if (h->points[i].number == v->snapshot && v->time_ns < h->points[i].proven_ns)
            h->points[i].proven_ns = v->time_ns;
    return 0;
}

static int load(struct history *h, const struct policy *policy, struct error *err)
{
    h->has_copies = policy->offsite.count > 0;
    int r = snapshots_list(h->catalogue, policy->name, 0, take_snapshot, h, err);
    for (size_t i = 0; r == 0 && h->has_copies && i < h->n; i++)
        r = snapshots_places(h->catalogue, h->ids[i], take_place, &h->points[i], err);
    return r < 0 ? r : verifications_list(h->catalogue, policy->name, 0, take_proof, h, err);
}

// ---- telling

static void add_age(struct json *line, const char *key, uint64_t age_ns)
{
    if (age_ns == RPO_NEVER)
        json_add_null(line, key);
    else
        json_add_u64(line, key, age_ns / 1000000);
}

// A policy that is younger than the time looked at is looked at since its first snapshot.
static uint64_t first_moment(const struct history *h, uint64_t from_ns)
{
    uint64_t first = RPO_NEVER;
    for (size_t i = 0; i < h->n; i++)
        first = h->points[i].made_ns < first ? h->points[i].made_ns : first;
    return first != RPO_NEVER && first > from_ns ? first : from_ns;
}

static int print_series(const struct policy *policy, const struct history *h, uint64_t now, uint64_t days, struct error *err)
{
    for (uint64_t day = days; day > 0; day--) {
        uint64_t until = now - (day - 1) * DAY_NS;
        struct json *line = json_line_new("rpo_day");
        json_add_str(line, "policy", policy->name);
        json_add_time(line, "until", until);
        add_age(line, "worst_offsite_ms", rpo_worst(h->points, h->n, first_moment(h, until - DAY_NS), until, false));
        add_age(line, "worst_proven_ms", rpo_worst(h->points, h->n, first_moment(h, until - DAY_NS), until, true));
        int r = json_line_print(&line, stdout, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int print_json(const struct policy *policy, const struct history *h, uint64_t now, uint64_t days, struct error *err)
{
    struct rpo rpo = rpo_at(h->points, h->n, now);
    uint64_t promised_ns = policy->objectives.rpo_s * UINT64_C(1000000000);
    int r = print_series(policy, h, now, days, err);
    if (r < 0)
        return r;
    struct json *line = json_line_new("rpo");
    json_add_str(line, "policy", policy->name);
    add_age(line, "newest_ms", rpo.newest);
    add_age(line, "offsite_ms", rpo.offsite);
    add_age(line, "proven_ms", rpo.proven);
    json_add_u64(line, "newest_snapshot", rpo.newest_number);
    json_add_u64(line, "offsite_snapshot", rpo.offsite_number);
    json_add_u64(line, "proven_snapshot", rpo.proven_number);
    add_age(line, "worst_proven_ms", rpo_worst(h->points, h->n, first_moment(h, now - days * DAY_NS), now, true));
    json_add_u64(line, "days", days);
    add_age(line, "objective_rpo_ms", promised_ns > 0 ? promised_ns : RPO_NEVER);
    if (promised_ns > 0)
        json_add_bool(line, "met", rpo.offsite <= promised_ns);
    return json_line_print(&line, stdout, err);
}

static void print_age(const char *what, uint64_t age_ns, uint64_t number)
{
    char age[CLOCK_TEXT_MAX];
    clock_format_duration(age, age_ns);
    if (age_ns == RPO_NEVER)
        printf("  %-38s nothing\n", what);
    else
        printf("  %-38s %s (snapshot %llu)\n", what, age, (unsigned long long)number);
}

static void print_text(const struct policy *policy, const struct history *h, uint64_t now, uint64_t days)
{
    char promised[CLOCK_TEXT_MAX], worst[CLOCK_TEXT_MAX];
    struct rpo rpo = rpo_at(h->points, h->n, now);
    uint64_t promised_ns = policy->objectives.rpo_s * UINT64_C(1000000000), over = rpo_worst(h->points, h->n, first_moment(h, now - days * DAY_NS), now, true);
    clock_format_duration(promised, promised_ns);
    clock_format_duration(worst, over);
    printf("%s: what would be lost now\n", policy->name);
    print_age("when only the files are gone:", rpo.newest, rpo.newest_number);
    if (h->has_copies)
        print_age("when this place is gone:", rpo.offsite, rpo.offsite_number);
    print_age(h->has_copies ? "going by what was proven from a copy:" : "going by what was proven:", rpo.proven, rpo.proven_number);
    if (over == RPO_NEVER)
        printf("  over the last %llu days there was a time without any proven point\n", (unsigned long long)days);
    else
        printf("  at worst over the last %llu days, proven: %s\n", (unsigned long long)days, worst);
    if (promised_ns > 0)
        printf("  promised are %s: %s\n", promised, rpo.offsite <= promised_ns ? "met" : "MISSED: run `bkd backup`, and see `bkd status` for what keeps copies from being current");
}

static int tell(const struct context *ctx, struct catalogue *c, const char *name, uint64_t days, struct error *err)
{
    _cleanup_policy_ struct policy policy = { 0 };
    __attribute__((cleanup(history_done))) struct history h = { .catalogue = c };
    int r = context_load_policy(ctx, name, &policy, err);
    if (r == 0 && c != NULL)
        r = load(&h, &policy, err);
    if (r < 0)
        return r;
    uint64_t now = io_realtime_ns(ctx->io);
    if (ctx->json)
        return print_json(&policy, &h, now, days, err);
    print_text(&policy, &h, now, days);
    return 0;
}

int cmd_rpo(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    _cleanup_context_names_ struct context_names names = { 0 };
    const char *only = cli_args_value(args, 0);
    unsigned long days = 0;
    int r = cli_args_number(args, "days", DAYS_MAX, &days, err);
    if (r < 0)
        return r;
    days = days == 0 ? DAYS : days;
    r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_READ, &catalogue, err);
    struct catalogue *c = r == 0 ? &catalogue : NULL;
    if (r == ERROR_NOT_FOUND) // nothing was ever recorded here
        r = 0;
    if (r == 0 && only != NULL)
        return tell(ctx, c, only, days, err);
    if (r == 0)
        r = context_policy_names(ctx, &names, err);
    for (size_t i = 0; r == 0 && i < names.count; i++)
        r = tell(ctx, c, names.items[i], days, err);
    return r;
}
