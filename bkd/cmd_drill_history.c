// bkd drill history: drills by quarters, with the trend of what they measured against what is promised.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/clock.h"
#include "bkd/cmd.h"
#include "bkd/dr/drill.h"
#include "bkd/dr/quarters.h"
#include "bkd/history/history.h"
#include "bkd/record/drills.h"
#include "bkd/watch/watch_plans.h"

#define NS_PER_S UINT64_C(1000000000)
#define OF_PLAN "plan" // what rehearsals and tabletops of a plan are together

enum { QUARTERS_SHOWN = 8, QUARTERS_MAX = 400 };

// The drills of one plan, or of one kind of a policy.
struct series {
    char *plan, *kind; // owned
    const struct watch_plan *dates; // NULL = nobody planned them
    struct quarters_drill *drills;  // owned; newest first
    size_t n;
};

struct history {
    const struct context *ctx;
    uint64_t now_ns, quarters;
    struct watch_plans plans;
    struct series *series; // owned
    size_t n;
    struct quarter total;
};

static void history_done(struct history *h)
{
    for (size_t i = 0; i < h->n; i++) {
        free(h->series[i].plan);
        free(h->series[i].kind);
        free(h->series[i].drills);
    }
    free(h->series);
    watch_plans_done(&h->plans);
}

static struct series *find_series(struct history *h, const char *plan, const char *kind)
{
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->series[i].plan, plan) == 0 && strcmp(h->series[i].kind, kind) == 0)
            return &h->series[i];
    h->series = xrealloc(h->series, (h->n + 1) * sizeof *h->series);
    h->series[h->n] = (struct series){ .plan = xstrdup(plan), .kind = xstrdup(kind) };
    return &h->series[h->n++];
}

static void add_plans(struct history *h, const char *only)
{
    for (size_t i = 0; i < h->plans.n; i++) {
        const struct watch_plan *p = &h->plans.items[i];
        if (p->schedule.count > 0 && (only == NULL || strcmp(only, p->name) == 0))
            find_series(h, p->name, OF_PLAN)->dates = p;
    }
}

static int add_drill(void *arg, const struct drill_row *row, struct error *err)
{
    struct history *h = arg;
    _cleanup_json_ struct json *record = NULL;
    int r = json_parse(row->record, strlen(row->record), &record, err);
    if (r < 0)
        return error_prefix(err, "the record of drill %s", row->uid);
    if (row->ended_ns == 0 || drill_was_broken_off(record))
        return 0; // it was not held
    struct series *s = find_series(h, row->plan, drill_is_of_plan(row->kind) ? OF_PLAN : row->kind);
    bool is_tabletop = strcmp(row->kind, DRILL_TABLETOP) == 0; // its time is that of talking
    uint64_t by_plan_ms = is_tabletop ? 0 : json_number(record, "recovery_ms"), by_hand_ms = json_number(record, "by_hand_ms");
    s->drills = xrealloc(s->drills, (s->n + 1) * sizeof *s->drills);
    s->drills[s->n++] = (struct quarters_drill){ .started_ns = row->started_ns, .has_passed = row->has_passed, .recovery_ms = by_plan_ms > 0 ? by_plan_ms : by_hand_ms,
                                                 .promised_ms = json_number(record, "objective_rto_ms") };
    return 0;
}

// Dates by the schedule as it is now, since it came into force, or since the first drill.
static void fill(const struct history *h, const struct series *s, struct quarters *ret_quarters)
{
    uint64_t first_ns = s->n == 0 ? h->now_ns : s->drills[s->n - 1].started_ns, since_ns = s->dates == NULL ? first_ns : (uint64_t)s->dates->since_s * NS_PER_S;
    uint64_t from_ns = since_ns < first_ns ? since_ns : first_ns;
    quarters_init(ret_quarters, from_ns, h->now_ns, (size_t)h->quarters);
    for (size_t i = 0; i < s->n; i++)
        quarters_hold(ret_quarters, &s->drills[i]);
    if (s->dates == NULL)
        return;
    uint64_t end_ns = h->now_ns + UINT64_C(100) * 86400 * NS_PER_S; // beyond the end of this quarter
    for (int64_t at = schedule_next(&s->dates->schedule, (int64_t)(from_ns / NS_PER_S)); at != CALENDAR_NEVER && (uint64_t)at * NS_PER_S < end_ns;
         at = schedule_next(&s->dates->schedule, at))
        quarters_plan(ret_quarters, (uint64_t)at * NS_PER_S);
}

// ---- JSON

static int print_quarter_json(const struct series *s, const struct quarter *q, struct error *err)
{
    char name[QUARTERS_NAME_MAX];
    struct json *line = json_line_new("quarter");
    quarter_name(q, name);
    json_add_str(line, "plan", s->plan);
    json_add_str(line, "kind", s->kind);
    json_add_str(line, "quarter", name);
    if (s->dates != NULL)
        json_add_u64(line, "planned", q->planned);
    else
        json_add_null(line, "planned");
    json_add_u64(line, "held", q->held);
    json_add_u64(line, "passed", q->passed);
    if (q->worst_ms > 0)
        json_add_u64(line, "recovery_ms", q->worst_ms);
    else
        json_add_null(line, "recovery_ms");
    if (q->promised_ms > 0)
        json_add_u64(line, "objective_rto_ms", q->promised_ms);
    else
        json_add_null(line, "objective_rto_ms");
    if (q->worst_ms > 0 && q->promised_ms > 0)
        json_add_bool(line, "within_rto", !q->is_late);
    else
        json_add_null(line, "within_rto");
    return json_line_print(&line, stdout, err);
}

