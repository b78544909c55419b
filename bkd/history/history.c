#include "bkd/history/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/log.h"
#include "bkd/base/printable.h"
#include "bkd/policy/units.h"

#define NS_PER_S UINT64_C(1000000000)
enum { LIMIT = 50, LIMIT_MAX = 100000000 };

int history_open(const struct context *ctx, struct catalogue *ret_catalogue, struct error *err)
{
    struct error why;
    int r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_READ, ret_catalogue, err); // says so when there is none; makes nothing
    if (r < 0 && r != ERROR_INTEGRITY)
        return r;
    if (r == 0)
        catalogue_close(ret_catalogue);
    r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_WRITE, ret_catalogue, &why);
    if (r == 0 && (r = runs_abandoned(ret_catalogue, NULL, NULL, &why)) < 0)
        catalogue_close(ret_catalogue);
    if (r == 0)
        return 0;
    log_debug("the catalogue is read as it is: %s", why.text);
    return catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_READ, ret_catalogue, err);
}

// "2026-11-01", "2026-11-01T08:00:00Z", or how far back: "7d".
static int parse_since(const struct context *ctx, const char *text, uint64_t *ret_ns, struct error *err)
{
    _cleanup_free_ char *midnight = xasprintf("%sT00:00:00Z", text);
    uint64_t seconds, now = io_realtime_ns(ctx->io);
    struct error ignored;
    if (clock_parse_utc(text, strlen(text), ret_ns) || clock_parse_utc(midnight, strlen(midnight), ret_ns))
        return 0;
    if (units_parse_duration(text, &seconds, &ignored) < 0)
        return error_set(err, ERROR_USAGE, "--since is a date (2026-11-01), a time (2026-11-01T08:00:00Z), or how far back (7d), not '%s'", text);
    *ret_ns = seconds < now / NS_PER_S ? now - seconds * NS_PER_S : 1;
    return 0;
}

int history_filter(const struct context *ctx, const struct cli_args *args, struct runs_filter *ret_filter, struct error *err)
{
    unsigned long limit = LIMIT;
    const char *since = cli_args_option(args, "since");
    struct runs_filter filter = {
        .policy = cli_args_value(args, 0), .kind = cli_args_option(args, "kind"), .failed = cli_args_flag(args, "failed"), .running = cli_args_flag(args, "running"),
    };
    int r = cli_args_number(args, "limit", LIMIT_MAX, &limit, err);
    if (r == 0 && since != NULL)
        r = parse_since(ctx, since, &filter.since_ns, err);
    if (r < 0)
        return r;
    filter.limit = limit; // 0 = all
    *ret_filter = filter;
    return 0;
}

void history_result(const struct run_record *run, char ret_text[32])
{
    const char *word = run->exit_code == 0 ? "done" : run->exit_code == 3 ? "incomplete" : run->exit_code == 6 ? "busy" : "failed";
    if (run->state != RUN_ENDED)
        (void)snprintf(ret_text, 32, "%s", run_state_name(run->state));
    else if (run->exit_code == 0)
        (void)snprintf(ret_text, 32, "%s", word);
    else
        (void)snprintf(ret_text, 32, "%s (%d)", word, run->exit_code);
}

static uint64_t duration_of(const struct context *ctx, const struct run_record *run)
{
    uint64_t end = run->ended_ns != 0 ? run->ended_ns : io_realtime_ns(ctx->io);
    return end > run->started_ns ? end - run->started_ns : 0;
}

void history_add_json(struct json *line, const struct context *ctx, const struct run_record *run)
{
    char result[32];
    history_result(run, result);
    result[strcspn(result, " ")] = '\0';
    json_add_u64(line, "run", (uint64_t)run->id);
    json_add_str(line, "uid", run->uid);
    json_add_str(line, "kind", run->kind);
    json_add_str(line, "policy", run->policy);
    json_add_str(line, "trigger", run_trigger_name(run->trigger));
    json_add_u64(line, "attempt", run->attempt);
    json_add_time(line, "started", run->started_ns);
    if (run->slot_ns != 0)
        json_add_time(line, "slot", run->slot_ns);
    if (run->ended_ns != 0)
        json_add_time(line, "ended", run->ended_ns);
    json_add_u64(line, "duration_ms", duration_of(ctx, run) / 1000000);
    json_add_str(line, "state", run_state_name(run->state));
    json_add_str(line, "result", result);
    if (run->state == RUN_ENDED)
        json_add_i64(line, "exit", run->exit_code);
    if (run->snapshot != 0)
        json_add_u64(line, "snapshot", run->snapshot);
    if (run->message[0] != '\0')
        json_add_str(line, "message", run->message);
}

#define TABLE "%6s  %-20s  %-8s  %-16s  %-14s  %12s  %8s  %s\n"

void history_print_title(void) { printf(TABLE, "RUN", "STARTED (UTC)", "KIND", "POLICY", "RESULT", "TOOK", "SNAPSHOT", "MESSAGE"); }

int history_print(const struct context *ctx, const struct run_record *run, struct error *err)
{
    if (ctx->json) {
        struct json *line = json_line_new("run");
        history_add_json(line, ctx, run);
        return json_line_print(&line, stdout, err);
    }
    char id[24], started[CLOCK_TEXT_MAX], result[32], took[CLOCK_TEXT_MAX], snapshot[24] = "-";
    _cleanup_buf_ struct buf message = { 0 };
    (void)snprintf(id, sizeof id, "%lld", (long long)run->id);
    clock_format_utc(started, run->started_ns, false);
    history_result(run, result);
    clock_format_duration(took, duration_of(ctx, run));
    if (run->snapshot != 0)
        (void)snprintf(snapshot, sizeof snapshot, "%llu", (unsigned long long)run->snapshot);
    printable_add(&message, run->message, strlen(run->message));
    printf(TABLE, id, started, run->kind, run->policy, result, took, snapshot, buf_str(&message));
    return 0;
}
