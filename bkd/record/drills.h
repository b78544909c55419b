// Drills: what was rehearsed, when, and whether it went as it should. The whole record is JSON; what it is looked up by stands beside it.
#ifndef BKD_RECORD_DRILLS_H
#define BKD_RECORD_DRILLS_H

#include "bkd/record/catalogue.h"

struct drill_row {
    const char *uid;    // its id, as people name it
    const char *plan;   // the plan, or the policy where it is a drill of one policy
    const char *kind;   // "negative", "by-hand", "key" …
    uint64_t started_ns, ended_ns; // ended_ns 0 = it has not ended
    bool has_passed;
    const char *record; // JSON
};

// Adds it, or replaces what was known of it before.
MUST_USE int drills_put(struct catalogue *c, const struct drill_row *row, struct error *err);

// Strings are valid during the visit only. A visit that returns non-zero ends the listing with that value.
typedef int drills_visit_fn(void *arg, const struct drill_row *row, struct error *err);
// The newest first; of a plan (NULL = all), of a kind (NULL = all).
MUST_USE int drills_list(struct catalogue *c, const char *plan, const char *kind, drills_visit_fn *visit, void *arg, struct error *err);

#endif
