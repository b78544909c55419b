// The catalogue made whole again: snapshots and copies from the heads of every policy's repository and copies, what only the catalogue knew from the exports
// beside them.
#ifndef BKD_HISTORY_REBUILDING_H
#define BKD_HISTORY_REBUILDING_H

#include "bkd/host/context.h"
#include "bkd/record/catalogue.h"

struct rebuilt {
    uint64_t policies, snapshots, exports, rows;
    uint64_t failed;      // policies of which no repository or copy could be read
    uint64_t left_sealed; // policies whose exports are encrypted, without an identity that opens them
    uint64_t problems;    // exports that could not be read for another reason
};

// policy NULL = all. identity NULL = none: encrypted exports are left. Tells of each policy (log). ERROR_USAGE: a policy that is wrong, when it was named.
MUST_USE int rebuilding_run(const struct context *ctx, struct catalogue *c, const char *policy, const char *identity, struct rebuilt *ret_rebuilt, struct error *err);

#endif
