// Calendars as OnCalendar= of systemd.timer(5) takes them: "Mon..Fri *-*-* 01:30:00 Europe/Berlin", every part but one may be left out.
#include "bkd/policy/calendar_forms.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct component {
    const char *name;
    unsigned low, high;
};

static const struct component year = { "year", CALENDAR_FIRST_YEAR, CALENDAR_LAST_YEAR };
static const struct component month = { "month", 1, 12 };
static const struct component day = { "day of the month", 1, 31 };
static const struct component last_day = { "day counted from the month's end", 1, 28 };
static const struct component hour = { "hour", 0, 23 };
static const struct component minute = { "minute", 0, 59 };
static const struct component second = { "second", 0, 59 };

static const char *word_end(const char *s) { return s + strcspn(s, " "); }

// One item of a list: numbers low, low + step … up to high.
struct span {
    unsigned low, high;
    uint64_t step; // 0 = none was written
    bool range;    // high was written
};

static int read_number(struct calendar_text *t, const struct component *c, unsigned *ret_value)
{
    const char *start = t->at;
    uint64_t number;
    if (!calendar_number(t, &number))
        return calendar_refuse(t, start, start + 1, NULL, "here a %s is missing", c->name);
    if (c == &year && number < 100 && t->at - start <= 2) // as systemd does
        number += number < 70 ? 2000 : 1900;
    if (number < c->low || number > c->high)
        return calendar_refuse(t, start, t->at, NULL, "'%.*s' is no %s: they go from %u to %u", calendar_width(start, t->at), start, c->name, c->low, c->high);
    *ret_value = (unsigned)number;
    return 0;
}

static int read_repetition(struct calendar_text *t, struct span *span)
{
    const char *start = t->at++;
    if (!calendar_number(t, &span->step))
        return calendar_refuse(t, start, start + 1, NULL, "behind '/' a number is missing");
    return span->step == 0 ? calendar_refuse(t, start, t->at, NULL, "a repetition of 0 never gets on") : 0;
}

// "5", "1..5", "0/15", "8..18/2".
static int read_span(struct calendar_text *t, const struct component *c, struct span *ret_span)
{
    const char *start = t->at;
    struct span span = { 0 };
    int rc = read_number(t, c, &span.low);
    span.high = span.low;
    if (rc == 0 && t->at[0] == '.' && t->at[1] == '.') {
        span.range = true;
        t->at += 2;
        rc = read_number(t, c, &span.high);
        if (rc == 0 && span.high < span.low)
            return calendar_refuse(t, start, t->at, NULL, "this range goes backwards");
    }
    if (rc == 0 && *t->at == '/')
        rc = read_repetition(t, &span);
    if (rc == 0 && !span.range && span.step > (c == &last_day ? span.low - c->low : c->high - span.low))
        return calendar_refuse(t, start, t->at, NULL, "this repetition goes beyond its range before it comes again");
    *ret_span = span;
    return rc;
}

// A list of such spans, or "*"; each span is handed to `add`.
static int read_list(struct calendar_text *t, const struct component *c, void (*add)(struct calendar *calendar, const struct span *span), struct calendar *calendar, bool *ret_star)
{
    struct span span = { c->low, c->high, 1, true };
    *ret_star = *t->at == '*';
    if (*ret_star) {
        add(calendar, &span);
        if (*++t->at == '/')
            return calendar_refuse(t, t->at - 1, word_end(t->at), "write 0/15 for every fifteenth", "'*' takes no repetition here");
        return 0;
    }
    for (;; t->at++) {
        int rc = read_span(t, c, &span);
        if (rc < 0)
            return rc;
        add(calendar, &span);
        if (*t->at != ',')
            return 0;
    }
}

// Without an end a repetition goes on to the component's largest number.
static uint64_t bits_of(const struct span *span, const struct component *c)
{
    return calendar_bits(span->low, span->range || !span->step ? span->high : c->high, span->step ? span->step : 1);
}

static void add_months(struct calendar *calendar, const struct span *span) { calendar->months |= (uint32_t)bits_of(span, &month); }
static void add_days(struct calendar *calendar, const struct span *span) { calendar->days |= (uint32_t)bits_of(span, &day); }
static void add_hours(struct calendar *calendar, const struct span *span) { calendar->hours |= bits_of(span, &hour); }
static void add_minutes(struct calendar *calendar, const struct span *span) { calendar->minutes |= bits_of(span, &minute); }
static void add_seconds(struct calendar *calendar, const struct span *span) { calendar->seconds |= bits_of(span, &second); }

