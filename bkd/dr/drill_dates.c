#include "bkd/dr/drill_dates.h"

#include <stdio.h>

#include "bkd/policy/civil.h"

// The first date that a drill at `held_s` does not count for.
static int64_t first_open(const struct schedule *schedule, int64_t held_s)
{
    int64_t before_s = schedule_newest(schedule, 0, held_s), after_s = schedule_next(schedule, held_s);
    if (after_s == CALENDAR_NEVER || (before_s != CALENDAR_NEVER && held_s - before_s < after_s - held_s))
        return after_s;
    return schedule_next(schedule, after_s);
}

struct drill_dates drill_dates_of(const struct schedule *schedule, int64_t since_s, int64_t last_s, uint64_t announce_s, int64_t now_s)
{
    int64_t first_s = schedule_next(schedule, since_s), open_s = last_s == INT64_MIN ? first_s : first_open(schedule, last_s);
    struct drill_dates dates = { .due_s = open_s > first_s ? open_s : first_s };
    if (dates.due_s == CALENDAR_NEVER)
        return dates;
    dates.is_near = announce_s > 0 && now_s < dates.due_s && now_s >= dates.due_s - (int64_t)announce_s;
    dates.is_overdue = now_s > dates.due_s + DRILL_DATES_GRACE_S;
    return dates;
}

void drill_dates_format(const struct schedule *schedule, int64_t date_s, char ret_text[DRILL_DATES_TEXT_MAX])
{
    static const char *const weekdays[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    const struct schedule_item *item = schedule_item_of(schedule, date_s);
    struct zone_period period;
    zone_period_at(item == NULL ? schedule->zone : item->zone, date_s, &period);
    int64_t local_s = date_s + period.offset_s;
    struct civil c = civil_of(local_s);
    (void)snprintf(ret_text, DRILL_DATES_TEXT_MAX, "%s %04d-%02u-%02u %02u:%02u %s", weekdays[civil_weekday(civil_days(c.year, c.month, c.day))], (int)c.year, c.month, c.day, c.hour,
                   c.minute, period.abbreviation);
}
