// All times of one schedule: the calendars that a policy lists, with the zones they mean. "Slots" are the moments it names; one moment is one
// slot, however many of its expressions name it.
#ifndef BKD_POLICY_SCHEDULE_H
#define BKD_POLICY_SCHEDULE_H

#include "bkd/policy/calendar.h"
#include "bkd/policy/policy.h"
#include "bkd/policy/zone.h"

struct schedule_item {
    struct calendar calendar;
    struct zone *own_zone;   // that the expression names; NULL = none
    const struct zone *zone; // that counts
};

struct schedule {
    struct schedule_item *items;
    size_t count; // 0 = nothing happens by itself
    struct zone *zone; // of the policy
};

// expressions: as a policy was accepted with. timezone: a name, or "host". ERROR_USAGE when a zone is no longer there or an expression is none. A
// host's zone that cannot be read is a warning, and UTC. Zeroed by the caller; free with schedule_done.
MUST_USE int schedule_open(const struct io *io, const struct policy_list *expressions, const char *timezone, struct schedule *ret_schedule, struct error *err);
void schedule_done(struct schedule *schedule);
#define _cleanup_schedule_ __attribute__((cleanup(schedule_done)))

// The first slot after a moment (UTC seconds); CALENDAR_NEVER when there is none.
int64_t schedule_next(const struct schedule *schedule, int64_t after_s);
// The newest slot after `after_s` and at or before `until_s`; CALENDAR_NEVER when there is none. Does not go through all that lie between.
int64_t schedule_newest(const struct schedule *schedule, int64_t after_s, int64_t until_s);
// An item that names this slot; NULL when none does.
const struct schedule_item *schedule_item_of(const struct schedule *schedule, int64_t slot_s);

#endif
