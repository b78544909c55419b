// How much would be lost: the age of the newest point that could be gone back to, at a moment, by how much is asked of a point: that it exists, that it is in
// another place, that it was proven to restore from there. Pure.
#ifndef BKD_DR_RPO_H
#define BKD_DR_RPO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RPO_NEVER UINT64_MAX

// A snapshot: what it is a point of, and since when it was good for what.
struct rpo_point {
    uint64_t number;
    uint64_t time_ns;    // what it shows: when it was begun
    uint64_t made_ns;    // since when it exists
    uint64_t offsite_ns; // since when it is in another place; RPO_NEVER
    uint64_t proven_ns;  // since when it was known to restore from there; RPO_NEVER
    uint64_t gone_ns;    // since when it does not count any more (given up); RPO_NEVER
};

// Ages in nanoseconds at the moment; RPO_NEVER = there is no such point.
struct rpo {
    uint64_t newest, offsite, proven;
    uint64_t newest_number, offsite_number, proven_number; // 0 = none
};

// Points in any order. What became known after the moment does not count.
struct rpo rpo_at(const struct rpo_point *points, size_t n, uint64_t moment_ns);
// Over (from, until]: the worst age that a proven point (or, where needs_proof is false, one in another place) had: just before a better one became known,
// or at the end. RPO_NEVER when there was none at some time.
uint64_t rpo_worst(const struct rpo_point *points, size_t n, uint64_t from_ns, uint64_t until_ns, bool needs_proof);

#endif
