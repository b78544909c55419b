// The model of restores on made-up runs whose law is known: it finds the law, says how wrong it was, and promises no more than the runs support.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "bkd/dr/estimate.h"

#define MIB UINT64_C(1048576)

// 2 s, 1 ms a file, 20 ms a MiB; half of the bytes come over a line of 10 MiB/s; checks take 3 s.
static struct estimate_run lawful(uint64_t files, uint64_t mib, double noise)
{
    return (struct estimate_run){ .files = files, .bytes = mib * MIB, .fetched_bytes = mib * MIB / 2, .is_offsite = true,
                                  .local_s = (2 + 0.001 * (double)files + 0.02 * (double)mib) * (1 + noise), .fetch_s = (double)mib / 20, .checks_s = 3 };
}

static void test_law(void **state)
{
    struct estimate_run runs[12];
    struct estimate_model m;
    struct estimate e;
    (void)state;
    for (size_t i = 0; i < 12; i++)
        runs[i] = lawful(1000 + 700 * ((i * 5) % 12), 100 + 90 * ((i * 7) % 12), 0);
    estimate_fit(runs, 12, &m);
    assert_float_equal(m.fixed_s, 2, 1e-6);
    assert_float_equal(m.per_file_s * 1000, 1, 1e-6);
    assert_float_equal(m.per_byte_s * (double)MIB, 0.02, 1e-6);
    assert_float_equal(m.offsite_rate, 10.0 * (double)MIB, 1);
    assert_int_equal(m.tested, 9);
    estimate_answer(&m, &(struct estimate_question){ .files = 50000, .bytes = 10000 * MIB, .is_offsite = true }, &e);
    assert_float_equal(e.likely_s, 2 + 50 + 200 + 500 + 3, 1e-3);
    assert_int_equal(e.bottleneck, ESTIMATE_LINE);
    assert_true(e.is_beyond); // such sizes were never seen, so the law need not hold there
    assert_float_equal(e.high_s, 2 * e.likely_s, 1e-3);
    estimate_answer(&m, &(struct estimate_question){ .files = 9000, .bytes = 1000 * MIB, .is_offsite = true }, &e);
    assert_false(e.is_beyond);
    assert_float_equal(e.high_s, (1 + fmax(m.worst_error, 0.1)) * e.likely_s, 1e-3);
    estimate_answer(&m, &(struct estimate_question){ .files = 50000, .bytes = 10000 * MIB, .is_offsite = true, .line_rate = 1e12 }, &e);
    assert_float_equal(e.part_s[ESTIMATE_LINE], 500, 1e-3); // the far side does not get faster
    estimate_answer(&m, &(struct estimate_question){ .files = 50000, .bytes = 10000 * MIB, .is_offsite = true, .line_rate = 5.0 * (double)MIB, .parallel = 2 }, &e);
    assert_float_equal(e.part_s[ESTIMATE_LINE], 2000, 1e-3);
    estimate_answer(&m, &(struct estimate_question){ .files = 1, .bytes = MIB, .is_offsite = true, .people_s = 7200, .restores = 2 }, &e);
    assert_int_equal(e.bottleneck, ESTIMATE_PEOPLE);
    assert_float_equal(e.part_s[ESTIMATE_CHECKS], 6, 1e-9);
    assert_true(e.low_s >= 7200 && e.high_s > e.likely_s);
}

// Coefficients are never negative, parts add up, the interval holds the estimate, and it is as wide as the worst forecast was wrong.
static void test_noise(void **state)
{
    struct estimate_run runs[40];
    struct estimate_model m;
    struct estimate e;
    (void)state;
    srand(7);
    for (size_t n = 1; n <= 40; n++) {
        runs[n - 1] = lawful(1 + (uint64_t)(rand() % 100000), 1 + (uint64_t)(rand() % 5000), (rand() % 400 - 200) / 1000.0);
        estimate_fit(runs, n, &m);
        assert_true(m.fixed_s >= 0 && m.per_file_s >= 0 && m.per_byte_s >= 0);
        assert_true(m.fixed_s + m.per_file_s + m.per_byte_s > 0);
        estimate_answer(&m, &(struct estimate_question){ .files = 5000, .bytes = 2000 * MIB, .is_offsite = true, .people_s = 10 }, &e);
        double sum = 0;
        for (int i = 0; i < ESTIMATE_PARTS; i++)
            sum += e.part_s[i];
        assert_float_equal(sum, e.likely_s, 1e-6);
        assert_true(e.low_s < e.likely_s && e.likely_s < e.high_s);
    }
    assert_int_equal(m.tested, 37);
    assert_true(m.median_error <= m.worst_error && m.median_error < 0.25);
    assert_float_equal((e.high_s - 10) / (e.likely_s - 10), 1 + fmax(m.worst_error, 0.1), 1e-6);
}

static void test_few(void **state)
{
    struct estimate_run run = lawful(1000, 100, 0);
    struct estimate_model m;
    struct estimate e;
    (void)state;
    estimate_fit(NULL, 0, &m);
    assert_int_equal(m.runs, 0);
    estimate_fit(&run, 1, &m);
    estimate_answer(&m, &(struct estimate_question){ .files = 1000, .bytes = 200 * MIB, .is_offsite = true }, &e);
    assert_float_equal(e.part_s[ESTIMATE_BYTES], 10, 1e-6); // twice the bytes, twice the time: the safer guess
    assert_float_equal(e.high_s, 2 * e.likely_s, 1e-6);
    estimate_answer(&m, &(struct estimate_question){ .files = 1000, .bytes = 200 * MIB }, &e);
    assert_false(e.line_is_known); // nothing was restored from home
    assert_float_equal(e.part_s[ESTIMATE_LINE], 0, 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_law),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
