// The key drill: an identity that lies offline is brought, and has to open a canary, the smallest object of the newest snapshot.
#ifndef BKD_DRILLS_KEY_DRILL_H
#define BKD_DRILLS_KEY_DRILL_H

#include "bkd/drills/drilling.h"
#include "bkd/repo/unlock.h"

#define KEY_DRILL_KIND "key"

// ERROR_KEY: it opens nothing of this policy, or is the identity that verifications use anyway; ERROR_INTEGRITY: the canary is not what was signed.
MUST_USE int key_drill_run(struct drilling *d, const struct unlock *key, struct error *err);

#endif
