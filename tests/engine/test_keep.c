// Which snapshots stay: each rule against a slow definition of it, what never goes, and times that were made up.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bkd/base/buf.h"
#include "bkd/engine/keep.h"

#define SECOND UINT64_C(1000000000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define NOW (UINT64_C(1795000000) * SECOND) // 2026-11-18T11:06:40Z

static const struct keep_clock at_now = { .now_ns = NOW };

static struct keep_snapshot *make(size_t n, uint64_t newest, uint64_t step)
{
    struct keep_snapshot *s = xcalloc(n + 1, sizeof *s);
    for (size_t i = 0; i < n; i++)
        s[i] = (struct keep_snapshot){ .number = i + 1, .time_ns = newest - (n - 1 - i) * step, .complete = true };
    return s;
}

static struct keep_result decide(const struct keep_rules *rules, struct keep_snapshot *s, size_t n)
{
    struct keep_result result;
    keep_decide(rules, &at_now, s, n, &result);
    assert_int_equal(result.kept + result.going, n);
    return result;
}

// ---- tables

static void test_nothing_configured(void **state)
{
    (void)state;
    struct keep_snapshot *s = make(1000, NOW, HOUR);
    struct keep_result result = decide(&(struct keep_rules){ 0 }, s, 1000);
    assert_int_equal(result.kept, 1000);
    assert_int_equal(s[3].reasons, KEEP_ALL);
    free(s);
    decide(&(struct keep_rules){ .last = 1 }, NULL, 0);
}

static void test_each_rule(void **state)
{
    static const struct { struct keep_rules rules; unsigned reason; const char *kept; } rows[] = {
        // Snapshots 1 … 12 at noon of 2026-11-07 … 2026-11-18 (a Wednesday).
        { { .last = 3 }, KEEP_LAST, "10 11 12" },
        { { .daily = 2 }, KEEP_DAILY, "11 12" },
        { { .weekly = 2 }, KEEP_WEEKLY, "9 12" }, // Sundays the 8th and 15th
        { { .weekly = 3 }, KEEP_WEEKLY, "2 9 12" },
        { { .monthly = 5 }, KEEP_MONTHLY, "12" },
        { { .quarterly = 1 }, KEEP_QUARTERLY, "12" },
        { { .yearly = 1 }, KEEP_YEARLY, "12" },
        { { .hourly = 4 }, KEEP_HOURLY, "9 10 11 12" },
        { { .within_s = 2 * 86400 }, KEEP_WITHIN, "10 11 12" },
    };
    (void)state;
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        struct keep_snapshot *s = make(12, NOW, DAY);
        struct buf kept = { 0 };
        decide(&rows[k].rules, s, 12);
        for (size_t i = 0; i < 12; i++)
            if ((s[i].reasons & rows[k].reason) != 0)
                buf_addf(&kept, "%s%zu", kept.len > 0 ? " " : "", i + 1);
        assert_string_equal(buf_str(&kept), rows[k].kept);
        buf_done(&kept);
        free(s);
    }
}

static void test_what_never_goes(void **state)
{
    (void)state;
    struct keep_snapshot *s = make(10, NOW, DAY);
    s[9].complete = s[8].complete = false;
    s[1].held = true;
    s[3].verified = s[2].verified = true;
    struct keep_result result = decide(&(struct keep_rules){ .last = 1 }, s, 10);
    assert_int_equal(s[9].reasons, KEEP_NEWEST | KEEP_LAST);
    assert_int_equal(s[8].reasons, 0);
    assert_int_equal(s[7].reasons, KEEP_NEWEST_COMPLETE);
    assert_int_equal(s[3].reasons, KEEP_LAST_VERIFIED);
    assert_int_equal(s[2].reasons, 0);
    assert_int_equal(s[1].reasons, KEEP_HELD);
    assert_int_equal(result.going, 6);
    s[5].suspect = s[6].suspect = true;
    result = decide(&(struct keep_rules){ .last = 1 }, s, 10);
    assert_int_equal(result.going, 0);
    assert_int_equal(result.frozen_by, 6);
    assert_int_equal(s[0].reasons, KEEP_FROZEN);
    free(s);
}

// Of a day it is the newest complete one, where there is one.
static void test_incomplete(void **state)
{
    (void)state;
    struct keep_snapshot *s = make(6, NOW, HOUR);
    s[5].complete = s[4].complete = false;
    decide(&(struct keep_rules){ .daily = 1 }, s, 6);
    assert_int_equal(s[3].reasons, KEEP_DAILY | KEEP_NEWEST_COMPLETE);
    assert_int_equal(s[5].reasons, KEEP_NEWEST);
    for (size_t i = 0; i < 6; i++)
        s[i].complete = false;
    decide(&(struct keep_rules){ .daily = 1 }, s, 6);
    assert_int_equal(s[5].reasons, KEEP_DAILY | KEEP_NEWEST);
    free(s);
}

