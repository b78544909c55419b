// bkd improve add, list, close: what drills asked for, until it is done.
#include <stdio.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/cmd.h"
#include "bkd/dr/improvements.h"
#include "bkd/drills/drill_reports.h"
#include "bkd/history/history.h"
#include "bkd/host/who.h"
#include "bkd/watch/watch_run.h"

int cmd_improve_add(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    _cleanup_json_ struct json *record = NULL;
    struct improvement_wanted wanted = { .text = cli_args_value(args, 1), .owner = cli_args_option(args, "owner"), .due = cli_args_option(args, "due") };
    uint64_t id = 0;
    if (wanted.owner == NULL || wanted.due == NULL)
        return error_set(err, ERROR_USAGE, "an improvement has somebody who does it, and a date: --owner NAME --due 2026-12-31");
    int r = history_open(ctx, &catalogue, err);
    if (r == 0)
        r = drill_reports_find(&catalogue, cli_args_value(args, 0), &record, err);
    if (r < 0)
        return r;
    wanted.drill = json_get_str(record, "id");
    r = improvements_add(ctx->io, ctx->state_dir, &wanted, &id, err);
    if (r == 0)
        watch_after_drill(ctx);
    if (r == 0 && !ctx->json && ctx->verbosity >= 0)
        printf("improvement %llu, due %s: %s\n", (unsigned long long)id, wanted.due, wanted.owner);
    if (r < 0 || !ctx->json)
        return r;
    struct json *line = json_line_new("summary");
    json_add_u64(line, "id", id);
    return json_line_print(&line, stdout, err);
}

static int print_json(const struct improvement *i, uint64_t now_ns, struct error *err)
{
    struct json *line = json_line_new("improvement");
    improvements_describe(i, now_ns, line);
    return json_line_print(&line, stdout, err);
}

static int print(const struct context *ctx, const struct improvement *i, uint64_t now_ns, struct error *err)
{
    bool is_overdue = improvements_is_overdue(i, now_ns);
    if (ctx->json)
        return print_json(i, now_ns, err);
    printf("%4llu  %s  %-8s  %s: %s (drill %s)\n", (unsigned long long)i->id, i->due, i->closed != NULL ? "closed" : is_overdue ? "OVERDUE" : "open", i->owner, i->text, i->drill);
    return 0;
}

int cmd_improve_list(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_improvements_ struct improvements improvements = { 0 };
    uint64_t now = io_realtime_ns(ctx->io), shown = 0, overdue = 0;
    int r = improvements_load(ctx->io, ctx->state_dir, &improvements, err);
    for (size_t i = 0; r == 0 && i < improvements.n; i++) {
        const struct improvement *item = &improvements.items[i];
        if (item->closed != NULL && !cli_args_flag(args, "all"))
            continue;
        shown++;
        overdue += improvements_is_overdue(item, now);
        r = print(ctx, item, now, err);
    }
    if (r < 0 || (!ctx->json && shown > 0))
        return r;
    if (!ctx->json) {
        printf("no open improvements\n");
        return 0;
    }
    struct json *line = json_line_new("summary");
    json_add_u64(line, "improvements", shown);
    json_add_u64(line, "overdue", overdue);
    return json_line_print(&line, stdout, err);
}

int cmd_improve_close(struct context *ctx, const struct cli_args *args, struct error *err)
{
    char who[WHO_MAX];
    const char *text = cli_args_value(args, 0);
    uint64_t id = 0;
    if (!parse_u64(text, strlen(text), UINT64_MAX, &id))
        return error_set(err, ERROR_USAGE, "'%s' is no number of an improvement: `bkd improve list` shows them", text);
    who_am_i(who);
    int r = improvements_close(ctx->io, ctx->state_dir, id, who, cli_args_option(args, "note"), err);
    if (r < 0)
        return r;
    watch_after_drill(ctx);
    if (ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_u64(line, "id", id);
        return json_line_print(&line, stdout, err);
    }
    if (ctx->verbosity >= 0)
        printf("improvement %llu is closed\n", (unsigned long long)id);
    return 0;
}
