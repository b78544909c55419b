// Alarms: what is wrong now, until it is well again. One alarm is active for each (kind, policy, copy); raising it again refreshes it.
// Opening, a change of severity, and clearing append an event each, in the same transaction.
#ifndef BKD_RECORD_ALARMS_H
#define BKD_RECORD_ALARMS_H

#include "bkd/record/catalogue.h"
#include "bkd/record/events.h"

struct alarm {
    int64_t id;
    char *kind, *policy, *copy; // owned; policy "" = of the whole host, copy (an address) "" = none
    enum severity severity;
    char *text, *next_step; // owned
    uint64_t opened_ns, last_seen_ns;
    uint64_t cleared_ns;      // 0 = it is active
    uint64_t acknowledged_ns; // somebody said that they know; 0 = nobody did
    char *acknowledged_by;    // "" = nobody; owned
};

struct alarms {
    struct alarm *items;
    size_t n;
};
void alarms_done(struct alarms *alarms);
#define _cleanup_alarms_ __attribute__((cleanup(alarms_done)))

// What is to be raised; NULL strings are "".
struct alarm_raise {
    const char *kind, *policy, *copy;
    enum severity severity;
    const char *text, *next_step;
};
// Opens it, or refreshes text, next step, severity and last_seen of the one that is active. ret_id may be NULL.
MUST_USE int alarms_raise(struct catalogue *c, const struct alarm_raise *alarm, int64_t *ret_id, struct error *err);
// It is well again: ends the active one, if there is one. policy and copy NULL are "". `text` is what the event says; NULL = what the alarm said.
// ret_was_active may be NULL.
MUST_USE int alarms_clear(struct catalogue *c, const char *kind, const char *policy, const char *copy, const char *text, bool *ret_was_active, struct error *err);
// Those active now, of a policy ("" = of the host) or of all (NULL): the most severe first, then the oldest.
MUST_USE int alarms_active(struct catalogue *c, const char *policy, struct alarms *ret_alarms, struct error *err);
// One by its id, active or not, as the only one of *ret_alarms. ERROR_NOT_FOUND.
MUST_USE int alarms_get(struct catalogue *c, int64_t id, struct alarms *ret_alarms, struct error *err);
// Somebody knows of it: it is not repeated and not escalated any more, unless it gets worse. ERROR_NOT_FOUND: none of that id is active.
MUST_USE int alarms_acknowledge(struct catalogue *c, int64_t id, const char *by, struct error *err);

#endif
