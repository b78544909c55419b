// bkd notify test, send, status: sends for real, and says what happened; what waits.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/clock.h"
#include "bkd/cmd.h"
#include "bkd/history/notify.h"
#include "bkd/notify/notifier.h"
#include "bkd/record/deliveries.h"

// ---- test --------------------------------------------------------------------------------------------------------------

struct trial {
    struct context *ctx;
    const struct config_channel *channel;
    uint64_t duration_ns;
    struct buf note;
    struct error err; // of a failure
    int result;
};

static void send_test(struct trial *t)
{
    char host[256] = "localhost";
    _cleanup_buf_ struct buf subject = { 0 }, body = { 0 };
    uint64_t now = io_realtime_ns(t->ctx->io), start = io_monotonic_ns(t->ctx->io);
    if (gethostname(host, sizeof host - 1) < 0)
        (void)snprintf(host, sizeof host, "localhost");
    struct message m = { .what = MESSAGE_TEST, .severity = SEVERITY_INFO, .host = host, .kind = "test", .policy = "", .copy = "", .run_uid = "", .time_ns = now, .made_ns = now, .now_ns = now,
                         .text = "this is a test of the channel; messages about backups would come this way", .next_step = "" };
    message_subject(&m, &subject);
    message_body(&m, &body);
    m.subject = buf_str(&subject);
    m.body = buf_str(&body);
    struct notifier_context context = { .io = t->ctx->io, .config_dir = t->ctx->config_dir, .timeout_ms = t->channel->timeout_s * 1000 };
    t->result = notifier_of(t->channel)->send(&context, t->channel, &m, &t->note, &t->err);
    t->duration_ns = io_monotonic_ns(t->ctx->io) - start;
}

static int tell_trial(struct trial *t, struct error *err)
{
    char duration[CLOCK_TEXT_MAX];
    if (!t->ctx->json) {
        clock_format_duration(duration, t->duration_ns);
        if (t->result < 0)
            (void)printf("%s: FAILED after %s: %s\n", t->channel->name, duration, t->err.text);
        else
            (void)printf("%s: delivered in %s%s%s\n", t->channel->name, duration, t->note.len ? "; " : "", buf_str(&t->note));
        return 0;
    }
    struct json *line = json_line_new("channel");
    json_add_str(line, "channel", t->channel->name);
    json_add_bool(line, "ok", t->result == 0);
    json_add_u64(line, "duration_ms", t->duration_ns / 1000000);
    json_add_str(line, "error", t->result < 0 ? t->err.text : NULL);
    json_add_str(line, "note", t->note.len ? buf_str(&t->note) : NULL);
    return json_line_print(&line, stdout, err);
}

// One that fails does not keep the others from being tried. What the first failure was is what the command ends with.
static int try_channels(struct context *ctx, const struct config *config, const char *only, struct error *err)
{
    size_t tried = 0, failed = 0;
    struct error first = { 0 };
    for (size_t i = 0; i < config->notify.channel_count; i++) {
        struct trial t = { .ctx = ctx, .channel = &config->notify.channels[i] };
        if (only != NULL && strcmp(only, t.channel->name) != 0)
            continue;
        send_test(&t);
        int r = tell_trial(&t, err);
        buf_done(&t.note);
        if (r < 0)
            return r;
        tried++;
        if (t.result < 0 && failed++ == 0)
            first = t.err;
    }
    if (failed == 0)
        return 0;
    return error_set(err, first.code, "%zu of %zu channels did not deliver; correct %s and try `bkd notify test` again", failed, tried, config->file);
}

int cmd_notify_test(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_config_ struct config config = { 0 };
    const char *only = cli_args_value(args, 0);
    int r = context_load_config(ctx, &config, err);
    if (r < 0)
        return r;
    if (config.notify.channel_count == 0)
        return error_set(err, ERROR_USAGE, "there are no channels: write `notify: {channels: [...]}` into %s (see bkd.yaml(5))", config.file);
    if (only != NULL && config_find_channel(&config, only) == NULL)
        return error_set(err, ERROR_USAGE, "there is no channel '%s' in %s", only, config.file);
    return try_channels(ctx, &config, only, err);
}

// ---- send --------------------------------------------------------------------------------------------------------------

int cmd_notify_send(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    (void)args;
    int r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_WRITE, &catalogue, err);
    return r < 0 ? r : notify_deliver(ctx, &catalogue, io_realtime_ns(ctx->io), err);
}

// ---- status ------------------------------------------------------------------------------------------------------------

