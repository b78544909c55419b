// The line through measurements: exact on a line, unmoved by outliers, silent when there is too little.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bkd/dr/trend.h"

#define DAY UINT64_C(86400000000000)
#define FIRST (UINT64_C(20000) * DAY)

static void fill(struct trend_point *points, size_t n, uint64_t first, uint64_t step)
{
    for (size_t i = 0; i < n; i++)
        points[i] = (struct trend_point){ FIRST + i * 7 * DAY, first + i * step };
}

static void test_line(void **state)
{
    struct trend_point points[10];
    (void)state;
    fill(points, 10, 1000, 70); // 10 a day
    struct trend t = trend_of(points, 10);
    assert_true(t.is_known);
    assert_float_equal(t.per_day, 10, 1e-6);
    assert_float_equal(t.now_value, 1630, 1e-3);
    uint64_t newest = FIRST + 63 * DAY;
    assert_int_equal(trend_crossing_days(&t, 1735, newest), 11); // 10.5 days
    assert_int_equal(trend_crossing_days(&t, 1735, newest + 4 * DAY), 7);
    assert_int_equal(trend_crossing_days(&t, 1600, newest), 0);
    assert_int_equal(trend_crossing_days(&t, 1735, newest + 400 * DAY), 0);
}

// A fifth of the measurements may be anything.
static void test_outliers(void **state)
{
    struct trend_point points[20];
    (void)state;
    fill(points, 20, 5000, 7);
    points[3].value = 900000;
    points[11].value = 1;
    points[19].value = 700000;
    points[15].value = 0;
    struct trend t = trend_of(points, 20);
    assert_float_equal(t.per_day, 1, 0.1);
    assert_float_equal(t.now_value, 5133, 20);
}

static void test_falling_and_flat(void **state)
{
    struct trend_point points[8];
    (void)state;
    fill(points, 8, 500, 0);
    struct trend t = trend_of(points, 8);
    assert_true(t.is_known);
    assert_int_equal(trend_crossing_days(&t, 501, FIRST), TREND_NEVER);
    for (size_t i = 0; i < 8; i++)
        points[i].value = 900 - 10 * i;
    t = trend_of(points, 8);
    assert_true(t.per_day < 0);
    assert_int_equal(trend_crossing_days(&t, 1000, FIRST), TREND_NEVER);
}

static void test_too_little(void **state)
{
    struct trend_point points[8];
    (void)state;
    fill(points, 8, 500, 100);
    assert_false(trend_of(points, TREND_POINTS_MIN - 1).is_known);
    assert_true(trend_of(points, TREND_POINTS_MIN).is_known);
    for (size_t i = 0; i < 8; i++)
        points[i].time_ns = FIRST + i * DAY / 10; // an afternoon says nothing of next month
    assert_false(trend_of(points, 8).is_known);
    assert_int_equal(trend_crossing_days(&(struct trend){ 0 }, 1, FIRST), TREND_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_outliers),
        cmocka_unit_test(test_falling_and_flat),
        cmocka_unit_test(test_too_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
