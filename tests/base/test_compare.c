// Orders that qsort is given.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "bkd/base/compare.h"

static void test_doubles(void **state)
{
    double values[] = { 0.25, -3, 1e9, 0, 0.25, 2 };
    static const double sorted[] = { -3, 0, 0.25, 0.25, 2, 1e9 };
    (void)state;
    qsort(values, 6, sizeof *values, compare_doubles);
    for (size_t i = 0; i < 6; i++)
        assert_true(values[i] == sorted[i]);
}

static void test_strings(void **state)
{
    const char *words[] = { "b", "", "\xc3\xa4", "ab", "B", "a" };
    static const char *const sorted[] = { "", "B", "a", "ab", "b", "\xc3\xa4" };
    (void)state;
    qsort(words, 6, sizeof *words, compare_strings);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(words[i], sorted[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
