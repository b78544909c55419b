#include "bkd/watch/watch_plans.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/dr/drill.h"
#include "bkd/host/remembered.h"
#include "bkd/notify/routing.h"
#include "bkd/plans/planning.h"
#include "bkd/policy/civil.h"
#include "bkd/record/drills.h"
#include "bkd/record/runs.h"

#define NS_PER_S UINT64_C(1000000000)
#define DAY_S 86400
#define REVIEW_DAYS 365

static void plan_done(struct watch_plan *p)
{
    free(p->name);
    free(p->problem);
    free(p->last.id);
    watch_courses_done(&p->courses);
    schedule_done(&p->schedule);
    recovery_done(&p->plan);
}

void watch_plans_done(struct watch_plans *plans)
{
    for (size_t i = 0; i < plans->n; i++)
        plan_done(&plans->items[i]);
    free(plans->items);
    free(plans->improvements_problem);
    free(plans->numbers);
    improvements_done(&plans->improvements);
    *plans = (struct watch_plans){ 0 };
}

// ---- gathering

struct drill_search {
    const char *kind;
    struct watch_drill *drill;
};

// They come newest first; the first that fits ends the listing.
static int see_drill(void *arg, const struct drill_row *row, struct error *err)
{
    const struct drill_search *search = arg;
    _cleanup_json_ struct json *record = NULL;
    bool fits = row->ended_ns > 0 && (search->kind != NULL || drill_is_of_plan(row->kind));
    if (!fits || json_parse(row->record, strlen(row->record), &record, err) < 0 || drill_was_broken_off(record))
        return 0;
    *search->drill = (struct watch_drill){ .id = xstrdup(row->uid), .started_ns = row->started_ns, .has_passed = row->has_passed };
    return 1;
}

void watch_drill_load(struct catalogue *c, const char *plan, const char *kind, struct watch_drill *ret_drill)
{
    struct drill_search search = { .kind = kind, .drill = ret_drill };
    struct error ignored; // a catalogue that cannot be read is told of by itself
    *ret_drill = (struct watch_drill){ 0 };
    if (c != NULL)
        (void)!drills_list(c, plan, kind, see_drill, &search, &ignored);
}

static int see_alive(void *arg, const struct run_record *run, struct error *err)
{
    (void)arg;
    (void)err;
    return process_is_alive(&run->process);
}

bool watch_drill_goes_on(struct catalogue *c, const char *plan)
{
    struct error ignored; // nobody has recorded one
    return runs_list(c, &(struct runs_filter){ .policy = plan, .kind = "drill", .running = true }, see_alive, NULL, &ignored) > 0;
}

static void load_file(const struct context *ctx, struct watch_plan *p)
{
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    _cleanup_free_ char *path = context_plan_path(ctx, p->name);
    struct statx st;
    struct error err;
    if (recovery_load(ctx->io, path, &p->plan, &errors, &err) < 0)
        p->problem = xstrdup(errors.count > 0 ? errors.items[0].message : err.text);
    else if (io_stat(ctx->io, AT_FDCWD, path, 0, &st, &err) == 0 && st.stx_mtime.tv_sec > 0)
        p->changed_ns = (uint64_t)st.stx_mtime.tv_sec * NS_PER_S;
}

// Where nobody remembers since when, the age of the file tells.
static int64_t in_force_since_s(struct catalogue *c, const struct watch_plan *p)
{
    int64_t since_s = 0;
    struct error ignored;
    if (c == NULL || remembered_since(c, p->name, WATCH_PLANS_ACTION, &since_s, &ignored) < 0 || since_s == 0)
        since_s = (int64_t)(p->changed_ns / NS_PER_S);
    return since_s;
}

static void load_dates(const struct context *ctx, struct catalogue *c, uint64_t now_ns, struct watch_plan *p)
{
    const struct recovery_drill *drill = &p->plan.drill;
    struct error err;
    p->dates.due_s = CALENDAR_NEVER;
    if (!drill->is_wanted)
        return;
    if (schedule_open(ctx->io, &drill->schedule, drill->timezone, &p->schedule, &err) < 0) {
        p->problem = xstrdup(err.text);
        return;
    }
    int64_t last_s = p->last.id == NULL ? INT64_MIN : (int64_t)(p->last.started_ns / NS_PER_S);
    p->since_s = in_force_since_s(c, p);
    p->dates = drill_dates_of(&p->schedule, p->since_s, last_s, drill->announce_s, (int64_t)(now_ns / NS_PER_S));
}

