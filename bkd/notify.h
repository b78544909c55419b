// Being told: what the notifiers do with what the catalogue knows, at the end of a run and on every tick of a daemon.
// Nothing here fails or delays a backup: it comes after it, takes at most NOTIFY_BUDGET_MS, and what could not be delivered is kept for the next time.
#ifndef BKD_NOTIFY_H
#define BKD_NOTIFY_H

#include "bkd/cmd.h"
#include "bkd/record/catalogue.h"

#define NOTIFY_BUDGET_MS 20000u
#define NOTIFY_CONFIG_ALARM "configuration" // the kind of alarm that says that bkd.yaml cannot be used

// Makes messages of what is new, sends what is due, and writes the metrics' text file where the configuration names one. A configuration with mistakes becomes an alarm, and ERROR_USAGE; a channel that fails is no error.
MUST_USE int notify_deliver(const struct cmd_context *ctx, struct catalogue *catalogue, uint64_t now_ns, struct error *err);

// The same at the end of a run that no daemon started. What goes wrong is a warning.
void notify_after_run(const struct cmd_context *ctx);

#endif
