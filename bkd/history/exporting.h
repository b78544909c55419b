// What only the catalogue knows of a policy, stored beside its repository for the day on which the state directory is lost: encrypted for the repository's
// recipients, signed by this host, about once a day.
#ifndef BKD_HISTORY_EXPORTING_H
#define BKD_HISTORY_EXPORTING_H

#include "bkd/host/setup.h"
#include "bkd/record/catalogue.h"

// Exports when the last one is older than a day's run can be (20 hours), before the copies are brought up to date. Never fails a run: warns.
void exporting_nightly(const struct setup *s, struct store *store);
// Exports to the repository's store now: all, or since the last full one (once a month all). setup_load_writing was called. *ret_size: stored bytes.
MUST_USE int exporting_run(struct catalogue *c, const struct setup *s, struct store *store, bool is_full, uint64_t *ret_size, struct error *err);
// Brings what is newest to a copy. Never fails: warns.
void exporting_ship(const struct setup *s, struct store *from, struct store *to, const uint8_t chain[16]);

#endif