static void add_years(struct calendar *calendar, const struct span *span)
{
    unsigned last = span->range || !span->step ? span->high : CALENDAR_LAST_YEAR;
    for (uint64_t y = span->low; y <= last; y += span->step ? span->step : 1)
        calendar->years[(y - CALENDAR_FIRST_YEAR) / 64] |= UINT64_C(1) << (y - CALENDAR_FIRST_YEAR) % 64;
}

// Without an end a repetition goes towards the month's end: "~7/2" are the last but six, four, two days and the last.
static void add_last_days(struct calendar *calendar, const struct span *span)
{
    unsigned low = !span->range && span->step ? 1 + (span->low - 1) % (unsigned)span->step : span->low;
    calendar->last_days |= (uint32_t)calendar_bits(low, span->high, span->step ? span->step : 1);
}

// ---- weekdays, date, time, zone ----------------------------------------------------------------------------------------

// "Mon", "Mon..Fri", "Sat,Sun"; nothing when the text does not begin with a letter.
static int read_weekdays(struct calendar_text *t, struct calendar *calendar)
{
    if (!isalpha((unsigned char)*t->at)) {
        calendar->weekdays = 0x7f;
        return 0;
    }
    for (;;) {
        const char *start = t->at;
        int first = calendar_weekday_name(t, true), last = first;
        bool range = t->at[0] == '-' || (t->at[0] == '.' && t->at[1] == '.');
        if (first >= 0 && range) {
            t->at += *t->at == '-' ? 1 : 2;
            last = calendar_weekday_name(t, true);
        }
        if (first < 0 || last < 0 || (*t->at && !strchr(", ", *t->at)))
            return calendar_refuse(t, start, start + strcspn(start, ", "), "weekdays are Mon, Tue, Wed, Thu, Fri, Sat, Sun; words are hourly, daily, weekly, monthly",
                                   "'%.*s' is no weekday", calendar_width(start, start + strcspn(start, ", ")), start);
        unsigned from = (unsigned)(first + 6) % 7, to = (unsigned)(last + 6) % 7; // weeks begin on Monday
        if (to < from)
            return calendar_refuse(t, start, t->at, "a week begins on Monday: write two ranges", "this range goes backwards");
        for (unsigned i = from; i <= to; i++)
            calendar->weekdays |= UINT32_C(1) << (i + 1) % 7;
        if (*t->at == ',')
            t->at++;
        if (*t->at == ' ' || *t->at == '\0')
            return 0;
    }
}

// Of "Y-M-D" and "M-D"; the separator before the day may be "~".
static int read_date(struct calendar_text *t, struct calendar *calendar)
{
    const char *end = word_end(t->at), *start = t->at;
    unsigned separators = 0;
    for (const char *s = start; s < end; s++)
        separators += *s == '-' || *s == '~';
    bool star, with_year = separators == 2;
    if (separators == 0 || separators > 2)
        return calendar_refuse(t, start, end, "a date is year-month-day, such as *-*-01", "'%.*s' is no date", calendar_width(start, end), start);
    int rc = 0;
    calendar->any_year = !with_year;
    if (with_year) {
        rc = read_list(t, &year, add_years, calendar, &calendar->any_year);
        if (rc == 0 && *t->at != '-')
            return calendar_refuse(t, t->at, end, NULL, "'-' is missing behind the year");
        t->at += rc == 0;
    }
    if (rc == 0)
        rc = read_list(t, &month, add_months, calendar, &star);
    if (rc < 0)
        return rc;
    bool from_end = *t->at == '~';
    if (!from_end && *t->at != '-')
        return calendar_refuse(t, t->at, end, NULL, "'-' is missing behind the month");
    t->at++;
    if (from_end && *t->at != '*')
        rc = read_list(t, &last_day, add_last_days, calendar, &star);
    else
        rc = read_list(t, &day, add_days, calendar, &star);
    return rc < 0 || t->at == end ? rc : calendar_refuse(t, t->at, end, NULL, "'%.*s' does not belong into a date", calendar_width(t->at, end), t->at);
}

