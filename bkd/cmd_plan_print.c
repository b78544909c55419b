// bkd plan print.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bkd/base/clock.h"
#include "bkd/base/fs.h"
#include "bkd/cmd.h"
#include "bkd/plans/handbook.h"
#include "bkd/plans/handbook_command.h"
#include "bkd/plans/planning.h"

static int write_page(const struct context *ctx, const struct buf *page, const char *file, struct error *err)
{
    if (file != NULL)
        return fs_replace_file(ctx->io, AT_FDCWD, file, 0644, page->data, page->len, err);
    return fwrite(page->data, 1, page->len, stdout) == page->len && fflush(stdout) == 0 ? 0 : error_set(err, ERROR_FAILED, "cannot write to standard output");
}

static void free_commands(char ***commands)
{
    for (size_t i = 0; *commands != NULL && (*commands)[i] != NULL; i++)
        free((*commands)[i]);
    free(*commands);
}

static char **make_commands(const struct context *ctx, const struct recovery *plan, const char *scenario)
{
    char **commands = xcalloc(plan->step_count + 1, sizeof *commands);
    for (size_t i = 0; i < plan->step_count; i++) {
        struct buf text = { 0 };
        handbook_command(ctx, plan, &plan->steps[i], scenario, &text);
        commands[i] = buf_take_str(&text);
    }
    return commands;
}

int cmd_plan_print(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_recovery_ struct recovery plan = { 0 };
    _cleanup_plan_times_ struct plan_times times = { 0 };
    _cleanup_planning_ struct planning rehearsal = { 0 };
    _cleanup_buf_ struct buf page = { 0 };
    char host[256] = "", printed[CLOCK_TEXT_MAX], rehearsed[CLOCK_TEXT_MAX];
    const char *language = cli_args_option(args, "lang"), *file = cli_args_option(args, "output");
    bool is_current = false;
    __attribute__((cleanup(free_commands))) char **commands = NULL;
    struct handbook handbook = { .plan = &plan, .times = &times, .host = host, .printed = printed, .scenario = cli_args_option(args, "scenario") };
    if (!handbook_parse_language(language == NULL ? "en" : language, &handbook.language))
        return error_set(err, ERROR_USAGE, "--lang is en or zh, not '%s'", language);
    if (ctx->json && file == NULL)
        return error_set(err, ERROR_USAGE, "with --json give -o FILE for the page");
    int r = planning_load(ctx, cli_args_value(args, 0), &plan, err);
    if (r < 0)
        return r;
    if (handbook.scenario != NULL && !recovery_has_scenario(&plan, handbook.scenario))
        return error_set(err, ERROR_USAGE, "plan %s says nothing of a scenario '%s': no system has a target for it", plan.name, handbook.scenario);
    plan_times_load(ctx, &plan, &times);
    handbook.commands = commands = make_commands(ctx, &plan, handbook.scenario);
    if (planning_find_rehearsal(ctx, &plan, &is_current, &rehearsal) && is_current) {
        clock_format_utc(rehearsed, rehearsal.ended_ns, false);
        handbook.rehearsed = rehearsed;
    }
    (void)gethostname(host, sizeof host - 1);
    clock_format_utc(printed, io_realtime_ns(ctx->io), false);
    r = handbook_format(&handbook, &page, err);
    if (r == 0)
        r = write_page(ctx, &page, file, err);
    if (r < 0 || !ctx->json)
        return r;
    struct json *line = json_line_new("summary");
    json_add_str(line, "plan", plan.name);
    json_add_str(line, "file", file);
    json_add_u64(line, "bytes", page.len);
    return json_line_print(&line, stdout, err);
}
