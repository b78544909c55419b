// Sending what waits in the outbox: each message is claimed, handed to the notifier of its channel, and forgotten only when that one took it. What fails is tried
// again at growing distances; a channel that failed is left alone for the rest of the time at hand.
#ifndef BKD_NOTIFY_OUTBOX_H
#define BKD_NOTIFY_OUTBOX_H

#include "bkd/policy/config.h"
#include "bkd/record/catalogue.h"

#define OUTBOX_FAILING_S 3600u // a channel that has failed for so long, and OUTBOX_FAILING_TRIES times, is an alarm to the others
#define OUTBOX_FAILING_TRIES 3u
#define OUTBOX_PING_AGE_S 3600u // pings that are older mean nothing any more

struct outbox {
    const struct io *io;
    const char *config_dir;
    const struct config *config;
    const char *host;
    struct catalogue *catalogue;
    uint64_t budget_ms; // for everything together
};

struct outbox_result {
    uint64_t sent, failed;
    bool alarms_changed; // an alarm about a channel was raised or cleared: there may be more to tell
    bool more;           // a channel works again: there is more to send
};

// Sends what is due. Failures to deliver are counted and recorded, and are not an error.
MUST_USE int outbox_send(const struct outbox *outbox, struct outbox_result *ret_result, struct error *err);

#endif
