// Where a ping goes: "URL/start" when a run begins, "URL" when it went well or an alarm is over, "URL/fail" when it failed or an alarm stands, "URL/log" for the
// rest (https://healthchecks.io/docs/http_api/). Pings of one run carry its number (rid), so that the other side measures how long it took. Pure.
#ifndef BKD_NOTIFY_PING_H
#define BKD_NOTIFY_PING_H

#include "bkd/notify/message.h"

#define PING_RUN_STARTED "run-started" // the kind of event that is a start

// A query the address has stays at its end.
void ping_url(const char *url, const struct message *m, struct buf *ret_url);

#endif
