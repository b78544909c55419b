// Being told: what the notifiers do with what the catalogue knows, at the end of a run and on every tick of a daemon.
// Nothing here fails or delays a backup: it comes after it, takes at most NOTIFY_BUDGET_MS, and what could not be delivered is kept for the next time.
#ifndef BKD_HISTORY_NOTIFY_H
#define BKD_HISTORY_NOTIFY_H

#include <sys/types.h>

#include "bkd/host/context.h"
#include "bkd/record/catalogue.h"

#define NOTIFY_BUDGET_MS 20000u
#define NOTIFY_HURRY_MS 4000u
#define NOTIFY_CONFIG_ALARM "configuration" // the kind of alarm that says that bkd.yaml cannot be used

// Makes messages of what is new, sends what is due, and writes the metrics' text file where the configuration names one. A configuration with mistakes becomes
// an alarm, and ERROR_USAGE; a channel that fails is no error.
MUST_USE int notify_deliver(const struct context *ctx, struct catalogue *catalogue, uint64_t now_ns, struct error *err);

// A run begins: where pings wait for that, a process of its own (`bkd notify send`) tells it meanwhile. The caller gives what is returned, also 0, to
// notify_after_run.
pid_t notify_before_run(const struct context *ctx);
// A run has ended: takes what notify_before_run returned and, when no daemon started the run (ctx->tells), delivers. What goes wrong is a warning. Somebody who
// wants the run to end (a signal) waits NOTIFY_HURRY_MS at most.
void notify_after_run(const struct context *ctx, pid_t herald);

#endif
