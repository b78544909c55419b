#include "bkd/history/notify.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/history/metering.h"
#include "bkd/host/policies.h"
#include "bkd/host/programs.h"
#include "bkd/notify/outbox.h"
#include "bkd/notify/plan.h"
#include "bkd/record/alarms.h"

#define ROUNDS 2 // a channel that begins or ceases to fail is told over the others at once

static int open_zone(const struct context *ctx, const struct config *config, struct zone **ret_zone, struct error *err)
{
    if (strcmp(config->timezone, "host") == 0)
        return zone_open_host(ctx->io, ZONE_HOST_FILE, ret_zone, err);
    return zone_open(ctx->io, ZONE_DIRECTORY, config->timezone, ret_zone, err);
}

// All mistakes stand in `bkd config check`; an alarm has room for the first.
static int tell_mistake(struct catalogue *catalogue, const struct policy_errors *errors, struct error *err)
{
    struct error ignored;
    _cleanup_free_ char *text = NULL;
    if (errors->count > 0)
        text = xasprintf("nobody is told of anything: %s:%u:%u: %s", errors->file, errors->items[0].line, errors->items[0].column, errors->items[0].message);
    else
        text = xasprintf("nobody is told of anything: %s", err->text);
    struct alarm_raise alarm = { .kind = NOTIFY_CONFIG_ALARM, .severity = SEVERITY_CRITICAL, .text = text, .next_step = "bkd config check" };
    (void)!alarms_raise(catalogue, &alarm, NULL, &ignored); // the caller hears of the mistake in any case
    return error_set(err, ERROR_USAGE, "%s; see `bkd config check`", text);
}

static int load_config(const struct context *ctx, struct catalogue *catalogue, struct config *ret_config, struct error *err)
{
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    int r = config_load(ctx->io, ctx->config_dir, ret_config, &errors, err);
    if (r < 0)
        return tell_mistake(catalogue, &errors, err);
    r = alarms_clear(catalogue, NOTIFY_CONFIG_ALARM, NULL, NULL, "the configuration can be used again", NULL, err);
    if (r < 0)
        config_done(ret_config);
    return r;
}

static int deliver_round(const struct plan *plan, const struct outbox *outbox, bool *ret_again, struct error *err)
{
    struct outbox_result result = { 0 };
    int r = plan_messages(plan, err);
    if (r == 0)
        r = outbox_send(outbox, &result, err);
    if (result.sent + result.failed > 0)
        log_info("messages: %llu delivered, %llu kept for later", (unsigned long long)result.sent, (unsigned long long)result.failed);
    *ret_again = result.alarms_changed || result.more;
    return r;
}

// policies_read tells what it found new; here it is all new.
static void ignore_change(void *arg, const struct policies_change *change)
{
    (void)arg;
    (void)change;
}

// As long as rounds make more to do, and there is time.
static int deliver_rounds(const struct plan *plan, struct outbox *outbox, struct error *err)
{
    const struct io *io = outbox->io;
    uint64_t end_ns = io_monotonic_ns(io) + (interrupt_requested() ? NOTIFY_HURRY_MS : NOTIFY_BUDGET_MS) * UINT64_C(1000000);
    bool again = true;
    int r = 0;
    for (int i = 0; i < ROUNDS && again && r == 0; i++) {
        uint64_t now = io_monotonic_ns(io);
        outbox->budget_ms = now < end_ns ? (end_ns - now) / 1000000 : 0;
        r = deliver_round(plan, outbox, &again, err);
    }
    return r;
}

static int deliver(const struct context *ctx, const struct config *config, struct catalogue *catalogue, uint64_t now_ns, struct error *err)
{
    _cleanup_zone_ struct zone *zone = NULL;
    _cleanup_policies_ struct policies policies = { 0 };
    struct error ignored;
    char host[256] = "localhost";
    int r = open_zone(ctx, config, &zone, err);
    if (r < 0)
        return r;
    (void)!policies_read(ctx, &policies, ignore_change, NULL, &ignored); // without them the digest shows those that ran
    (void)!gethostname(host, sizeof host - 1);
    const char **names = xcalloc(policies.count + 1, sizeof *names);
    for (size_t i = 0; i < policies.count; i++)
        names[i] = policies.items[i].name;
    struct plan plan = { .config = config, .catalogue = catalogue, .zone = zone, .host = host, .policies = names, .policy_count = policies.count, .now_ns = now_ns };
    struct outbox outbox = { .io = ctx->io, .config_dir = ctx->config_dir, .config = config, .host = host, .catalogue = catalogue };
    r = deliver_rounds(&plan, &outbox, err);
    free(names);
    return r;
}

int notify_deliver(const struct context *ctx, struct catalogue *catalogue, uint64_t now_ns, struct error *err)
{
    _cleanup_config_ struct config config = { 0 };
    struct error why;
    int r = load_config(ctx, catalogue, &config, err);
    if (r == 0 && config.notify.channel_count > 0)
        r = deliver(ctx, &config, catalogue, now_ns, err);
    if (r == 0 && config.metrics.textfile != NULL && metering_write(ctx, config.metrics.textfile, &why) < 0)
        log_warn("metrics: %s", why.text);
    return r;
}

// ---- around a run ------------------------------------------------------------------------------------------------------

static bool has_pings(const struct config *config)
{
    for (size_t i = 0; i < config->notify.channel_count; i++) {
        const struct config_channel *channel = &config->notify.channels[i];
        if (channel->type == CONFIG_WEBHOOK && channel->format == CONFIG_FORMAT_HEALTHCHECKS)
            return true;
    }
    return false;
}

pid_t notify_before_run(const struct context *ctx)
{
    _cleanup_config_ struct config config = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    struct error err;
    pid_t herald = 0;
    if (config_load(ctx->io, ctx->config_dir, &config, &errors, &err) < 0 || !has_pings(&config))
        return 0; // mistakes are told at the end
    _cleanup_free_ char *bkd = programs_path("bkd");
    const char *const argv[] = { bkd, "--quiet", "--config-dir", ctx->config_dir, "--state-dir", ctx->state_dir, "notify", "send", NULL };
    if (programs_start(argv, (const char *const *)environ, &herald, &err) < 0)
        log_debug("the begin of this run is told at its end: %s", err.text);
    return herald;
}

void notify_after_run(const struct context *ctx, pid_t herald)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    struct error err;
    if (herald > 0 && !interrupt_requested())
        (void)waitpid(herald, NULL, 0); // what it may take is bounded as ours is
    if (!ctx->tells)
        return;
    int r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_WRITE, &catalogue, &err);
    if (r == 0)
        r = notify_deliver(ctx, &catalogue, io_realtime_ns(ctx->io), &err);
    if (r < 0)
        log_warn("messages about this run are not sent now: %s", err.text);
}
