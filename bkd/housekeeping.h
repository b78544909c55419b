// What keeps the catalogue well over the years, done by runs at their end when it is due: the nightly copy, what is old goes, and what was lost is rebuilt from heads.
#ifndef BKD_HOUSEKEEPING_H
#define BKD_HOUSEKEEPING_H

#include "bkd/cmd.h"
#include "bkd/record/catalogue.h"

// Never fails a run: warns, and is tried again by the next one.
void housekeeping_run(const struct cmd_context *ctx, struct catalogue *c);
// The nightly copy, now.
MUST_USE int housekeeping_backup(struct catalogue *c, struct error *err);

#endif
