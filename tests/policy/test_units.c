// Values with units: what they mean, and the exact words for what they are not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "bkd/policy/units.h"

typedef int parse_fn(const char *text, uint64_t *ret_value, struct error *err);

static void assert_value(parse_fn *parse, const char *text, uint64_t wanted)
{
    uint64_t value = 0;
    struct error err = { 0 };
    if (parse(text, &value, &err) != 0)
        fail_msg("'%s': %s", text, err.text);
    assert_true(value == wanted);
}

static void assert_refused(parse_fn *parse, const char *text, const char *wanted)
{
    uint64_t value = 77;
    struct error err = { 0 };
    assert_int_equal(parse(text, &value, &err), ERROR_USAGE);
    assert_string_equal(err.text, wanted);
    assert_int_equal(value, 77);
}

static void test_sizes(void **state)
{
    (void)state;
    assert_value(units_parse_size, "0B", 0);
    assert_value(units_parse_size, "1KiB", 1024);
    assert_value(units_parse_size, "512MiB", UINT64_C(512) << 20);
    assert_value(units_parse_size, "3TiB", UINT64_C(3) << 40);
    assert_value(units_parse_size, "9223372036854775807B", INT64_MAX);
    assert_value(units_parse_size, "8388607TiB", UINT64_C(8388607) << 40);
    assert_refused(units_parse_size, "8388608TiB", "'8388608TiB' is too large: a size is at most 8388607TiB");
    assert_refused(units_parse_size, "9223372036854775808B", "'9223372036854775808B' is too large: a size is at most 8388607TiB");
    assert_refused(units_parse_size, "99999999999999999999999B", "'99999999999999999999999B' is too large: a size is at most 8388607TiB");
    assert_refused(units_parse_size, "-1MiB", "'-1MiB': a size cannot be negative");
    assert_refused(units_parse_size, "+1MiB", "'+1MiB': a size has no sign; write '1MiB'");
    assert_refused(units_parse_size, "1.5GiB", "'1.5GiB': a size is a whole number; write '1536MiB'");
    assert_refused(units_parse_size, "0.25TiB", "'0.25TiB': a size is a whole number; write '256GiB'");
    assert_refused(units_parse_size, "1,5GiB", "'1,5GiB': a size is a whole number; write '1536MiB'");
    assert_refused(units_parse_size, "2.0MiB", "'2.0MiB': a size is a whole number; write '2MiB'");
    assert_refused(units_parse_size, "999999.999999TiB", "'999999.999999TiB': a size is a whole number; write it in a smaller unit");
    assert_refused(units_parse_size, "0.1KiB", "'0.1KiB': a size is a whole number; write it in a smaller unit");
    assert_refused(units_parse_size, "1.MiB", "'1.MiB': a size is a whole number with a unit, such as 512MiB");
    assert_refused(units_parse_size, "1.5", "'1.5': a size is a whole number with a unit, such as 512MiB");
    assert_refused(units_parse_size, "1MB", "'1MB': unknown unit 'MB'; did you mean '1MiB'?");
    assert_refused(units_parse_size, "1 MB", "'1 MB': no space before the unit; write '1MiB'");
    assert_refused(units_parse_size, "5x", "'5x': unknown unit 'x'; units are B, KiB, MiB, GiB or TiB");
    assert_refused(units_parse_size, "64", "'64': a size needs a unit: B, KiB, MiB, GiB or TiB");
    assert_refused(units_parse_size, "", "'': a size starts with a number, such as 512MiB");
    assert_refused(units_parse_size, "007B", "'007B': a number has no leading zeros");
    assert_refused(units_parse_size, "0x10B", "'0x10B': unknown unit 'x10B'; units are B, KiB, MiB, GiB or TiB");
    assert_refused(units_parse_size, "1MiB ", "'1MiB ': unknown unit 'MiB '; units are B, KiB, MiB, GiB or TiB");
}

static void test_durations(void **state)
{
    (void)state;
    assert_value(units_parse_duration, "90s", 90);
    assert_value(units_parse_duration, "15min", 900);
    assert_value(units_parse_duration, "24h", 86400);
    assert_value(units_parse_duration, "7d", 604800);
    assert_value(units_parse_duration, "52w", 31449600);
    assert_value(units_parse_duration, "36500d", UINT64_C(3153600000));
    assert_refused(units_parse_duration, "36501d", "'36501d' is too large: a duration is at most 36500d");
    assert_refused(units_parse_duration, "24", "'24': a duration needs a unit: s, min, h, d or w");
    assert_refused(units_parse_duration, "24hours", "'24hours': unknown unit 'hours'; did you mean '24h'?");
    assert_refused(units_parse_duration, "5m", "'5m': unknown unit 'm'; did you mean '5min'?");
    assert_refused(units_parse_duration, "1.5h", "'1.5h': a duration is a whole number; write '90min'");
    assert_refused(units_parse_duration, "-1h", "'-1h': a duration cannot be negative");
    assert_refused(units_parse_duration, "1h30min", "'1h30min': unknown unit 'h30min'; units are s, min, h, d or w");
}

static void test_percents(void **state)
{
    (void)state;
    assert_value(units_parse_percent, "0%", 0);
    assert_value(units_parse_percent, "100%", 100);
    assert_refused(units_parse_percent, "101%", "'101%' is too large: a share is at most 100%");
    assert_refused(units_parse_percent, "50", "'50': a share needs a unit; write '50%'");
    assert_refused(units_parse_percent, "50 %", "'50 %': no space before the unit; write '50%'");
    assert_refused(units_parse_percent, "50percent", "'50percent': unknown unit 'percent'; did you mean '50%'?");
    assert_refused(units_parse_percent, "0.5%", "'0.5%': a share is a whole number");
    assert_refused(units_parse_percent, "-5%", "'-5%': a share cannot be negative");
}

// What is printed is read back as the same value.
static void test_format(void **state)
{
    (void)state;
    static const uint64_t values[] = { 0, 1, 1023, 1024, 1536, 60, 90, 3600, 86400, 604800, UINT64_C(3) << 30, UINT64_C(7) << 40 };
    char text[UNITS_TEXT_MAX];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        units_format_size(text, values[i]);
        assert_value(units_parse_size, text, values[i]);
    }
    for (size_t i = 0; i + 2 < sizeof values / sizeof *values; i++) {
        units_format_duration(text, values[i]);
        assert_value(units_parse_duration, text, values[i]);
    }
    units_format_size(text, UINT64_C(1536) << 20);
    assert_string_equal(text, "1536MiB");
    units_format_duration(text, 86400);
    assert_string_equal(text, "1d");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_sizes), cmocka_unit_test(test_durations), cmocka_unit_test(test_percents),
                                        cmocka_unit_test(test_format) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
