// Row C-34: slots against a brute-force oracle, minute by minute over 20 years. The oracle is Debian's cron itself, as far as it matters: the cases
// of the main loop of its cron.c, its way of matching fields, and the C library's time zones (a child process with TZ set); nothing of bkd's own.
//
// Usually only the days around each change of a zone's clocks are walked through; BKD_TEST_CALENDAR=full walks through every minute, and tries more
// random expressions.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bkd/policy/calendar.h"
#include "bkd/policy/zone.h"

#define FIRST INT64_C(1167609600) // 2007-01-01T00:00:00Z
#define LAST INT64_C(1798761600)  // 2027-01-01T00:00:00Z
#define MINUTE 60
#define DAY 86400
#define AROUND DAY

static bool is_full(void)
{
    const char *how = getenv("BKD_TEST_CALENDAR");
    return how && strcmp(how, "full") == 0;
}

static const char *const zones[] = {
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia", "Africa/Casablanca", "Asia/Tehran",
    "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Auckland", "Africa/Cairo",
    // Half an hour off the usual, changes at one minute past midnight, three hours at once, 45 minutes, and others that changed their minds.
    "America/St_Johns", "America/Caracas", "Asia/Pyongyang", "Antarctica/Casey", "Pacific/Chatham", "Asia/Gaza", "Europe/Volgograd", "America/Havana",
};

static const char *const expressions[] = {
    "* * * * *",      "*/5 * * * *",      "30 1 * * *",      "30 2 * * *",      "0 0 * * *",       "0 3 * * *",       "15 0,1,2,3,23 * * *",
    "0-59 2 * * *",   "*/7 2 * * *",      "0 */2 * * *",     "30 0-23 * * *",   "59 23 * * *",     "1 0 * * *",       "0 2 * * sun",
    "30 2 1-7 * sun", "30 2 29 2 *",      "0 0 30 12 *",     "45 1 */2 * 1",    "10 2 1,15 * 5",   "0 12 * 3,10 *",   "@hourly",
    "@daily",         "@weekly",          "@monthly",        "@yearly",         "*/90 * * * *",    "5,35 1-3 * * *",  "0 1 31 * *",
    "30 2 * mar-apr sat,sun", "0-30/10 0-3 * 9-11 0-3", "52 */23 * * 5",
};
#define EXPRESSIONS (sizeof expressions / sizeof *expressions)

// ---- the oracle: fields ------------------------------------------------------------------------------------------------

// entry.c of cron 3.0pl1: sets, and whether a field begins with an asterisk.
struct entry {
    bool minute[60], hour[24], mday[32], month[13], wday[8];
    bool minute_star, hour_star, mday_star, wday_star;
};

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec" };
static const char *const day_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

static long oracle_number(const char **s, long low, const char *const *names, int name_count)
{
    char *end;
    if (**s >= '0' && **s <= '9') {
        long n = strtol(*s, &end, 10);
        *s = end;
        return n;
    }
    for (int i = 0; i < name_count; i++) {
        if (strncasecmp(*s, names[i], 3) == 0) {
            *s += 3;
            return low + i;
        }
    }
    return -1;
}

// One field into `set`; false when it is none.
static bool oracle_field(const char *text, bool *set, long low, long high, const char *const *names, int name_count)
{
    const char *s = text;
    for (;;) {
        long from = low, to = high, step = 1;
        bool star = *s == '*', range = star;
        if (star) {
            s++;
        } else {
            from = to = oracle_number(&s, low == 1 ? 1 : 0, names, name_count);
            if (*s == '-') {
                s++;
                range = true;
                to = oracle_number(&s, low == 1 ? 1 : 0, names, name_count);
            }
        }
        if (*s == '/') {
            s++;
            if (!range || *s < '0' || *s > '9')
                return false;
            step = oracle_number(&s, 0, NULL, 0);
            if (step <= 0)
                return false;
        }
        if (from < low || to > high || to < from)
            return false;
        for (long i = from; i <= to; i += step)
            set[i] = true;
        if (*s == '\0')
            return true;
        if (*s++ != ',')
            return false;
    }
}

