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

// Without a time, which has a ':', systemd's form has three words at most; its dates have '-' or '~'. All else is meant as a cron expression.
static bool looks_like_cron(const char *text)
{
    size_t first = strcspn(text, " \t"), words = 0;
    for (const char *s = text; *s; words++) {
        s += strcspn(s, " \t");
        s += strspn(s, " \t");
    }
    if (text[0] == '@' || strchr(text, ':'))
        return text[0] == '@';
    return words > 3 || (!isalpha((unsigned char)text[0]) && !memchr(text, '-', first) && !memchr(text, '~', first));
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

// ---- in a zone ---------------------------------------------------------------------------------------------------------

// A part of a zone's time with one offset, and how its clocks came there.
struct stretch {
    int64_t begin_s, end_s; // UTC
    int64_t offset_s;
    int64_t local_before; // what the clocks of the period before would show at begin_s
    bool gap, overlap;    // between the two, of a length for which fixed times are kept
};

// Debian's cron, main loop of cron.c: from the last minute before the change to the first one after it are at most 180 minutes forward, or less
// than 180 backward.
#define GAP_MAX (179 * 60)
#define OVERLAP_MAX (180 * 60)
#define OFFSETS_APART (3 * CIVIL_DAY) // more than any two offsets

static struct stretch stretch_at(const struct zone *zone, int64_t utc_s)
{
    struct zone_period period, before;
    zone_period_at(zone, utc_s, &period);
    struct stretch s = { .begin_s = period.begin_s, .end_s = period.end_s, .offset_s = period.offset_s, .local_before = INT64_MIN };
    if (period.begin_s == INT64_MIN)
        return s;
    zone_period_at(zone, period.begin_s - 1, &before);
    int64_t forward = period.offset_s - before.offset_s;
    s.local_before = period.begin_s + before.offset_s;
    s.gap = forward > 0 && forward <= GAP_MAX;
    s.overlap = forward < 0 && -forward <= OVERLAP_MAX;
    return s;
}

// The local time from which on a fixed calendar counts, at a moment of a stretch: what a gap skipped belongs to the moment after it, and what is
// shown again has been.
static int64_t local_from(const struct calendar *calendar, const struct stretch *s, int64_t utc_s)
{
    int64_t local = utc_s + s->offset_s;
    if (!calendar->wildcard && ((s->gap && utc_s == s->begin_s) || (s->overlap && local < s->local_before)))
        return s->local_before;
    return local;
}

int64_t calendar_next(const struct calendar *calendar, const struct zone *zone, int64_t after_s)
{
    for (int64_t at = after_s + 1; at < CIVIL_END;) {
        struct stretch s = stretch_at(zone, at);
        int64_t local = calendar_next_local(calendar, local_from(calendar, &s, at));
        if (local != CALENDAR_NEVER) {
            int64_t utc_s = local - s.offset_s < s.begin_s ? s.begin_s : local - s.offset_s; // in a gap: the moment after it
            if (utc_s < s.end_s)
                return utc_s < CIVIL_END ? utc_s : CALENDAR_NEVER;
        }
        // Nothing is named up to `local`, whatever the offset, so there is no need to go there period by period; but a period that begins soon may
        // show times once more that were passed before.
        bool far = s.end_s > at + OFFSETS_APART;
        if (s.end_s == INT64_MAX || (far && local == CALENDAR_NEVER))
            break;
        at = far && local - OFFSETS_APART > s.end_s ? local - OFFSETS_APART : s.end_s;
    }
    return CALENDAR_NEVER;
}

enum calendar_note calendar_note(const struct calendar *calendar, const struct zone *zone, int64_t at_s)
{
    struct stretch s = stretch_at(zone, at_s);
    int64_t local = at_s + s.offset_s;
    if (!calendar->wildcard && s.gap && at_s == s.begin_s && calendar_next_local(calendar, s.local_before) < local)
        return CALENDAR_AFTER_GAP;
    if (s.local_before != INT64_MIN && local < s.local_before)
        return CALENDAR_SECOND_OF_TWO;
    if (s.end_s == INT64_MAX)
        return CALENDAR_PLAIN;
    struct stretch next = stretch_at(zone, s.end_s);
    return local >= next.begin_s + next.offset_s ? CALENDAR_FIRST_OF_TWO : CALENDAR_PLAIN;
}
