// What the catalogue remembers of a task of the agenda: its slots, its runs, and since when its schedule holds.
#ifndef BKD_HOST_REMEMBERED_H
#define BKD_HOST_REMEMBERED_H

#include "bkd/policy/agenda.h"
#include "bkd/record/catalogue.h"

#define REMEMBERED_CANCELLED "cancelled" // the figure of a run that somebody ended: it is not tried again

// Fills in the newest slot, success and ended run where they are newer than what the task knows already, and leaves the rest of it alone. What is dated later than
// now_s + AGENDA_CLOCK_S had a wrong clock and does not count. A slot that was decided to be run, while no run came of it (whoever decided died in between), is
// a run that was killed: it is made up for.
MUST_USE int remembered_runs(struct catalogue *c, struct agenda_task *task, int64_t now_s, struct error *err);
// Since when times that somebody (a policy, a recovery plan) names for an action are what they are now: those from before that do not count. Remembers new ones
// from `now_s` on, and known ones at the latest. *ret_since_s is left alone when there are none, and were none.
MUST_USE int remembered_times(struct catalogue *c, const char *owner, const char *action, const struct policy_list *times, const char *timezone, int64_t now_s, int64_t *ret_since_s,
                              struct error *err);
// The same, only looking. *ret_since_s is 0 when nothing is remembered.
MUST_USE int remembered_since(struct catalogue *c, const char *owner, const char *action, int64_t *ret_since_s, struct error *err);
// As remembered_times, of a policy's action.
MUST_USE int remembered_schedule(struct catalogue *c, const struct policy *policy, const char *action, int64_t now_s, int64_t *ret_since_s, struct error *err);

#endif
