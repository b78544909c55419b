// From what the catalogue knows to messages in the outbox: alarms and events by the rules of routing.h, the digest when its time has come.
// One transaction, so that of two processes at once each message is made by one.
#ifndef BKD_NOTIFY_PLAN_H
#define BKD_NOTIFY_PLAN_H

#include "bkd/policy/config.h"
#include "bkd/policy/zone.h"
#include "bkd/record/catalogue.h"

#define PLAN_WAITING_MAX 100u   // messages that wait for one channel; beyond that the oldest become one
#define PLAN_EVENT_AGE_S 86400u // older events, of a time when nobody was told, are passed over
#define PLAN_KEPT_DAYS 90u      // how long what was delivered is remembered

struct plan {
    const struct config *config;
    struct catalogue *catalogue;
    const struct zone *zone; // of the configuration's times of day
    const char *host;
    const char *const *policies; // names of all there are, for the digest
    size_t policy_count;
    uint64_t now_ns;
};

// Puts what is to be told now into the outbox.
MUST_USE int plan_messages(const struct plan *plan, struct error *err);

#endif
