// What somebody types who does a step of a recovery plan by hand, by the handbook, without bkd carrying the plan out: also on a stand-by where nothing is installed.
#ifndef BKD_PLANS_HANDBOOK_COMMAND_H
#define BKD_PLANS_HANDBOOK_COMMAND_H

#include "bkd/host/context.h"
#include "bkd/policy/recovery.h"

// Appends the command for a shell of this host; nothing for steps that have none. scenario: where systems are restored to; NULL = none in particular. A restore is
// bkd-restore with the copy, the keys and the place that the plan and its policy name, as they are now: on another host with one ssh session that brings it there, with
// the keys in memory, and removes them.
void handbook_command(const struct context *ctx, const struct recovery *plan, const struct recovery_step *step, const char *scenario, struct buf *out);

#endif
