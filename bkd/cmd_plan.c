// bkd plan check, lint and show: what is wrong with a recovery plan, and how long it takes.
#include <stdio.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/cmd.h"
#include "bkd/plans/plan_lint_far.h"
#include "bkd/plans/plan_times.h"
#include "bkd/plans/planning.h"

#define SECOND UINT64_C(1000000000)
#define GANTT_COLUMNS 48

// ---- lint: what a plan can be carried out with, but should not be

#define REPORT(errors, place, hint, ...) policy_errors_add(errors, (place).line, (place).column, 1, hint, __VA_ARGS__)

static void lint_policies(const struct context *ctx, const struct recovery *plan, struct policy_errors *errors)
{
    for (size_t i = 0; i < plan->system_count; i++) {
        const struct recovery_system *system = &plan->systems[i];
        _cleanup_free_ char *path = context_policy_path(ctx, system->policy);
        struct statx st;
        struct error err;
        if (system->policy[0] != '\0' && io_stat(ctx->io, AT_FDCWD, path, 0, &st, &err) < 0)
            REPORT(errors, system->at, "write it, or correct the name", "system '%s': there is no policy '%s' (%s)", system->name, system->policy, path);
    }
}

static void lint_people(const struct recovery *plan, struct policy_errors *errors)
{
    for (size_t i = 0; i < plan->step_count; i++)
        if (plan->steps[i].owner[0] == '\0')
            REPORT(errors, plan->steps[i].at, "give it an 'owner'", "nobody answers for step '%s'", plan->steps[i].id);
    for (size_t i = 0; i < plan->role_count; i++) {
        const struct recovery_role *role = &plan->roles[i];
        if (role->deputy[0] == '\0')
            REPORT(errors, role->at, "give it a 'deputy'", "role '%s' has nobody when %s cannot be reached", role->name, role->holder);
        else if (strcmp(role->deputy, role->holder) == 0)
            REPORT(errors, role->at, "name another person", "role '%s': %s cannot be the deputy of themselves", role->name, role->holder);
        if (role->contact[0] == '\0')
            REPORT(errors, role->at, "give it a 'contact': a telephone number", "it is not said how to reach %s (role '%s')", role->holder, role->name);
    }
}

static void lint_objective(const struct recovery_at *at, const char *what, uint64_t promised_s, uint64_t needed_ns, struct policy_errors *errors)
{
    char promised[CLOCK_TEXT_MAX], needed[CLOCK_TEXT_MAX];
    clock_format_duration(promised, promised_s * SECOND);
    clock_format_duration(needed, needed_ns);
    if (promised_s > 0 && needed_ns > promised_s * SECOND)
        policy_errors_add(errors, at->line, at->column, 1, "`bkd plan show` says where the time goes", "%s cannot be back in %s: with what comes before it, it takes %s", what, promised,
                          needed);
}

static void lint_objectives(const struct context *ctx, const struct recovery *plan, struct policy_errors *errors)
{
    _cleanup_plan_times_ struct plan_times times = { 0 };
    plan_times_load(ctx, plan, &times);
    for (size_t i = 0; i < plan->system_count; i++) {
        _cleanup_free_ char *what = xasprintf("system '%s'", plan->systems[i].name);
        lint_objective(&plan->systems[i].at, what, plan->systems[i].rto_s, plan_times_of_system(&times, plan, plan->systems[i].name), errors);
    }
    lint_objective(&(struct recovery_at){ 1, 1 }, "all of it", plan->rto_s, times.total_ns, errors);
}

// A policy's checks are those of a check step that has none of its own.
static void lint_checks(const struct context *ctx, const struct recovery *plan, struct policy_errors *errors)
{
    for (size_t i = 0; i < plan->step_count; i++) {
        const struct recovery_step *step = &plan->steps[i];
        const struct recovery_system *system = recovery_find_system(plan, step->system);
        _cleanup_policy_ struct policy policy = { 0 };
        _cleanup_policy_errors_ struct policy_errors ignored = { 0 }; // `bkd policy check` tells
        struct error err;
        if (step->type != RECOVERY_CHECK || step->check_count > 0 || system == NULL)
            continue;
        _cleanup_free_ char *path = context_policy_path(ctx, system->policy);
        if (policy_load(ctx->io, path, &policy, &ignored, &err) == 0 && policy.verify.check_count == 0)
            REPORT(errors, step->at, "list some below 'checks'", "step '%s' checks nothing: neither it nor policy '%s' has checks", step->id, policy.name);
    }
}

static int summarise(const struct context *ctx, const char *file, size_t mistakes, struct error *err)
{
    struct json *line = json_line_new("summary");
    json_add_str(line, "file", file);
    json_add_bool(line, "ok", mistakes == 0);
    json_add_u64(line, "mistakes", mistakes);
    if (ctx->json)
        return json_line_print(&line, stdout, err);
    json_free(&line);
    if (mistakes == 0)
        printf("%s: ok\n", file);
    return 0;
}

