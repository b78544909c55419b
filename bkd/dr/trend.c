#include "bkd/dr/trend.h"

#include <math.h>
#include <stdlib.h>

#include "bkd/base/buf.h"
#include "bkd/base/compare.h"

#define DAY_NS 86400e9

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare_doubles);
    return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

// Before the newest it is negative.
static double days_from(uint64_t time_ns, uint64_t origin_ns) { return ((double)time_ns - (double)origin_ns) / DAY_NS; }

static size_t slopes_of(const struct trend_point *points, size_t n, uint64_t origin_ns, double *ret_slopes)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            double days = days_from(points[i].time_ns, origin_ns) - days_from(points[j].time_ns, origin_ns);
            if (days != 0)
                ret_slopes[count++] = ((double)points[i].value - (double)points[j].value) / days;
        }
    return count;
}

struct trend trend_of(const struct trend_point *points, size_t n)
{
    struct trend t = { 0 };
    n = n > TREND_POINTS_MAX ? TREND_POINTS_MAX : n;
    if (n < TREND_POINTS_MIN)
        return t;
    uint64_t oldest_ns = UINT64_MAX;
    for (size_t i = 0; i < n; i++) {
        t.newest_ns = points[i].time_ns > t.newest_ns ? points[i].time_ns : t.newest_ns;
        oldest_ns = points[i].time_ns < oldest_ns ? points[i].time_ns : oldest_ns;
    }
    if (days_from(t.newest_ns, oldest_ns) < TREND_DAYS_MIN)
        return t;
    double *values = xcalloc(n * (n - 1) / 2, sizeof *values);
    size_t slopes = slopes_of(points, n, t.newest_ns, values);
    if (slopes > 0) {
        t.is_known = true;
        t.per_day = median(values, slopes);
        for (size_t i = 0; i < n; i++)
            values[i] = (double)points[i].value - t.per_day * days_from(points[i].time_ns, t.newest_ns);
        t.now_value = median(values, n);
    }
    free(values);
    return t;
}

uint64_t trend_crossing_days(const struct trend *t, double limit, uint64_t now_ns)
{
    if (!t->is_known || t->per_day <= 0)
        return TREND_NEVER;
    double days = ceil((limit - t->now_value) / t->per_day - days_from(now_ns, t->newest_ns));
    return days <= 0 ? 0 : days > 1e6 ? TREND_NEVER : (uint64_t)days;
}
