// What each channel of the notifiers was told last about each thing: so that it is told once, reminded by rule, and told when it is well again.
#ifndef BKD_RECORD_TELLINGS_H
#define BKD_RECORD_TELLINGS_H

#include "bkd/record/catalogue.h"
#include "bkd/record/events.h"

// A thing is an alarm's (kind, policy, copy), whichever of its occurrences; or, of_event, a kind of event that is no alarm.
struct telling {
    const char *channel, *kind, *policy, *copy;
    bool of_event;
    int64_t alarm;          // the occurrence told of last; 0 = none
    enum severity severity; // as it was told
    bool stands;            // told that it stands, and not yet that it is over
    uint64_t told_ns;
    uint64_t flaps;  // how often it came back soon after it was over
    uint64_t unsaid; // events since then that were not told
};

// Sets what is known of (channel, kind, policy, copy, of_event).
MUST_USE int tellings_set(struct catalogue *c, const struct telling *telling, struct error *err);

// Strings are valid during the visit only. A visit that returns non-zero ends the listing with that value.
typedef int tellings_visit_fn(void *arg, const struct telling *telling, struct error *err);
MUST_USE int tellings_list(struct catalogue *c, tellings_visit_fn *visit, void *arg, struct error *err);

#endif