static int64_t berlin(const void *arg, int64_t utc_s)
{
    (void)arg;
    return utc_s >= 1792890000 ? 3600 : 7200; // from 2026-10-25T01:00:00Z on
}

// 23:30 UTC is the next day in Berlin.
static void test_zone(void **state)
{
    (void)state;
    const struct keep_clock clock = { .now_ns = NOW, .offset_s = berlin };
    struct keep_result result;
    struct keep_snapshot s[3] = { { .number = 1, .time_ns = UINT64_C(1794906000) * SECOND, .complete = true }, // 2026-11-17T09:00Z
                                  { .number = 2, .time_ns = UINT64_C(1794958200) * SECOND, .complete = true },         // 2026-11-17T23:30Z
                                  { .number = 3, .time_ns = NOW, .complete = true } };
    keep_decide(&(struct keep_rules){ .daily = 9 }, &clock, s, 3, &result);
    assert_int_equal(s[0].reasons, KEEP_DAILY);
    assert_int_equal(s[1].reasons, 0);
    keep_decide(&(struct keep_rules){ .daily = 9 }, &at_now, s, 3, &result);
    assert_int_equal(s[0].reasons, 0);
    assert_int_equal(s[1].reasons, KEEP_DAILY);
}

// ---- times that are wrong (C-30) or made up (S-24)

static void test_clock_was_wrong_once(void **state)
{
    static const int64_t wrong[] = { -3600, -86400, -(int64_t)40 * 365 * 86400, (int64_t)10 * 365 * 86400, 30 * 86400 };
    (void)state;
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        struct keep_snapshot *s = make(60, NOW - DAY, DAY);
        s[30].time_ns += (uint64_t)wrong[k] * SECOND;
        struct keep_result result = decide(&(struct keep_rules){ .daily = 60 }, s, 60);
        assert_int_equal(result.going, k == 1 ? 1 : 0); // none of its neighbours is pushed into another's day; a day back it claims to be of the same as one
        for (size_t i = 1; i < 60; i++)
            assert_true(s[i].effective_ns >= s[i - 1].effective_ns && s[i].effective_ns <= NOW);
        assert_int_equal(result.doubtful, k < 2 ? 0 : 1);
        free(s);
    }
}

// A month of nights, then a flood by whoever has broken in, with whatever times: none of the month goes that would have stayed without it.
static void test_flood(void **state)
{
    const struct keep_rules rules = { .last = 5, .hourly = 10, .daily = 14, .weekly = 8, .monthly = 6 };
    (void)state;
    for (unsigned seed = 0; seed < 400; seed++) {
        srand(seed);
        size_t month = 30, flood = 25 + (size_t)(rand() % 300), n = month + flood;
        struct keep_snapshot *s = make(n, NOW, SECOND), *alone = make(month, NOW - DAY, DAY);
        memcpy(s, alone, month * sizeof *s);
        uint64_t at = NOW - (uint64_t)(rand() % 80) * DAY, step = seed % 4 == 0 ? 0 : (uint64_t)(rand() % 100000) * SECOND;
        for (size_t i = month; i < n; i++, at += step)
            s[i].time_ns = seed % 4 == 1 ? NOW - (uint64_t)(rand() % 90) * DAY : seed % 4 == 2 ? NOW - HOUR / 2 + i * SECOND : at;
        decide(&rules, alone, month);
        decide(&rules, s, n);
        size_t lost = 0;
        for (size_t i = 0; i < month; i++)
            lost += alone[i].reasons != 0 && s[i].reasons == 0;
        assert_true(lost <= 2); // the day since the last night is the flood's in any case: it may use up a place in each period
        free(alone);
        free(s);
    }
}

// With times of receipt a claim cannot be later, and those that contradict are in doubt.
static void test_receipts(void **state)
{
    (void)state;
    struct keep_snapshot *s = make(20, NOW, DAY);
    for (size_t i = 0; i < 20; i++)
        s[i].received_ns = s[i].time_ns + HOUR;
    s[5].time_ns += 12 * DAY;
    struct keep_result result = decide(&(struct keep_rules){ .daily = 3 }, s, 20);
    assert_int_equal(result.doubtful, 1);
    assert_true(s[5].reasons == KEEP_DOUBT && s[5].effective_ns <= s[5].received_ns);
    assert_int_equal(result.kept, 4);
    free(s);
}

static void test_burst(void **state)
{
    (void)state;
    struct keep_snapshot *s = make(140, NOW, SECOND);
    for (size_t i = 0; i < 100; i++)
        s[i].time_ns = NOW - (101 - i) * DAY;
    struct keep_result result = decide(&(struct keep_rules){ .last = 7 }, s, 140);
    assert_int_equal(result.burst, 40);
    assert_int_equal(result.kept, 14); // seven of before, too
    assert_int_equal(s[93].reasons, KEEP_LAST);
    free(s);
    s = make(500, NOW, 2 * 60 * SECOND); // every two minutes is a habit
    result = decide(&(struct keep_rules){ .last = 7 }, s, 500);
    assert_int_equal(result.burst, 0);
    assert_int_equal(result.kept, 7);
    free(s);
}

