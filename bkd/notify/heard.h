// What the channels were told last (bkd/record/tellings.h), in memory while messages are planned.
#ifndef BKD_NOTIFY_HEARD_H
#define BKD_NOTIFY_HEARD_H

#include "bkd/record/tellings.h"

struct heard {
    struct telling *items; // strings are owned
    size_t count;
};
void heard_done(struct heard *heard);
#define _cleanup_heard_ __attribute__((cleanup(heard_done)))

MUST_USE int heard_load(struct catalogue *c, struct heard *ret_heard, struct error *err);
// NULL when the channel was never told of it.
const struct telling *heard_find(const struct heard *heard, const char *channel, const char *kind, const char *policy, const char *copy, bool of_event);
// Remembers it, here and in the catalogue. Pointers that heard_find gave are not valid any more.
MUST_USE int heard_set(struct heard *heard, struct catalogue *c, const struct telling *telling, struct error *err);

#endif
