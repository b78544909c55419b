// Where a policy's snapshots are kept: its repository and each copy in another place, with what is known of reaching it.
#ifndef BKD_RECORD_COPIES_H
#define BKD_RECORD_COPIES_H

#include "bkd/record/catalogue.h"

enum copy_role { COPY_REPOSITORY, COPY_OFFSITE, COPY_ROLES };
// "repository", "offsite".
const char *copy_role_name(enum copy_role role);

struct copy {
    int64_t id;
    const char *policy, *url;
    const char *serial; // of a removable disk; "" = no such disk
    enum copy_role role;
    uint64_t snapshot;         // highest number that is there; 0 = none yet
    uint64_t snapshot_time_ns; // when that snapshot was begun
    uint64_t arrived_ns;       // when it got there
    uint64_t failing_since_ns; // 0 = the last try succeeded
    uint64_t failures;         // tries since then
    const char *problem;       // of the last one; "" = none
};

// Adds the copy (policy, url, serial), or brings what is known of it up to date. `id` is ignored; NULL strings are "". ret_id may be NULL.
MUST_USE int copies_set(struct catalogue *c, const struct copy *copy, int64_t *ret_id, struct error *err);

// Strings are valid during the visit only. A visit that returns non-zero ends the listing with that value.
typedef int copies_visit_fn(void *arg, const struct copy *copy, struct error *err);
// Of a policy, or all (NULL): by policy, the repository first, then by address.
MUST_USE int copies_list(struct catalogue *c, const char *policy, copies_visit_fn *visit, void *arg, struct error *err);

#endif
