// Entries of different directories that --strip-components would give one name: one of them would take the place of the other.
#ifndef BKD_RESTORE_COLLISIONS_H
#define BKD_RESTORE_COLLISIONS_H

#include "restore/plan.h"

// ERROR_USAGE names the first two. Directories may meet. Rewinds the plan; sorted runs go to `scratch_dirfd`. After plan_count.
MUST_USE int collisions_check(struct plan *plan, unsigned strip, int scratch_dirfd, struct error *err);

#endif
