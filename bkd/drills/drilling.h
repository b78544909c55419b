// A drill of one policy: what it works on, the scratch space it works in, and its record, in the state directory and in the catalogue.
//
// Usual order: drilling_begin; drilling_step …; drilling_end, whatever came between; drilling_done.
#ifndef BKD_DRILLS_DRILLING_H
#define BKD_DRILLS_DRILLING_H

#include "bkd/dr/drill.h"
#include "bkd/dr/scratch.h"
#include "bkd/host/setup.h"

struct drilling {
    struct setup setup;
    const struct policy_store *place; // the copy it works on; borrowed from the policy
    struct repository *repository;    // opened there
    const struct repository_head *head; // the newest snapshot there
    struct setup_access access;
    char *identity; // file; owned; NULL = there is none, or none is needed
    char *signers;  // file; owned
    struct scratch scratch;
    struct drill drill;
};

// Loads the policy, opens the copy that --from names (else as verifications do), finds its newest snapshot and the identity, and begins the record. Options it
// knows of `args`: from, identity, responsible, participants, place. ERROR_KEY: needs_identity, and there is none.
MUST_USE int drilling_begin(const struct context *ctx, const struct cli_args *args, const char *kind, const char *scope, bool needs_identity, struct drilling *ret_drilling,
                            struct error *err);
// Records a step, and tells of it. `text` is printf's.
MUST_USE int drilling_step(struct drilling *d, const char *name, uint64_t took_ns, enum drill_result result, struct error *err, const char *text, ...)
    __attribute__((format(printf, 6, 7)));
// Ends the record. r and *err are how the drill ended; they stay what they are when it failed. A drill whose steps did not all pass is ERROR_INTEGRITY.
MUST_USE int drilling_end(struct drilling *d, int r, const char *evaluation, struct error *err);
void drilling_done(struct drilling *d);
#define _cleanup_drilling_ __attribute__((cleanup(drilling_done)))

#endif
