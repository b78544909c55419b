// Restores that may be compared with one another: proven in full, from the same copy, on the same host, of a size within a factor of two of the newest.
#ifndef BKD_DR_COMPARABLE_H
#define BKD_DR_COMPARABLE_H

#include "bkd/dr/evidence.h"
#include "bkd/dr/trend.h"
#include "bkd/record/catalogue.h"

enum { COMPARABLE_MAX = 2000 }; // verifications looked at, the newest

struct comparable {
    bool has_newest;
    char *copy; // address they were restored from; "" = the repository; owned
    char *host; // where they were restored; "" = unknown; owned
    uint64_t bytes, newest_ns, newest_ms;
    struct trend_point *runs; // milliseconds; the newest first; owned
    size_t n;
    uint64_t others; // restores in full that are not comparable
};

// from: address of the copy that is asked for, "" = the repository; NULL = that of the newest. comparable_done in every case.
MUST_USE int comparable_load(struct catalogue *c, const char *policy, const char *from, struct comparable *ret_comparable, struct error *err);
void comparable_done(struct comparable *c);
#define _cleanup_comparable_ __attribute__((cleanup(comparable_done)))

void comparable_evidence(const struct comparable *c, struct evidence *ret_evidence);

#endif
