// `bkd daemon`: one for each state directory; policies run themselves, people ask for things by the control socket.
//
// It holds no state that is not in the catalogue or in the processes themselves: killed at any moment, the next one goes on.
#ifndef BKD_DAEMON_DAEMON_H
#define BKD_DAEMON_DAEMON_H

#include "bkd/host/context.h"

struct daemon_options {
    const char *starter; // socket of bkd-run.socket; NULL = runs are children
    bool stop_runs;      // when it ends, ask the runs that it started to end, too
};

// Runs until SIGTERM or SIGINT. ERROR_BUSY: another one works on this state directory.
MUST_USE int daemon_run(const struct context *ctx, const struct daemon_options *options, struct error *err);

#endif
