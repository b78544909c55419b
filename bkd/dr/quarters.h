// Drills by quarters of the year (UTC): how many were planned, held and passed, and how long the recovery took against what is promised. Pure.
//
// Usual order: quarters_init; quarters_plan, quarters_hold …; the items; quarters_done.
#ifndef BKD_DR_QUARTERS_H
#define BKD_DR_QUARTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUARTERS_NAME_MAX 16

struct quarter {
    uint64_t year;
    unsigned number; // 1 to 4
    uint64_t planned, held, passed;
    uint64_t worst_ms;    // the longest recovery of those that passed; 0 = none was measured
    uint64_t promised_ms; // when that drill was held; 0 = nothing was
    bool is_late;         // a recovery took longer than was promised for it
};
// "2026Q4".
void quarter_name(const struct quarter *quarter, char ret_name[QUARTERS_NAME_MAX]);

struct quarters {
    struct quarter *items; // each, the oldest first; owned
    size_t n;
};

// From the quarter of one moment (ns since 1970) to that of another, at most the last `max`.
void quarters_init(struct quarters *q, uint64_t from_ns, uint64_t until_ns, size_t max);
void quarters_done(struct quarters *q);
#define _cleanup_quarters_ __attribute__((cleanup(quarters_done)))

// What lies outside of them counts for none.
void quarters_plan(struct quarters *q, uint64_t date_ns);
struct quarters_drill {
    uint64_t started_ns;
    bool has_passed;
    uint64_t recovery_ms, promised_ms; // 0 = it was not measured; nothing was promised
};
void quarters_hold(struct quarters *q, const struct quarters_drill *drill);

// How much longer the recovery took in the last quarter that has a measurement than in the first, in percent of that; false when fewer than two have one.
bool quarters_trend(const struct quarters *q, double *ret_percent);

#endif
