// The time line of a plan: known graphs; against the critical path, which another module finds in another way; and what must hold for any graph.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "bkd/dr/critical_path.h"
#include "bkd/dr/plan_forecast.h"

enum { MOST = 12 };

static void test_known(void **state)
{
    // 0 somebody arrives (30), 1 and 2 restores (10, 20) and 3 a restore (5) at once; 4 waits for 1 and 2, takes 7
    struct plan_forecast_part parts[] = {
        { .low_s = 30, .likely_s = 30, .high_s = 30 }, { .low_s = 5, .likely_s = 10, .high_s = 40, .is_restore = true }, { .low_s = 10, .likely_s = 20, .high_s = 25, .is_restore = true },
        { .low_s = 5, .likely_s = 5, .high_s = 5, .is_restore = true }, { .low_s = 7, .likely_s = 7, .high_s = 7 },
    };
    bool needs[25] = { 0 };
    size_t together[5];
    struct plan_forecast f;
    (void)state;
    for (size_t i = 1; i < 4; i++)
        needs[i * 5] = true;
    needs[4 * 5 + 1] = needs[4 * 5 + 2] = true;
    assert_true(plan_forecast(parts, 5, needs, 0, &f));
    assert_float_equal(f.likely_s, 57, 1e-9);
    assert_float_equal(f.low_s, 47, 1e-9);
    assert_float_equal(f.high_s, 77, 1e-9);
    assert_true(parts[0].is_critical && parts[2].is_critical && parts[4].is_critical);
    assert_false(parts[1].is_critical || parts[3].is_critical);
    assert_true(plan_forecast(parts, 5, needs, 1, &f)); // one restore at a time: 30 + 10 + 20, then 7 beside 5
    assert_float_equal(f.likely_s, 67, 1e-9);
    assert_float_equal(parts[3].start_s, 60, 1e-9);
    assert_true(parts[1].is_critical && parts[2].is_critical);
    assert_true(plan_forecast(parts, 5, needs, 2, &f)); // 3 takes the place of 1
    assert_float_equal(parts[3].start_s, 40, 1e-9);
    assert_float_equal(f.likely_s, 57, 1e-9);
    plan_forecast_together(parts, 5, needs, 0, together);
    assert_int_equal(together[0], 0);
    assert_int_equal(together[1], 3);
    plan_forecast_together(parts, 5, needs, 2, together);
    assert_int_equal(together[3], 2);
    needs[0 * 5 + 4] = true; // who arrives waits for the end
    assert_false(plan_forecast(parts, 5, needs, 0, &f));
    assert_true(plan_forecast(NULL, 0, NULL, 0, &f));
    assert_float_equal(f.high_s, 0, 1e-9);
}

static void test_restores_in_a_row_are_alone(void **state)
{
    const struct plan_forecast_part parts[3] = { [0].is_restore = true, [2].is_restore = true };
    const bool needs[9] = { [3] = true, [7] = true }; // through a step between
    size_t together[3];
    (void)state;
    plan_forecast_together(parts, 3, needs, 0, together);
    assert_int_equal(together[0], 1);
    assert_int_equal(together[2], 1);
}

static void make_random(struct plan_forecast_part *parts, struct critical_path_node *nodes, size_t n, bool *needs)
{
    for (size_t i = 0; i < n; i++) {
        unsigned low = (unsigned)rand() % 50, likely = low + (unsigned)rand() % 50, high = likely + (unsigned)rand() % 50;
        parts[i] = (struct plan_forecast_part){ .low_s = low, .likely_s = likely, .high_s = high, .is_restore = rand() % 2 == 0 };
        nodes[i] = (struct critical_path_node){ .duration = likely };
        for (size_t k = 0; k < n; k++)
            needs[i * n + k] = k < i && rand() % 4 == 0;
    }
}

static void check_times(const struct plan_forecast_part *parts, size_t n, const bool *needs, size_t most)
{
    for (size_t i = 0; i < n; i++) {
        size_t running = 0;
        for (size_t k = 0; k < n; k++) {
            assert_true(!needs[i * n + k] || parts[i].start_s >= parts[k].end_s);
            running += parts[k].is_restore && parts[k].start_s <= parts[i].start_s && parts[k].end_s > parts[i].start_s;
        }
        assert_true(most == 0 || !parts[i].is_restore || running <= most);
    }
}

// The chain's durations add up to the whole, without gaps.
static void check_chain(const struct plan_forecast_part *parts, size_t n, double whole)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += parts[i].is_critical ? parts[i].likely_s : 0;
    assert_float_equal(sum, whole, 1e-6);
}

static void test_random_graphs(void **state)
{
    (void)state;
    srand(11);
    for (int trial = 0; trial < 3000; trial++) {
        size_t n = 1 + (size_t)rand() % MOST, most = (size_t)rand() % 4;
        struct plan_forecast_part parts[MOST];
        struct critical_path_node nodes[MOST];
        bool needs[MOST * MOST];
        struct plan_forecast free_f, f;
        uint64_t total = 0;
        make_random(parts, nodes, n, needs);
        assert_true(critical_path(nodes, n, needs, &total));
        assert_true(plan_forecast(parts, n, needs, 0, &free_f));
        assert_float_equal(free_f.likely_s, (double)total, 1e-6);
        for (size_t i = 0; i < n; i++) {
            assert_float_equal(parts[i].start_s, (double)nodes[i].start, 1e-6);
            assert_true(!parts[i].is_critical || nodes[i].is_critical);
        }
        check_chain(parts, n, free_f.likely_s);
        assert_true(free_f.low_s <= free_f.likely_s && free_f.likely_s <= free_f.high_s);
        assert_true(plan_forecast(parts, n, needs, most, &f));
        check_times(parts, n, needs, most);
        check_chain(parts, n, f.likely_s);
        assert_true(f.likely_s >= free_f.likely_s - 1e-9);
        assert_true(f.low_s <= f.likely_s && f.likely_s <= f.high_s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_restores_in_a_row_are_alone),
        cmocka_unit_test(test_random_graphs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
