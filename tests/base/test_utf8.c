// Characters of UTF-8, and bytes that look like some.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "bkd/base/utf8.h"

static void assert_character(const char *bytes, size_t n, size_t length, uint32_t wanted)
{
    uint32_t seen = 99;
    assert_int_equal(utf8_decode((const uint8_t *)bytes, n, &seen), length);
    assert_int_equal(seen, wanted);
}

static void test_characters(void **state)
{
    (void)state;
    assert_character("a", 1, 1, 'a');
    assert_character("", 1, 1, 0);
    assert_character("\xc2\x80", 2, 2, 0x80);
    assert_character("\xdf\xbf", 2, 2, 0x7ff);
    assert_character("\xe0\xa0\x80", 3, 3, 0x800);
    assert_character("\xe6\x81\xa2 and more", 10, 3, 0x6062);
    assert_character("\xef\xbf\xbf", 3, 3, 0xffff);
    assert_character("\xf0\x90\x80\x80", 4, 4, 0x10000);
    assert_character("\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff);
    assert_int_equal(utf8_decode((const uint8_t *)"\xc3\xa4", 2, NULL), 2);
}

static void test_none(void **state)
{
    // A continuation alone, overlong forms, surrogates, beyond the last character, bytes that never occur, and a byte that does not continue.
    static const char *const none[] = { "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf4\x90\x80\x80",
                                        "\xf5\x80\x80\x80", "\xff", "\xe6\x81 ", "\xc3\x61" };
    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_character(none[i], strlen(none[i]), 0, 99);
    assert_character("\xe6\x81\xa2", 2, 0, 99); // cut off
    assert_character("\xf0\x90\x80\x80", 1, 0, 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
