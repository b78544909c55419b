// bkd prune --store DIR: pruning a store on the server that keeps it, without a policy and without an identity.
//
// With rules of its own (--keep) it gives up and removes by these, which takes a retention key of this place. Without, it does what signed tombstones say that
// got here: whoever holds the retention key decides, and this account, which alone can remove, does it. Snapshots are taken by the times at which they were
// received here.
#ifndef BKD_COPIES_PRUNE_STORE_H
#define BKD_COPIES_PRUNE_STORE_H

#include "bkd/engine/keep.h"
#include "bkd/host/context.h"

// Goes through all chains; then removes what sessions that were killed left.
MUST_USE int prune_store_run(struct context *ctx, const struct cli_args *args, const char *dir, struct error *err);

// "daily=14,weekly=8,within=30d". ERROR_USAGE says what is wrong.
MUST_USE int prune_store_parse_rules(const char *text, struct keep_rules *ret_rules, struct error *err);

#endif
