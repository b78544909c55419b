#include "bkd/engine/masschange.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    NIGHTS = 90,        // looked at
    NIGHTS_ENOUGH = 10, // to know what is usual
    SLOW_NIGHTS = 14,
    FILES_MIN = 20,
};

#define DEVIATIONS 8.0
#define MAD_TO_DEVIATION 1.4826
#define SLOW_SHARE 0.3

// One of the shares: how it is read from a night, and when it is far without any history, and with enough of it.
struct measure {
    double (*share)(const struct masschange_night *night);
    double floor_new, floor_known;
    uint64_t files_least; // fewer files are never far
};

static double ratio(uint64_t part, uint64_t whole) { return whole == 0 ? 0 : (double)part / (double)whole; }
static double gone_share(const struct masschange_night *n) { return ratio(n->gone, n->held); }
static double changed_share(const struct masschange_night *n) { return ratio(n->changed, n->held); }

static double turned_share(const struct masschange_night *n) { return ratio(n->turned, n->held); }
static double turned_bytes_share(const struct masschange_night *n) { return ratio(n->turned_bytes, n->held_bytes); }

static const struct measure gone_measure = { gone_share, 0.5, 0.3, 10 };
static const struct measure changed_measure = { changed_share, 0.8, 0.6, 10 };
static const struct measure turned_measure = { turned_share, 0.2, 0.1, 5 };
// A few large files may be most of what there is; and some that were replaced by compressed ones are no attack yet.
static const struct measure turned_bytes_measure = { turned_bytes_share, 0.5, 0.3, 5 };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static double usual(const double *shares, size_t n)
{
    double sorted[NIGHTS], distances[NIGHTS];
    for (size_t i = 0; i < n; i++)
        sorted[i] = shares[i];
    double middle = median(sorted, n);
    for (size_t i = 0; i < n; i++)
        distances[i] = shares[i] > middle ? shares[i] - middle : middle - shares[i];
    return middle + DEVIATIONS * MAD_TO_DEVIATION * median(distances, n);
}

// Half more than any night nobody wondered about; of those that were accepted, what was seen twice.
static double seen(const struct measure *m, const struct masschange_night *nights, size_t n)
{
    double most = 0, first = 0, second = 0;
    for (size_t i = 0; i < n; i++) {
        double share = m->share(&nights[i]);
        if (!nights[i].suspect && share > most)
            most = share;
        if (!nights[i].suspect || !nights[i].accepted || share <= second)
            continue;
        second = share > first ? first : share;
        first = share > first ? share : first;
    }
    most = most > second ? most : second;
    return most * 1.5;
}

// The share above which this run is far from usual.
static double bound(const struct measure *m, uint32_t percent, const struct masschange_night *nights, size_t n)
{
    double shares[NIGHTS];
    size_t known = 0;
    if (percent > 0)
        return (double)percent / 100;
    for (size_t i = 0; i < n; i++)
        if (!nights[i].suspect || nights[i].accepted)
            shares[known++] = m->share(&nights[i]);
    double most = known < NIGHTS_ENOUGH ? m->floor_new : m->floor_known;
    double own = known < NIGHTS_ENOUGH ? 0 : usual(shares, known), before = seen(m, nights, n);
    most = own > most ? own : most;
    return before > most ? before : most;
}

static bool is_far(const struct measure *m, uint32_t percent, const struct masschange_night *nights, size_t n, const struct masschange_night *now, uint64_t files)
{
    return files >= m->files_least && m->share(now) > bound(m, percent, nights, n);
}

static uint64_t sum_turned(const struct masschange_night *nights, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += nights[i].suspect ? 0 : nights[i].turned;
    return sum;
}

// A little each night: two weeks together, and not so in the two weeks before.
static bool is_slow(const struct masschange_night *nights, size_t n, const struct masschange_night *now, uint64_t *ret_files)
{
    if (n < 2 * SLOW_NIGHTS - 1 || now->turned == 0)
        return false;
    const struct masschange_night *recent = nights + n - (SLOW_NIGHTS - 1);
    uint64_t before = sum_turned(recent - SLOW_NIGHTS, SLOW_NIGHTS);
    *ret_files = sum_turned(recent, SLOW_NIGHTS - 1) + now->turned;
    return ratio(*ret_files, now->held) > SLOW_SHARE && *ret_files > 3 * before;
}

static unsigned percent_of(double share) { return share > 1 ? 100 : (unsigned)(share * 100 + 0.5); }

bool masschange_judge(const struct masschange_limits *limits, const struct masschange_night *nights, size_t n, const struct masschange_night *now,
                      char ret_reason[MASSCHANGE_REASON_MAX])
{
    uint64_t slow = 0;
    const struct measure *far = NULL;
    const char *what = "";
    if (limits->is_off || now->held < (limits->min_files > 0 ? limits->min_files : FILES_MIN))
        return false;
    if (n > NIGHTS) {
        nights += n - NIGHTS;
        n = NIGHTS;
    }
    if (is_far(&turned_measure, limits->incompressible, nights, n, now, now->turned)) {
        far = &turned_measure;
        what = "files turned incompressible, as encryption makes them";
    } else if (is_far(&turned_bytes_measure, limits->incompressible, nights, n, now, now->turned)) {
        far = &turned_bytes_measure;
        what = "files, by size, turned incompressible, as encryption makes them";
    } else if (is_far(&gone_measure, limits->gone, nights, n, now, now->gone)) {
        far = &gone_measure;
        what = "files are gone";
    } else if (is_far(&changed_measure, limits->changed, nights, n, now, now->changed)) {
        far = &changed_measure;
        what = "files have other content";
    } else if (limits->incompressible == 0 && is_slow(nights, n, now, &slow)) {
        (void)snprintf(ret_reason, MASSCHANGE_REASON_MAX, "%llu of %llu files turned incompressible within %d runs, as slow encryption makes them",
                       (unsigned long long)slow, (unsigned long long)now->held, SLOW_NIGHTS);
        return true;
    }
    if (far == NULL)
        return false;
    (void)snprintf(ret_reason, MASSCHANGE_REASON_MAX, "%u %% of the %llu %s", percent_of(far->share(now)), (unsigned long long)now->held, what);
    return true;
}
