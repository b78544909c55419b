#include "bkd/cmd.h"
#include "bkd/daemon/status_watch.h"
#include "bkd/watch/status.h"

// What is protected, what is not, since when, and what to do.
int cmd_status(struct context *ctx, const struct cli_args *args, struct error *err)
{
    struct status_options options = {
        .policy = cli_args_value(args, 0), .check = cli_args_flag(args, "check"), .refresh = cli_args_flag(args, "refresh"),
    };
    if (cli_args_flag(args, "watch"))
        return status_watch(ctx, &options, err);
    return status_show(ctx, &options, &ctx->exit_code, err);
}
