// What the catalogue knows as figures for Prometheus: of each policy and copy the last success, ages, sizes, durations, objectives and whether they are met;
// alarms; runs by result; what waits for the notifiers. bkd(1) lists them.
#ifndef BKD_NOTIFY_METRICS_H
#define BKD_NOTIFY_METRICS_H

#include "bkd/base/buf.h"
#include "bkd/record/catalogue.h"

// A policy there is now.
struct metrics_policy {
    const char *name;
    bool is_valid;         // its file can be used
    uint64_t rpo_s, rto_s; // 0 = nothing is promised
    uint64_t tier;
};

struct metrics {
    struct catalogue *catalogue; // NULL: nothing was recorded yet
    const struct metrics_policy *policies;
    size_t policy_count;
    uint64_t now_ns;
};

// Prometheus' text format, appended.
MUST_USE int metrics_text(const struct metrics *metrics, struct buf *ret_text, struct error *err);

#endif
