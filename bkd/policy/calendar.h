// When something is to happen again and again: crontab(5) expressions and systemd's OnCalendar form (systemd.time(7)). Pure.
//
//   "30 1 * * *"            five fields: minute, hour, day of the month, month, day of the week
//   "@daily"                a word for one
//   "Mon..Fri *-*-* 01:30"  weekdays, date, time; each may be left out
//   "daily"                 a word for one
//
// An expression names local times. Where a zone's clocks change, what is done is what Debian's cron does (cron(8), and the main loop of its
// cron.c): an expression whose hour and minute are both fixed runs exactly once for each local time it names, also when the clocks skip that
// time (then at the moment after the gap) or show it twice (then the first time); one with a wildcard there runs whenever the clock shows a
// matching time. Clocks that are set forward by three hours or more, or back by more than three hours, have changed to another time: the
// skipped times do not happen, the repeated ones happen again.
#ifndef BKD_POLICY_CALENDAR_H
#define BKD_POLICY_CALENDAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/error.h"
#include "bkd/policy/zone.h"

#define CALENDAR_TEXT_MAX 512u // bytes of an expression
#define CALENDAR_FIRST_YEAR 1970u
#define CALENDAR_LAST_YEAR 2199u // of those an expression may name; "*" goes on to 9999

// What an expression means: sets of numbers, one bit for each.
struct calendar {
    bool any_year;
    uint64_t years[4];    // bit n: CALENDAR_FIRST_YEAR + n, unless any_year
    uint32_t months;      // bit 1: January
    uint32_t days;        // bit 1: the first of the month
    uint32_t last_days;   // bit 1: the last of the month, bit 2: the one before
    uint32_t weekdays;    // bit 0: Sunday
    bool either_day;      // a day that is in `days` or in `weekdays`, rather than in both
    uint64_t hours, minutes, seconds;
    bool wildcard;        // hour or minute begins with "*": by elapsed time
    char zone[ZONE_NAME_MAX + 1]; // that the expression itself names; "" = none
};

// What in an expression is wrong, and what may help.
struct calendar_mistake {
    size_t offset, length; // bytes of the text
    char hint[160];        // "" when there is none
};

// ERROR_USAGE with *ret_mistake filled when the text is not an expression, or one that never happens. *ret_calendar is left alone then.
MUST_USE int calendar_parse(const char *text, struct calendar *ret_calendar, struct calendar_mistake *ret_mistake, struct error *err);

#define CALENDAR_NEVER INT64_MAX

// The first moment after `after_s` (UTC seconds) at which it happens in a zone, by the rule above; CALENDAR_NEVER when there is none up to the
// year 9999.
int64_t calendar_next(const struct calendar *calendar, const struct zone *zone, int64_t after_s);

// What the zone's clocks have to do with a moment that calendar_next gave.
enum calendar_note {
    CALENDAR_PLAIN,
    CALENDAR_AFTER_GAP,     // the clocks have just skipped a time that it names
    CALENDAR_FIRST_OF_TWO,  // they show the time of this moment once more
    CALENDAR_SECOND_OF_TWO, // they have shown it before
};
enum calendar_note calendar_note(const struct calendar *calendar, const struct zone *zone, int64_t at_s);

// The first local time at or after `local_s` (seconds of a clock that is never changed) that the expression names; CALENDAR_NEVER when there
// is none up to the year 9999. Goes from field to field, not from minute to minute.
int64_t calendar_next_local(const struct calendar *calendar, int64_t local_s);

#endif
