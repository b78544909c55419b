#include "bkd/policy/calendar.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "bkd/policy/calendar_forms.h"
#include "bkd/policy/civil.h"

#define ANY_DAY UINT32_C(0xfffffffe)
#define CYCLE 400 // years after which dates and weekdays come again

// ---- reading -----------------------------------------------------------------------------------------------------------

int calendar_refuse(const struct calendar_text *t, const char *from, const char *to, const char *hint, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args); // names and numbers of bounded length
    va_end(args);
    size_t length = strlen(t->text), offset = (size_t)(from - t->text);
    if (offset > length)
        offset = length;
    *t->mistake = (struct calendar_mistake){ .offset = offset, .length = to > from ? (size_t)(to - from) : 1 };
    (void)snprintf(t->mistake->hint, sizeof t->mistake->hint, "%s", hint ? hint : "");
    return error_set(t->err, ERROR_USAGE, "%s", text);
}

int calendar_width(const char *from, const char *to) { return (int)(to - from < 40 ? to - from : 40); }

bool calendar_number(struct calendar_text *t, uint64_t *ret_number)
{
    if (!isdigit((unsigned char)*t->at))
        return false;
    for (*ret_number = 0; isdigit((unsigned char)*t->at); t->at++) {
        *ret_number = *ret_number * 10 + (uint64_t)(*t->at - '0');
        if (*ret_number > UINT32_MAX)
            *ret_number = UINT32_MAX;
    }
    return true;
}

uint64_t calendar_bits(unsigned low, unsigned high, uint64_t step)
{
    uint64_t bits = 0;
    for (uint64_t i = low; i <= high; i += step)
        bits |= UINT64_C(1) << i;
    return bits;
}

// The index of the name that t->at begins with.
static int name_at(struct calendar_text *t, const char *const *names, int count, bool whole)
{
    for (int i = 0; i < count; i++) {
        size_t length = strlen(names[i]);
        if (whole && strncasecmp(t->at, names[i], length) == 0) {
            t->at += length;
            return i;
        }
        if (strncasecmp(t->at, names[i], 3) == 0) {
            t->at += 3;
            return i;
        }
    }
    return -1;
}

int calendar_month_name(struct calendar_text *t)
{
    static const char *const names[] = { "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December" };
    int index = name_at(t, names, 12, false);
    return index < 0 ? -1 : index + 1;
}

