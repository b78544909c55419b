// Where measurements are going: a line that a few outliers do not bend (Theil 1950; Sen 1968, JASA 63: the median of the slopes of all pairs). Pure.
#ifndef BKD_DR_TREND_H
#define BKD_DR_TREND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TREND_POINTS_MIN = 6, TREND_POINTS_MAX = 200, TREND_DAYS_MIN = 7 };
#define TREND_NEVER UINT64_MAX

struct trend_point {
    uint64_t time_ns, value;
};

struct trend {
    bool is_known;    // enough points, over TREND_DAYS_MIN at least: an afternoon of tries says nothing of next month
    double per_day;
    double now_value; // of the line, at the newest point
    uint64_t newest_ns;
};

// Points in any order; of more than TREND_POINTS_MAX the first ones count.
struct trend trend_of(const struct trend_point *points, size_t n);
// After how many days, from now_ns on, the line is above `limit`: 0 = it is; TREND_NEVER when it does not rise, or is not known.
uint64_t trend_crossing_days(const struct trend *t, double limit, uint64_t now_ns);

#endif
