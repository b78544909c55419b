// Verifications: that a snapshot was restored from a copy and compared, or at least looked through, and what came of it.
#ifndef BKD_RECORD_VERIFICATIONS_H
#define BKD_RECORD_VERIFICATIONS_H

#include "bkd/record/catalogue.h"

struct verification {
    int64_t id;
    const char *uid;    // 32 hex digits; NULL or "" for a new one
    const char *policy;
    const char *copy;   // address it was read from; "" = the repository
    uint64_t snapshot;
    uint64_t time_ns;   // when it ended; 0 = now
    const char *mode;   // "full", "sample", "keyless" …
    bool is_proven;     // content and attributes came back as the manifest says
    uint64_t duration_ns, files, bytes;
    const char *message;
    int64_t run; // 0 = unknown
    const char *host; // where it was restored; "" or NULL = unknown
};

// One that is there already (by uid) stays as it is: proof records can be imported again.
MUST_USE int verifications_add(struct catalogue *c, const struct verification *verification, struct error *err);

// Strings are valid during the visit only. A visit that returns non-zero ends the listing with that value.
typedef int verifications_visit_fn(void *arg, const struct verification *verification, struct error *err);
// Of a policy: the newest first, at most `limit` (0 = all).
MUST_USE int verifications_list(struct catalogue *c, const char *policy, uint64_t limit, verifications_visit_fn *visit, void *arg, struct error *err);

#endif
