// Asking the daemon of this state directory (bkd/daemon/control.h), from another process.
#ifndef BKD_DAEMON_CONTROL_CLIENT_H
#define BKD_DAEMON_CONTROL_CLIENT_H

#include "bkd/daemon/control_request.h"
#include "bkd/host/context.h"

// One line of the answer. Non-zero ends the asking with that value.
typedef int control_client_fn(void *arg, const struct json *line, struct error *err);

// Asks, and gives each line of the answer until there are no more; fn may be NULL. ERROR_NOT_FOUND: no daemon is running. What the daemon refuses becomes this
// call's error. ERROR_FAILED: the daemon ended before it had answered (a run that it started goes on).
MUST_USE int control_client_ask(const struct context *ctx, const struct control_request *request, control_client_fn *fn, void *arg, struct error *err);
// Makes the daemon look at the catalogue again; without one there is nothing to do.
void control_client_wake(const struct context *ctx);

#endif
