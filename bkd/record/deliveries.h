// The outbox of the notifiers: what is to be told over which channel, until it was, or was given up.
#ifndef BKD_RECORD_DELIVERIES_H
#define BKD_RECORD_DELIVERIES_H

#include "bkd/record/catalogue.h"

enum delivery_state { DELIVERY_WAITING, DELIVERY_SENT, DELIVERY_GIVEN_UP, DELIVERY_STATES };

struct delivery {
    int64_t id;
    int64_t event;       // 0 = none: a digest, a repetition, a test
    const char *channel; // the name of a notifier in the configuration
    const char *what;    // what kind of message it is ("opened", "reminder", "digest" …)
    const char *subject, *body; // may be "" when the event says it all
    enum delivery_state state;
    uint64_t tries;
    uint64_t created_ns, next_try_ns, sent_ns; // sent_ns 0 = not yet
    const char *last_error; // "" = none
};

// Puts one into the outbox (of *delivery: event, channel, what, subject, body, next_try_ns with 0 = now). ret_id may be NULL.
MUST_USE int deliveries_add(struct catalogue *c, const struct delivery *delivery, int64_t *ret_id, struct error *err);

// Strings are valid during the visit only. A visit that returns non-zero ends the listing with that value.
typedef int deliveries_visit_fn(void *arg, const struct delivery *delivery, struct error *err);
// Those waiting whose time has come, oldest first, at most `limit` (0 = all).
MUST_USE int deliveries_due(struct catalogue *c, uint64_t now_ns, uint64_t limit, deliveries_visit_fn *visit, void *arg, struct error *err);
// All of them, newest first.
MUST_USE int deliveries_list(struct catalogue *c, uint64_t limit, deliveries_visit_fn *visit, void *arg, struct error *err);

// Claims one that is waiting and due, for as long as a try may take: its next try moves to until_ns, so that two processes do not send it at once.
// *ret_won false: somebody else has it.
MUST_USE int deliveries_claim(struct catalogue *c, int64_t id, uint64_t now_ns, uint64_t until_ns, bool *ret_won, struct error *err);
// What became of a try: it was sent; or it failed, and is tried again at next_try_ns, or not any more (0).
MUST_USE int deliveries_sent(struct catalogue *c, int64_t id, struct error *err);
MUST_USE int deliveries_failed(struct catalogue *c, int64_t id, uint64_t next_try_ns, const char *error, struct error *err);

// Of those waiting for one channel the oldest `limit` (0 = all), due or not, the oldest first.
MUST_USE int deliveries_waiting(struct catalogue *c, const char *channel, uint64_t limit, deliveries_visit_fn *visit, void *arg, struct error *err);
// What waits for each channel, and how it fares. last_error is that of its oldest one.
struct delivery_backlog {
    const char *channel;
    uint64_t waiting, failing; // messages; those among them that were tried at least once
    uint64_t oldest_ns;        // when the oldest one that waits was made
    uint64_t oldest_failing_ns, tries; // when the oldest of those that failed was made, how often it was tried; 0 = none
    const char *last_error;
    uint64_t sent_ns;          // when something was delivered last; 0 = never
};
typedef int deliveries_backlog_fn(void *arg, const struct delivery_backlog *backlog, struct error *err);
// Strings are valid during the visit only. Channels that never had a message are not visited.
MUST_USE int deliveries_backlogs(struct catalogue *c, deliveries_backlog_fn *visit, void *arg, struct error *err);
// The channel works again: what failed before is due now.
MUST_USE int deliveries_hurry(struct catalogue *c, const char *channel, struct error *err);
// Forgets those made before, unless they wait.
MUST_USE int deliveries_forget(struct catalogue *c, uint64_t before_ns, struct error *err);

#endif
