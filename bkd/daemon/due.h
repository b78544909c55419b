// `bkd run --due`: what a timer or a crontab calls every few minutes where no daemon runs.
#ifndef BKD_DAEMON_DUE_H
#define BKD_DAEMON_DUE_H

#include "bkd/host/context.h"

// Starts whatever is due, in the order and with the limits that a daemon would keep, waits for the ends, and gives the exit code that weighs most in
// ctx->exit_code. Nothing due is 0. SIGTERM and SIGINT are passed on to the runs.
MUST_USE int due_run(struct context *ctx, struct error *err);

#endif
