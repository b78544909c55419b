// Dates and times of day as numbers: the proleptic Gregorian calendar without leap seconds, 64-bit throughout. Pure.
//
// "Seconds" count from 1970-01-01 00:00:00 of whatever clock is meant: UTC, or a zone's local time. What is written and read as text is
// RFC 3339 with the years 0001 to 9999.
#ifndef BKD_POLICY_CIVIL_H
#define BKD_POLICY_CIVIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CIVIL_TEXT_MAX 40
#define CIVIL_DAY 86400
#define CIVIL_YEAR_MAX 9999
#define CIVIL_END INT64_C(253402300800) // seconds: the first that is beyond the year 9999

struct civil {
    int64_t year;
    unsigned month, day; // 1 is the first
    unsigned hour, minute, second;
};

struct civil civil_of(int64_t seconds);
int64_t civil_seconds(const struct civil *civil);
// Days since 1970-01-01; the inverse is civil_of(days * CIVIL_DAY).
int64_t civil_days(int64_t year, unsigned month, unsigned day);
unsigned civil_month_length(int64_t year, unsigned month);
unsigned civil_weekday(int64_t days); // 0 = Sunday

// "2026-03-28T00:00:00Z"; with an offset other than 0 "2026-03-28T01:00:00+01:00". offset_s: of local time, east is positive.
void civil_format(char ret_text[CIVIL_TEXT_MAX], int64_t utc_s, int64_t offset_s);
// RFC 3339 with Z or a numeric offset; fractions of a second are dropped. False when it is not one, or not a date.
bool civil_parse(const char *text, int64_t *ret_utc_s);

#endif
