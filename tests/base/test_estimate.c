// Time left from made-up measurements whose truth is known.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "bkd/base/estimate.h"

#define MIB 1048576.0

static void assert_near(double seen, double wanted, double percent)
{
    if (fabs(seen - wanted) > wanted * percent / 100)
        fail_msg("%g instead of %g (within %g %%)", seen, wanted, percent);
}

static double left(const struct estimate *e, double files, double bytes)
{
    double seconds = -1;
    assert_true(estimate_seconds(e, files, bytes, &seconds));
    return seconds;
}

static void test_nothing_measured(void **state)
{
    struct estimate e = { 0 };
    double seconds = 7;
    (void)state;
    assert_false(estimate_seconds(&e, 10, 10, &seconds));
    estimate_add(&e, 0, 0, 1); // time passed, nothing was done
    assert_false(estimate_seconds(&e, 10, 10, &seconds));
    estimate_add(&e, 10, 0, 1);
    assert_false(estimate_seconds(&e, 0, 10, &seconds)); // bytes were never met
    assert_true(seconds == 7);
}

static void test_one_kind_of_work(void **state)
{
    struct estimate bytes = { 0 }, files = { 0 };
    (void)state;
    for (int i = 0; i < 50; i++) {
        estimate_add(&bytes, 0, 20 * MIB, 0.2);
        estimate_add(&files, 400, 0, 0.2);
    }
    assert_near(left(&bytes, 0, 1000 * MIB), 10, 0.1);
    assert_near(left(&files, 20000, 0), 10, 0.1);
}

static void test_constant_mix(void **state)
{
    struct estimate e = { 0 };
    (void)state;
    for (int i = 0; i < 50; i++)
        estimate_add(&e, 10, 10 * MIB, 0.1);
    assert_near(left(&e, 1000, 1000 * MIB), 10, 0.1); // the same mix: exact, however the costs are shared out
}

// 50 µs a file and 5 ns a byte: from small files and large ones both costs are found.
static void test_both_costs(void **state)
{
    struct estimate e = { 0 };
    double a, b;
    (void)state;
    for (int i = 0; i < 60; i++) {
        double files = i % 3 == 0 ? 4000 : 5, bytes = i % 3 == 0 ? 8 * MIB : 60 * MIB;
        estimate_add(&e, files, bytes, files * 50e-6 + bytes * 5e-9);
    }
    assert_true(estimate_costs(&e, &a, &b));
    assert_near(a, 50e-6, 5);
    assert_near(b, 5e-9, 5);
    assert_near(left(&e, 1e6, 0.1 * MIB), 50, 6);
    assert_near(left(&e, 1, 10000 * MIB), 52.4, 6);
}

// Only small files so far, one large file to come: the answer is of the right order.
static void test_same_mix_then_another(void **state)
{
    struct estimate e = { 0 };
    (void)state;
    for (int i = 0; i < 50; i++)
        estimate_add(&e, 4000, 4000 * 4096.0, 0.2);
    double seconds = left(&e, 1, 10000 * MIB);
    assert_true(seconds > 10 && seconds < 100);
}

// The rate of the last seconds counts, not the average since the start.
static void test_slower_now(void **state)
{
    struct estimate e = { 0 };
    (void)state;
    for (int i = 0; i < 600; i++)
        estimate_add(&e, 0, 100 * MIB, 1);
    for (int i = 0; i < 60; i++)
        estimate_add(&e, 0, 10 * MIB, 1);
    assert_near(left(&e, 0, 100 * MIB), 10, 20); // 1.1 s by the average
}

// Work is counted in bursts, as windows and objects end: 10 and 190 MiB in turn.
static void test_bursts(void **state)
{
    struct estimate e = { 0 };
    (void)state;
    for (int i = 0; i < 100; i++)
        estimate_add(&e, i % 2 == 0 ? 1 : 19, i % 2 == 0 ? 10 * MIB : 190 * MIB, 0.5);
    assert_near(left(&e, 100, 1000 * MIB), 5, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_measured), cmocka_unit_test(test_one_kind_of_work),     cmocka_unit_test(test_constant_mix),
        cmocka_unit_test(test_both_costs),       cmocka_unit_test(test_same_mix_then_another), cmocka_unit_test(test_slower_now),
        cmocka_unit_test(test_bursts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
