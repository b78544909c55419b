#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bkd/base/clock.h"
#include "bkd/base/fs.h"
#include "bkd/cmd.h"
#include "bkd/daemon/control_client.h"
#include "bkd/host/who.h"
#include "bkd/policy/units.h"
#include "bkd/record/events.h"
#include "bkd/record/pauses.h"

#define NS_PER_S UINT64_C(1000000000)

// "2026-12-01", "2026-12-01 06:00" (of the host's clock) or "2026-12-01T06:00:00Z".
static bool parse_moment(const char *text, uint64_t *ret_ns)
{
    static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M" };
    if (clock_parse_utc(text, strlen(text), ret_ns))
        return true;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm tm = { .tm_isdst = -1 };
        const char *end = strptime(text, forms[i], &tm);
        int month = tm.tm_mon, day = tm.tm_mday;
        if (end == NULL || *end != '\0')
            continue;
        time_t seconds = mktime(&tm);
        if (seconds <= 0 || tm.tm_mon != month || tm.tm_mday != day) // there is no 31 February
            return false;
        *ret_ns = (uint64_t)seconds * NS_PER_S;
        return true;
    }
    return false;
}

// 0 = until it is resumed.
static int find_end(const struct context *ctx, const struct cli_args *args, uint64_t *ret_until_ns, struct error *err)
{
    const char *until = cli_args_option(args, "until"), *duration = cli_args_option(args, "for");
    uint64_t now = io_realtime_ns(ctx->io), seconds = 0;
    if (until != NULL && duration != NULL)
        return error_set(err, ERROR_USAGE, "give --until or --for, not both");
    if (duration != NULL) {
        int r = units_parse_duration(duration, &seconds, err);
        if (r == 0)
            *ret_until_ns = now + seconds * NS_PER_S;
        return r < 0 ? error_prefix(err, "--for") : 0;
    }
    if (until != NULL && !parse_moment(until, ret_until_ns))
        return error_set(err, ERROR_USAGE, "--until %s: write a time as 2026-12-01, \"2026-12-01 06:00\" or 2026-12-01T06:00:00Z", until);
    if (until != NULL && *ret_until_ns <= now)
        return error_set(err, ERROR_USAGE, "--until %s is in the past", until);
    return 0;
}

// A policy that is gone can still be resumed, and one with mistakes be paused: only its name counts. A typing mistake should be told all the same.
static int check_name(const struct context *ctx, const char *policy, struct error *err)
{
    _cleanup_free_ char *path = context_policy_path(ctx, policy);
    struct statx st;
    struct error ignored;
    if (!policy_is_name(policy, strlen(policy)))
        return error_set(err, ERROR_USAGE, "'%s' is no policy name", policy);
    if (io_stat(ctx->io, AT_FDCWD, path, 0, &st, &ignored) == ERROR_NOT_FOUND)
        return error_set(err, ERROR_USAGE, "there is no policy '%s' (%s)", policy, path);
    return 0;
}

static int say(const struct context *ctx, const char *policy, bool paused, uint64_t until_ns, bool was, struct error *err)
{
    char time[CLOCK_TEXT_MAX];
    clock_format_utc(time, until_ns, false);
    if (ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_str(line, "policy", policy);
        json_add_bool(line, "paused", paused);
        if (paused && until_ns != 0)
            json_add_time(line, "until", until_ns);
        json_add_bool(line, "changed", paused || was);
        return json_line_print(&line, stdout, err);
    }
    if (ctx->verbosity < 0)
        return 0;
    if (!paused)
        printf(was ? "%s: its schedule holds again; what was due meanwhile is caught up as catch_up says\n" : "%s: was not paused\n", policy);
    else
        printf("%s: paused until %s; no run is started by schedule, one that is going on is not touched\n", policy, until_ns != 0 ? time : "`bkd resume`");
    return 0;
}

static int record(struct catalogue *c, const char *policy, const char *word, const char *who, const char *reason, struct error *err)
{
    _cleanup_free_ char *text = xasprintf("%s was %s by %s%s%s", policy, word, who, reason != NULL ? ": " : "", reason != NULL ? reason : "");
    return events_add(c, word, policy, SEVERITY_INFO, text, err);
}

int cmd_pause(struct context *ctx, const struct cli_args *args, struct error *err)
{
    const char *policy = cli_args_value(args, 0), *reason = cli_args_option(args, "reason");
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    uint64_t until_ns = 0;
    char who[WHO_MAX];
    who_am_i(who);
    int r = find_end(ctx, args, &until_ns, err);
    if (r == 0)
        r = check_name(ctx, policy, err);
    if (r == 0)
        r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_WRITE, &catalogue, err);
    if (r == 0)
        r = pauses_set(&catalogue, policy, until_ns, who, reason, err);
    if (r == 0)
        r = record(&catalogue, policy, "paused", who, reason, err);
    if (r < 0)
        return r;
    catalogue_close(&catalogue);
    control_client_wake(ctx);
    return say(ctx, policy, true, until_ns, false, err);
}

int cmd_resume(struct context *ctx, const struct cli_args *args, struct error *err)
{
    const char *policy = cli_args_value(args, 0);
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    bool was = false;
    char who[WHO_MAX];
    who_am_i(who);
    int r = policy_is_name(policy, strlen(policy)) ? 0 : error_set(err, ERROR_USAGE, "'%s' is no policy name", policy);
    if (r == 0)
        r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_WRITE, &catalogue, err);
    if (r == 0)
        r = pauses_clear(&catalogue, policy, &was, err);
    if (r == 0 && was)
        r = record(&catalogue, policy, "resumed", who, NULL, err);
    if (r < 0)
        return r;
    catalogue_close(&catalogue);
    control_client_wake(ctx);
    return say(ctx, policy, false, 0, was, err);
}
