#include "bkd/policy/zone_rule.h"

#include <ctype.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/policy/civil.h"

#define HOURS_MAX 167
#define OFFSET_HOURS_MAX 24

static char peek(const struct cursor *c) { return c->at < c->end ? (char)*c->at : '\0'; }

static bool skip(struct cursor *c, char wanted)
{
    if (peek(c) != wanted || wanted == '\0')
        return false;
    c->at++;
    return true;
}

static bool take_number(struct cursor *c, unsigned max, unsigned *ret_number)
{
    unsigned number = 0;
    if (!isdigit((unsigned char)peek(c)))
        return false;
    for (; isdigit((unsigned char)peek(c)) && number <= max; c->at++)
        number = number * 10 + (unsigned)(peek(c) - '0');
    *ret_number = number;
    return number <= max;
}

// "CET", "<+0330>".
static bool take_abbreviation(struct cursor *c, char *ret_text)
{
    bool quoted = skip(c, '<');
    size_t n = 0;
    for (;; c->at++) {
        char at = peek(c);
        if (!isalpha((unsigned char)at) && !(quoted && (isdigit((unsigned char)at) || at == '+' || at == '-')))
            break;
        if (n == ZONE_ABBREVIATION_MAX)
            return false;
        ret_text[n++] = at;
    }
    ret_text[n] = '\0';
    return n >= 3 && (!quoted || skip(c, '>'));
}

// "3", "-2:30", "+10:30:15" as seconds.
static bool take_time(struct cursor *c, unsigned hours_max, int32_t *ret_seconds)
{
    unsigned parts[3] = { 0 };
    bool negative = skip(c, '-');
    if (!negative)
        (void)skip(c, '+'); // a sign that changes nothing
    if (!take_number(c, hours_max, &parts[0]))
        return false;
    for (size_t i = 1; i < 3 && skip(c, ':'); i++)
        if (!take_number(c, 59, &parts[i]))
            return false;
    int32_t seconds = (int32_t)(parts[0] * 3600 + parts[1] * 60 + parts[2]);
    *ret_seconds = negative ? -seconds : seconds;
    return true;
}

// ",M3.5.0/2", ",J60", ",59".
static bool take_date(struct cursor *c, struct zone_rule_date *ret_date)
{
    struct zone_rule_date date = { .time_s = 2 * 3600 };
    if (!skip(c, ','))
        return false;
    if (skip(c, 'M')) {
        date.form = ZONE_RULE_MONTH_WEEK_DAY;
        if (!take_number(c, 12, &date.month) || date.month == 0 || !skip(c, '.') || !take_number(c, 5, &date.week) || date.week == 0 || !skip(c, '.') ||
            !take_number(c, 6, &date.weekday))
            return false;
    } else {
        date.form = skip(c, 'J') ? ZONE_RULE_JULIAN : ZONE_RULE_DAY;
        if (!take_number(c, 365, &date.day) || (date.form == ZONE_RULE_JULIAN && date.day == 0))
            return false;
    }
    if (skip(c, '/') && !take_time(c, HOURS_MAX, &date.time_s))
        return false;
    *ret_date = date;
    return true;
}

// The sign of a TZ string is west-positive.
static bool take_offset(struct cursor *c, int32_t *ret_offset_s)
{
    int32_t west;
    if (!take_time(c, OFFSET_HOURS_MAX, &west))
        return false;
    *ret_offset_s = -west;
    return true;
}

bool zone_rule_parse(const char *text, size_t n, struct zone_rule *ret_rule)
{
    struct zone_rule rule = { 0 };
    struct cursor c = cursor_of(text, n);
    if (!take_abbreviation(&c, rule.standard.abbreviation) || !take_offset(&c, &rule.standard.offset_s))
        return false;
    rule.has_summer = cursor_left(&c) > 0;
    if (rule.has_summer) {
        rule.summer.dst = true;
        rule.summer.offset_s = rule.standard.offset_s + 3600;
        if (!take_abbreviation(&c, rule.summer.abbreviation) || (peek(&c) != ',' && !take_offset(&c, &rule.summer.offset_s)))
            return false;
        if (!take_date(&c, &rule.begin) || !take_date(&c, &rule.end))
            return false;
    }
    if (cursor_left(&c) > 0)
        return false;
    *ret_rule = rule;
    return true;
}

// The local time of a date in a year, in seconds of a clock that is never changed.
static int64_t local_of(const struct zone_rule_date *date, int64_t year)
{
    int64_t first = civil_days(year, date->form == ZONE_RULE_MONTH_WEEK_DAY ? date->month : 1, 1), day;
    bool leap = civil_month_length(year, 2) == 29;
    if (date->form == ZONE_RULE_JULIAN) {
        day = first + date->day - 1 + (leap && date->day >= 60);
    } else if (date->form == ZONE_RULE_DAY) {
        day = first + date->day;
    } else {
        int64_t last = first + civil_month_length(year, date->month) - 1;
        day = first + (date->weekday + 7 - civil_weekday(first)) % 7 + (int64_t)(date->week - 1) * 7;
        if (day > last) // the fifth week means the last such day
            day -= 7;
    }
    return day * CIVIL_DAY + date->time_s;
}

// A moment at which summer time begins or ends.
struct change {
    int64_t utc_s;
    bool to_summer;
};

void zone_rule_period_at(const struct zone_rule *rule, int64_t utc_s, struct zone_period *ret_period)
{
    int64_t year = civil_of(utc_s).year, begin_s = INT64_MIN, end_s = INT64_MAX;
    bool summer = false;
    for (int64_t y = year - 2; rule->has_summer && y <= year + 2; y++) { // times of up to a week reach into the years beside
        struct change changes[] = { { local_of(&rule->end, y) - rule->summer.offset_s, false }, { local_of(&rule->begin, y) - rule->standard.offset_s, true } };
        for (size_t i = 0; i < 2; i++) {
            // Where one summer ends in the moment the next begins, it goes on.
            if (changes[i].utc_s <= utc_s && (changes[i].utc_s > begin_s || (changes[i].utc_s == begin_s && changes[i].to_summer))) {
                begin_s = changes[i].utc_s;
                summer = changes[i].to_summer;
            } else if (changes[i].utc_s > utc_s && changes[i].utc_s < end_s) {
                end_s = changes[i].utc_s;
            }
        }
    }
    *ret_period = summer ? rule->summer : rule->standard;
    ret_period->begin_s = begin_s;
    ret_period->end_s = end_s;
}
