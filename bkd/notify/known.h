// What the channels were told last (bkd/record/tellings.h), in memory while messages are planned.
#ifndef BKD_NOTIFY_KNOWN_H
#define BKD_NOTIFY_KNOWN_H

#include "bkd/record/tellings.h"

struct known {
    struct telling *items; // strings are owned
    size_t count;
};
void known_done(struct known *known);
#define _cleanup_known_ __attribute__((cleanup(known_done)))

MUST_USE int known_load(struct catalogue *c, struct known *ret_known, struct error *err);
// NULL when the channel was never told of it.
const struct telling *known_find(const struct known *known, const char *channel, const char *kind, const char *policy, const char *copy, bool of_event);
// Remembers it, here and in the catalogue. Pointers that known_find gave are not valid any more.
MUST_USE int known_set(struct known *known, struct catalogue *c, const struct telling *telling, struct error *err);

#endif
