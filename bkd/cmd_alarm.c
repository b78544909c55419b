// bkd alarm list, bkd alarm ack.
#include <stdio.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/clock.h"
#include "bkd/base/printable.h"
#include "bkd/cmd.h"
#include "bkd/host/who.h"
#include "bkd/record/alarms.h"

static int print_json(const struct alarm *a, struct error *err)
{
    struct json *line = json_line_new("alarm");
    json_add_i64(line, "id", a->id);
    json_add_str(line, "kind", a->kind);
    json_add_str(line, "policy", a->policy[0] ? a->policy : NULL);
    json_add_str(line, "copy", a->copy[0] ? a->copy : NULL);
    json_add_str(line, "severity", severity_name(a->severity));
    json_add_str(line, "text", a->text);
    json_add_str(line, "next_step", a->next_step[0] ? a->next_step : NULL);
    json_add_time(line, "since", a->opened_ns);
    json_add_time(line, "last_seen", a->last_seen_ns);
    json_add_str(line, "acknowledged_by", a->acknowledged_ns > 0 ? a->acknowledged_by : NULL);
    return json_line_print(&line, stdout, err);
}

static void print_text(const struct alarm *a)
{
    char since[CLOCK_TEXT_MAX];
    _cleanup_buf_ struct buf text = { 0 };
    clock_format_utc(since, a->opened_ns, false);
    printable_add(&text, a->text, strlen(a->text));
    (void)printf("%lld %s %s%s%s (since %s%s%s)\n", (long long)a->id, severity_name(a->severity), a->policy, a->policy[0] ? ": " : "", buf_str(&text), since,
                 a->acknowledged_ns > 0 ? ", known to " : "", a->acknowledged_ns > 0 ? a->acknowledged_by : "");
    buf_reset(&text);
    printable_add(&text, a->next_step, strlen(a->next_step));
    if (text.len > 0)
        (void)printf("    what to do: %s\n", buf_str(&text));
}

int cmd_alarm_list(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    _cleanup_alarms_ struct alarms alarms = { 0 };
    int r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_READ, &catalogue, err);
    if (r == 0)
        r = alarms_active(&catalogue, cli_args_value(args, 0), &alarms, err);
    if (r < 0 && r != ERROR_NOT_FOUND) // without a catalogue nothing has happened here yet
        return r;
    for (size_t i = 0; i < alarms.n; i++) {
        if (!ctx->json)
            print_text(&alarms.items[i]);
        else if ((r = print_json(&alarms.items[i], err)) < 0)
            return r;
    }
    if (alarms.n == 0 && !ctx->json)
        (void)puts("no alarm stands");
    return 0;
}

int cmd_alarm_ack(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    char by[WHO_MAX];
    uint64_t id;
    who_am_i(by);
    int r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_WRITE, &catalogue, err);
    for (size_t i = 0; i < args->count && r == 0; i++) {
        const char *text = args->values[i];
        if (!parse_u64(text, strlen(text), INT64_MAX, &id))
            return error_set(err, ERROR_USAGE, "'%s' is no number of an alarm; `bkd alarm list` shows them", text);
        r = alarms_acknowledge(&catalogue, (int64_t)id, by, err);
        if (r == 0 && !ctx->json)
            (void)printf("alarm %s is known to %s: it is not repeated, unless it gets worse\n", text, by);
    }
    return r == ERROR_NOT_FOUND ? error_set(err, ERROR_USAGE, "%s", err->text) : r;
}
