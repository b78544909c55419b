// The by-hand drill: the newest snapshot is rebuilt by the repository's own recover.sh alone, in a place without bkd, and compared with what was signed.
#ifndef BKD_DRILLS_BY_HAND_H
#define BKD_DRILLS_BY_HAND_H

#include "bkd/drills/drilling.h"

#define BY_HAND_KIND "by-hand"

// Its time stands in the record as "by_hand_ms", and among the verifications with the mode "by-hand": it is never mixed with what bkd-restore takes.
MUST_USE int by_hand_run(struct drilling *d, struct error *err);

#endif
