// bkd drill run: a recovery plan rehearsed in isolation, or walked through, as a drill on record.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/clock.h"
#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/cmd.h"
#include "bkd/drills/drill_evidence.h"
#include "bkd/host/who.h"
#include "bkd/plans/planning.h"
#include "bkd/record/drills.h"
#include "bkd/watch/watch_run.h"

// A drill that the catalogue does not know of has its record in the state directory all the same.
static void catalogue_it(const struct context *ctx, const struct drill *d, const char *plan, const char *kind)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    _cleanup_buf_ struct buf text = { 0 };
    struct error err;
    json_format(d->record, &text);
    const struct drill_row row = { .uid = d->id, .plan = plan, .kind = kind, .started_ns = d->started_ns, .ended_ns = d->ended_ns, .has_passed = d->has_passed, .record = buf_str(&text) };
    int r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_WRITE, &catalogue, &err);
    if (r == 0)
        r = drills_put(&catalogue, &row, &err);
    if (r < 0)
        log_warn("drill %s is not in the catalogue, only in '%s': %s", d->id, d->dir, err.text);
}

static int begin(const struct context *ctx, const struct cli_args *args, const struct recovery *plan, const char *kind, struct drill *ret_drill, struct error *err)
{
    char who[WHO_MAX], host[256] = "";
    const char *responsible = cli_args_option(args, "responsible"), *place = cli_args_option(args, "place");
    who_am_i(who);
    (void)gethostname(host, sizeof host - 1);
    const struct drill_about about = {
        .kind = kind, .plan = plan->name, .plan_version = plan->sha256, .place = place != NULL ? place : host, .responsible = responsible != NULL ? responsible : who,
        .participants = cli_args_option(args, "participants"), .scope = plan->description, .objective_rto_ms = plan->rto_s * 1000,
    };
    return drill_begin(ctx->io, ctx->state_dir, &about, ret_drill, err);
}

// "snapshot 3: 12 files … (late), from sftp://vault/… — 王芳".
static void describe_step(const struct planning_step *s, struct buf *ret_text)
{
    if (s->state == PLANNING_WAITING)
        buf_add_str(ret_text, "it was not come to");
    if (s->message != NULL)
        buf_add_str(ret_text, s->message);
    if (s->is_late)
        buf_add_str(ret_text, " (late)");
    if (s->copy != NULL && s->copy[0] != '\0')
        buf_addf(ret_text, ", from %s", s->copy);
    if (s->by != NULL && s->by[0] != '\0')
        buf_addf(ret_text, " — %s", s->by);
}

// A step that has not ended when the run has, did not do what it was for.
static int add_step(struct drill *d, const struct recovery *plan, const struct planning *p, size_t i, struct error *err)
{
    const struct planning_step *s = &p->steps[i];
    enum drill_result result = s->state == PLANNING_DONE ? DRILL_PASSED : s->state == PLANNING_SKIPPED ? DRILL_SKIPPED : DRILL_FAILED;
    _cleanup_buf_ struct buf text = { 0 };
    describe_step(s, &text);
    const struct drill_step step = { .name = p->ids[i], .planned_ms = i < plan->step_count ? plan->steps[i].deadline_s * 1000 : 0, .took_ns = s->took_ns,
                                     .begun_ns = &s->begun_ns, .result = result, .text = buf_str(&text), .snapshot = s->snapshot, .copy = s->copy };
    int r = drill_step(d, &step, err);
    if (r == 0 && result == DRILL_SKIPPED) {
        _cleanup_free_ char *skipped = xasprintf("step %s", p->ids[i]);
        r = drill_not_exercised(d, skipped, err);
    }
    return r;
}

static int tell(const struct context *ctx, const struct drill *d, const struct planning *p, struct error *err)
{
    if (ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_str(line, "id", d->id);
        json_add_str(line, "plan", p->plan);
        json_add_str(line, "run", p->id);
        json_add_str(line, "mode", planning_mode_name(p->mode));
        json_add_bool(line, "passed", d->has_passed);
        json_add_u64(line, "took_ms", p->took_ns / 1000000);
        json_add_bool(line, "misses_rto", p->misses_rto);
        return json_line_print(&line, stdout, err);
    }
    if (ctx->verbosity >= 0)
        printf("drill %s (%s) of plan %s: %s; its report: bkd drill report %s\n", d->id, planning_mode_name(p->mode), p->plan, d->has_passed ? "PASSED" : "NOT PASSED", d->id);
    return 0;
}

