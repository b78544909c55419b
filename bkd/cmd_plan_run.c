// bkd plan run, answer and list.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/clock.h"
#include "bkd/base/fs.h"
#include "bkd/base/interrupt.h"
#include "bkd/cmd.h"
#include "bkd/dr/plan_journal.h"
#include "bkd/host/who.h"
#include "bkd/plans/planning_ask.h"
#include "bkd/watch/watch_run.h"

// ---- run

static int add_step(const struct planning *p, size_t i, struct error *err)
{
    const struct planning_step *s = &p->steps[i];
    struct json *line = json_line_new("step");
    json_add_str(line, "step", p->ids[i]);
    json_add_str(line, "state", planning_state_name(s->state));
    json_add_u64(line, "begun_ms", s->begun_ns / 1000000);
    json_add_u64(line, "took_ms", s->took_ns / 1000000);
    json_add_bool(line, "late", s->is_late);
    json_add_str(line, "message", s->message);
    json_add_str(line, "by", s->by);
    json_add_str(line, "note", s->note);
    json_add_str(line, "choice", s->choice);
    if (s->snapshot > 0) {
        json_add_u64(line, "snapshot", s->snapshot);
        json_add_time(line, "snapshot_time", s->snapshot_time_ns);
        json_add_str(line, "from", s->copy);
    }
    return json_line_print(&line, stdout, err);
}

static int print_summary(const struct planning *p, struct error *err)
{
    struct json *line = json_line_new("summary");
    json_add_str(line, "plan", p->plan);
    json_add_str(line, "run", p->id);
    json_add_str(line, "mode", planning_mode_name(p->mode));
    json_add_str(line, "scenario", p->scenario);
    json_add_bool(line, "passed", p->passed);
    json_add_bool(line, "aborted", p->was_aborted);
    json_add_u64(line, "took_ms", p->took_ns / 1000000);
    json_add_u64(line, "late", p->n_late);
    json_add_bool(line, "misses_rto", p->misses_rto);
    return json_line_print(&line, stdout, err);
}

// The steps; then the last line is the summary, whatever it came to.
static int conclude(struct context *ctx, const struct planning *p, int result, struct error *err)
{
    struct error lost;
    int r = 0;
    for (size_t i = 0; i < p->n_steps && r == 0; i++)
        r = add_step(p, i, &lost);
    context_conclude(ctx, result, err);
    if (r == 0)
        r = print_summary(p, &lost);
    if (r < 0 && result == 0)
        *err = lost;
    return result < 0 ? result : r;
}

static void print_text(const struct context *ctx, const struct planning *p)
{
    char took[CLOCK_TEXT_MAX];
    _cleanup_free_ char *directory = planning_directory(ctx, p->id);
    for (size_t i = 0; i < p->n_steps; i++) {
        const struct planning_step *s = &p->steps[i];
        clock_format_duration(took, s->took_ns);
        printf("  %-8s %-20s %s%s%s%s\n", planning_state_name(s->state), p->ids[i], s->state == PLANNING_WAITING ? "-" : took, s->is_late ? " LATE" : "",
               s->message != NULL && s->message[0] != '\0' ? "  " : "", s->message == NULL ? "" : s->message);
    }
    clock_format_duration(took, p->took_ns);
    printf("%s %s of plan %s after %s%s; its journal is %s/journal.jsonl\n", planning_mode_name(p->mode), p->passed ? "done" : "NOT DONE", p->plan, took,
           p->misses_rto ? ", LATER THAN PROMISED" : "", directory);
}

// What is for real is confirmed first.
static int confirm(const struct context *ctx, const struct planning_options *o, bool yes, struct error *err)
{
    char answer[16] = "";
    if (o->mode != PLANNING_RUN || yes)
        return 0;
    if (!isatty(STDIN_FILENO) || ctx->json)
        return error_set(err, ERROR_USAGE, "this restores for real and runs the plan's commands; say --yes, or try --rehearse or --tabletop");
    fprintf(stderr, "Plan %s%s%s restores for real and runs its commands. Go on? [yes/no] ", o->plan, o->scenario == NULL ? "" : ", scenario ", o->scenario == NULL ? "" : o->scenario);
    if (fgets(answer, sizeof answer, stdin) != NULL && strcmp(answer, "yes\n") == 0)
        return 0;
    return error_set(err, ERROR_FAILED, "nothing was done");
}

