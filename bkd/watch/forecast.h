// When a disk is full, by what was free on it from run to run. Pure.
//
// A line is laid through the points by the median of all slopes between two of them (Theil 1950, Sen 1968): a night of the first backup, one of a big
// prune, or somebody else's files for a day do not bend it.
#ifndef BKD_WATCH_FORECAST_H
#define BKD_WATCH_FORECAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FORECAST_POINTS_MAX 60 // of more, the newest
#define FORECAST_POINTS_MIN 4
#define FORECAST_SPAN_MIN_NS (UINT64_C(2) * 24 * 3600 * 1000000000) // of less nothing is said

struct forecast_point {
    uint64_t time_ns, free_bytes;
};

struct forecast {
    uint64_t bytes_per_day; // that go; 0 = none do
    uint64_t full_in_days;  // from the newest point on; UINT64_MAX = never, or in more than a hundred years
};

// Points in any order but that of more than FORECAST_POINTS_MAX the last ones count. False: there are too few to say anything.
bool forecast_make(const struct forecast_point *points, size_t n, struct forecast *ret_forecast);

#endif
