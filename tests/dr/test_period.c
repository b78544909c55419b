// Years, quarters and months, against date(1)'s numbers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bkd/dr/period.h"

#define S UINT64_C(1000000000)

static void expect(const char *text, uint64_t from_s, uint64_t until_s)
{
    struct period period;
    struct error err;
    assert_int_equal(period_parse(text, &period, &err), 0);
    assert_int_equal(period.from_ns, from_s * S);
    assert_int_equal(period.until_ns, until_s * S);
}

static void test_periods(void **state)
{
    (void)state; // date -u -d 2026-10-01 +%s and so on
    expect("2026", 1767225600, 1798761600);
    expect("2026Q1", 1767225600, 1775001600);
    expect("2026Q4", 1790812800, 1798761600);
    expect("2026-11", 1793491200, 1796083200);
    expect("2026-12", 1796083200, 1798761600);
    expect("2028-02", 1832976000, 1835481600); // a leap year
}

static void test_mistakes(void **state)
{
    static const char *const wrong[] = { "", "26", "2026Q0", "2026Q5", "2026q4", "2026-00", "2026-13", "2026-1", "2026-111", "Q4", "1969", "2200", "2026Q4 " };
    struct period period;
    struct error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(period_parse(wrong[i], &period, &err), ERROR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_periods), cmocka_unit_test(test_mistakes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
