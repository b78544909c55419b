// Which snapshot of a place is to be proven: what a person calls it, or one drawn at random. What is damaged must not hide behind what is older and sound.
#ifndef BKD_SNAPSHOTS_CHOOSING_H
#define BKD_SNAPSHOTS_CHOOSING_H

#include "bkd/host/setup.h"

// snapshot: "random", or as setup_find_snapshot. *ret_head is borrowed from the repository, which is `place` of the policy. ERROR_NOT_FOUND: there is none, or it was given
// up and removed, which the message says. ERROR_INTEGRITY: a head that would have been chosen, or could have been drawn, is not as it was signed, or is gone while later
// ones are there; or the newest that this host made or brought there is missing, in which case *ret_head may be set: the newest of what is left.
MUST_USE int choosing_snapshot(const struct setup *s, const struct repository *repository, const struct policy_store *place, const char *snapshot, const struct repository_head **ret_head,
                               struct error *err);

#endif