// The last line of JSON is the summary, whatever it came to.
static int conclude(struct context *ctx, const struct drill *d, const struct planning *p, struct error *err)
{
    struct error lost;
    int result = planning_result(p, err);
    if (ctx->json)
        context_conclude(ctx, result, err);
    int r = tell(ctx, d, p, &lost);
    if (r < 0 && result == 0)
        *err = lost;
    return result < 0 ? result : r;
}

// What was interrupted by people is as if it had not been.
static enum drill_end end_of(const struct planning *p)
{
    bool has_failed = p->was_aborted;
    for (size_t i = 0; i < p->n_steps; i++)
        has_failed = has_failed || p->steps[i].state == PLANNING_FAILED;
    return p->passed ? DRILL_HELD : has_failed ? DRILL_NOT_DONE : DRILL_BROKEN_OFF;
}

// What would have been lost of the systems that came back.
static void note_losses(const struct context *ctx, struct drill *d, const struct recovery *plan, const struct planning *p)
{
    for (size_t i = 0; i < p->n_steps && i < plan->step_count; i++) {
        _cleanup_policy_ struct policy policy = { 0 };
        struct error ignored; // a policy that went meanwhile promises nothing
        const struct recovery_system *system = recovery_find_system(plan, plan->steps[i].system);
        if (system == NULL || p->steps[i].snapshot_time_ns == 0 || p->steps[i].state != PLANNING_DONE)
            continue;
        uint64_t promised_s = context_load_policy(ctx, system->policy, &policy, &ignored) == 0 ? policy.objectives.rpo_s : 0;
        drill_loss(d, p->steps[i].snapshot_time_ns, promised_s * 1000);
    }
}

static bool promises_rto(const struct recovery *plan)
{
    bool promises = plan->rto_s > 0;
    for (size_t i = 0; i < plan->system_count; i++)
        promises = promises || plan->systems[i].rto_s > 0;
    return promises;
}

static int record(const struct context *ctx, struct drill *d, const struct recovery *plan, const struct planning *p, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < p->n_steps; i++)
        r = add_step(d, plan, p, i, err);
    note_losses(ctx, d, plan, p);
    if (p->passed && promises_rto(plan) && p->mode == PLANNING_REHEARSE)
        json_add_bool(d->record, "within_rto", !p->misses_rto);
    struct json *policies = json_add_array(d->record, "policies");
    for (size_t i = 0; i < plan->system_count; i++)
        if (plan->systems[i].policy[0] != '\0')
            json_append_str(policies, plan->systems[i].policy);
    json_add_str(d->record, "run", p->id);
    json_add_str(d->record, "scenario", p->scenario);
    drill_figure(d, "recovery_ms", p->took_ns / 1000000);
    return r < 0 ? r : drill_end(d, end_of(p), !p->passed ? "not all steps were done" : p->misses_rto ? "all steps were done, later than promised" : "all steps were done, in time", err);
}

int cmd_drill_run(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_recovery_ struct recovery plan = { 0 };
    _cleanup_planning_ struct planning p = { 0 };
    _cleanup_drill_ struct drill d = { .journal_fd = -1 };
    bool tabletop = cli_args_flag(args, "tabletop");
    const char *kind = tabletop ? DRILL_TABLETOP : DRILL_REHEARSAL;
    const struct planning_options options = {
        .plan = cli_args_value(args, 0), .scenario = cli_args_option(args, "scenario"), .identity = cli_args_option(args, "identity"),
        .mode = tabletop ? PLANNING_TABLETOP : PLANNING_REHEARSE, .unattended = cli_args_flag(args, "unattended"), .anew = !cli_args_flag(args, "resume"), .may_ask = !ctx->json,
    };
    if (options.unattended && tabletop)
        return error_set(err, ERROR_USAGE, "--unattended leaves people out, and --tabletop is about nothing else: choose one");
    int r = planning_load(ctx, options.plan, &plan, err);
    if (r == 0)
        r = begin(ctx, args, &plan, kind, &d, err);
    if (r < 0)
        return r;
    catalogue_it(ctx, &d, plan.name, kind); // so that one that is killed is known of
    interrupt_install();
    r = planning_run(ctx, &options, &p, err);
    if (r == 0)
        planning_record(ctx, &p);
    struct error why;
    int recorded = r == 0 ? record(ctx, &d, &plan, &p, &why) : drill_end(&d, DRILL_BROKEN_OFF, err->text, &why);
    if (r == 0)
        drill_evidence_plan(ctx, &d, &plan, &p);
    catalogue_it(ctx, &d, plan.name, kind);
    watch_after_drill(ctx);
    if (r == 0 && recorded < 0) {
        *err = why;
        return recorded;
    }
    return r < 0 ? r : conclude(ctx, &d, &p, err);
}
