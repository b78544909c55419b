#include "bkd/plans/planning.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/fs.h"
#include "bkd/dr/plan_journal.h"
#include "bkd/history/recording.h"

const char *planning_mode_name(enum planning_mode mode)
{
    static const char *const names[] = { "run", "rehearsal", "tabletop" };
    return names[mode];
}

char *planning_directory(const struct context *ctx, const char *id) { return xasprintf("%s/plans/%s", ctx->state_dir, id); }

int planning_load(const struct context *ctx, const char *plan, struct recovery *ret_plan, struct error *err)
{
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    if (strchr(plan, '/') == NULL && !policy_is_name(plan, strlen(plan)))
        return error_set(err, ERROR_USAGE, "'%s' is no name of a plan; give a name, or a path with a slash", plan);
    _cleanup_free_ char *path = context_plan_path(ctx, plan);
    int r = recovery_load(ctx->io, path, ret_plan, &errors, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_USAGE, "there is no plan '%s': write %s, or give --config-dir", plan, path);
    context_print_policy_errors(ctx, &errors);
    return r;
}

static void step_done(struct planning_step *s)
{
    free(s->message);
    free(s->by);
    free(s->note);
    free(s->choice);
    free(s->copy);
    free(s->question);
}

void planning_done(struct planning *p)
{
    for (size_t i = 0; i < p->n_steps; i++) {
        step_done(&p->steps[i]);
        free(p->ids[i]);
    }
    free(p->steps);
    free(p->ids);
    free(p->plan);
    free(p->sha256);
    free(p->scenario);
    free(p->by);
    free(p->host);
    *p = (struct planning){ 0 };
}

// ---- people

#define PATIENCE_NS (UINT64_C(30) * 60 * 1000000000)

bool planning_is_for_people(enum planning_mode mode, const struct recovery_step *step)
{
    return mode == PLANNING_TABLETOP || step->type == RECOVERY_MANUAL || step->type == RECOVERY_DECISION;
}

char *planning_question(const struct recovery *plan, const struct recovery_step *step)
{
    const struct recovery_role *role = recovery_find_role(plan, step->owner);
    struct buf text = { 0 };
    buf_addf(&text, "step '%s'", step->id);
    if (role != NULL)
        buf_addf(&text, " (%s: %s, else %s; %s)", role->name, role->holder, role->deputy, role->contact);
    buf_addf(&text, ": %s", step->instruction[0] != '\0' ? step->instruction : step->title[0] != '\0' ? step->title : recovery_type_name(step->type));
    return buf_take_str(&text);
}

uint64_t planning_patience_ns(const struct recovery_step *step) { return step->deadline_s > 0 ? step->deadline_s * UINT64_C(1000000000) : PATIENCE_NS; }

// ---- from the journal

static char *text_of(const struct json *line, const char *key)
{
    const char *text = json_get_str(line, key);
    return xstrdup(text == NULL ? "" : text);
}

// "2026-11-26T08:00:00.123Z": runs that follow each other closely began in the same second.
static uint64_t time_of(const struct json *line, const char *key)
{
    const char *text = json_get_str(line, key);
    char seconds[CLOCK_TEXT_MAX];
    uint64_t time = 0;
    unsigned ms = 0;
    (void)snprintf(seconds, sizeof seconds, "%.19sZ", text == NULL ? "" : text);
    if (!clock_parse_utc(seconds, strlen(seconds), &time))
        return 0;
    return sscanf(text + 19, ".%3uZ", &ms) == 1 ? time + ms * UINT64_C(1000000) : time;
}

static void take_begin(struct planning *p, const struct json *line)
{
    const char *mode = json_get_str(line, "mode");
    const struct json *ids = json_get(line, "steps");
    if (p->plan != NULL || mode == NULL)
        return;
    p->plan = text_of(line, "plan");
    p->sha256 = text_of(line, "sha256");
    p->scenario = text_of(line, "scenario");
    p->by = text_of(line, "by");
    p->host = text_of(line, "host");
    p->started_ns = time_of(line, "time");
    for (int i = 0; i <= PLANNING_TABLETOP; i++)
        if (strcmp(mode, planning_mode_name((enum planning_mode)i)) == 0)
            p->mode = (enum planning_mode)i;
    p->n_steps = ids == NULL ? 0 : json_length(ids);
    p->ids = xcalloc(p->n_steps + 1, sizeof *p->ids);
    p->steps = xcalloc(p->n_steps + 1, sizeof *p->steps);
    for (size_t i = 0; i < p->n_steps; i++)
        p->ids[i] = xstrdup(json_str_at(ids, i) == NULL ? "" : json_str_at(ids, i));
}

