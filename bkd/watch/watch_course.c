#include "bkd/watch/watch_course.h"

#include <stdlib.h>

#include "bkd/base/clock.h"
#include "bkd/dr/plan_journal.h"

void watch_course_done(struct watch_course *c)
{
    free(c->id);
    free(c->scenario);
    free(c->failed);
    free(c->waits_for);
    free(c->question);
    *c = (struct watch_course){ 0 };
}

// ---- gathering

static bool is_for_real(const void *arg, const struct planning *p)
{
    (void)arg;
    return p->mode == PLANNING_RUN;
}

static bool is_drill(const void *arg, const struct planning *p)
{
    (void)arg;
    return p->mode != PLANNING_RUN;
}

// Whatever is newer takes the place of what was not ended.
static bool find_open(const struct context *ctx, const char *plan, planning_fits_fn *fits, struct planning *ret_planning)
{
    _cleanup_planning_ struct planning p = { 0 };
    if (!planning_find(ctx, plan, fits, NULL, &p) || p.ended_ns != 0)
        return false;
    *ret_planning = p;
    p = (struct planning){ 0 };
    return true;
}

static void take_question(const struct recovery *plan, const struct planning *p, size_t i, struct watch_course *c)
{
    const struct recovery_step *step = recovery_find_step(plan, p->ids[i]);
    uint64_t asked_ns = p->steps[i].asked_ns;
    if (p->steps[i].state != PLANNING_RUNNING || step == NULL || !planning_is_for_people(p->mode, step) || (c->waits_for != NULL && c->asked_ns <= asked_ns))
        return;
    free(c->waits_for);
    free(c->question);
    c->waits_for = xstrdup(step->id);
    c->question = planning_question(plan, step);
    c->is_choice = step->type == RECOVERY_DECISION;
    c->asked_ns = asked_ns;
    c->patience_ns = planning_patience_ns(step);
}

// Whoever read the journal a moment before its last line was written finds nobody at work there any more.
static bool has_ended_meanwhile(const struct context *ctx, const char *id)
{
    _cleanup_planning_ struct planning p = { 0 };
    struct error ignored;
    return planning_read(ctx, id, &p, &ignored) == 0 && p.ended_ns != 0;
}

void watch_course_load(const struct context *ctx, const struct recovery *plan, struct watch_course *ret_course)
{
    _cleanup_planning_ struct planning p = { 0 };
    struct watch_course *c = ret_course;
    *c = (struct watch_course){ 0 };
    if (!find_open(ctx, plan->name, is_for_real, &p) && !find_open(ctx, plan->name, is_drill, &p))
        return;
    _cleanup_free_ char *directory = planning_directory(ctx, p.id);
    bool is_alive = plan_journal_is_alive(ctx->io, directory);
    if (!is_alive && has_ended_meanwhile(ctx, p.id))
        return;
    *c = (struct watch_course){ .id = xstrdup(p.id), .scenario = xstrdup(p.scenario), .mode = p.mode, .was_stopped = p.was_stopped, .steps = p.n_steps,
                                .is_alive = is_alive };
    for (size_t i = 0; i < p.n_steps; i++) {
        c->done += p.steps[i].state == PLANNING_DONE || p.steps[i].state == PLANNING_SKIPPED;
        if (p.steps[i].state == PLANNING_FAILED && c->failed == NULL)
            c->failed = xstrdup(p.ids[i]);
        take_question(plan, &p, i, c);
    }
}

// ---- judging

static void add(const char *kind, const char *plan, struct watch_findings *findings, char *text, char *step)
{
    watch_add(findings, kind, SEVERITY_WARNING, text, step)->copy = plan;
    free(text);
    free(step);
}

static char *describe(const struct watch_course *c, const char *plan)
{
    bool has_scenario = c->scenario[0] != '\0';
    return xasprintf("%s %s of recovery plan %s%s%s%s", planning_mode_name(c->mode), c->id, plan, has_scenario ? " (scenario " : "", c->scenario, has_scenario ? ")" : "");
}

static void judge_waiting(const struct watch_course *c, const char *plan, uint64_t now_ns, struct watch_findings *findings)
{
    char age[CLOCK_TEXT_MAX];
    _cleanup_free_ char *what = describe(c, plan);
    if (c->waits_for == NULL || c->asked_ns == 0 || now_ns <= c->asked_ns || now_ns - c->asked_ns <= c->patience_ns)
        return;
    clock_format_age(age, now_ns - c->asked_ns);
    add("plan-waiting", plan, findings, xasprintf("%s has waited %s for an answer to %s", what, age, c->question),
        xasprintf("bkd plan answer %s %s --by NAME%s --note TEXT", c->id, c->waits_for, c->is_choice ? " --choice WORD" : ""));
}

// A drill that was stopped in order is judged by its record.
static void judge_unfinished(const struct watch_course *c, const char *plan, struct watch_findings *findings)
{
    _cleanup_free_ char *what = describe(c, plan);
    bool is_real = c->mode == PLANNING_RUN;
    if (!is_real && c->was_stopped)
        return;
    add("plan-unfinished", plan, findings,
        xasprintf("%s is not finished: %s%s%s, and %zu of %zu steps are done", what, c->failed != NULL ? "step '" : c->was_stopped ? "it was interrupted" : "its process was killed",
                  c->failed != NULL ? c->failed : "", c->failed != NULL ? "' failed" : "", c->done, c->steps),
        xasprintf("go on: bkd %s %s%s%s%s; or say that it is over: bkd plan close %s --by NAME --note TEXT", is_real ? "plan run" : "drill run", plan,
                  is_real ? " --yes" : c->mode == PLANNING_TABLETOP ? " --tabletop --resume" : " --resume", c->scenario[0] != '\0' ? " --scenario " : "", c->scenario, c->id));
}

void watch_course_judge(const struct watch_course *c, const char *plan, uint64_t now_ns, struct watch_findings *findings)
{
    if (c->id == NULL)
        return;
    if (c->is_alive)
        judge_waiting(c, plan, now_ns, findings);
    else
        judge_unfinished(c, plan, findings);
}
