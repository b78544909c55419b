#include "bkd/policy/civil.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

// Years are counted from March here, so that the leap day is a year's last: the well-known form of the conversion, see
// H. Hinnant, "chrono-Compatible Low-Level Date Algorithms". An era is 400 years, which are 146097 days.
#define ERA_DAYS 146097
#define EPOCH_DAYS 719468 // from 0000-03-01 to 1970-01-01

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

int64_t civil_days(int64_t year, unsigned month, unsigned day)
{
    int64_t y = year - (month <= 2), era = floor_div(y, 400), year_of_era = y - era * 400;
    int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - EPOCH_DAYS;
}

struct civil civil_of(int64_t seconds)
{
    int64_t days = floor_div(seconds, CIVIL_DAY), second_of_day = seconds - days * CIVIL_DAY;
    int64_t shifted = days + EPOCH_DAYS, era = floor_div(shifted, ERA_DAYS), day_of_era = shifted - era * ERA_DAYS;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100), march_month = (5 * day_of_year + 2) / 153;
    unsigned month = (unsigned)(march_month < 10 ? march_month + 3 : march_month - 9);
    return (struct civil){
        .year = era * 400 + year_of_era + (month <= 2),
        .month = month,
        .day = (unsigned)(day_of_year - (153 * march_month + 2) / 5 + 1),
        .hour = (unsigned)(second_of_day / 3600),
        .minute = (unsigned)(second_of_day / 60 % 60),
        .second = (unsigned)(second_of_day % 60),
    };
}

int64_t civil_seconds(const struct civil *civil)
{
    return civil_days(civil->year, civil->month, civil->day) * CIVIL_DAY + civil->hour * 3600 + civil->minute * 60 + civil->second;
}

unsigned civil_month_length(int64_t year, unsigned month)
{
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 ? 28 + leap : month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

unsigned civil_weekday(int64_t days)
{
    int64_t weekday = (days + 4) % 7; // 1970-01-01 was a Thursday
    return (unsigned)(weekday < 0 ? weekday + 7 : weekday);
}

void civil_format(char ret_text[CIVIL_TEXT_MAX], int64_t utc_s, int64_t offset_s)
{
    struct civil c = civil_of(utc_s + offset_s);
    int64_t minutes = (offset_s < 0 ? -offset_s : offset_s) / 60;
    int n = snprintf(ret_text, CIVIL_TEXT_MAX, "%04d-%02u-%02uT%02u:%02u:%02u", (int)c.year, c.month, c.day, c.hour, c.minute, c.second);
    if (offset_s == 0)
        (void)snprintf(ret_text + n, (size_t)(CIVIL_TEXT_MAX - n), "Z");
    else
        (void)snprintf(ret_text + n, (size_t)(CIVIL_TEXT_MAX - n), "%c%02d:%02d", offset_s < 0 ? '-' : '+', (int)(minutes / 60), (int)(minutes % 60));
}

// Reads `digits` digits and moves on; UINT32_MAX when they are not there.
static unsigned read_digits(const char **at, unsigned digits)
{
    unsigned value = 0;
    for (unsigned i = 0; i < digits; i++, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return UINT32_MAX;
        value = value * 10 + (unsigned)(**at - '0');
    }
    return value;
}

static bool skip(const char **at, const char *any_of)
{
    if (**at == '\0' || !strchr(any_of, **at))
        return false;
    (*at)++;
    return true;
}

// Z, +01:00.
static bool parse_offset(const char **at, int64_t *ret_offset_s)
{
    if (skip(at, "Zz")) {
        *ret_offset_s = 0;
        return true;
    }
    bool west = **at == '-';
    if (!skip(at, "+-"))
        return false;
    unsigned hours = read_digits(at, 2);
    if (hours > 23 || !skip(at, ":"))
        return false;
    unsigned minutes = read_digits(at, 2);
    *ret_offset_s = (west ? -1 : 1) * ((int64_t)hours * 3600 + (int64_t)minutes * 60);
    return minutes <= 59;
}

static bool skip_fraction(const char **at)
{
    if (!skip(at, "."))
        return true;
    bool some = isdigit((unsigned char)**at);
    while (isdigit((unsigned char)**at))
        (*at)++;
    return some;
}

bool civil_parse(const char *text, int64_t *ret_utc_s)
{
    static const char *const between[] = { "-", "-", "Tt ", ":", ":", "" }; // RFC 3339, 5.6, lets a space stand for the T
    static const unsigned digits[] = { 4, 2, 2, 2, 2, 2 }, least[] = { 1, 1, 1, 0, 0, 0 }, most[] = { CIVIL_YEAR_MAX, 12, 31, 23, 59, 60 };
    unsigned parts[6];
    int64_t offset_s;
    for (size_t i = 0; i < 6; i++) {
        parts[i] = read_digits(&text, digits[i]);
        if (parts[i] < least[i] || parts[i] > most[i] || (between[i][0] && !skip(&text, between[i])))
            return false;
    }
    if (parts[2] > civil_month_length(parts[0], parts[1]) || !skip_fraction(&text) || !parse_offset(&text, &offset_s) || *text != '\0')
        return false;
    struct civil c = { parts[0], parts[1], parts[2], parts[3], parts[4], parts[5] < 60 ? parts[5] : 59 }; // a leap second is the one before
    *ret_utc_s = civil_seconds(&c) - offset_s;
    return true;
}
