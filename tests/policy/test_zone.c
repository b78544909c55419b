// Time zones: each one of the database against the C library, the rule at a file's end, and files that are no such thing (row C-32).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/policy/civil.h"
#include "bkd/policy/zone.h"
#include "bkd/policy/zone_rule.h"

static unsigned zones, wrong;

// Offsets and abbreviations at odd moments from 1900 to 2500 are those of the C library, and periods end where the offset changes.
static void check_zone(const char *name)
{
    _cleanup_zone_ struct zone *zone = NULL;
    struct error err;
    if (zone_open(io_real(), ZONE_DIRECTORY, name, &zone, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        wrong++;
        return;
    }
    setenv("TZ", name, 1);
    tzset();
    zones++;
    for (int64_t t = -INT64_C(2208988800); t < INT64_C(16725225600); t += 9876543) {
        struct zone_period period;
        time_t time = (time_t)t;
        struct tm tm;
        zone_period_at(zone, t, &period);
        localtime_r(&time, &tm);
        bool inside = period.begin_s <= t && t < period.end_s;
        if ((!inside || period.offset_s != tm.tm_gmtoff || period.dst != (tm.tm_isdst > 0) || strcmp(period.abbreviation, tm.tm_zone) != 0) && wrong++ < 10)
            fprintf(stderr, "%s at %lld: %d %s, not %ld %s\n", name, (long long)t, period.offset_s, period.abbreviation, tm.tm_gmtoff, tm.tm_zone);
    }
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    char magic[4] = "";
    (void)st;
    (void)ftw;
    const char *name = path + strlen(ZONE_DIRECTORY) + 1;
    FILE *file = type == FTW_F ? fopen(path, "rb") : NULL;
    if (!file)
        return 0;
    bool is_zone = fread(magic, 1, 4, file) == 4 && memcmp(magic, "TZif", 4) == 0;
    fclose(file);
    if (is_zone && strncmp(name, "right/", 6) != 0 && strcmp(name, "localtime") != 0)
        check_zone(name);
    return 0;
}

static void test_whole_database(void **state)
{
    (void)state;
    assert_int_equal(nftw(ZONE_DIRECTORY, visit, 16, FTW_PHYS), 0);
    print_message("%u zones\n", zones);
    unsetenv("TZ");
    assert_int_equal(wrong, 0);
    assert_true(zones > 300);
}

static void assert_rule(const char *text, const char *at, int32_t offset_s, const char *begin, const char *end)
{
    struct zone_rule rule;
    struct zone_period period;
    int64_t t;
    char text_begin[CIVIL_TEXT_MAX] = "never", text_end[CIVIL_TEXT_MAX] = "never";
    assert_true(zone_rule_parse(text, strlen(text), &rule));
    assert_true(civil_parse(at, &t));
    zone_rule_period_at(&rule, t, &period);
    assert_int_equal(period.offset_s, offset_s);
    if (period.begin_s != INT64_MIN)
        civil_format(text_begin, period.begin_s, 0);
    if (period.end_s != INT64_MAX)
        civil_format(text_end, period.end_s, 0);
    assert_string_equal(text_begin, begin);
    assert_string_equal(text_end, end);
}

static void test_rules(void **state)
{
    (void)state;
    assert_rule("CET-1CEST,M3.5.0,M10.5.0/3", "2500-07-01T00:00:00Z", 7200, "2500-03-28T01:00:00Z", "2500-10-31T01:00:00Z");
    assert_rule("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2026-01-01T00:00:00Z", 39600, "2025-10-04T15:30:00Z", "2026-04-04T15:00:00Z");
    assert_rule("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-28T23:00:00Z", -7200, "2025-10-26T01:00:00Z", "2026-03-29T01:00:00Z");
    assert_rule("EST5EDT,0/0,J365/25", "2026-12-31T23:00:00Z", -14400, "2026-01-01T05:00:00Z", "2027-01-01T05:00:00Z"); // summer all year
    assert_rule("XXX0YYY,J60,59", "2028-02-29T01:59:59Z", 0, "2028-02-29T01:00:00Z", "2028-03-01T02:00:00Z");
    assert_rule("<+00>0", "2026-12-31T23:00:00Z", 0, "never", "never");
    static const char *const bad[] = { "", "C", "CE-1", "CET", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0",
                                       "CET-1CEST,J0,J5", "CET-1CEST,366,5", "CET-25", "CET-1CEST,M3.5.0/168,M10.5.0", "<CET-1", "CET-1CEST,M3.5.0,M10.5.0x", "CET-1:60", "CET-1CEST,M3.5.0/-,M10.5.0" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct zone_rule rule;
        if (zone_rule_parse(bad[i], strlen(bad[i]), &rule))
            fail_msg("%s", bad[i]);
    }
}

static void test_names(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "/etc/passwd", "../../etc/passwd", "Europe/../UTC", "Europe//Berlin", "Europe/Berln", "Europe", "tab\tle", "zone.tab" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err;
        assert_int_equal(zone_check(bad[i], &err), ERROR_USAGE);
        assert_true(err.text[0] != '\0');
    }
}