int cmd_plan_run(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_planning_ struct planning p = { 0 };
    bool tabletop = cli_args_flag(args, "tabletop"), rehearse = cli_args_flag(args, "rehearse");
    const struct planning_options options = {
        .plan = cli_args_value(args, 0), .scenario = cli_args_option(args, "scenario"), .identity = cli_args_option(args, "identity"),
        .mode = tabletop ? PLANNING_TABLETOP : rehearse ? PLANNING_REHEARSE : PLANNING_RUN, .anew = cli_args_flag(args, "anew"),
        .unattended = cli_args_flag(args, "unattended"), .may_ask = !ctx->json,
    };
    if (tabletop && rehearse)
        return error_set(err, ERROR_USAGE, "--tabletop restores nothing, --rehearse restores into scratch space: choose one");
    if (options.unattended && !rehearse)
        return error_set(err, ERROR_USAGE, "--unattended goes with --rehearse: whatever is done for real needs people");
    int r = confirm(ctx, &options, cli_args_flag(args, "yes"), err);
    if (r < 0)
        return r;
    interrupt_install(); // what runs is ended, and it is gone on with another time
    r = planning_run(ctx, &options, &p, err);
    if (r == 0)
        planning_record(ctx, &p);
    watch_after_drill(ctx); // whatever kept it from going on: it waits for nobody any more
    if (r < 0)
        return r;
    r = planning_result(&p, err);
    if (ctx->json)
        return conclude(ctx, &p, r, err);
    if (ctx->verbosity >= 0)
        print_text(ctx, &p);
    return r;
}

// ---- answer

static int find_state(const struct planning *p, const char *step, enum planning_state *ret_state, struct error *err)
{
    for (size_t i = 0; i < p->n_steps; i++) {
        if (strcmp(p->ids[i], step) == 0) {
            *ret_state = p->steps[i].state;
            return 0;
        }
    }
    return error_set(err, ERROR_USAGE, "run %s has no step '%s'", p->id, step);
}

static int check_question(const struct context *ctx, const struct planning *p, const char *id, const char *choice, struct error *err)
{
    _cleanup_recovery_ struct recovery plan = { 0 };
    enum planning_state state = PLANNING_WAITING;
    int r = find_state(p, id, &state, err);
    if (r == 0 && state != PLANNING_RUNNING)
        r = error_set(err, ERROR_USAGE, "step '%s' of run %s is %s: nobody asks", id, p->id, planning_state_name(state));
    if (r == 0)
        r = planning_load(ctx, p->plan, &plan, err);
    const struct recovery_step *step = r < 0 ? NULL : recovery_find_step(&plan, id);
    bool is_asked = step != NULL && (p->mode == PLANNING_TABLETOP || step->type == RECOVERY_MANUAL || step->type == RECOVERY_DECISION);
    if (r == 0 && !is_asked)
        r = error_set(err, ERROR_USAGE, "step '%s' is carried out by bkd: nobody asks", id);
    return r < 0 ? r : planning_check_choice(step, choice, err);
}

