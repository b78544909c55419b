#include <stdlib.h>

#include "bkd/cmd.h"
#include "bkd/daemon/daemon.h"

#define STARTER "BKD_STARTER" // set by bkd.service

int cmd_daemon(struct context *ctx, const struct cli_args *args, struct error *err)
{
    struct daemon_options options = { .starter = cli_args_option(args, "starter"), .stop_runs = cli_args_flag(args, "stop-runs") };
    const char *starter = getenv(STARTER);
    if (options.starter == NULL && starter != NULL && starter[0] != '\0')
        options.starter = starter;
    return daemon_run(ctx, &options, err);
}
