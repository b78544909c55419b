// OnCalendar expressions against `systemd-analyze calendar`: what is one, and which moments it names. Around a change of a zone's clocks the two differ on
// purpose (systemd leaves out what a gap swallows; see calendar.h): moments within three hours of one are left out on both sides.
// BKD_TEST_CALENDAR=full tries more. systemd 252 has a mistake of its own that one expression in some thousands shows: "3/9:49" leaves out the first
// slot of a month that "3,12,21:49" has.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/policy/calendar.h"
#include "bkd/policy/civil.h"

#define ITERATIONS 12
#define NEAR (3 * 3600)
#define LAST_YEAR_END INT64_C(7258118400) // 2200-01-01: systemd looks no further

static uint64_t seed;

static unsigned roll(unsigned n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((seed >> 33) % n);
}

static void add_component(struct buf *text, unsigned low, unsigned high)
{
    if (roll(3) == 0) {
        buf_add_char(text, '*');
        return;
    }
    for (unsigned parts = roll(3) ? 1 : 2; parts > 0; parts--) {
        unsigned from = low + roll(high - low + 1), to = from + roll(high - from + 1);
        buf_addf(text, roll(2) ? "%u" : "%02u", from);
        if (roll(3) == 0 && to > from)
            buf_addf(text, "..%u", to); // from n to n is refused by systemd where n are seconds
        if (roll(4) == 0)
            buf_addf(text, "/%u", roll(20));
        buf_add_str(text, parts > 1 ? "," : "");
    }
}

static void add_weekdays(struct buf *text)
{
    static const char *const days[] = { "Mon", "tue", "Wednesday", "THU", "Fri", "Saturday", "sun" };
    for (unsigned parts = 1 + roll(2); parts > 0; parts--) {
        unsigned from = roll(7), to = from + roll(8 - from);
        buf_add_str(text, days[from]);
        if (roll(3) == 0 && to < 7)
            buf_addf(text, "%s%s", roll(4) ? ".." : "-", days[to]);
        buf_add_str(text, parts > 1 ? "," : " ");
    }
}

static void random_expression(struct buf *text)
{
    static const char *const words[] = { "minutely", "hourly", "daily", "Weekly", "monthly", "quarterly", "yearly", "annually", "semiannually" };
    bool date = roll(3) > 0;
    if (roll(30) == 0) {
        buf_add_str(text, words[roll(9)]);
        return;
    }
    if (roll(3) == 0)
        add_weekdays(text);
    if (date) {
        if (roll(4) == 0)
            buf_addf(text, roll(2) ? "%u-" : "%u/%u-", 2026 + roll(8), 1 + roll(4));
        else if (roll(2))
            buf_add_str(text, "*-");
        add_component(text, 1, 12);
        if (roll(5) == 0) { // systemd takes no list of those
            buf_addf(text, roll(2) ? "~%u " : "~%u/2 ", 1 + roll(30));
        } else {
            buf_add_char(text, '-');
            add_component(text, 1, 31);
            buf_add_char(text, ' ');
        }
    }
    if (date && roll(4) == 0)
        return;
    add_component(text, 0, 23);
    buf_add_char(text, ':');
    add_component(text, 0, 59);
    if (roll(3) == 0) {
        buf_add_char(text, ':');
        add_component(text, 0, 59);
    }
}

// "Fri 2026-03-27 01:30:00 UTC" as seconds; the seconds of a fraction are none here.
static bool parse_moment(const char *text, int64_t *ret_s)
{
    char day[8], date[16], time[16], rfc[40];
    if (sscanf(text, "%7s %15s %15s UTC", day, date, time) != 3)
        return false;
    (void)snprintf(rfc, sizeof rfc, "%sT%sZ", date, time);
    return civil_parse(rfc, ret_s);
}