static bool oracle_entry(const char *expression, struct entry *ret_entry)
{
    static const char *const words[][2] = { { "@hourly", "0 * * * *" }, { "@daily", "0 0 * * *" }, { "@weekly", "0 0 * * 0" }, { "@monthly", "0 0 1 * *" }, { "@yearly", "0 0 1 1 *" } };
    char f[5][100], more;
    struct entry e = { 0 };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(expression, words[i][0]) == 0)
            expression = words[i][1];
    if (sscanf(expression, "%99s %99s %99s %99s %99s %c", f[0], f[1], f[2], f[3], f[4], &more) != 5)
        return false;
    if (!oracle_field(f[0], e.minute, 0, 59, NULL, 0) || !oracle_field(f[1], e.hour, 0, 23, NULL, 0) || !oracle_field(f[2], e.mday, 1, 31, NULL, 0) ||
        !oracle_field(f[3], e.month, 1, 12, month_names, 12) || !oracle_field(f[4], e.wday, 0, 7, day_names, 7))
        return false;
    e.wday[0] = e.wday[7] = e.wday[0] || e.wday[7];
    e.minute_star = f[0][0] == '*';
    e.hour_star = f[1][0] == '*';
    e.mday_star = f[2][0] == '*';
    e.wday_star = f[4][0] == '*';
    *ret_entry = e;
    return true;
}

// find_jobs of cron.c: does the entry run at this virtual minute, given which kinds are to run?
static bool oracle_matches(const struct entry *e, const struct tm *tm, bool do_wild, bool do_fixed)
{
    bool mday = e->mday[tm->tm_mday], wday = e->wday[tm->tm_wday], wild = e->minute_star || e->hour_star;
    bool day = e->mday_star || e->wday_star ? mday && wday : mday || wday;
    return (wild ? do_wild : do_fixed) && e->minute[tm->tm_min] && e->hour[tm->tm_hour] && e->month[tm->tm_mon + 1] && day;
}

// ---- the oracle: time --------------------------------------------------------------------------------------------------

// What find_jobs is called with at one real minute: a minute of the local clock, and kinds of entries.
struct step {
    int64_t utc_s;
    struct tm tm; // of the virtual minute
    bool wild, fixed;
};

struct clock_walk {
    bool started;
    int64_t virtual_minute;
};

static int64_t local_minute(int64_t utc_s)
{
    time_t t = (time_t)utc_s;
    struct tm tm;
    localtime_r(&t, &tm);
    return (utc_s + tm.tm_gmtoff) / MINUTE;
}

static void add_step(struct step *steps, size_t *count, int64_t utc_s, int64_t virtual_minute, bool wild, bool fixed)
{
    struct step *s = &steps[(*count)++];
    time_t t = (time_t)(virtual_minute * MINUTE);
    s->utc_s = utc_s;
    gmtime_r(&t, &s->tm);
    s->wild = wild;
    s->fixed = fixed;
}

#define STEPS_MAX 200 // at one real minute

// The main loop of cron.c, awake at each minute.
static size_t walk(struct clock_walk *w, int64_t utc_s, struct step *ret_steps)
{
    int64_t now = local_minute(utc_s);
    size_t count = 0;
    if (!w->started)
        w->virtual_minute = now - 1;
    w->started = true;
    int64_t diff = now - w->virtual_minute;
    if (diff == 1) {
        w->virtual_minute = now;
        add_step(ret_steps, &count, utc_s, now, true, true);
    } else if (diff > 3 * 60 || diff <= -3 * 60) {
        w->virtual_minute = now;
        add_step(ret_steps, &count, utc_s, now, true, true);
    } else if (diff > 5) {
        add_step(ret_steps, &count, utc_s, now, true, false);
        while (w->virtual_minute < now)
            add_step(ret_steps, &count, utc_s, ++w->virtual_minute, false, true);
    } else if (diff > 0) {
        while (w->virtual_minute < now)
            add_step(ret_steps, &count, utc_s, ++w->virtual_minute, true, true);
    } else {
        add_step(ret_steps, &count, utc_s, now, true, false);
    }
    return count;
}