static void test_damage(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf bytes = { 0 };
    struct error err;
    assert_int_equal(fs_read_file(io_real(), AT_FDCWD, ZONE_DIRECTORY "/Europe/Berlin", ZONE_FILE_MAX, &bytes, &err), 0);
    for (size_t n = 0; n < bytes.len; n++) { // cut off anywhere
        struct zone *zone = NULL;
        assert_int_equal(zone_parse("cut", bytes.data, n, &zone, &err), ERROR_FORMAT);
        assert_null(zone);
    }
    bytes.data[4] = 0;
    struct zone *zone = NULL;
    assert_int_equal(zone_parse("old", bytes.data, bytes.len, &zone, &err), ERROR_FORMAT);
    assert_non_null(strstr(err.text, "2038"));
}

static void test_leap_seconds_are_refused(void **state)
{
    (void)state;
    struct zone *zone = NULL;
    struct error err;
    if (access(ZONE_DIRECTORY "/right/UTC", R_OK) != 0)
        skip();
    assert_int_equal(zone_open(io_real(), ZONE_DIRECTORY, "right/UTC", &zone, &err), ERROR_FORMAT);
    assert_non_null(strstr(err.text, "leap seconds"));
}

// What the host's zone is when its file is a link, a copy, missing, or nonsense.
static void test_host(void **state)
{
    (void)state;
    char directory[] = "/tmp/bkd-zone.XXXXXX";
    struct error err;
    struct zone *zone = NULL;
    assert_non_null(mkdtemp(directory));
    _cleanup_free_ char *file = xasprintf("%s/localtime", directory);
    assert_int_equal(zone_open_host(io_real(), file, &zone, &err), 0);
    assert_string_equal(zone_name(zone), "UTC");
    zone_free(&zone);
    assert_int_equal(symlink(ZONE_DIRECTORY "/Europe/Berlin", file), 0);
    assert_int_equal(zone_open_host(io_real(), file, &zone, &err), 0);
    assert_string_equal(zone_name(zone), "Europe/Berlin");
    zone_free(&zone);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(symlink("/nowhere/zoneinfo/Europe/Berlin", file), 0);
    assert_int_not_equal(zone_open_host(io_real(), file, &zone, &err), 0); // never silently UTC
    assert_int_equal(unlink(file), 0);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fputs("Europe/Berlin\n", f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(zone_open_host(io_real(), file, &zone, &err), ERROR_FORMAT);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_database), cmocka_unit_test(test_rules), cmocka_unit_test(test_names), cmocka_unit_test(test_damage), cmocka_unit_test(test_leap_seconds_are_refused), cmocka_unit_test(test_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