int calendar_weekday_name(struct calendar_text *t, bool whole)
{
    static const char *const names[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" };
    return name_at(t, names, 7, whole);
}

// Cron expressions have neither ':' nor a date with '-' or '~'; what has neither and is no word is meant as one.
static bool looks_like_cron(const char *text)
{
    size_t first = strcspn(text, " \t");
    bool several = text[first + strspn(text + first, " \t")] != '\0';
    if (text[0] == '@')
        return true;
    if (strchr(text, ':') || isalpha((unsigned char)text[0]))
        return false;
    unsigned dashes = 0;
    for (size_t i = 0; i < first; i++)
        dashes += text[i] == '-' || text[i] == '~';
    return dashes == 0 || (dashes == 1 && several);
}

static int refuse_never(const struct calendar_text *t)
{
    return calendar_refuse(t, t->text, t->text + strlen(t->text), NULL, "this never happens: no month that it names has such a day");
}

static bool happens(const struct calendar *calendar)
{
    struct civil start = { calendar->any_year ? 2000 : CALENDAR_FIRST_YEAR, 1, 1, 0, 0, 0 };
    return calendar_next_local(calendar, civil_seconds(&start)) != CALENDAR_NEVER;
}

int calendar_parse(const char *text, struct calendar *ret_calendar, struct calendar_mistake *ret_mistake, struct error *err)
{
    struct calendar calendar = { 0 };
    struct calendar_text t = { text, text, ret_mistake, err };
    if (strlen(text) > CALENDAR_TEXT_MAX)
        return calendar_refuse(&t, text, text + 1, NULL, "a schedule has at most %u bytes", CALENDAR_TEXT_MAX);
    t.at += strspn(t.at, " \t");
    if (*t.at == '\0')
        return calendar_refuse(&t, text, text + 1, "for example \"30 1 * * *\"", "the schedule is empty");
    int rc = looks_like_cron(t.at) ? calendar_cron_parse(&t, &calendar) : calendar_event_parse(&t, &calendar);
    if (rc < 0)
        return rc;
    if (!happens(&calendar))
        return refuse_never(&t);
    *ret_calendar = calendar;
    return 0;
}

// ---- searching ---------------------------------------------------------------------------------------------------------

// The lowest bit at or above `from`; -1 when there is none.
static int next_bit(uint64_t bits, unsigned from)
{
    uint64_t left = from < 64 ? bits & (~UINT64_C(0) << from) : 0;
    return left ? __builtin_ctzll(left) : -1;
}

// The days of a month that are named: bit 1 is the first.
static uint32_t days_of_month(const struct calendar *calendar, int64_t year, unsigned month)
{
    unsigned length = civil_month_length(year, month), first = civil_weekday(civil_days(year, month, 1));
    uint32_t there = (uint32_t)((UINT64_C(2) << length) - 2), on_weekdays = 0, named = calendar->days;
    uint64_t weeks = calendar->weekdays;
    weeks |= weeks << 7 | weeks << 14 | weeks << 21 | weeks << 28 | weeks << 35;
    on_weekdays = (uint32_t)(weeks >> first << 1);
    for (uint32_t last = calendar->last_days; last; last &= last - 1) // bit 1 is the last day
        named |= UINT32_C(1) << (length + 1 - (unsigned)__builtin_ctz(last));
    return (calendar->either_day ? named | on_weekdays : named & on_weekdays) & there;
}

static bool names_year(const struct calendar *calendar, int64_t year)
{
    if (calendar->any_year)
        return true;
    int64_t index = year - CALENDAR_FIRST_YEAR;
    return index >= 0 && index < 256 && (calendar->years[index / 64] >> (index % 64) & 1);
}

// Moves *c to the first named day at or after it; the time of day becomes 00:00:00 when the day is another. False when there is none.
static bool find_day(const struct calendar *calendar, struct civil *c)
{
    int64_t last = calendar->any_year ? c->year + CYCLE : CALENDAR_LAST_YEAR;
    if (last > CIVIL_YEAR_MAX)
        last = CIVIL_YEAR_MAX;
    unsigned from_month = c->month, from_day = c->day;
    for (int64_t year = c->year; year <= last; year++, from_month = from_day = 1) {
        if (!names_year(calendar, year))
            continue;
        for (int month = next_bit(calendar->months, from_month); month >= 0; month = next_bit(calendar->months, (unsigned)month + 1)) {
            unsigned start = (unsigned)month == from_month ? from_day : 1;
            int day = next_bit(days_of_month(calendar, year, (unsigned)month), start);
            if (day < 0)
                continue;
            if (year != c->year || (unsigned)month != c->month || (unsigned)day != c->day)
                *c = (struct civil){ year, (unsigned)month, (unsigned)day, 0, 0, 0 };
            return true;
        }
    }
    return false;
}

// Moves the time of day of *c to the first named one at or after it; false when the day has no more.
static bool find_time(const struct calendar *calendar, struct civil *c)
{
    int second = next_bit(calendar->seconds, c->second), minute = next_bit(calendar->minutes, c->minute + (second < 0)), hour;
    if (minute != (int)c->minute)
        second = next_bit(calendar->seconds, 0);
    hour = next_bit(calendar->hours, c->hour + (minute < 0));
    if (hour < 0)
        return false;
    if (hour != (int)c->hour) {
        minute = next_bit(calendar->minutes, 0);
        second = next_bit(calendar->seconds, 0);
    }
    c->hour = (unsigned)hour;
    c->minute = (unsigned)minute;
    c->second = (unsigned)second;
    return true;
}

int64_t calendar_next_local(const struct calendar *calendar, int64_t local_s)
{
    struct civil c = civil_of(local_s);
    if (c.year < CALENDAR_FIRST_YEAR && !calendar->any_year)
        c = (struct civil){ CALENDAR_FIRST_YEAR, 1, 1, 0, 0, 0 };
    if (!find_day(calendar, &c))
        return CALENDAR_NEVER;
    if (find_time(calendar, &c))
        return civil_seconds(&c);
    c = civil_of((civil_days(c.year, c.month, c.day) + 1) * CIVIL_DAY);
    if (c.year > CIVIL_YEAR_MAX || !find_day(calendar, &c) || !find_time(calendar, &c))
        return CALENDAR_NEVER;
    return civil_seconds(&c);
}
