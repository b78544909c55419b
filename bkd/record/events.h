// Events: what happened that somebody may want to hear of, in the order of their ids. Alarms append theirs by themselves; notifiers read them by id.
#ifndef BKD_RECORD_EVENTS_H
#define BKD_RECORD_EVENTS_H

#include "bkd/record/catalogue.h"

enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_CRITICAL, SEVERITIES };

// "info", "warning", "critical".
const char *severity_name(enum severity severity);
bool severity_parse(const char *name, enum severity *ret_severity);

enum event_what {
    EVENT_OPENED,   // an alarm began
    EVENT_CHANGED,  // its severity is another now
    EVENT_CLEARED,  // it is over
    EVENT_HAPPENED, // no alarm: a run succeeded, failed …
    EVENT_WHATS
};
// "opened", "changed", "cleared", "happened".
const char *event_what_name(enum event_what what);

struct event {
    int64_t id;
    uint64_t time_ns;
    enum event_what what;
    const char *kind;   // "rpo", "run-failed" …: one word, the key that routing and tests go by
    const char *policy; // "" = of the whole host
    const char *copy;   // address of a copy; "" = none
    enum severity severity;
    const char *text;      // one sentence
    const char *next_step; // what to do; "" = nothing
    int64_t alarm;         // id; 0 = none
    int64_t run;           // id; 0 = none
};

// Appends one, now (id and time_ns of *event are ignored; NULL strings are ""). ret_id may be NULL.
MUST_USE int events_append(struct catalogue *c, const struct event *event, int64_t *ret_id, struct error *err);
// The same for what simply happened.
MUST_USE int events_add(struct catalogue *c, const char *kind, const char *policy, enum severity severity, const char *text, struct error *err);

// Strings are valid during the visit only. A visit that returns non-zero ends the listing with that value.
typedef int events_visit_fn(void *arg, const struct event *event, struct error *err);
// Those with a higher id than `after`, oldest first, at most `limit` (0 = all).
MUST_USE int events_after(struct catalogue *c, int64_t after, uint64_t limit, events_visit_fn *visit, void *arg, struct error *err);
// One. ERROR_NOT_FOUND.
MUST_USE int events_get(struct catalogue *c, int64_t id, events_visit_fn *visit, void *arg, struct error *err);
// The last one of an alarm; 0 = none.
MUST_USE int events_last_of_alarm(struct catalogue *c, int64_t alarm, int64_t *ret_id, struct error *err);
// The highest id there is; 0 = none.
MUST_USE int events_last_id(struct catalogue *c, int64_t *ret_id, struct error *err);

#endif