// ---- against a slow definition

static void period_name(unsigned rule, uint64_t time_ns, char ret_name[40])
{
    struct tm t;
    time_t seconds = (time_t)(time_ns / SECOND);
    assert_non_null(gmtime_r(&seconds, &t));
    switch (rule) {
    case KEEP_HOURLY: assert_true(strftime(ret_name, 40, "%Y-%m-%d %H", &t) > 0); break;
    case KEEP_DAILY: assert_true(strftime(ret_name, 40, "%Y-%m-%d", &t) > 0); break;
    case KEEP_WEEKLY: assert_true(strftime(ret_name, 40, "%G-W%V", &t) > 0); break;
    case KEEP_YEARLY: assert_true(strftime(ret_name, 40, "%Y", &t) > 0); break;
    default: assert_true(strftime(ret_name, 40, "%Y-%m", &t) > 0);
    }
    if (rule == KEEP_QUARTERLY) {
        ret_name[5] = (char)('0' + t.tm_mon / 3);
        ret_name[6] = '\0';
    }
}

// The newest complete of its period (else the newest), and fewer than `count` later periods have any.
static bool oracle(unsigned rule, uint64_t count, const struct keep_snapshot *s, size_t n, size_t i)
{
    char mine[40], other[40], last[40] = "";
    period_name(rule, s[i].effective_ns, mine);
    uint64_t later = 0;
    for (size_t k = i + 1; k < n; k++) {
        period_name(rule, s[k].effective_ns, other);
        if (strcmp(other, mine) == 0 && (s[k].complete || !s[i].complete))
            return false;
        later += strcmp(other, mine) != 0 && strcmp(other, last) != 0;
        memcpy(last, other, sizeof last);
    }
    for (size_t k = 0; k < i && !s[i].complete; k++) {
        period_name(rule, s[k].effective_ns, other);
        if (strcmp(other, mine) == 0 && s[k].complete)
            return false;
    }
    return later < count;
}

static void test_oracle(void **state)
{
    static const unsigned rules[] = { KEEP_HOURLY, KEEP_DAILY, KEEP_WEEKLY, KEEP_MONTHLY, KEEP_QUARTERLY, KEEP_YEARLY };
    (void)state;
    for (unsigned seed = 0; seed < 300; seed++) {
        srand(seed);
        size_t n = 1 + (size_t)(rand() % 80);
        struct keep_snapshot *s = make(n, NOW, 0);
        uint64_t at = NOW, step = (seed % 3 == 0 ? HOUR / 2 : seed % 3 == 1 ? DAY : 20 * DAY);
        for (size_t i = n; i-- > 0; at -= (uint64_t)rand() % (2 * step)) {
            s[i].time_ns = at;
            s[i].complete = rand() % 4 != 0;
        }
        uint64_t count[6];
        for (size_t k = 0; k < 6; k++)
            count[k] = (uint64_t)(rand() % 20);
        const struct keep_rules given = { .last = 1, .hourly = count[0], .daily = count[1], .weekly = count[2], .monthly = count[3], .quarterly = count[4], .yearly = count[5] };
        decide(&given, s, n);
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < 6; k++)
                assert_int_equal((s[i].reasons & rules[k]) != 0, oracle(rules[k], count[k], s, n, i));
        // What is decided once is decided the same when what goes has gone.
        size_t left = 0;
        unsigned *reasons = xcalloc(n, sizeof *reasons);
        for (size_t i = 0; i < n; i++)
            if (s[i].reasons != 0) {
                reasons[left] = s[i].reasons;
                s[left++] = s[i];
            }
        decide(&given, s, left);
        for (size_t i = 0; i < left; i++)
            assert_int_equal(s[i].reasons, reasons[i]);
        free(reasons);
        free(s);
    }
}

static void test_words(void **state)
{
    unsigned at = 0;
    (void)state;
    assert_string_equal(keep_reason_next(KEEP_HELD | KEEP_DAILY, &at), "daily");
    assert_string_equal(keep_reason_next(KEEP_HELD | KEEP_DAILY, &at), "held");
    assert_null(keep_reason_next(KEEP_HELD | KEEP_DAILY, &at));
    at = 0;
    assert_string_equal(keep_reason_next(KEEP_ALL, &at), "no-rules");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_configured), cmocka_unit_test(test_each_rule),  cmocka_unit_test(test_what_never_goes),
        cmocka_unit_test(test_incomplete),         cmocka_unit_test(test_zone),       cmocka_unit_test(test_clock_was_wrong_once),
        cmocka_unit_test(test_flood),              cmocka_unit_test(test_receipts),   cmocka_unit_test(test_burst),
        cmocka_unit_test(test_oracle),             cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
