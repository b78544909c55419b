// When the next drill of a plan is due, and whether it is announced or overdue by now: dates in, a judgement out. Pure.
//
// Dates are the slots of the plan's schedule. A drill counts for the one it is nearest to, so that one held a week early or a month late does for its own date and
// not for the next. The date that is due is the first for which none was held; dates from before the schedule came into force count for nobody.
#ifndef BKD_DR_DRILL_DATES_H
#define BKD_DR_DRILL_DATES_H

#include <stdbool.h>

#include "bkd/policy/schedule.h"

#define DRILL_DATES_TEXT_MAX 64
#define DRILL_DATES_GRACE_S (24 * 3600) // a drill that begins late in the day is none that was forgotten

struct drill_dates {
    int64_t due_s;   // UTC; CALENDAR_NEVER = there is no date
    bool is_near;    // it is to be announced
    bool is_overdue; // it has passed, and nobody held it
};

// since_s: when the schedule came into force. last_s: when the last drill began; INT64_MIN = there was none. announce_s: how long before a date it is announced;
// 0 = never.
struct drill_dates drill_dates_of(const struct schedule *schedule, int64_t since_s, int64_t last_s, uint64_t announce_s, int64_t now_s);

// A date for people, by the clock that it is meant in: "Tue 2027-01-12 10:00 CET".
void drill_dates_format(const struct schedule *schedule, int64_t date_s, char ret_text[DRILL_DATES_TEXT_MAX]);

#endif