static void load_plan(const struct context *ctx, struct catalogue *c, uint64_t now_ns, struct watch_plan *p)
{
    _cleanup_planning_ struct planning rehearsal = { 0 };
    watch_courses_load(ctx, p->name, &p->courses);
    load_file(ctx, p);
    if (p->problem != NULL)
        return;
    p->was_rehearsed = planning_find_rehearsal(ctx, &p->plan, &p->is_rehearsed, &rehearsal);
    watch_drill_load(c, p->name, NULL, &p->last);
    load_dates(ctx, c, now_ns, p);
}

static void load_improvements(const struct context *ctx, struct watch_plans *plans)
{
    struct error err;
    if (improvements_load(ctx->io, ctx->state_dir, &plans->improvements, &err) < 0)
        plans->improvements_problem = xstrdup(err.text);
    plans->numbers = xcalloc(plans->improvements.n + 1, sizeof *plans->numbers);
    for (size_t i = 0; i < plans->improvements.n; i++)
        (void)snprintf(plans->numbers[i], sizeof plans->numbers[i], "%llu", (unsigned long long)plans->improvements.items[i].id);
}

void watch_plans_load(const struct context *ctx, struct catalogue *c, uint64_t now_ns, struct watch_plans *ret_plans)
{
    _cleanup_context_names_ struct context_names names = { 0 };
    struct error ignored; // a directory that cannot be listed has no plans for us
    *ret_plans = (struct watch_plans){ 0 };
    (void)!context_names_below(ctx, "plans", &names, &ignored);
    ret_plans->items = xcalloc(names.count + 1, sizeof *ret_plans->items);
    for (size_t i = 0; i < names.count; i++) {
        struct watch_plan *p = &ret_plans->items[ret_plans->n++];
        p->name = xstrdup(names.items[i]);
        load_plan(ctx, c, now_ns, p);
    }
    load_improvements(ctx, ret_plans);
}

// ---- judging

static void find(struct watch_findings *findings, const char *kind, enum severity severity, const char *copy, char *text, char *step)
{
    watch_add(findings, kind, severity, text, step)->copy = copy;
    free(text);
    free(step);
}

uint64_t watch_plans_review_ns(const struct recovery *plan, uint64_t changed_ns)
{
    _cleanup_free_ char *time = xasprintf("%sT00:00:00Z", plan->review);
    int64_t due_s;
    return civil_parse(time, &due_s) && due_s > 0 ? (uint64_t)due_s * NS_PER_S : changed_ns + REVIEW_DAYS * DAY_S * NS_PER_S;
}

static void judge_review(const struct watch_plan *p, uint64_t now_ns, struct watch_findings *findings)
{
    char day[CLOCK_TEXT_MAX];
    bool is_given = p->plan.review[0] != '\0';
    uint64_t due_ns = watch_plans_review_ns(&p->plan, p->changed_ns);
    if (due_ns > now_ns)
        return;
    clock_format_utc(day, due_ns, false);
    find(findings, "plan-review", SEVERITY_WARNING, p->name,
         is_given ? xasprintf("recovery plan %s was to be looked through by %.10s", p->name, day)
                  : xasprintf("recovery plan %s has not been changed for more than a year: it should be looked through", p->name),
         xasprintf("look through '%s' (bkd plan lint %s), correct it, and set its `review` to a date within a year", p->plan.file, p->name));
}

static void judge_drills(const struct watch_plan *p, struct watch_findings *findings)
{
    char date[DRILL_DATES_TEXT_MAX];
    if (p->last.id != NULL && !p->last.has_passed)
        find(findings, "drill-failed", SEVERITY_WARNING, p->name, xasprintf("the last drill of recovery plan %s (%s) did not pass", p->name, p->last.id),
             xasprintf("see why: bkd drill report %s -o FILE; correct it, and rehearse again: bkd drill run %s", p->last.id, p->name));
    if (p->dates.is_overdue) {
        drill_dates_format(&p->schedule, p->dates.due_s, date);
        find(findings, "drill-overdue", SEVERITY_WARNING, p->name, xasprintf("the drill of recovery plan %s that was due on %s was not held", p->name, date),
             xasprintf("hold it: bkd drill run %s (or --tabletop); `drill` in the plan says when", p->name));
    }
    if (!p->is_rehearsed)
        find(findings, "plan-unrehearsed", SEVERITY_INFO, p->name,
             xasprintf("recovery plan %s %s", p->name, p->was_rehearsed ? "was changed since it was rehearsed: it counts as not rehearsed" : "was never rehearsed"),
             xasprintf("bkd drill run %s", p->name));
}

