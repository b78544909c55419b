#include "bkd/history/metering.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/host/policies.h"
#include "bkd/notify/metrics.h"

// policies_read tells what it found new; here it is all new.
static void pass_over(void *arg, const struct policies_change *change)
{
    (void)arg;
    (void)change;
}

static struct metrics_policy *list_policies(const struct policies *policies)
{
    struct metrics_policy *list = xcalloc(policies->count + 1, sizeof *list);
    for (size_t i = 0; i < policies->count; i++) {
        const struct policies_item *item = &policies->items[i];
        list[i] = (struct metrics_policy){ .name = item->name, .is_valid = item->problem == NULL };
        if (item->has_policy) {
            list[i].rpo_s = item->policy.objectives.rpo_s;
            list[i].rto_s = item->policy.objectives.rto_s;
            list[i].tier = item->policy.objectives.tier;
        }
    }
    return list;
}

int metering_text(const struct context *ctx, struct buf *ret_text, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    _cleanup_policies_ struct policies policies = { 0 };
    struct error ignored;
    int r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_READ, &catalogue, err);
    if (r < 0 && r != ERROR_NOT_FOUND)
        return r;
    (void)!policies_read(ctx, &policies, pass_over, NULL, &ignored); // without a directory of policies there are none
    struct metrics metrics = { .catalogue = r == 0 ? &catalogue : NULL, .policies = list_policies(&policies), .policy_count = policies.count,
                               .now_ns = io_realtime_ns(ctx->io) };
    r = metrics_text(&metrics, ret_text, err);
    free((struct metrics_policy *)(uintptr_t)metrics.policies);
    return r;
}

int metering_write(const struct context *ctx, const char *path, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    int r = metering_text(ctx, &text, err);
    return r < 0 ? r : fs_replace_file(ctx->io, AT_FDCWD, path, 0644, text.data, text.len, err);
}

static int make(void *arg, struct buf *ret_text, struct error *err)
{
    return metering_text(arg, ret_text, err);
}

int metering_serve(const struct context *ctx, const char *listen, struct scrape **ret_scrape, struct error *err)
{
    return scrape_open(listen, make, (void *)(uintptr_t)ctx, ret_scrape, err);
}

void metering_server_done(struct metering_server *server)
{
    scrape_close(&server->scrape);
    free(server->listen);
    *server = (struct metering_server){ 0 };
}

void metering_follow(const struct context *ctx, struct metering_server *server)
{
    _cleanup_config_ struct config config = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    struct error err;
    if (config_load(ctx->io, ctx->config_dir, &config, &errors, &err) < 0)
        return; // `bkd watch` makes an alarm of it
    bool is_same = server->scrape != NULL && strcmp(server->listen, config.metrics.listen) == 0;
    if (is_same)
        return;
    metering_server_done(server);
    if (config.metrics.listen[0] == '\0')
        return;
    if (metering_serve(ctx, config.metrics.listen, &server->scrape, &err) < 0) {
        log_warn("metrics are not served: %s", err.text);
        return;
    }
    server->listen = xstrdup(config.metrics.listen);
    log_info("serves /metrics at %s", server->listen);
}