static struct planning_step *find_step(struct planning *p, const struct json *line)
{
    const char *id = json_get_str(line, "step");
    for (size_t i = 0; id != NULL && i < p->n_steps; i++)
        if (strcmp(p->ids[i], id) == 0)
            return &p->steps[i];
    return NULL;
}

static void take_step(struct planning_step *s, const struct json *line)
{
    const char *state = json_get_str(line, "state");
    step_done(s);
    *s = (struct planning_step){
        .begun_ns = json_number(line, "begun_ms") * 1000000, .took_ns = json_number(line, "took_ms") * 1000000, .message = text_of(line, "message"), .by = text_of(line, "by"),
        .note = text_of(line, "note"), .choice = text_of(line, "choice"), .copy = text_of(line, "copy"), .snapshot = json_number(line, "snapshot"),
        .snapshot_time_ns = time_of(line, "snapshot_time"), .files = json_number(line, "files"), .bytes = json_number(line, "bytes"),
    };
    (void)json_get_bool(line, "late", &s->is_late);
    if (state == NULL || !planning_state_parse(state, &s->state))
        s->state = PLANNING_WAITING;
}

static void take_end(struct planning *p, const struct json *line)
{
    p->ended_ns = time_of(line, "time");
    p->took_ns = json_number(line, "took_ms") * 1000000;
    (void)json_get_bool(line, "passed", &p->passed);
    (void)json_get_bool(line, "aborted", &p->was_aborted);
    (void)json_get_bool(line, "misses_rto", &p->misses_rto);
}

// What was under way when its process went is begun again.
static void take_resume(struct planning *p)
{
    p->was_stopped = false;
    for (size_t i = 0; i < p->n_steps; i++)
        if (p->steps[i].state == PLANNING_RUNNING)
            p->steps[i].state = PLANNING_WAITING;
}

static void take_step_begin(struct planning_step *s, const struct json *line)
{
    step_done(s);
    *s = (struct planning_step){ .state = PLANNING_RUNNING, .asked_ns = time_of(line, "time"), .question = text_of(line, "question"), .patience_ns = json_number(line, "patience_ms") * 1000000 };
    (void)json_get_bool(line, "choice", &s->is_choice);
}

static void take_line(void *arg, const struct json *line)
{
    struct planning *p = arg;
    const char *type = json_get_str(line, "type");
    struct planning_step *step = find_step(p, line);
    if (type == NULL)
        return;
    if (strcmp(type, "begin") == 0)
        take_begin(p, line);
    else if (strcmp(type, "step_begin") == 0 && step != NULL)
        take_step_begin(step, line);
    else if (strcmp(type, "step_end") == 0 && step != NULL)
        take_step(step, line);
    else if (strcmp(type, "end") == 0)
        take_end(p, line);
    else if (strcmp(type, "stop") == 0)
        p->was_stopped = true;
    else if (strcmp(type, "resume") == 0)
        take_resume(p);
}

int planning_read(const struct context *ctx, const char *id, struct planning *ret_planning, struct error *err)
{
    struct planning p = { 0 };
    _cleanup_free_ char *directory = planning_directory(ctx, id);
    if (strlen(id) > PLANNING_ID_MAX || strchr(id, '/') != NULL)
        return error_set(err, ERROR_NOT_FOUND, "'%.60s' is no run of a plan", id);
    int r = plan_journal_read(ctx->io, directory, take_line, &p, err);
    if (r == 0 && p.plan == NULL)
        r = error_set(err, ERROR_NOT_FOUND, "the journal of '%s' has no beginning", id);
    if (r == ERROR_NOT_FOUND)
        r = error_set(err, ERROR_NOT_FOUND, "there is no run '%s': `bkd plan list` shows those there are", id);
    for (size_t i = 0; i < p.n_steps; i++)
        p.n_late += p.steps[i].is_late;
    (void)snprintf(p.id, sizeof p.id, "%s", id);
    if (r == 0)
        *ret_planning = p;
    else
        planning_done(&p);
    return r;
}

