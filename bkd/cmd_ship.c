// bkd ship: brings the copies of a policy's repository up to date.
#include "bkd/base/interrupt.h"
#include "bkd/cmd.h"
#include "bkd/copies/shipping.h"

int cmd_ship(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_setup_ struct setup s = { 0 };
    struct bandwidth bandwidth = { 0 };
    const char *rate = cli_args_option(args, "bandwidth");
    if (rate != NULL && bandwidth_parse(rate, &bandwidth, err) < 0)
        return error_prefix(err, "--bandwidth");
    int r = setup_load(ctx, cli_args_value(args, 0), &s, err);
    if (r < 0)
        return r;
    _cleanup_progress_ struct progress *progress = progress_new(ctx->io, progress_style_for(ctx->json, ctx->verbosity < 0), NULL);
    struct shipping_options options = {
        .only = cli_args_option(args, "to"), .init = cli_args_flag(args, "init"), .bandwidth = rate == NULL ? NULL : &bandwidth, .dry_run = cli_args_flag(args, "dry-run"),
        .summary = true, .progress = progress,
    };
    interrupt_install();
    return shipping_run(&s, &options, err);
}
