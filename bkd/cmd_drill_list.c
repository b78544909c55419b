// bkd drill list: what was rehearsed, the newest first, and how it went.
#include <stdio.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/cmd.h"
#include "bkd/history/history.h"
#include "bkd/record/drills.h"
#include "bkd/watch/watch_plans.h"

struct listing {
    const struct context *ctx;
    struct catalogue *catalogue;
    const char *plan;
    uint64_t drills, passed;
};

enum state { STATE_ENDED, STATE_RUNNING, STATE_KILLED };

static enum state state_of(const struct listing *l, const struct drill_row *row)
{
    return row->ended_ns > 0 ? STATE_ENDED : watch_drill_goes_on(l->catalogue, row->plan) ? STATE_RUNNING : STATE_KILLED;
}

static const char *result_of(const struct drill_row *row, enum state state)
{
    static const char *const unended[] = { [STATE_RUNNING] = "not ended", [STATE_KILLED] = "KILLED" };
    return state != STATE_ENDED ? unended[state] : row->has_passed ? "passed" : "NOT PASSED";
}

static int print_json(const struct drill_row *row, enum state state, struct error *err)
{
    static const char *const names[] = { "ended", "running", "killed" };
    struct json *line = NULL;
    int r = json_parse(row->record, strlen(row->record), &line, err);
    if (r < 0)
        return error_prefix(err, "the record of drill %s", row->uid);
    json_add_str(line, "state", names[state]);
    return json_line_print(&line, stdout, err);
}

static int show(void *arg, const struct drill_row *row, struct error *err)
{
    struct listing *l = arg;
    char when[CLOCK_TEXT_MAX], took[CLOCK_TEXT_MAX] = "";
    if (l->drills++ == 0 && !l->ctx->json)
        printf("%-22s %-20s  %-9s %-16s  %-10s %8s\n", "DRILL", "BEGAN (UTC)", "KIND", "PLAN", "RESULT", "TOOK");
    enum state state = state_of(l, row);
    l->passed += row->ended_ns > 0 && row->has_passed;
    if (l->ctx->json)
        return print_json(row, state, err);
    clock_format_utc(when, row->started_ns, false);
    if (row->ended_ns > row->started_ns)
        clock_format_duration(took, row->ended_ns - row->started_ns);
    printf("%-22s %-20s  %-9s %-16s  %-10s %8s\n", row->uid, when, row->kind, row->plan, result_of(row, state), took);
    return 0;
}

int cmd_drill_list(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    struct listing l = { .ctx = ctx, .catalogue = &catalogue, .plan = cli_args_value(args, 0) };
    int r = history_open(ctx, &catalogue, err);
    if (r == 0)
        r = drills_list(&catalogue, l.plan, cli_args_option(args, "kind"), show, &l, err);
    if (r < 0)
        return r;
    if (ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_u64(line, "drills", l.drills);
        json_add_u64(line, "passed", l.passed);
        return json_line_print(&line, stdout, err);
    }
    if (l.drills == 0)
        printf("no drills yet: bkd drill negative, by-hand and key rehearse a policy\n");
    return 0;
}
