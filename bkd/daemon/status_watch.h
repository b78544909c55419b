// `bkd status --watch`: the status again and again, whenever something has changed.
#ifndef BKD_DAEMON_STATUS_WATCH_H
#define BKD_DAEMON_STATUS_WATCH_H

#include "bkd/watch/status.h"

// Until SIGINT or SIGTERM (0), or until standard output is gone. On a terminal the screen is written anew; elsewhere each status follows the one before; with --json
// only the lines that differ from before in more than ages are printed. A daemon tells when to look; without one it is every few seconds.
MUST_USE int status_watch(const struct context *ctx, const struct status_options *options, struct error *err);

#endif
