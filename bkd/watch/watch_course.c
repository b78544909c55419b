#include "bkd/watch/watch_course.h"

#include <stdlib.h>

#include "bkd/base/clock.h"
#include "bkd/plans/planning_open.h"

static void course_done(struct watch_course *c)
{
    free(c->id);
    free(c->scenario);
    free(c->failed);
    free(c->waits_for);
    free(c->question);
}

void watch_courses_done(struct watch_courses *courses)
{
    for (size_t i = 0; i < courses->n; i++)
        course_done(&courses->items[i]);
    free(courses->items);
    *courses = (struct watch_courses){ 0 };
}

// ---- gathering

static void take_question(const struct planning *p, size_t i, struct watch_course *c)
{
    const struct planning_step *s = &p->steps[i];
    if (s->state != PLANNING_RUNNING || s->question[0] == '\0' || (c->waits_for != NULL && c->asked_ns <= s->asked_ns))
        return;
    free(c->waits_for);
    free(c->question);
    c->waits_for = xstrdup(p->ids[i]);
    c->question = xstrdup(s->question);
    c->is_choice = s->is_choice;
    c->asked_ns = s->asked_ns;
    c->patience_ns = s->patience_ns;
}

static void load_course(const struct planning_open *open, struct watch_course *ret_course)
{
    const struct planning *p = &open->planning;
    struct watch_course *c = ret_course;
    *c = (struct watch_course){ .id = xstrdup(p->id), .scenario = xstrdup(p->scenario), .mode = p->mode, .was_stopped = p->was_stopped, .steps = p->n_steps,
                                .is_alive = open->is_alive };
    for (size_t i = 0; i < p->n_steps; i++) {
        c->done += p->steps[i].state == PLANNING_DONE || p->steps[i].state == PLANNING_SKIPPED;
        if (p->steps[i].state == PLANNING_FAILED && c->failed == NULL)
            c->failed = xstrdup(p->ids[i]);
        take_question(p, i, c);
    }
}

void watch_courses_load(const struct context *ctx, const char *plan, struct watch_courses *ret_courses)
{
    _cleanup_planning_opens_ struct planning_opens opens = { 0 };
    planning_opens_load(ctx, plan, &opens);
    *ret_courses = (struct watch_courses){ .items = xcalloc(opens.n + 1, sizeof *ret_courses->items), .n = opens.n };
    for (size_t i = 0; i < opens.n; i++)
        load_course(&opens.items[i], &ret_courses->items[i]);
}

// ---- judging

// What is to be said of all runs, and what to do about each.
struct saying {
    struct buf text, step;
};

static void say(struct saying *s, char *text, char *step)
{
    buf_addf(&s->text, "%s%s", s->text.len > 0 ? "; " : "", text);
    buf_addf(&s->step, "%s%s", s->step.len > 0 ? "; " : "", step);
    free(text);
    free(step);
}

static void find(struct watch_findings *findings, const char *kind, const char *plan, struct saying *s)
{
    if (s->text.len > 0)
        watch_add(findings, kind, SEVERITY_WARNING, buf_str(&s->text), buf_str(&s->step))->copy = plan;
    buf_done(&s->text);
    buf_done(&s->step);
}

static char *describe(const struct watch_course *c, const char *plan)
{
    bool has_scenario = c->scenario[0] != '\0';
    return xasprintf("%s %s of recovery plan %s%s%s%s", planning_mode_name(c->mode), c->id, plan, has_scenario ? " (scenario " : "", c->scenario, has_scenario ? ")" : "");
}

static void judge_waiting(const struct watch_course *c, const char *plan, uint64_t now_ns, struct saying *waiting)
{
    char age[CLOCK_TEXT_MAX];
    _cleanup_free_ char *what = describe(c, plan);
    if (c->waits_for == NULL || c->asked_ns == 0 || now_ns <= c->asked_ns || now_ns - c->asked_ns <= c->patience_ns)
        return;
    clock_format_age(age, now_ns - c->asked_ns);
    say(waiting, xasprintf("%s has waited %s for an answer to %s", what, age, c->question),
        xasprintf("bkd plan answer %s %s --by NAME%s --note TEXT", c->id, c->waits_for, c->is_choice ? " --choice WORD" : ""));
}

// A drill that was stopped in order is judged by its record.
static void judge_unfinished(const struct watch_course *c, const char *plan, struct saying *unfinished)
{
    _cleanup_free_ char *what = describe(c, plan);
    bool is_real = c->mode == PLANNING_RUN;
    if (!is_real && c->was_stopped)
        return;
    say(unfinished,
        xasprintf("%s is not finished: %s%s%s, and %zu of %zu steps are done", what, c->failed != NULL ? "step '" : c->was_stopped ? "it was interrupted" : "its process was killed",
                  c->failed != NULL ? c->failed : "", c->failed != NULL ? "' failed" : "", c->done, c->steps),
        xasprintf("go on: bkd %s %s%s%s%s; or say that it is over: bkd plan close %s --by NAME --note TEXT", is_real ? "plan run" : "drill run", plan,
                  is_real ? " --yes" : c->mode == PLANNING_TABLETOP ? " --tabletop --resume" : " --resume", c->scenario[0] != '\0' ? " --scenario " : "", c->scenario, c->id));
}

void watch_courses_judge(const struct watch_courses *courses, const char *plan, uint64_t now_ns, struct watch_findings *findings)
{
    struct saying waiting = { 0 }, unfinished = { 0 };
    for (size_t i = 0; i < courses->n; i++) {
        if (courses->items[i].is_alive)
            judge_waiting(&courses->items[i], plan, now_ns, &waiting);
        else
            judge_unfinished(&courses->items[i], plan, &unfinished);
    }
    find(findings, "plan-waiting", plan, &waiting);
    find(findings, "plan-unfinished", plan, &unfinished);
}
