// What the negative drill does to the way to a server: the line ends when 60 % of the data have come, and the host key is not the one that is pinned. Both are tried with
// the real server, by bkd-restore, into scratch space; nothing is written there.
#ifndef BKD_DRILLS_NEGATIVE_LINE_H
#define BKD_DRILLS_NEGATIVE_LINE_H

#include "bkd/drills/drilling.h"

struct negative_line {
    struct drilling *d;     // of a place on a server
    const char *restore;    // bkd-restore; borrowed
    uint64_t fetched_bytes; // that a restore of the snapshot fetches, as far as is known
};

// Each is a step of the drill, which fails when bkd-restore does not notice, and is skipped where it cannot be tried. Errors are those that kept it from being tried.
MUST_USE int negative_line_cut(const struct negative_line *line, const char *name, struct error *err);
MUST_USE int negative_line_host_key(const struct negative_line *line, const char *name, struct error *err);

#endif
