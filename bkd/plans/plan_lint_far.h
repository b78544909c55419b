// What a recovery plan asks of another host that only this one can do.
#ifndef BKD_PLANS_PLAN_LINT_FAR_H
#define BKD_PLANS_PLAN_LINT_FAR_H

#include "bkd/host/context.h"
#include "bkd/policy/recovery.h"

// Adds a weakness for each step that restores on another host, in any scenario, from a directory of this one, and for each check there of a type that works on this
// host only.
void plan_lint_far(const struct context *ctx, const struct recovery *plan, struct policy_errors *errors);

#endif
