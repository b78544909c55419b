// What a number of measurements supports: known figures, and the meaning of the bounds by simulation.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/dr/evidence.h"

static struct evidence of_first(size_t n)
{
    uint64_t values[400];
    struct evidence e;
    for (size_t i = 0; i < n; i++)
        values[i] = (i * 7919) % n + 1; // 1 … n in some order: 7919 is a prime
    evidence_of(values, n, &e);
    return e;
}

static void test_known_ranks(void **state)
{
    struct evidence e = of_first(10);
    (void)state;
    assert_int_equal(e.median, 5);
    assert_int_equal(e.p90, 9);
    assert_int_equal(e.worst, 10);
    e = of_first(1);
    assert_int_equal(e.median, 1);
    assert_int_equal(e.p90, 1);
    e = of_first(101);
    assert_int_equal(e.median, 51);
    assert_int_equal(e.p90, 91);
    uint64_t even[] = { 40, 10, 30, 20 };
    evidence_of(even, 4, &e);
    assert_int_equal(e.median, 25);
}

// 1 - 0.9^28 = 0.9477, 1 - 0.9^29 = 0.9529. Of 46 runs the second slowest is enough: tables of Conover, Practical Nonparametric Statistics.
static void test_bound_of_nine_in_ten(void **state)
{
    (void)state;
    assert_false(of_first(0).has_bound_p90);
    assert_false(of_first(28).has_bound_p90);
    struct evidence e = of_first(29);
    assert_true(e.has_bound_p90);
    assert_int_equal(e.bound_p90, 29);
    assert_int_equal(of_first(45).bound_p90, 45);
    assert_int_equal(of_first(46).bound_p90, 45);
}

static void test_what_fewer_runs_support(void **state)
{
    char text[EVIDENCE_TEXT_MAX];
    struct evidence e = of_first(5);
    (void)state;
    assert_true(fabs(e.share - 0.5) < 1e-9);
    assert_true(fabs(e.confidence - 0.96875) < 1e-9);
    evidence_text(&e, text);
    assert_string_equal(text, "insufficient evidence (5 of 29); 5 runs: half of all restores take at most 5 ms, 97 % confidence");
    e = of_first(7);
    assert_true(fabs(e.share - 0.6) < 1e-9);
    e = of_first(29);
    evidence_text(&e, text);
    assert_string_equal(text, "29 runs: nine in ten restores take at most 29 ms, 95 % confidence");
    e = of_first(0);
    evidence_text(&e, text);
    assert_string_equal(text, "no evidence (0 of 29 runs)");
}

// Drawn from a known distribution, the bound must be at least the true quantile in at least 95 of 100 trials.
static void test_bound_holds(void **state)
{
    enum { TRIALS = 4000 };
    static const size_t sizes[] = { 29, 46, 100 };
    unsigned held;
    (void)state;
    srandom(1);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        held = 0;
        for (int t = 0; t < TRIALS; t++) {
            uint64_t values[100];
            struct evidence e;
            for (size_t i = 0; i < sizes[s]; i++)
                values[i] = (uint64_t)(-log(((double)random() + 1) / ((double)RAND_MAX + 2)) * 1e6); // exponential
            evidence_of(values, sizes[s], &e);
            held += (double)e.bound_p90 >= log(10) * 1e6;
        }
        assert_true(held >= TRIALS * 0.94); // 95 % and the scatter of 4,000 trials
    }
}

// Clopper and Pearson: none of 59 bad bounds the share by 5 % (1 - 0.05^(1/59) = 0.0495), 1 of 93 by 5 % too.
static void test_share_bound(void **state)
{
    (void)state;
    assert_true(fabs(evidence_share_bound(0, 59, 0.95) - (1 - pow(0.05, 1.0 / 59))) < 1e-9);
    assert_true(evidence_share_bound(0, 59, 0.95) < 0.05);
    assert_true(evidence_share_bound(0, 58, 0.95) > 0.05);
    assert_true(evidence_share_bound(1, 93, 0.95) < 0.05 + 5e-4);
    assert_true(evidence_share_bound(1, 92, 0.95) > 0.05);
    assert_true(fabs(evidence_share_bound(0, 0, 0.95) - 1) < 1e-9);
    assert_true(fabs(evidence_share_bound(5, 5, 0.95) - 1) < 1e-9);
    assert_true(evidence_share_bound(0, 1000000, 0.95) < 3.0e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_ranks),
        cmocka_unit_test(test_bound_of_nine_in_ten),
        cmocka_unit_test(test_what_fewer_runs_support),
        cmocka_unit_test(test_bound_holds),
        cmocka_unit_test(test_share_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
