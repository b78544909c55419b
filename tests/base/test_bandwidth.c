// Rates by the time of day.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bkd/base/bandwidth.h"

#define MIB (UINT64_C(1) << 20)

static struct bandwidth good(const char *text)
{
    struct bandwidth b;
    struct error err;
    if (bandwidth_parse(text, &b, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    return b;
}

static void test_single(void **state)
{
    (void)state;
    struct bandwidth b = good("2MiB/s");
    assert_int_equal(bandwidth_at(&b, 0), 2 * MIB);
    assert_int_equal(bandwidth_at(&b, 1439), 2 * MIB);
    b = good("off");
    assert_int_equal(bandwidth_at(&b, 700), 0);
    b = good("1500KiB/s");
    assert_int_equal(bandwidth_at(&b, 700), 1500 * 1024);
    b = good("1GiB/s");
    assert_int_equal(bandwidth_at(&b, 700), 1024 * MIB);
}

// The last time of the day goes on over midnight.
static void test_table(void **state)
{
    (void)state;
    struct bandwidth b = good("08:00 4MiB/s, 19:00 off");
    assert_int_equal(bandwidth_at(&b, 8 * 60 - 1), 0);
    assert_int_equal(bandwidth_at(&b, 8 * 60), 4 * MIB);
    assert_int_equal(bandwidth_at(&b, 19 * 60 - 1), 4 * MIB);
    assert_int_equal(bandwidth_at(&b, 19 * 60), 0);
    assert_int_equal(bandwidth_at(&b, 1439), 0);
    b = good(" 06:30 1MiB/s ,12:00  8MiB/s,23:59 2MiB/s ");
    assert_int_equal(bandwidth_at(&b, 0), 2 * MIB);
    assert_int_equal(bandwidth_at(&b, 6 * 60 + 30), 1 * MIB);
    assert_int_equal(bandwidth_at(&b, 12 * 60), 8 * MIB);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "2", "2MiB", "2MB/s", "-2MiB/s", "0MiB/s", "1023B/s", "fast", "08:00", "08:00 ", "08:00,", "8:00 4MiB/s", "24:00 4MiB/s", "08:60 4MiB/s", "08:00 4MiB/s,",
        "08:00 4MiB/s, 07:00 off", "08:00 4MiB/s, 08:00 off", "08:00 4MiB/s 19:00 off", "08:00-19:00 4MiB/s", "99999999999999999999MiB/s", "4MiB/s, 19:00 off",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bandwidth b;
        struct error err;
        if (bandwidth_parse(bad[i], &b, &err) != ERROR_USAGE)
            fail_msg("'%s' was accepted", bad[i]);
    }
    char many[1024] = "";
    for (unsigned i = 0; i < BANDWIDTH_STEPS_MAX + 1; i++)
        (void)snprintf(many + strlen(many), sizeof many - strlen(many), "%s%02u:%02u 1MiB/s", i > 0 ? ", " : "", i / 2, i % 2 * 30);
    struct bandwidth b;
    struct error err;
    assert_int_equal(bandwidth_parse(many, &b, &err), ERROR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_single), cmocka_unit_test(test_table), cmocka_unit_test(test_refused) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
