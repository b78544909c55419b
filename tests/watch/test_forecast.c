// When a disk is full: made-up histories of its free space.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bkd/watch/forecast.h"

#define DAY (UINT64_C(86400) * 1000000000)
#define GB UINT64_C(1000000000)
#define START (UINT64_C(1795420800) * 1000000000)

static void nightly(struct forecast_point *points, size_t n, uint64_t free_bytes, int64_t each_night)
{
    for (size_t i = 0; i < n; i++)
        points[i] = (struct forecast_point){ START + i * DAY, free_bytes - (uint64_t)(each_night * (int64_t)i) };
}

static void test_steady(void **state)
{
    (void)state;
    struct forecast_point points[30];
    struct forecast f;
    nightly(points, 30, 129 * GB, 1000000000);
    assert_true(forecast_make(points, 30, &f));
    assert_int_equal(f.bytes_per_day, GB);
    assert_int_equal(f.full_in_days, 100);
    for (size_t i = 0; i < 15; i++) { // the order does not matter
        struct forecast_point swap = points[i];
        points[i] = points[29 - i];
        points[29 - i] = swap;
    }
    assert_true(forecast_make(points, 30, &f));
    assert_int_equal(f.full_in_days, 100);
}

static void test_too_little(void **state)
{
    (void)state;
    struct forecast_point points[4];
    struct forecast f;
    nightly(points, 4, 100 * GB, 1000000000);
    assert_false(forecast_make(points, 3, &f));
    assert_false(forecast_make(NULL, 0, &f));
    for (size_t i = 0; i < 4; i++)
        points[i].time_ns = START + i * DAY / 2; // of an afternoon and a half nothing is said
    assert_false(forecast_make(points, 4, &f));
    for (size_t i = 0; i < 4; i++)
        points[i].time_ns = START;
    assert_false(forecast_make(points, 4, &f));
}

static void test_never(void **state)
{
    (void)state;
    struct forecast_point points[30];
    struct forecast f;
    nightly(points, 30, 100 * GB, 0);
    assert_true(forecast_make(points, 30, &f));
    assert_true(f.full_in_days == UINT64_MAX && f.bytes_per_day == 0);
    nightly(points, 30, 100 * GB, -1000000000); // room comes free
    assert_true(forecast_make(points, 30, &f));
    assert_true(f.full_in_days == UINT64_MAX && f.bytes_per_day == 0);
}

// A first backup, a prune and a guest for a day do not bend the line.
static void test_outliers(void **state)
{
    (void)state;
    struct forecast_point points[30];
    struct forecast f;
    nightly(points, 30, 129 * GB, 1000000000);
    points[0].free_bytes = 900 * GB;
    points[12].free_bytes = GB;
    assert_true(forecast_make(points, 30, &f));
    assert_in_range(f.full_in_days, 95, 105);
    for (size_t i = 20; i < 30; i++) // pruned once
        points[i].free_bytes += 40 * GB;
    assert_true(forecast_make(points, 30, &f));
    assert_true(f.full_in_days > 100);
}

static void test_full_already(void **state)
{
    (void)state;
    struct forecast_point points[10];
    struct forecast f;
    nightly(points, 10, 9 * GB, 1000000000);
    assert_true(forecast_make(points, 10, &f));
    assert_int_equal(f.full_in_days, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steady), cmocka_unit_test(test_too_little), cmocka_unit_test(test_never), cmocka_unit_test(test_outliers), cmocka_unit_test(test_full_already),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
