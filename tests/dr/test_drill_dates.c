// When drills are due: known dates, and random ones against a list of all dates.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bkd/dr/drill_dates.h"
#include "bkd/policy/civil.h"
#include "bkd/policy/recovery.h"

#define NONE INT64_MIN
#define DAY_S INT64_C(86400)

static void open_times(char *expression, const char *timezone, struct schedule *ret_schedule)
{
    char *items[] = { expression, NULL };
    const struct policy_list list = { .items = items, .count = 1 };
    struct error err;
    assert_int_equal(schedule_open(io_real(), &list, timezone, ret_schedule, &err), 0);
}

static int64_t at(const char *text)
{
    int64_t s;
    assert_true(civil_parse(text, &s));
    return s;
}

static void test_quarterly(void **state)
{
    (void)state;
    _cleanup_schedule_ struct schedule quarterly = { 0 };
    open_times((char *)RECOVERY_DRILL_SCHEDULE, "UTC", &quarterly);
    int64_t since = at("2026-11-01T00:00:00Z"), first = at("2027-01-12T10:00:00Z"), second = at("2027-04-13T10:00:00Z"), weeks = 14 * DAY_S;
    struct drill_dates d = drill_dates_of(&quarterly, since, NONE, (uint64_t)weeks, first - weeks - 1);
    assert_int_equal(d.due_s, first);
    assert_false(d.is_near || d.is_overdue);
    d = drill_dates_of(&quarterly, since, NONE, (uint64_t)weeks, first - weeks);
    assert_true(d.is_near && !d.is_overdue);
    assert_false(drill_dates_of(&quarterly, since, NONE, 0, first - 1).is_near); // nobody is told
    d = drill_dates_of(&quarterly, since, NONE, (uint64_t)weeks, first + DRILL_DATES_GRACE_S);
    assert_false(d.is_near || d.is_overdue);
    assert_true(drill_dates_of(&quarterly, since, NONE, (uint64_t)weeks, first + DRILL_DATES_GRACE_S + 1).is_overdue);
    // Held a week early, or a month late: for this date, and no other.
    assert_int_equal(drill_dates_of(&quarterly, since, first - 7 * DAY_S, (uint64_t)weeks, first).due_s, second);
    assert_int_equal(drill_dates_of(&quarterly, since, first + 30 * DAY_S, (uint64_t)weeks, second).due_s, second);
    assert_int_equal(drill_dates_of(&quarterly, since, second - 30 * DAY_S, (uint64_t)weeks, second).due_s, at("2027-07-13T10:00:00Z"));
    // A drill from long before, of another schedule, does for none of these.
    assert_int_equal(drill_dates_of(&quarterly, since, since - 400 * DAY_S, (uint64_t)weeks, since).due_s, first);
}

static void test_a_last_date(void **state)
{
    (void)state;
    _cleanup_schedule_ struct schedule once = { 0 };
    open_times((char *)"2027-03-01 09:00", "UTC", &once);
    int64_t date = at("2027-03-01T09:00:00Z");
    assert_int_equal(drill_dates_of(&once, date - DAY_S, NONE, 1, date).due_s, date);
    struct drill_dates d = drill_dates_of(&once, date - DAY_S, date + 60, 1, date + 1000 * DAY_S);
    assert_true(d.due_s == CALENDAR_NEVER && !d.is_near && !d.is_overdue);
    assert_true(drill_dates_of(&once, date, NONE, 1, date + 1000 * DAY_S).due_s == CALENDAR_NEVER);
}

static void test_text(void **state)
{
    (void)state;
    _cleanup_schedule_ struct schedule quarterly = { 0 };
    char text[DRILL_DATES_TEXT_MAX];
    open_times((char *)RECOVERY_DRILL_SCHEDULE, "Europe/Berlin", &quarterly);
    drill_dates_format(&quarterly, schedule_next(&quarterly, at("2027-04-01T00:00:00Z")), text);
    assert_string_equal(text, "Tue 2027-04-13 10:00 CEST");
}

// The list of all dates is the oracle: a drill does for the nearest one.
static int64_t expected_due(const int64_t *dates, size_t n, int64_t since, int64_t last)
{
    size_t nearest = 0, i = 0;
    while (i < n && dates[i] <= since)
        i++;
    for (size_t k = 1; k < n && last != NONE; k++)
        if (llabs((long long)(dates[k] - last)) <= llabs((long long)(dates[nearest] - last)))
            nearest = k;
    return last != NONE && nearest + 1 > i ? dates[nearest + 1] : dates[i];
}

static void test_random_dates(void **state)
{
    enum { DATES = 80 };
    static const char *const expressions[] = { RECOVERY_DRILL_SCHEDULE, "monthly", "Fri *-*-1..7 09:30", "0 8 1 */2 *" };
    int64_t dates[DATES], start = at("2020-01-01T00:00:00Z");
    (void)state;
    srand48(6);
    for (size_t e = 0; e < 4; e++) {
        _cleanup_schedule_ struct schedule schedule = { 0 };
        open_times((char *)expressions[e], "Europe/Berlin", &schedule);
        for (size_t i = 0; i < DATES; i++)
            dates[i] = schedule_next(&schedule, i == 0 ? start : dates[i - 1]);
        int64_t span = dates[DATES - 4] - dates[3];
        for (int round = 0; round < 500; round++) {
            int64_t since = dates[3] + (int64_t)(drand48() * (double)span), last = round % 10 == 0 ? NONE : dates[3] + (int64_t)(drand48() * (double)span);
            int64_t now = since + (int64_t)(drand48() * (double)span), announce = (int64_t)(drand48() * 30 * DAY_S) + 1;
            struct drill_dates d = drill_dates_of(&schedule, since, last, (uint64_t)announce, now);
            assert_int_equal(d.due_s, expected_due(dates, DATES, since, last));
            assert_int_equal(d.is_near, now < d.due_s && now + announce >= d.due_s);
            assert_int_equal(d.is_overdue, now > d.due_s + DRILL_DATES_GRACE_S);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quarterly),
        cmocka_unit_test(test_a_last_date),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_random_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
