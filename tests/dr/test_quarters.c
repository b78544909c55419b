// Quarters: known dates, sums over random ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bkd/dr/period.h"
#include "bkd/dr/quarters.h"
#include "bkd/policy/civil.h"

#define NS UINT64_C(1000000000)

static uint64_t at(const char *text)
{
    int64_t s;
    assert_true(civil_parse(text, &s));
    return (uint64_t)s * NS;
}

static void expect_names(const char *from, const char *until, size_t max, size_t n, const char *first, const char *last)
{
    _cleanup_quarters_ struct quarters q;
    char name[QUARTERS_NAME_MAX];
    quarters_init(&q, at(from), at(until), max);
    assert_int_equal(q.n, n);
    quarter_name(&q.items[0], name);
    assert_string_equal(name, first);
    quarter_name(&q.items[q.n - 1], name);
    assert_string_equal(name, last);
}

static void test_names(void **state)
{
    (void)state;
    expect_names("2026-10-01T00:00:00Z", "2026-12-31T23:59:59Z", 8, 1, "2026Q4", "2026Q4");
    expect_names("2026-09-30T23:59:59Z", "2027-01-01T00:00:00Z", 8, 3, "2026Q3", "2027Q1");
    expect_names("2000-01-01T00:00:00Z", "2027-04-01T00:00:00Z", 4, 4, "2026Q3", "2027Q2");
    expect_names("2030-01-01T00:00:00Z", "2027-04-01T00:00:00Z", 4, 1, "2027Q2", "2027Q2"); // a clock that was ahead
}

static void test_what_counts(void **state)
{
    (void)state;
    _cleanup_quarters_ struct quarters q;
    double percent = 0;
    quarters_init(&q, at("2026-07-01T00:00:00Z"), at("2026-12-01T00:00:00Z"), 8);
    quarters_plan(&q, at("2026-07-14T10:00:00Z"));
    quarters_plan(&q, at("2026-10-13T10:00:00Z"));
    quarters_plan(&q, at("2027-01-12T10:00:00Z")); // outside
    assert_false(quarters_trend(&q, &percent));
    quarters_hold(&q, &(struct quarters_drill){ at("2026-07-14T10:00:00Z"), true, 600, 1000 });
    quarters_hold(&q, &(struct quarters_drill){ at("2026-08-14T10:00:00Z"), true, 400, 1000 });
    quarters_hold(&q, &(struct quarters_drill){ at("2026-09-14T10:00:00Z"), false, 9000, 1000 }); // what did not pass is no recovery
    assert_false(quarters_trend(&q, &percent));
    quarters_hold(&q, &(struct quarters_drill){ at("2026-11-14T10:00:00Z"), true, 1200, 1100 });
    quarters_hold(&q, &(struct quarters_drill){ at("2026-06-14T10:00:00Z"), true, 1, 1 }); // outside
    assert_true(q.items[0].planned == 1 && q.items[0].held == 3 && q.items[0].passed == 2 && q.items[0].worst_ms == 600 && !q.items[0].is_late);
    assert_true(q.items[1].planned == 1 && q.items[1].held == 1 && q.items[1].passed == 1 && q.items[1].worst_ms == 1200 && q.items[1].is_late);
    assert_true(quarters_trend(&q, &percent) && percent > 99.99 && percent < 100.01);
}

// period.h says the same of where quarters begin and end.
static void test_against_periods(void **state)
{
    _cleanup_quarters_ struct quarters q;
    uint64_t from = at("2020-02-29T12:00:00Z"), until = at("2031-11-30T12:00:00Z");
    size_t held = 0;
    (void)state;
    srand48(6);
    quarters_init(&q, from, until, 1000);
    for (int i = 0; i < 5000; i++) {
        uint64_t ns = from + (uint64_t)(drand48() * (double)(until - from)), before[64] = { 0 };
        struct period period;
        struct error err;
        char name[QUARTERS_NAME_MAX];
        for (size_t k = 0; k < q.n; k++)
            before[k] = q.items[k].held;
        quarters_hold(&q, &(struct quarters_drill){ .started_ns = ns });
        for (size_t k = 0; k < q.n; k++) {
            quarter_name(&q.items[k], name);
            assert_int_equal(period_parse(name, &period, &err), 0);
            assert_int_equal(q.items[k].held - before[k], ns >= period.from_ns && ns < period.until_ns);
        }
    }
    for (size_t k = 0; k < q.n; k++)
        held += q.items[k].held;
    assert_int_equal(held, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_what_counts),
        cmocka_unit_test(test_against_periods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
