// Pruning one place: what `bkd prune` does for a policy's repository, for each of its copies, and for a store on the server that keeps it.
#ifndef BKD_COPIES_PRUNING_H
#define BKD_COPIES_PRUNING_H

#include "bkd/base/progress.h"
#include "bkd/engine/prune.h"
#include "bkd/host/context.h"

struct pruning {
    const struct context *ctx;
    struct prune_options options; // `repository`, `signers`, `chain`, `rules`, … ; progress and interrupted are set here
    const char *policy;           // for messages
    const char *key;              // file of the retention key; NULL = keys/retention
    const char *by, *reason;      // for the records
    uint64_t grace_s;
    bool dry_run, clock_is_right;
};

// Plans, tells of each snapshot whether it stays and why, gives up and removes, and sums up. ERROR_INCOMPLETE: something is due, and the place lets nothing
// be removed.
MUST_USE int pruning_run(struct pruning *p, struct error *err);

// The rules a policy gives; none where it keeps all.
void pruning_take_rules(const struct policy_keep *keep, struct keep_rules *ret_rules);
// "last 3, daily 14, within 30d", for people and records.
void pruning_rules_text(const struct keep_rules *rules, struct buf *out);

#endif
