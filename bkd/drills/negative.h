// The negative drill: damage and deceit, done to a scratch copy of what the newest snapshot needs, must each be noticed by `bkd check` and bkd-restore. What it
// works on is never the repository itself. Of a copy on a server the way there is tried, too (negative_line.h).
#ifndef BKD_DRILLS_NEGATIVE_H
#define BKD_DRILLS_NEGATIVE_H

#include "bkd/drills/drilling.h"

#define NEGATIVE_KIND "negative"

// Tries each trick and records it as a step; one that was not noticed has failed. Errors are those that kept a trick from being tried.
MUST_USE int negative_run(struct drilling *d, struct error *err);

#endif