static void judge_improvements(const struct watch_plans *plans, uint64_t now_ns, struct watch_findings *findings)
{
    if (plans->improvements_problem != NULL)
        find(findings, "improvement", SEVERITY_WARNING, "", xasprintf("what drills asked for cannot be read: %s", plans->improvements_problem),
             xstrdup("put the file back from a backup, or take the damaged line out"));
    for (size_t i = 0; i < plans->improvements.n; i++) {
        const struct improvement *item = &plans->improvements.items[i];
        if (improvements_is_overdue(item, now_ns))
            find(findings, "improvement", SEVERITY_WARNING, plans->numbers[i],
                 xasprintf("improvement %s of drill %s was due on %s: %s (%s)", plans->numbers[i], item->drill, item->due, item->text, item->owner),
                 xasprintf("do it, then: bkd improve close %s --note TEXT", plans->numbers[i]));
    }
}

void watch_plans_judge(const struct watch_plans *plans, uint64_t now_ns, struct watch_findings *findings)
{
    for (size_t i = 0; i < plans->n; i++) {
        const struct watch_plan *p = &plans->items[i];
        watch_courses_judge(&p->courses, p->name, now_ns, findings);
        if (p->problem != NULL) {
            find(findings, "plan-invalid", SEVERITY_WARNING, p->name, xasprintf("recovery plan %s cannot be carried out: %s", p->name, p->problem),
                 xasprintf("correct it: bkd plan check %s", p->name));
            continue;
        }
        judge_review(p, now_ns, findings);
        judge_drills(p, findings);
    }
    judge_improvements(plans, now_ns, findings);
}

// ---- announcing

// "王芳 (lead, else Ana), …".
static void add_people(const struct recovery *plan, struct buf *ret_text)
{
    for (size_t i = 0; i < plan->role_count; i++) {
        const struct recovery_role *role = &plan->roles[i];
        buf_addf(ret_text, "%s%s (%s%s%s)", i == 0 ? "" : ", ", role->holder, role->name, role->deputy[0] == '\0' ? "" : ", else ", role->deputy);
    }
    if (plan->role_count == 0)
        buf_add_str(ret_text, "nobody is named (`roles` in the plan)");
}

static int append_announcement(struct catalogue *c, const struct watch_plan *p, struct error *err)
{
    char date[DRILL_DATES_TEXT_MAX];
    _cleanup_buf_ struct buf people = { 0 };
    const char *what = p->plan.description;
    drill_dates_format(&p->schedule, p->dates.due_s, date);
    add_people(&p->plan, &people);
    _cleanup_free_ char *text = xasprintf("drill of recovery plan %s on %s%s%s; takes part: %s", p->name, date, what[0] == '\0' ? "" : ": ", what, buf_str(&people));
    _cleanup_free_ char *step = xasprintf("keep the time free, and read the handbook (bkd plan print %s); whoever leads it begins it with: bkd drill run %s (or --tabletop)", p->name, p->name);
    const struct event event = { .what = EVENT_HAPPENED, .kind = ROUTING_ANNOUNCEMENT, .policy = "", .copy = p->name, .severity = SEVERITY_INFO, .text = text, .next_step = step };
    return events_append(c, &event, NULL, err);
}

// The date that was announced last is remembered, so that several processes, and one after the other, announce it once.
static int announce(struct catalogue *c, const struct watch_plan *p, struct error *err)
{
    _cleanup_free_ char *mark = xasprintf("announced.%s/" WATCH_PLANS_ACTION, p->name);
    int64_t announced_s = 0;
    int r = catalogue_begin(c, err);
    if (r < 0)
        return r;
    r = catalogue_mark(c, mark, &announced_s, err);
    if (r == 0 && announced_s != p->dates.due_s) {
        r = append_announcement(c, p, err);
        if (r == 0)
            r = catalogue_set_mark(c, mark, p->dates.due_s, err);
    }
    return catalogue_end(c, r, err);
}

// From when the file was written that names it: whoever looks before this one goes by that, too.
static int remember_schedule(struct catalogue *c, const struct watch_plan *p, struct error *err)
{
    static const struct policy_list none = { 0 };
    const struct recovery_drill *drill = &p->plan.drill;
    int64_t since_s;
    return remembered_times(c, p->name, WATCH_PLANS_ACTION, drill->is_wanted ? &drill->schedule : &none, drill->timezone, (int64_t)(p->changed_ns / NS_PER_S), &since_s, err);
}

int watch_plans_announce(const struct context *ctx, struct catalogue *c, uint64_t now_ns, struct error *err)
{
    __attribute__((cleanup(watch_plans_done))) struct watch_plans plans;
    watch_plans_load(ctx, c, now_ns, &plans);
    int r = 0;
    for (size_t i = 0; r == 0 && i < plans.n; i++) {
        if (plans.items[i].problem != NULL)
            continue;
        r = remember_schedule(c, &plans.items[i], err);
        if (r == 0 && plans.items[i].dates.is_near)
            r = announce(c, &plans.items[i], err);
    }
    return r;
}
