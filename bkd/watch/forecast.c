#include "bkd/watch/forecast.h"

#include <stdlib.h>
#include <string.h>

#define DAY_NS 86400e9
#define DAYS_MAX 36500.0

static int by_time(const void *a, const void *b)
{
    const struct forecast_point *x = a, *y = b;
    return x->time_ns < y->time_ns ? -1 : x->time_ns > y->time_ns;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

// Bytes a day; negative: room comes free. Points at one time say nothing about a slope.
static double median_slope(const struct forecast_point *points, size_t n)
{
    double slopes[FORECAST_POINTS_MAX * (FORECAST_POINTS_MAX - 1) / 2];
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++)
            if (points[k].time_ns > points[i].time_ns)
                slopes[count++] = ((double)points[i].free_bytes - (double)points[k].free_bytes) / ((double)(points[k].time_ns - points[i].time_ns) / DAY_NS);
    qsort(slopes, count, sizeof *slopes, by_value);
    return count % 2 == 1 ? slopes[count / 2] : (slopes[count / 2 - 1] + slopes[count / 2]) / 2;
}

bool forecast_make(const struct forecast_point *points, size_t n, struct forecast *ret_forecast)
{
    struct forecast_point sorted[FORECAST_POINTS_MAX];
    if (n > FORECAST_POINTS_MAX) {
        points += n - FORECAST_POINTS_MAX;
        n = FORECAST_POINTS_MAX;
    }
    if (n < FORECAST_POINTS_MIN)
        return false;
    memcpy(sorted, points, n * sizeof *points);
    qsort(sorted, n, sizeof *sorted, by_time);
    if (sorted[n - 1].time_ns - sorted[0].time_ns < FORECAST_SPAN_MIN_NS)
        return false;
    double slope = median_slope(sorted, n), days = slope < 1 ? DAYS_MAX : (double)sorted[n - 1].free_bytes / slope;
    *ret_forecast = (struct forecast){ .bytes_per_day = slope < 1 ? 0 : (uint64_t)slope, .full_in_days = days >= DAYS_MAX ? UINT64_MAX : (uint64_t)days };
    return true;
}
