// A stretch of the calendar as people name it: "2026", "2026Q4", "2026-11". In UTC. Pure.
#ifndef BKD_DR_PERIOD_H
#define BKD_DR_PERIOD_H

#include <stdint.h>

#include "bkd/base/error.h"

struct period {
    uint64_t from_ns, until_ns; // since 1970; the first nanosecond of it, and the first after it
};

// Years from 1970 to 2199. ERROR_USAGE.
MUST_USE int period_parse(const char *text, struct period *ret_period, struct error *err);

#endif
