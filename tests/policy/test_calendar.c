// Calendars: what expressions mean, where the clocks change (row C-34), at the ends of time (C-33), and what is no expression (B-02).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bkd/base/buf.h"
#include "bkd/policy/calendar.h"
#include "bkd/policy/civil.h"
#include "bkd/policy/schedule.h"

static struct calendar parse(const char *text)
{
    struct calendar calendar = { 0 };
    struct calendar_mistake mistake;
    struct error err;
    if (calendar_parse(text, &calendar, &mistake, &err) < 0)
        fail_msg("'%s': %s", text, err.text);
    return calendar;
}

// The slots after a moment, as text with one blank between.
static void assert_slots(const char *expression, const char *zone_name_text, const char *after, const char *wanted)
{
    _cleanup_zone_ struct zone *zone = NULL;
    _cleanup_buf_ struct buf said = { 0 };
    struct calendar calendar = parse(expression);
    struct error err;
    int64_t at;
    static const char *const notes[] = { "", "(gap)", "(first)", "(second)" };
    assert_int_equal(zone_open(io_real(), ZONE_DIRECTORY, zone_name_text, &zone, &err), 0);
    assert_true(civil_parse(after, &at));
    for (const char *s = wanted; *s; s += strcspn(s, " "), s += *s == ' ') {
        char text[CIVIL_TEXT_MAX];
        at = calendar_next(&calendar, zone, at);
        if (at == CALENDAR_NEVER) {
            buf_addf(&said, "%snever", said.len ? " " : "");
            break;
        }
        civil_format(text, at, 0);
        buf_addf(&said, "%s%s%s", said.len ? " " : "", text, notes[calendar_note(&calendar, zone, at)]);
    }
    assert_string_equal(buf_str(&said), wanted);
}

static void test_cron(void **state)
{
    (void)state;
    assert_slots("30 1 * * *", "UTC", "2026-11-25T01:30:00Z", "2026-11-26T01:30:00Z 2026-11-27T01:30:00Z");
    assert_slots("  05\t01 * * * ", "UTC", "2026-11-25T00:00:00Z", "2026-11-25T01:05:00Z");
    assert_slots("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z 2032-02-29T00:00:00Z");
    assert_slots("0 12 13 * fri", "UTC", "2026-11-01T00:00:00Z", "2026-11-06T12:00:00Z 2026-11-13T12:00:00Z 2026-11-20T12:00:00Z 2026-11-27T12:00:00Z 2026-12-04T12:00:00Z "
                                                                 "2026-12-11T12:00:00Z 2026-12-13T12:00:00Z");
    assert_slots("0 12 */13 * fri", "UTC", "2026-11-01T00:00:00Z", "2026-11-27T12:00:00Z 2027-01-01T12:00:00Z"); // an asterisk: both must hold
    assert_slots("0 0 * * 7", "UTC", "2026-11-25T00:00:00Z", "2026-11-29T00:00:00Z 2026-12-06T00:00:00Z");
    assert_slots("0 0 1 JAN,jul *", "UTC", "2026-11-25T00:00:00Z", "2027-01-01T00:00:00Z 2027-07-01T00:00:00Z");
    assert_slots("59 23 31 12 *", "UTC", "2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z");
    assert_slots("@weekly", "UTC", "2026-11-25T00:00:00Z", "2026-11-29T00:00:00Z");
    assert_slots("@hourly", "UTC", "2026-11-25T00:00:00Z", "2026-11-25T01:00:00Z 2026-11-25T02:00:00Z");
}

static void test_oncalendar(void **state)
{
    (void)state;
    assert_slots("daily", "UTC", "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z");
    assert_slots("weekly", "UTC", "2026-11-25T00:00:00Z", "2026-11-30T00:00:00Z");
    assert_slots("quarterly", "UTC", "2026-11-25T00:00:00Z", "2027-01-01T00:00:00Z 2027-04-01T00:00:00Z");
    assert_slots("Mon..Fri 01:30", "UTC", "2026-11-27T12:00:00Z", "2026-11-30T01:30:00Z");
    assert_slots("Sat,Sun *-*-1..7 18:00", "UTC", "2026-11-25T00:00:00Z", "2026-12-05T18:00:00Z 2026-12-06T18:00:00Z 2027-01-02T18:00:00Z");
    assert_slots("*-*~1 22:00", "UTC", "2027-02-01T00:00:00Z", "2027-02-28T22:00:00Z 2027-03-31T22:00:00Z");
    assert_slots("Mon *-05~07/1", "UTC", "2026-01-01T00:00:00Z", "2026-05-25T00:00:00Z 2027-05-31T00:00:00Z");
    assert_slots("*:0/20:30", "UTC", "2026-11-25T00:00:00Z", "2026-11-25T00:00:30Z 2026-11-25T00:20:30Z 2026-11-25T00:40:30Z 2026-11-25T01:00:30Z");
    assert_slots("2027-12-24 18:00", "UTC", "2026-11-25T00:00:00Z", "2027-12-24T18:00:00Z never");
    assert_slots("27..30/2-6-1", "UTC", "2026-11-25T00:00:00Z", "2027-06-01T00:00:00Z 2029-06-01T00:00:00Z never");
    assert_string_equal(parse("Mon 02:00 Europe/Berlin").zone, "Europe/Berlin");
    assert_slots("2020-01-01", "UTC", "2026-11-25T00:00:00Z", "never"); // has been: no mistake, or each single time would become one
}