// ---- comparing ---------------------------------------------------------------------------------------------------------

struct subject {
    const char *text;
    struct entry entry;
    struct calendar calendar;
    int64_t next_s; // what bkd says
};

static unsigned differences;

static void compare(const char *zone_name_text, const struct zone *zone, struct subject *s, const struct step *steps, size_t count)
{
    bool runs = false;
    for (size_t i = 0; i < count; i++)
        runs = runs || oracle_matches(&s->entry, &steps[i].tm, steps[i].wild, steps[i].fixed);
    if (runs != (s->next_s == steps[0].utc_s) && differences++ < 10)
        fprintf(stderr, "%s '%s' at %lld: the oracle says %d, bkd's next is %lld\n", zone_name_text, s->text, (long long)steps[0].utc_s, runs, (long long)s->next_s);
    if (s->next_s <= steps[0].utc_s)
        s->next_s = calendar_next(&s->calendar, zone, steps[0].utc_s);
}

static void use_zone(const char *name, struct zone **ret_zone)
{
    struct error err;
    setenv("TZ", name, 1);
    tzset();
    if (zone_open(io_real(), ZONE_DIRECTORY, name, ret_zone, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        _exit(99);
    }
}

static void walk_between(const char *name, const struct zone *zone, struct subject *subjects, size_t n, int64_t from_s, int64_t to_s)
{
    struct clock_walk w = { 0 };
    struct step steps[STEPS_MAX];
    for (size_t i = 0; i < n; i++)
        subjects[i].next_s = calendar_next(&subjects[i].calendar, zone, from_s - 1);
    for (int64_t t = from_s; t < to_s; t += MINUTE) {
        size_t count = walk(&w, t, steps);
        for (size_t i = 0; i < n; i++)
            compare(name, zone, &subjects[i], steps, count);
    }
}

// The first six hours from `from_s` on in which the offset changes; LAST when there are none.
#define STRIDE (6 * 3600)
static int64_t find_change(int64_t from_s)
{
    for (int64_t t = from_s; t + STRIDE < LAST; t += STRIDE)
        if (local_minute(t + STRIDE) - local_minute(t) != STRIDE / MINUTE)
            return t;
    return LAST;
}

static unsigned check_zone(const char *name)
{
    struct subject subjects[EXPRESSIONS];
    struct zone *zone;
    struct calendar_mistake mistake;
    struct error err;
    use_zone(name, &zone);
    for (size_t i = 0; i < EXPRESSIONS; i++) {
        subjects[i].text = expressions[i];
        if (!oracle_entry(expressions[i], &subjects[i].entry) || calendar_parse(expressions[i], &subjects[i].calendar, &mistake, &err) < 0)
            return 1;
    }
    if (is_full()) {
        walk_between(name, zone, subjects, EXPRESSIONS, FIRST, LAST);
    } else {
        for (int64_t change = find_change(FIRST); change < LAST; change = find_change(change + STRIDE))
            walk_between(name, zone, subjects, EXPRESSIONS, change - AROUND, change + AROUND);
        walk_between(name, zone, subjects, EXPRESSIONS, FIRST, FIRST + 40 * DAY);
    }
    zone_free(&zone);
    return differences;
}

// In a child, so that TZ of this process stays what it is. What `check` counts is its exit code.
static unsigned in_child(unsigned (*check)(const char *name), const char *name)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        unsigned count = check(name);
        _exit(count > 98 ? 98 : (int)count);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return (unsigned)WEXITSTATUS(status);
}

static void test_every_minute(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++)
        if (in_child(check_zone, zones[i]) != 0)
            fail_msg("%s", zones[i]);
}

// ---- random expressions ------------------------------------------------------------------------------------------------

static uint64_t seed;

static unsigned roll(unsigned n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((seed >> 33) % n);
}

static void add(char *text, const char *more) { strcat(text, more); }

static void add_number(char *text, unsigned low, unsigned high, const char *const *names)
{
    char number[8];
    unsigned n = low + roll(high - low + 1);
    if (roll(100) == 0)
        n = high + 1 + roll(3);
    if (names && n < low + (high == 7 ? 7 : 12) && n >= low && roll(3) == 0) {
        add(text, names[n - low]);
        return;
    }
    (void)snprintf(number, sizeof number, roll(8) ? "%u" : "%02u", n % 1000);
    add(text, number);
}