// "HH:MM", "HH:MM:SS".
static int read_time(struct calendar_text *t, struct calendar *calendar)
{
    const char *end = word_end(t->at);
    bool hour_star, minute_star, second_star;
    int rc = read_list(t, &hour, add_hours, calendar, &hour_star);
    if (rc == 0 && *t->at != ':')
        return calendar_refuse(t, t->at, end > t->at ? end : t->at + 1, NULL, "':' is missing behind the hour");
    t->at += rc == 0;
    if (rc == 0)
        rc = read_list(t, &minute, add_minutes, calendar, &minute_star);
    if (rc < 0)
        return rc;
    calendar->wildcard = hour_star || minute_star;
    if (*t->at == ':') {
        t->at++;
        rc = read_list(t, &second, add_seconds, calendar, &second_star);
    } else {
        calendar->seconds = 1;
    }
    if (rc == 0 && *t->at == '.')
        return calendar_refuse(t, t->at, end, NULL, "a time has whole seconds here");
    return rc < 0 || t->at == end ? rc : calendar_refuse(t, t->at, end, NULL, "'%.*s' does not belong into a time", calendar_width(t->at, end), t->at);
}

static int read_zone(struct calendar_text *t, struct calendar *calendar)
{
    const char *end = word_end(t->at);
    size_t length = (size_t)(end - t->at);
    if (*end)
        return calendar_refuse(t, end, end + strlen(end), NULL, "nothing follows the time zone");
    if (length > ZONE_NAME_MAX || !isalpha((unsigned char)*t->at))
        return calendar_refuse(t, t->at, end, NULL, "'%.*s' is no time zone", calendar_width(t->at, end), t->at);
    memcpy(calendar->zone, t->at, length);
    calendar->zone[length] = '\0';
    t->at = end;
    return 0;
}

// The words stand for expressions; NULL when there is none at `at`.
static const char *meaning_of_word(const char *at)
{
    static const char *const words[][2] = {
        { "minutely", "*-*-* *:*:00" },          { "hourly", "*-*-* *:00:00" },           { "daily", "*-*-* 00:00:00" },
        { "weekly", "Mon *-*-* 00:00:00" },      { "monthly", "*-*-01 00:00:00" },        { "quarterly", "*-01,04,07,10-01 00:00:00" },
        { "yearly", "*-01-01 00:00:00" },        { "annually", "*-01-01 00:00:00" },      { "semiannually", "*-01,07-01 00:00:00" },
        { "semi-annually", "*-01,07-01 00:00:00" }, { "biannually", "*-01,07-01 00:00:00" }, { "bi-annually", "*-01,07-01 00:00:00" },
    };
    size_t length = strcspn(at, " ");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i][0]) == length && strncasecmp(words[i][0], at, length) == 0)
            return words[i][1];
    return NULL;
}

static void skip_blanks(struct calendar_text *t) { t->at += strspn(t->at, " "); }

static int read_parts(struct calendar_text *t, struct calendar *calendar)
{
    int rc = read_weekdays(t, calendar);
    skip_blanks(t);
    size_t length = strcspn(t->at, " ");
    bool date = rc == 0 && !isalpha((unsigned char)*t->at) && length > 0 && !memchr(t->at, ':', length);
    if (date) {
        rc = read_date(t, calendar);
        skip_blanks(t);
    } else {
        calendar->any_year = true;
        calendar->months = 0x1ffe;
        calendar->days = 0xfffffffe;
    }
    if (rc == 0 && *t->at && !isalpha((unsigned char)*t->at))
        return read_time(t, calendar);
    calendar->hours = calendar->minutes = calendar->seconds = 1;
    return rc;
}

int calendar_event_parse(struct calendar_text *t, struct calendar *calendar)
{
    const char *meaning = meaning_of_word(t->at);
    int rc;
    *calendar = (struct calendar){ 0 };
    if (meaning) {
        struct calendar_text inner = { meaning, meaning, t->mistake, t->err };
        rc = read_parts(&inner, calendar);
        t->at = word_end(t->at);
    } else {
        rc = read_parts(t, calendar);
    }
    skip_blanks(t);
    return rc == 0 && *t->at ? read_zone(t, calendar) : rc;
}
