// bkd notify test: sends for real, and says what happened.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/clock.h"
#include "bkd/cmd.h"
#include "bkd/notify/notifier.h"

// ---- test --------------------------------------------------------------------------------------------------------------

struct trial {
    struct cmd_context *ctx;
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
    return cmd_print_line(&line, err);
}

// One that fails does not keep the others from being tried. What the first failure was is what the command ends with.
static int try_channels(struct cmd_context *ctx, const struct config *config, const char *only, struct error *err)
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

int cmd_notify_test(struct cmd_context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_config_ struct config config = { 0 };
    const char *only = cli_args_value(args, 0);
    int r = cmd_load_config(ctx, &config, err);
    if (r < 0)
        return r;
    if (config.notify.channel_count == 0)
        return error_set(err, ERROR_USAGE, "there are no channels: write `notify: {channels: [...]}` into %s (see bkd.yaml(5))", config.file);
    if (only != NULL && config_find_channel(&config, only) == NULL)
        return error_set(err, ERROR_USAGE, "there is no channel '%s' in %s", only, config.file);
    return try_channels(ctx, &config, only, err);
}
