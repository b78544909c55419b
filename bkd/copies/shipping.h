// Bringing a policy's copies up to date, one after the other: what `bkd ship` does, and what follows a backup.
#ifndef BKD_COPIES_SHIPPING_H
#define BKD_COPIES_SHIPPING_H

#include "bkd/base/progress.h"
#include "bkd/host/receipts.h"
#include "bkd/host/setup.h"

enum shipping_state {
    SHIPPING_CURRENT,     // has the newest snapshot
    SHIPPING_AWAY,        // a removable disk that is not there
    SHIPPING_UNREACHABLE, // no answer; tried again later
    SHIPPING_DAMAGED,     // not what it should be: exit 4
    SHIPPING_FAILED,      // anything else
};
const char *shipping_state_name(enum shipping_state state);

// How one copy stands.
struct shipping_copy {
    const struct policy_store *place; // borrowed from the policy
    enum shipping_state state;
    uint64_t snapshot; // newest there, as far as is known; 0 = none
    uint64_t age_ns;   // of that snapshot; UINT64_MAX when there is none
    bool overdue;      // older than max_age
    uint64_t snapshots, objects, bytes, records, lost, lost_objects; // of this time
    uint64_t duration_ns;
    struct error error; // why it is not current
};

struct shipping_options {
    const char *only; // address of the one copy that is meant; NULL = all
    const struct bandwidth *bandwidth; // instead of what the policy says; NULL = that
    bool init;        // a place that is empty becomes a copy, whatever is remembered of it
    bool dry_run;
    bool summary;     // JSON ends with a line of all copies together
    struct progress *progress; // may be NULL
};

// Ships to each copy of the policy that is meant, tells of each at once (text or JSON), and remembers. ERROR_USAGE: `only` is no copy of the policy;
// ERROR_BUSY: another process ships. Else what weighs most: ERROR_INTEGRITY, ERROR_UNREACHABLE, the first other failure; ERROR_OBJECTIVE when all that
// is wrong is that a copy is older than it may be.
MUST_USE int shipping_run(struct setup *s, const struct shipping_options *options, struct error *err);

#endif