static void test_clock_changes(void **state)
{
    (void)state;
    assert_slots("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", "2026-03-28T01:30:00Z 2026-03-29T01:00:00Z(gap) 2026-03-30T00:30:00Z");
    assert_slots("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-24T00:30:00Z 2026-10-25T00:30:00Z(first) 2026-10-26T01:30:00Z");
    assert_slots("30 * * * *", "Europe/Berlin", "2026-10-24T23:40:00Z", "2026-10-25T00:30:00Z(first) 2026-10-25T01:30:00Z(second) 2026-10-25T02:30:00Z");
    assert_slots("02:30", "Europe/Berlin", "2026-03-28T02:00:00Z", "2026-03-29T01:00:00Z(gap) 2026-03-30T00:30:00Z"); // where systemd would leave it out
    assert_slots("0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z(gap) 2026-03-30T00:00:00Z");
    assert_slots("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T20:00:00Z", "2026-10-03T15:30:00Z(gap) 2026-10-04T15:15:00Z"); // half an hour
    assert_slots("45 1 * * *", "Australia/Lord_Howe", "2026-04-03T20:00:00Z", "2026-04-04T14:45:00Z(first) 2026-04-05T15:15:00Z");
    assert_slots("0 2 * * *", "Antarctica/Troll", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z(gap) 2026-03-30T00:00:00Z"); // two hours
    assert_slots("30 1 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2011-12-29T11:30:00Z 2011-12-30T11:30:00Z"); // 30 December was no day there
    assert_slots("30 2 * * *", "Africa/Casablanca", "2026-02-14T12:00:00Z", "2026-02-15T01:30:00Z(first) 2026-02-16T02:30:00Z"); // Ramadan begins
    assert_slots("30 2 * * *", "Africa/Casablanca", "2026-03-21T12:00:00Z", "2026-03-22T02:00:00Z(gap) 2026-03-23T01:30:00Z");   // and ends
    assert_slots("0 0 * * *", "Africa/Cairo", "2026-04-22T23:00:00Z", "2026-04-23T22:00:00Z(gap) 2026-04-24T21:00:00Z"); // at midnight
}

// Row C-33.
static void test_ends_of_time(void **state)
{
    (void)state;
    assert_slots("14 3 19 1 *", "UTC", "2038-01-01T00:00:00Z", "2038-01-19T03:14:00Z 2039-01-19T03:14:00Z");
    assert_slots("28 6 7 2 *", "UTC", "2106-01-01T00:00:00Z", "2106-02-07T06:28:00Z");
    assert_slots("30 2 * * *", "Europe/Berlin", "2106-03-27T12:00:00Z", "2106-03-28T01:00:00Z(gap) 2106-03-29T00:30:00Z");
    assert_slots("59 23 31 12 *", "UTC", "9998-12-31T23:58:00Z", "9998-12-31T23:59:00Z 9999-12-31T23:59:00Z never");
    assert_slots("0 0 29 2 *", "America/New_York", "9996-03-01T12:00:00Z", "never");
    assert_slots("* * * * *", "America/New_York", "9999-12-31T23:58:00Z", "9999-12-31T23:59:00Z never");
    assert_slots("0 0 1 1 *", "UTC", "0001-01-01T00:00:00Z", "0002-01-01T00:00:00Z");
    assert_slots("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"); // 2100 has none
}

static void assert_refused(const char *text, const char *wanted, const char *part, const char *hint)
{
    struct calendar calendar = { .minutes = 77 };
    struct calendar_mistake mistake;
    struct error err;
    assert_int_equal(calendar_parse(text, &calendar, &mistake, &err), ERROR_USAGE);
    assert_string_equal(err.text, wanted);
    assert_true(mistake.offset + mistake.length <= strlen(text) + 1);
    assert_int_equal(mistake.length, strlen(part));
    assert_memory_equal(text + mistake.offset, part, strlen(part));
    assert_string_equal(mistake.hint, hint);
    assert_int_equal(calendar.minutes, 77);
}

static void test_mistakes(void **state)
{
    (void)state;
    assert_refused("60 * * * *", "'60' is no minute: they go from 0 to 59", "60", "");
    assert_refused("0 24 * * *", "'24' is no hour: they go from 0 to 23", "24", "");
    assert_refused("* * 31 2 *", "this never happens: no month that it names has such a day", "* * 31 2 *", "");
    assert_refused("0 0 31 4,6,9,11 *", "this never happens: no month that it names has such a day", "0 0 31 4,6,9,11 *", "");
    assert_refused("*/0 * * * *", "a step of 0 never gets on", "/0", "");
    assert_refused("5-1 * * * *", "this range goes backwards", "5-1", "write 5-59,0-1");
    assert_refused("1 2 3 4", "a cron expression has 5 fields, this one has 4", "1 2 3 4", "they are minute, hour, day of the month, month, day of the week");
    assert_refused("@reboot", "@reboot is no time, and not for backups", "@reboot", "'catch_up: once' makes up for what was missed while the host was off");
    assert_refused("18446744073709551617 * * * *", "'18446744073709551617' is no minute: they go from 0 to 59", "18446744073709551617", "");
    assert_refused("*:0/90", "this repetition goes beyond its range before it comes again", "0/90", "");
    assert_refused("2300-01-01", "'2300' is no year: they go from 1970 to 2199", "2300", "");
    struct buf longer = { 0 };
    struct calendar calendar;
    struct calendar_mistake mistake;
    struct error err;
    for (unsigned i = 0; i <= CALENDAR_TEXT_MAX; i++)
        buf_add_char(&longer, '1');
    assert_int_equal(calendar_parse(buf_str(&longer), &calendar, &mistake, &err), ERROR_USAGE);
    buf_done(&longer);
}

// Dates against the C library's.
static void test_civil(void **state)
{
    (void)state;
    for (int64_t t = -INT64_C(62135596800); t < CIVIL_END; t += INT64_C(86400) * 17 + 4567) {
        struct civil c = civil_of(t);
        time_t time = (time_t)t;
        struct tm tm;
        gmtime_r(&time, &tm);
        assert_true(c.year == tm.tm_year + 1900 && (int)c.month == tm.tm_mon + 1 && (int)c.day == tm.tm_mday && (int)c.hour == tm.tm_hour && (int)c.minute == tm.tm_min &&
                    (int)c.second == tm.tm_sec);
        assert_true(civil_seconds(&c) == t);
        assert_int_equal(civil_weekday(civil_days(c.year, c.month, c.day)), tm.tm_wday);
        char text[CIVIL_TEXT_MAX];
        int64_t again;
        civil_format(text, t, 5400);
        assert_true(civil_parse(text, &again) && again == t);
    }
}

static void test_rfc3339(void **state)
{
    (void)state;
    static const char *const wrong[] = { "", "2026", "2026-03-28", "2026-03-28T00:00:00", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-03-28T24:00:00Z",
                                         "2026-03-28T00:00:00+1", "2026-03-28T00:00:00+01:60", "2026-03-28T00:00:00Zx", "2026-3-28T00:00:00Z", "2026-03-28T00:00:00.Z", "yesterday",
                                         "0000-01-01T00:00:00Z", "+2026-03-28T00:00:00Z" };
    int64_t t = 0;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (civil_parse(wrong[i], &t))
            fail_msg("%s", wrong[i]);
    assert_true(civil_parse("2026-03-28T01:00:00+01:00", &t) && t == 1774656000);
    assert_true(civil_parse("2026-03-27t19:30:00.123456-04:30", &t) && t == 1774656000);
    assert_true(civil_parse("2016-12-31T23:59:60Z", &t) && t == 1483228799);
}

static void test_newest(void **state)
{
    (void)state;
    char *items[] = { (char *)"*/10 * * * *", (char *)"5 1 1 1 *", NULL };
    struct policy_list list = { .items = items, .count = 2 };
    _cleanup_schedule_ struct schedule schedule = { 0 };
    struct error err;
    assert_int_equal(schedule_open(io_real(), &list, "UTC", &schedule, &err), 0);
    const int64_t start = 1767225600; // 2026-01-01T00:00:00Z
    assert_true(schedule_newest(&schedule, start, start) == CALENDAR_NEVER);
    assert_true(schedule_newest(&schedule, start, start + 599) == CALENDAR_NEVER);
    assert_true(schedule_newest(&schedule, start, start + 600) == start + 600);
    assert_true(schedule_newest(&schedule, start, start + 3900) == start + 3900);
    assert_true(schedule_newest(&schedule, start, start + INT64_C(3000000000) + 7) == (start + INT64_C(3000000000) + 7) / 600 * 600);
    assert_ptr_equal(schedule_item_of(&schedule, start + 3900), &schedule.items[1]);
    assert_null(schedule_item_of(&schedule, start + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cron),     cmocka_unit_test(test_oncalendar), cmocka_unit_test(test_clock_changes), cmocka_unit_test(test_ends_of_time),
        cmocka_unit_test(test_mistakes), cmocka_unit_test(test_civil),      cmocka_unit_test(test_rfc3339),       cmocka_unit_test(test_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
