// What this host remembers of a place: the newest snapshot that it made there, brought there or, where it only verifies, saw there. Heads always stay, so a place
// without it was rolled back, exchanged or damaged, however sound what it still has may be.
#ifndef BKD_HOST_PINNED_H
#define BKD_HOST_PINNED_H

#include "bkd/host/setup.h"

// *ret_head is the name of the head that is missing at `place`, or is not as it was; NULL when nothing is, or nothing is remembered (no run of this host yet, disks that
// are exchanged at one address). Caller frees. `repository` is the place as it was opened; what came to it since then is asked for. Errors are those of the place.
MUST_USE int pinned_find_missing(const struct setup *s, const struct repository *repository, const struct policy_store *place, char **ret_head, struct error *err);
// Of a host that only verifies what another brings there: remembers the newest head that is there now, so that the place does not go back behind it unnoticed. What
// cannot be written is a warning.
void pinned_remember(const struct setup *s, const struct repository *repository, const struct policy_store *place);

#endif