// ---- among all runs

struct search {
    const struct context *ctx;
    const char *plan;
    planning_fits_fn *fits;
    const void *arg;
    struct planning best;
    bool found;
};

static int look(void *arg, const char *name, unsigned char type, struct error *err)
{
    struct search *s = arg;
    struct planning p = { 0 };
    (void)type;
    if (name[0] == '.' || planning_read(s->ctx, name, &p, err) < 0)
        return 0;
    bool newer = !s->found || p.started_ns > s->best.started_ns || (p.started_ns == s->best.started_ns && strcmp(p.id, s->best.id) > 0);
    if (strcmp(p.plan, s->plan) == 0 && newer && (s->fits == NULL || s->fits(s->arg, &p))) {
        planning_done(&s->best);
        s->best = p;
        s->found = true;
    } else {
        planning_done(&p);
    }
    return 0;
}

bool planning_find(const struct context *ctx, const char *plan, planning_fits_fn *fits, const void *arg, struct planning *ret_planning)
{
    struct search s = { .ctx = ctx, .plan = plan, .fits = fits, .arg = arg };
    _cleanup_free_ char *directory = xasprintf("%s/plans", ctx->state_dir);
    struct error ignored; // there are none yet
    (void)!fs_list_dir(ctx->io, AT_FDCWD, directory, look, &s, &ignored);
    if (s.found)
        *ret_planning = s.best;
    return s.found;
}

static bool is_unfinished(const void *arg, const struct planning *p)
{
    (void)arg;
    return p->ended_ns == 0;
}

int planning_find_unfinished(const struct context *ctx, const char *name, struct planning *ret_planning, struct error *err)
{
    if (planning_find(ctx, name, is_unfinished, NULL, ret_planning))
        return 0;
    return planning_read(ctx, name, ret_planning, err);
}

static bool is_good_rehearsal(const void *arg, const struct planning *p)
{
    (void)arg;
    return p->passed && p->mode == PLANNING_REHEARSE;
}

static bool is_good_rehearsal_of(const void *arg, const struct planning *p) { return is_good_rehearsal(NULL, p) && strcmp(p->sha256, arg) == 0; }

bool planning_find_rehearsal(const struct context *ctx, const struct recovery *plan, bool *ret_is_current, struct planning *ret_planning)
{
    *ret_is_current = planning_find(ctx, plan->name, is_good_rehearsal_of, plan->sha256, ret_planning);
    return *ret_is_current || planning_find(ctx, plan->name, is_good_rehearsal, NULL, ret_planning);
}

// ---- what it came to

void planning_record(const struct context *ctx, const struct planning *p)
{
    uint64_t counts[PLANNING_STATES] = { 0 };
    for (size_t i = 0; i < p->n_steps; i++)
        counts[p->steps[i].state]++;
    recording_figure(ctx, "steps", p->n_steps);
    recording_figure(ctx, "steps_done", counts[PLANNING_DONE]);
    recording_figure(ctx, "steps_failed", counts[PLANNING_FAILED]);
    recording_figure(ctx, "steps_skipped", counts[PLANNING_SKIPPED]);
    recording_figure(ctx, "steps_late", p->n_late);
    recording_figure(ctx, "misses_rto", p->misses_rto);
    recording_figure(ctx, "took_ms", p->took_ns / 1000000);
    for (size_t i = 0; i < p->n_steps; i++)
        if (p->steps[i].state == PLANNING_DONE || p->steps[i].state == PLANNING_FAILED)
            recording_phase(ctx, p->ids[i], p->steps[i].took_ns);
}

int planning_result(const struct planning *p, struct error *err)
{
    if (p->was_aborted)
        return error_set(err, ERROR_FAILED, "plan %s was aborted by a decision", p->plan);
    for (size_t i = 0; i < p->n_steps; i++)
        if (p->steps[i].state == PLANNING_FAILED)
            return error_set(err, ERROR_FAILED, "plan %s: step '%s' failed: %s; correct it, and the same command goes on from there", p->plan, p->ids[i], p->steps[i].message);
    if (!p->passed)
        return error_set(err, ERROR_FAILED, "plan %s was interrupted; the same command goes on from there", p->plan);
    if (p->misses_rto)
        return error_set(err, ERROR_OBJECTIVE, "plan %s: everything is back, but later than promised", p->plan);
    return 0;
}