// What systemd-analyze says; -1 when the expression is none for it, GAVE_UP when it lost itself in the search ("Resource deadlock avoided").
#define GAVE_UP (-2)
static int ask_systemd(const char *expression, int64_t base_s, int64_t ret_moments[ITERATIONS])
{
    char base[CIVIL_TEXT_MAX], line[512];
    int count = 0;
    bool gave_up = false;
    civil_format(base, base_s, 0);
    base[10] = ' ';
    base[19] = '\0';
    _cleanup_free_ char *command = xasprintf("LC_ALL=C TZ=UTC systemd-analyze calendar --iterations=%d --base-time='%s UTC' '%s' 2>&1", ITERATIONS, base, expression);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    while (fgets(line, sizeof line, pipe)) {
        const char *colon = strstr(line, ": ");
        gave_up = gave_up || strstr(line, "Failed to determine next elapse");
        bool is_moment = strstr(line, "Next elapse:") || strstr(line, "Iter. #");
        if (is_moment && colon && count < ITERATIONS && parse_moment(colon + 2, &ret_moments[count]))
            count++;
    }
    return pclose(pipe) == 0 ? count : gave_up ? GAVE_UP : -1;
}

static bool near_change(const struct zone *zone, int64_t t)
{
    struct zone_period before, after;
    zone_period_at(zone, t - NEAR, &before);
    zone_period_at(zone, t + NEAR, &after);
    return before.offset_s != after.offset_s;
}

// The next of both that is not near a change.
static int64_t next_plain(const struct calendar *calendar, const struct zone *zone, int64_t at)
{
    do
        at = calendar_next(calendar, zone, at);
    while (at != CALENDAR_NEVER && near_change(zone, at));
    return at >= LAST_YEAR_END ? CALENDAR_NEVER : at;
}

static bool is_same(const char *expression, const char *name, int64_t base_s)
{
    struct calendar calendar;
    struct calendar_mistake mistake;
    struct error err = { .text = "" };
    struct zone *zone = NULL;
    int64_t theirs[ITERATIONS], ours = base_s;
    _cleanup_free_ char *with_zone = xasprintf("%s %s", expression, name);
    int count = ask_systemd(with_zone, base_s, theirs);
    if (count == GAVE_UP)
        return true;
    bool taken = calendar_parse(with_zone, &calendar, &mistake, &err) == 0;
    if (taken != (count > 0)) { // what never happens is a mistake here, and no moments there
        if (taken && count == 0 && !calendar.any_year)
            return true; // only years that have been
        fprintf(stderr, "'%s': systemd %d, bkd %d %s\n", with_zone, count, taken, err.text);
        return false;
    }
    if (!taken)
        return true;
    assert_int_equal(zone_open(io_real(), ZONE_DIRECTORY, name, &zone, &err), 0);
    bool same = true;
    for (int i = 0; i < count && same; i++) {
        if (near_change(zone, theirs[i]))
            continue;
        ours = next_plain(&calendar, zone, ours);
        same = ours == theirs[i];
        if (!same)
            fprintf(stderr, "'%s' from %lld: systemd %lld, bkd %lld\n", with_zone, (long long)base_s, (long long)theirs[i], (long long)ours);
    }
    zone_free(&zone);
    return same;
}

static void test_against_systemd(void **state)
{
    (void)state;
    static const char *const names[] = { "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo" };
    const char *how = getenv("BKD_TEST_CALENDAR"), *given = getenv("BKD_TEST_SEED");
    unsigned rounds = how && strcmp(how, "full") == 0 ? 4000 : 120, wrong = 0, none = 0;
    int64_t moments[ITERATIONS];
    if (ask_systemd("daily", 1774656000, moments) != ITERATIONS || moments[0] != 1774742400) {
        print_message("there is no systemd-analyze with --base-time and --iterations\n");
        skip();
    }
    seed = given ? strtoull(given, NULL, 10) : 20261125;
    print_message("BKD_TEST_SEED=%llu\n", (unsigned long long)seed);
    for (unsigned i = 0; i < rounds; i++) {
        _cleanup_buf_ struct buf text = { 0 };
        random_expression(&text);
        struct calendar calendar;
        struct calendar_mistake mistake;
        struct error err;
        none += calendar_parse(buf_str(&text), &calendar, &mistake, &err) < 0;
        wrong += !is_same(buf_str(&text), names[roll(6)], 1774656000 + (int64_t)roll(200) * 86400 + roll(86400));
    }
    print_message("%u expressions, %u of them none\n", rounds, none);
    assert_int_equal(wrong, 0);
    assert_true(none < rounds * 2 / 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_against_systemd) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
