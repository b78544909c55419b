#include "bkd/base/log.h"
#include "bkd/cmd.h"
#include "bkd/history/notify.h"
#include "bkd/record/runs.h"
#include "bkd/watch/watch_run.h"

static int tell_abandoned(void *arg, const struct run_record *run, struct error *err)
{
    (void)arg;
    (void)err;
    log_warn("policy %s: run %lld (%s) ended without a word: its process is gone", run->policy, (long long)run->id, run->kind);
    return 0;
}

int cmd_watch(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    (void)args;
    int r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_WRITE, &catalogue, err);
    if (r == 0)
        r = runs_abandoned(&catalogue, tell_abandoned, NULL, err);
    if (r == 0)
        r = watch_run(ctx, &catalogue, io_realtime_ns(ctx->io), err);
    return r == 0 ? notify_deliver(ctx, &catalogue, io_realtime_ns(ctx->io), err) : r;
}
