// bkd plan close: a run of a plan that nobody will go on with is over.
#include <stdio.h>

#include "bkd/cmd.h"
#include "bkd/dr/plan_journal.h"
#include "bkd/plans/planning.h"
#include "bkd/watch/watch_run.h"

static int write_end(const struct context *ctx, const struct planning *p, const char *by, const char *note, struct error *err)
{
    struct plan_journal journal = { .fd = -1, .lock_fd = -1 };
    _cleanup_free_ char *directory = planning_directory(ctx, p->id);
    int r = plan_journal_open(ctx->io, directory, &journal, err);
    if (r < 0)
        return r;
    struct json *line = json_line_new("end");
    json_add_time(line, "time", io_realtime_ns(ctx->io));
    json_add_bool(line, "passed", false);
    json_add_bool(line, "aborted", true);
    json_add_u64(line, "took_ms", p->took_ns / 1000000);
    json_add_str(line, "by", by);
    json_add_str(line, "note", note);
    r = plan_journal_write(&journal, &line, true, err);
    plan_journal_close(&journal);
    return r;
}

int cmd_plan_close(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_planning_ struct planning p = { 0 };
    const char *by = cli_args_option(args, "by"), *note = cli_args_option(args, "note");
    if (by == NULL || by[0] == '\0')
        return error_set(err, ERROR_USAGE, "who closes it? Give --by NAME; it goes on record");
    int r = planning_find_unfinished(ctx, cli_args_value(args, 0), &p, err);
    if (r == 0 && p.ended_ns != 0)
        r = error_set(err, ERROR_USAGE, "run %s is over", p.id);
    if (r == 0)
        r = write_end(ctx, &p, by, note == NULL ? "" : note, err);
    if (r < 0)
        return r;
    watch_after_drill(ctx);
    struct json *line = json_line_new("summary");
    json_add_str(line, "plan", p.plan);
    json_add_str(line, "run", p.id);
    json_add_str(line, "by", by);
    if (ctx->json)
        return json_line_print(&line, stdout, err);
    json_free(&line);
    if (ctx->verbosity >= 0)
        printf("closed: %s %s of plan %s\n", planning_mode_name(p.mode), p.id, p.plan);
    return 0;
}