static int check(struct context *ctx, const char *name, bool lint, struct error *err)
{
    _cleanup_recovery_ struct recovery plan = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    _cleanup_free_ char *path = context_plan_path(ctx, name);
    int r = recovery_load(ctx->io, path, &plan, &errors, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_USAGE, "there is no plan '%s': write %s, or give --config-dir", name, path);
    if (r == 0 && lint) {
        lint_policies(ctx, &plan, &errors);
        lint_people(&plan, &errors);
        lint_checks(ctx, &plan, &errors);
        plan_lint_far(ctx, &plan, &errors);
        lint_objectives(ctx, &plan, &errors);
        policy_errors_sort(&errors);
    }
    context_print_policy_errors(ctx, &errors);
    if (r < 0 && errors.count == 0)
        return r; // it could not be read, or not be trusted
    struct error ignored;
    int printed = summarise(ctx, path, errors.count, r < 0 ? &ignored : err);
    if (r == 0 && printed == 0 && errors.count > 0)
        r = error_set(err, ERROR_USAGE, "plan '%s' has %zu weakness%s; correct them before you need it", path, errors.count, errors.count == 1 ? "" : "es");
    return r < 0 ? r : printed;
}

int cmd_plan_check(struct context *ctx, const struct cli_args *args, struct error *err) { return check(ctx, cli_args_value(args, 0), false, err); }
int cmd_plan_lint(struct context *ctx, const struct cli_args *args, struct error *err) { return check(ctx, cli_args_value(args, 0), true, err); }

// ---- show

static int show_json(const struct recovery *plan, const struct plan_times *times, struct error *err)
{
    int r = 0;
    for (size_t i = 0; i < plan->step_count && r == 0; i++) {
        const struct recovery_step *step = &plan->steps[i];
        struct json *line = json_line_new("step");
        json_add_str(line, "step", step->id);
        json_add_str(line, "kind", recovery_type_name(step->type));
        json_add_str(line, "title", step->title);
        json_add_str(line, "system", step->system);
        json_add_str(line, "owner", step->owner);
        json_add_u64(line, "start_ms", times->nodes[i].start / 1000000);
        json_add_u64(line, "end_ms", times->nodes[i].end / 1000000);
        json_add_u64(line, "slack_ms", times->nodes[i].slack / 1000000);
        json_add_bool(line, "critical", times->nodes[i].is_critical);
        json_add_str(line, "source", plan_times_source_name(times->sources[i]));
        json_add_u64(line, "measurements", times->measurements[i]);
        json_add_u64(line, "deadline_ms", step->deadline_s * 1000);
        r = json_line_print(&line, stdout, err);
    }
    struct json *line = json_line_new("summary");
    json_add_str(line, "plan", plan->name);
    json_add_str(line, "sha256", plan->sha256);
    json_add_u64(line, "steps", plan->step_count);
    json_add_u64(line, "total_ms", times->total_ns / 1000000);
    json_add_u64(line, "objective_rto_ms", plan->rto_s * 1000);
    if (r == 0)
        return json_line_print(&line, stdout, err);
    json_free(&line);
    return r;
}

static void print_bar(const struct critical_path_node *node, uint64_t total)
{
    double scale = total == 0 ? 0 : (double)GANTT_COLUMNS / (double)total;
    size_t start = (size_t)((double)node->start * scale), end = (size_t)((double)node->end * scale);
    for (size_t column = 0; column < GANTT_COLUMNS; column++)
        (void)fputs(column == start && end <= start ? "|" : column >= start && column < end ? (node->is_critical ? "█" : "▒") : "·", stdout);
}

static void show_text(const struct recovery *plan, const struct plan_times *times)
{
    char text[CLOCK_TEXT_MAX];
    size_t width = 4;
    for (size_t i = 0; i < plan->step_count; i++)
        width = strlen(plan->steps[i].id) > width ? strlen(plan->steps[i].id) : width;
    printf("%s%s%s\n", plan->name, plan->description[0] == '\0' ? "" : ": ", plan->description);
    for (size_t i = 0; i < plan->step_count; i++) {
        const struct recovery_step *step = &plan->steps[i];
        printf("  %-*s %-8s ", (int)width, step->id, recovery_type_name(step->type));
        print_bar(&times->nodes[i], times->total_ns);
        clock_format_duration(text, times->nodes[i].duration);
        printf(" %s (%s)%s%s\n", times->sources[i] == PLAN_TIMES_UNKNOWN ? "?" : text, plan_times_source_name(times->sources[i]), step->owner[0] == '\0' ? "" : "  ", step->owner);
    }
    clock_format_duration(text, times->total_ns);
    printf("  all of it takes %s at least; the dark steps make it so long\n", text);
    for (size_t i = 0; i < plan->system_count; i++) {
        char end[CLOCK_TEXT_MAX], promised[CLOCK_TEXT_MAX];
        clock_format_duration(end, plan_times_of_system(times, plan, plan->systems[i].name));
        clock_format_duration(promised, plan->systems[i].rto_s * SECOND);
        printf("  system %s: back after %s%s%s\n", plan->systems[i].name, end, plan->systems[i].rto_s > 0 ? "; promised are " : "", plan->systems[i].rto_s > 0 ? promised : "");
    }
}

int cmd_plan_show(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_recovery_ struct recovery plan = { 0 };
    _cleanup_plan_times_ struct plan_times times = { 0 };
    int r = planning_load(ctx, cli_args_value(args, 0), &plan, err);
    if (r < 0)
        return r;
    plan_times_load(ctx, &plan, &times);
    if (ctx->json)
        return show_json(&plan, &times, err);
    show_text(&plan, &times);
    return 0;
}