int cmd_plan_answer(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_planning_ struct planning p = { 0 };
    const char *id = cli_args_value(args, 1), *by = cli_args_option(args, "by"), *note = cli_args_option(args, "note"), *choice = cli_args_option(args, "choice");
    if (by == NULL || by[0] == '\0')
        return error_set(err, ERROR_USAGE, "who answers? Give --by NAME; it goes on record");
    int r = planning_find_unfinished(ctx, cli_args_value(args, 0), &p, err);
    if (r == 0)
        r = check_question(ctx, &p, id, choice == NULL ? "" : choice, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *directory = planning_directory(ctx, p.id);
    _cleanup_planning_answer_ struct planning_answer answer = { .by = xstrdup(by), .note = xstrdup(note == NULL ? "" : note), .choice = xstrdup(choice == NULL ? "" : choice),
                                                                .refused = cli_args_flag(args, "failed") };
    r = planning_answer_write(ctx->io, directory, id, &answer, err);
    if (r < 0 || ctx->verbosity < 0)
        return r;
    struct json *line = json_line_new("summary");
    json_add_str(line, "run", p.id);
    json_add_str(line, "step", id);
    json_add_bool(line, "alive", plan_journal_is_alive(ctx->io, directory));
    if (ctx->json)
        return json_line_print(&line, stdout, err);
    json_free(&line);
    printf("answered: step '%s' of run %s%s\n", id, p.id, plan_journal_is_alive(ctx->io, directory) ? "" : " (which is interrupted; it takes the answer when it goes on)");
    return 0;
}

// ---- list

// When it is to be looked through again; false while that is still to come.
static bool is_review_due(const struct context *ctx, const struct recovery *plan, char ret_day[CLOCK_TEXT_MAX])
{
    _cleanup_free_ char *path = context_plan_path(ctx, plan->name);
    struct statx st = { 0 };
    struct error ignored; // it was read a moment ago
    (void)!io_stat(ctx->io, AT_FDCWD, path, 0, &st, &ignored);
    uint64_t due_ns = watch_plans_review_ns(plan, (uint64_t)st.stx_mtime.tv_sec * 1000000000);
    clock_format_utc(ret_day, due_ns, false);
    ret_day[10] = '\0';
    return due_ns <= io_realtime_ns(ctx->io);
}

static int list_plan(const struct context *ctx, const char *name, bool *bad, struct error *err)
{
    _cleanup_recovery_ struct recovery plan = { 0 };
    _cleanup_planning_ struct planning rehearsal = { 0 }, open = { 0 };
    struct error why;
    char day[CLOCK_TEXT_MAX], when[CLOCK_TEXT_MAX] = "";
    if (planning_load(ctx, name, &plan, &why) < 0) {
        *bad = true;
        return ctx->json ? 0 : (fprintf(stderr, "%s: %s\n", name, why.text), 0);
    }
    bool is_rehearsed = false, was_rehearsed = planning_find_rehearsal(ctx, &plan, &is_rehearsed, &rehearsal);
    bool is_open = planning_find_unfinished(ctx, plan.name, &open, &why) == 0;
    bool is_due = is_review_due(ctx, &plan, day);
    if (was_rehearsed)
        clock_format_utc(when, rehearsal.ended_ns, false);
    if (!ctx->json) {
        printf("%s: %s%s%s%s%s%s%s%s\n", plan.name, is_rehearsed ? "rehearsed " : was_rehearsed ? "not rehearsed: changed since the rehearsal of " : "not rehearsed", when,
               is_due ? "; REVIEW DUE since " : "; review by ", day, is_open ? "; unfinished " : "",
               is_open ? planning_mode_name(open.mode) : "", is_open ? " " : "", is_open ? open.id : "");
        return 0;
    }
    struct json *line = json_line_new("plan");
    json_add_str(line, "plan", plan.name);
    json_add_str(line, "description", plan.description);
    json_add_str(line, "sha256", plan.sha256);
    json_add_u64(line, "steps", plan.step_count);
    json_add_bool(line, "rehearsed", is_rehearsed);
    json_add_bool(line, "changed_since_rehearsal", was_rehearsed && !is_rehearsed);
    json_add_str(line, "last_rehearsal", was_rehearsed ? when : NULL);
    json_add_str(line, "review", plan.review);
    json_add_str(line, "review_by", day);
    json_add_bool(line, "review_due", is_due);
    json_add_str(line, "unfinished", is_open ? open.id : NULL);
    return json_line_print(&line, stdout, err);
}

int cmd_plan_list(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_context_names_ struct context_names names = { 0 };
    bool bad = false;
    (void)args;
    int r = context_names_below(ctx, "plans", &names, err);
    for (size_t i = 0; r == 0 && i < names.count; i++)
        r = list_plan(ctx, names.items[i], &bad, err);
    if (r == 0 && names.count == 0 && !ctx->json)
        printf("there are no plans in '%s/plans'\n", ctx->config_dir);
    return r == 0 && bad ? error_set(err, ERROR_USAGE, "a plan has mistakes; `bkd plan check` shows them") : r;
}
