// "Did you mean": distances, and when no word is near enough.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "bkd/base/nearest.h"

static void test_distance(void **state)
{
    (void)state;
    assert_int_equal(nearest_distance("", ""), 0);
    assert_int_equal(nearest_distance("abc", "abc"), 0);
    assert_int_equal(nearest_distance("", "abc"), 3);
    assert_int_equal(nearest_distance("kitten", "sitting"), 3);
    assert_int_equal(nearest_distance("paht", "path"), 1);
    assert_int_equal(nearest_distance("exclude", "excludes"), 1);
    char word[65];
    memset(word, 'a', 64);
    word[64] = '\0';
    assert_true(nearest_distance(word, "a") == SIZE_MAX);
}

static const char *suggest(const char *typed)
{
    static const char *const words[] = { "sources", "repository", "compression", "compare", "delta" };
    struct nearest nearest = nearest_to(typed);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        nearest_offer(&nearest, words[i]);
    return nearest.best;
}

static void test_suggestions(void **state)
{
    (void)state;
    assert_string_equal(suggest("source"), "sources");
    assert_string_equal(suggest("Sources"), "sources");
    assert_string_equal(suggest("compresion"), "compression");
    assert_string_equal(suggest("repo"), "repository"); // a beginning
    assert_string_equal(suggest("dleta"), "delta");
    assert_null(suggest("wibble"));
    assert_null(suggest("d"));
    assert_null(suggest(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_distance), cmocka_unit_test(test_suggestions) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