struct outlook {
    struct context *ctx;
    const struct config *config;
    bool seen[CONFIG_CHANNELS_MAX]; // channels that ever had a message
};

static int print_channel(const struct outlook *o, const struct delivery_backlog *b, bool is_configured, struct error *err)
{
    char sent[CLOCK_TEXT_MAX], oldest[CLOCK_TEXT_MAX];
    clock_format_utc(sent, b->sent_ns, false);
    clock_format_utc(oldest, b->oldest_ns, false);
    if (!o->ctx->json) {
        (void)printf("%-16s %s", b->channel, !is_configured ? "not in the configuration any more" : b->failing > 0 ? "FAILING" : b->waiting > 0 ? "waiting" : "ok");
        (void)printf(b->sent_ns > 0 ? ", delivered last at %s" : ", delivered nothing yet", sent);
        if (b->waiting > 0)
            (void)printf("; %llu messages wait, the oldest since %s", (unsigned long long)b->waiting, oldest);
        (void)printf("%s%s\n", b->failing > 0 ? "; " : "", b->failing > 0 ? b->last_error : "");
        return 0;
    }
    struct json *line = json_line_new("channel");
    json_add_str(line, "channel", b->channel);
    json_add_bool(line, "configured", is_configured);
    json_add_u64(line, "waiting", b->waiting);
    json_add_u64(line, "failing", b->failing);
    if (b->sent_ns > 0)
        json_add_time(line, "sent", b->sent_ns);
    if (b->waiting > 0)
        json_add_time(line, "oldest", b->oldest_ns);
    json_add_str(line, "error", b->failing > 0 ? b->last_error : NULL);
    return json_line_print(&line, stdout, err);
}

static int visit_backlog(void *arg, const struct delivery_backlog *b, struct error *err)
{
    struct outlook *o = arg;
    const struct config_channel *channel = config_find_channel(o->config, b->channel);
    if (channel == NULL && b->waiting == 0)
        return 0;
    if (channel != NULL)
        o->seen[channel - o->config->notify.channels] = true;
    if (b->failing > 0)
        o->ctx->exit_code = error_exit_code(ERROR_INCOMPLETE);
    return print_channel(o, b, channel != NULL, err);
}

static int print_waiting(void *arg, const struct delivery *d, struct error *err)
{
    const struct outlook *o = arg;
    char made[CLOCK_TEXT_MAX], next[CLOCK_TEXT_MAX];
    clock_format_utc(made, d->created_ns, false);
    clock_format_utc(next, d->next_try_ns, false);
    if (!o->ctx->json) {
        (void)printf("  %s, tried %llu times, next at %s: %s\n", made, (unsigned long long)d->tries, next, d->subject);
        return 0;
    }
    struct json *line = json_line_new("delivery");
    json_add_i64(line, "id", d->id);
    json_add_str(line, "channel", d->channel);
    json_add_str(line, "what", d->what);
    json_add_str(line, "subject", d->subject);
    json_add_u64(line, "tries", d->tries);
    json_add_time(line, "made", d->created_ns);
    json_add_time(line, "next_try", d->next_try_ns);
    json_add_str(line, "error", d->last_error[0] ? d->last_error : NULL);
    return json_line_print(&line, stdout, err);
}

static int show_waiting(struct outlook *o, struct catalogue *catalogue, struct error *err)
{
    int r = 0;
    for (size_t i = 0; i < o->config->notify.channel_count && r == 0; i++)
        r = deliveries_waiting(catalogue, o->config->notify.channels[i].name, 0, print_waiting, o, err);
    return r;
}

int cmd_notify_status(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_config_ struct config config = { 0 };
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    struct outlook o = { .ctx = ctx, .config = &config };
    (void)args;
    int r = context_load_config(ctx, &config, err);
    if (r < 0)
        return r;
    if (config.notify.channel_count == 0 && !ctx->json)
        (void)printf("nobody is told: there are no channels in %s (see bkd.yaml(5))\n", config.file);
    r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_READ, &catalogue, err);
    bool empty = r == ERROR_NOT_FOUND; // nothing ever happened here
    if (r == 0)
        r = deliveries_backlogs(&catalogue, visit_backlog, &o, err);
    for (size_t i = 0; i < config.notify.channel_count && (r == 0 || empty); i++) {
        struct delivery_backlog none = { .channel = config.notify.channels[i].name, .last_error = "" };
        if (!o.seen[i] && (r = print_channel(&o, &none, true, err)) < 0)
            return r;
    }
    return r < 0 || empty ? (empty ? 0 : r) : show_waiting(&o, &catalogue, err);
}
