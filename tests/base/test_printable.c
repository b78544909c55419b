// What may go to a terminal as it is, and what may not.
#include "tests/codec/scratch.h"

#include <string.h>

#include "bkd/base/printable.h"

static void check(const char *text, size_t n, const char *wanted)
{
    _cleanup_buf_ struct buf out = { 0 };
    printable_add(&out, text, n);
    assert_string_equal(buf_str(&out), wanted);
}
#define CHECK(text, wanted) check(text, sizeof text - 1, wanted)

static void test_texts(void **state)
{
    (void)state;
    CHECK("", "");
    CHECK("plain \\ text~", "plain \\ text~");
    CHECK("Gr\xc3\xb6\xc3\x9f" "e \xe6\xbc\xa2 \xf0\x9f\x98\x80", "Gr\xc3\xb6\xc3\x9f" "e \xe6\xbc\xa2 \xf0\x9f\x98\x80");
    CHECK("\x1b[31m\r\n\t\0\x7f", "\\x1b[31m\\x0d\\x0a\\x09\\x00\\x7f");
    CHECK("\xc2\x9b" "31m", "\\xc2\\x9b31m");                                    // CSI in one character
    CHECK("a\xe2\x80\xae" "b\xe2\x81\xa6\xd8\x9c", "a\\xe2\\x80\\xaeb\\xe2\\x81\\xa6\\xd8\\x9c"); // right-to-left override and the like
    CHECK("\xe2\x80\xa8", "\\xe2\\x80\\xa8");                                    // line separator
}

static void test_what_is_no_utf8(void **state)
{
    (void)state;
    CHECK("\xff" "a\x80", "\\xffa\\x80");
    CHECK("\xc0\xaf", "\\xc0\\xaf");             // overlong
    CHECK("\xe0\x80\xaf", "\\xe0\\x80\\xaf");
    CHECK("\xed\xa0\x80", "\\xed\\xa0\\x80");    // surrogate
    CHECK("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
    CHECK("\xe6\xbc", "\\xe6\\xbc");             // cut off
    CHECK("\xe6" "a", "\\xe6" "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_texts), cmocka_unit_test(test_what_is_no_utf8) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
