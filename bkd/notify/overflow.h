// A channel that cannot be reached for long must not fill the catalogue: the oldest of its messages become one that says how many there were, and about what.
#ifndef BKD_NOTIFY_OVERFLOW_H
#define BKD_NOTIFY_OVERFLOW_H

#include "bkd/record/catalogue.h"

// When more than `max` messages wait for the channel, its oldest half becomes one.
MUST_USE int overflow_collapse(struct catalogue *c, const char *channel, const char *host, uint64_t max, struct error *err);

#endif
