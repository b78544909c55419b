// The snapshot a run builds on: which chain is ours, which head is the newest, and whether the repository is what this host left.
#ifndef BKD_ENGINE_PARENT_H
#define BKD_ENGINE_PARENT_H

#include "bkd/engine/state.h"
#include "bkd/repo/repository.h"

struct parent {
    uint8_t chain[16];
    const struct repository_head *head; // newest valid one, borrowed from the repository; NULL: none yet
    uint64_t next_number;               // after the highest number there is, void ones included
};

// Chooses the chain (the state's, else one of this host and policy in the repository, else a new one) and compares the pin with its heads.
// ERROR_INTEGRITY: heads are missing that this host knows of (rolled back), or there are heads it did not write (identity used twice).
MUST_USE int parent_find(const struct io *io, const struct state *state, const struct repository *repository, const char *host, const char *policy,
                         struct parent *ret_parent, struct error *err);

#endif