static void add_field(char *text, unsigned low, unsigned high, const char *const *names, unsigned stars)
{
    unsigned parts = roll(4) ? 1 : 1 + roll(3);
    for (unsigned i = 0; i < parts; i++) {
        bool several = roll(100) < stars;
        if (i)
            add(text, ",");
        if (several) {
            add(text, "*");
        } else {
            add_number(text, low, high, names);
            several = roll(3) == 0;
            if (several) {
                add(text, "-");
                add_number(text, low, high, names);
            }
        }
        if (roll(several ? 3 : 60) == 0) {
            char step[8];
            (void)snprintf(step, sizeof step, "/%u", roll(40));
            add(text, step);
        }
    }
}

// Mostly of the kind people write, in the hours at which clocks change, and now and then no expression at all.
static void random_expression(char *text)
{
    text[0] = '\0';
    add_field(text, 0, 59, NULL, 25);
    add(text, " ");
    add_field(text, 0, roll(2) ? 4 : 23, NULL, 25);
    add(text, " ");
    add_field(text, 1, 31, NULL, 60);
    add(text, " ");
    add_field(text, 1, 12, month_names, 70);
    if (roll(200) == 0)
        return;
    add(text, " ");
    add_field(text, 0, 7, day_names, 60);
    if (roll(200) == 0)
        add(text, " *");
}

// Is there a day at all that it names?
static bool oracle_ever(const struct entry *e)
{
    static const int lengths[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool some_wday = false, restricted = e->mday_star || e->wday_star;
    for (int d = 0; d < 7; d++)
        some_wday = some_wday || e->wday[d];
    for (int m = 1; m <= 12; m++)
        for (int d = 1; d <= lengths[m - 1]; d++) // every date falls on every weekday in some year
            if (e->month[m] && (restricted ? e->mday[d] && some_wday : e->mday[d] || some_wday))
                return true;
    return false;
}

#define BATCH 250
#define WINDOW_DAYS 3

static void check_batch(const char *name, const struct zone *zone)
{
    static struct subject subjects[BATCH];
    static char texts[BATCH][400];
    size_t n = 0;
    int64_t span = LAST - FIRST - 400 * INT64_C(86400), from = FIRST + (int64_t)roll((unsigned)(span / DAY)) * DAY, change = find_change(from);
    if (roll(3) && change < LAST - AROUND)
        from = (change - AROUND) / MINUTE * MINUTE;
    for (size_t i = 0; i < BATCH; i++) {
        struct subject *s = &subjects[n];
        struct calendar_mistake mistake;
        struct error err;
        random_expression(texts[n]);
        s->text = texts[n];
        bool wanted = oracle_entry(s->text, &s->entry) && oracle_ever(&s->entry);
        bool taken = calendar_parse(s->text, &s->calendar, &mistake, &err) == 0;
        if (wanted != taken && differences++ < 10)
            fprintf(stderr, "'%s': the oracle says %d, bkd %d (%s)\n", s->text, wanted, taken, taken ? "" : err.text);
        n += wanted && taken;
    }
    walk_between(name, zone, subjects, n, from, from + WINDOW_DAYS * DAY);
}

static unsigned check_random(const char *name)
{
    struct zone *zone;
    use_zone(name, &zone);
    for (unsigned i = 0; i < (is_full() ? 100 : 3); i++)
        check_batch(name, zone);
    zone_free(&zone);
    return differences;
}

static void test_random_expressions(void **state)
{
    (void)state;
    const char *given = getenv("BKD_TEST_SEED");
    uint64_t first = given ? strtoull(given, NULL, 10) : 20261125;
    print_message("BKD_TEST_SEED=%llu\n", (unsigned long long)first);
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        seed = first + i;
        if (in_child(check_random, zones[i]) != 0)
            fail_msg("%s", zones[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_minute), cmocka_unit_test(test_random_expressions) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