static int print_json(const struct series *s, const struct quarters *quarters, struct error *err)
{
    double percent;
    int r = 0;
    for (size_t i = 0; r == 0 && i < quarters->n; i++)
        r = print_quarter_json(s, &quarters->items[i], err);
    if (r < 0)
        return r;
    struct json *line = json_line_new("trend");
    json_add_str(line, "plan", s->plan);
    json_add_str(line, "kind", s->kind);
    if (quarters_trend(quarters, &percent))
        json_add_double(line, "recovery_change_percent", percent);
    else
        json_add_null(line, "recovery_change_percent");
    return json_line_print(&line, stdout, err);
}

// ---- text

static void print_text(const struct series *s, const struct quarters *quarters)
{
    double percent;
    printf("%s: %s\n  %-8s %7s %5s %6s %10s %10s\n", s->plan, strcmp(s->kind, OF_PLAN) == 0 ? "drills of the recovery plan" : s->kind, "QUARTER", "PLANNED", "HELD", "PASSED", "RECOVERY",
           "PROMISED");
    for (size_t i = 0; i < quarters->n; i++) {
        const struct quarter *q = &quarters->items[i];
        char name[QUARTERS_NAME_MAX], planned[24] = "-", recovery[CLOCK_TEXT_MAX] = "-", promised[CLOCK_TEXT_MAX] = "-";
        quarter_name(q, name);
        if (s->dates != NULL)
            (void)snprintf(planned, sizeof planned, "%llu", (unsigned long long)q->planned);
        if (q->worst_ms > 0)
            clock_format_duration(recovery, q->worst_ms * 1000000);
        if (q->promised_ms > 0)
            clock_format_duration(promised, q->promised_ms * 1000000);
        printf("  %-8s %7s %5llu %6llu %10s %10s%s\n", name, planned, (unsigned long long)q->held, (unsigned long long)q->passed, recovery, promised, q->is_late ? "  LATE" : "");
    }
    if (quarters_trend(quarters, &percent))
        printf("  recovery takes %.0f %% %s than in the first quarter that measured it\n", percent < 0 ? -percent : percent, percent < 0 ? "less" : "more");
}

// ---- all

static int show(struct history *h, const struct series *s, struct error *err)
{
    _cleanup_quarters_ struct quarters quarters;
    fill(h, s, &quarters);
    for (size_t i = 0; i < quarters.n; i++) {
        h->total.planned += quarters.items[i].planned;
        h->total.held += quarters.items[i].held;
        h->total.passed += quarters.items[i].passed;
    }
    if (h->ctx->json)
        return print_json(s, &quarters, err);
    print_text(s, &quarters);
    return 0;
}

static int summarise(const struct history *h, struct error *err)
{
    if (!h->ctx->json) {
        if (h->n == 0)
            printf("no drills yet: bkd drill run rehearses a plan; bkd drill negative, by-hand and key rehearse a policy\n");
        return 0;
    }
    struct json *line = json_line_new("summary");
    json_add_u64(line, "planned", h->total.planned);
    json_add_u64(line, "held", h->total.held);
    json_add_u64(line, "passed", h->total.passed);
    return json_line_print(&line, stdout, err);
}

static int by_name(const void *a, const void *b)
{
    const struct series *x = a, *y = b;
    int order = strcmp(x->plan, y->plan);
    return order != 0 ? order : strcmp(x->kind, y->kind);
}

int cmd_drill_history(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    __attribute__((cleanup(history_done))) struct history h = { .ctx = ctx, .now_ns = io_realtime_ns(ctx->io), .quarters = QUARTERS_SHOWN };
    const char *plan = cli_args_value(args, 0), *quarters = cli_args_option(args, "quarters");
    if (quarters != NULL && (!parse_u64(quarters, strlen(quarters), QUARTERS_MAX, &h.quarters) || h.quarters == 0))
        return error_set(err, ERROR_USAGE, "--quarters is a number from 1 to %d, not '%s'", QUARTERS_MAX, quarters);
    int r = history_open(ctx, &catalogue, err);
    if (r < 0)
        return r;
    watch_plans_load(ctx, &catalogue, h.now_ns, &h.plans);
    add_plans(&h, plan);
    r = drills_list(&catalogue, plan, NULL, add_drill, &h, err);
    if (h.n > 1)
        qsort(h.series, h.n, sizeof *h.series, by_name);
    for (size_t i = 0; r == 0 && i < h.n; i++)
        r = show(&h, &h.series[i], err);
    return r < 0 ? r : summarise(&h, err);
}
