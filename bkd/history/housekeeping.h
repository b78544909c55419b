// What keeps the catalogue well over the years, done by runs at their end when it is due: the nightly copy, what is old goes, and what was lost is rebuilt from heads.
#ifndef BKD_HISTORY_HOUSEKEEPING_H
#define BKD_HISTORY_HOUSEKEEPING_H

#include "bkd/host/context.h"
#include "bkd/record/catalogue.h"

// Never fails a run: warns, and is tried again by the next one.
void housekeeping_run(const struct context *ctx, struct catalogue *c);
// The nightly copy, now.
MUST_USE int housekeeping_backup(struct catalogue *c, struct error *err);

#endif
