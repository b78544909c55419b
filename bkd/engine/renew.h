// Storing anew while a run lasts: which objects are being emptied, what of the budget is left, and where it goes. What is due is decided by
// bkd/engine/renewal.h, from what the newest snapshot uses of each object and what was put into it, which a local file remembers.
//
// What is stored anew goes into objects of its own: it has not changed for long, and together with what changed tonight, much of which changes again
// soon, it would be in half-dead objects at once. Objects that are being emptied are not referred to by anything new.
#ifndef BKD_ENGINE_RENEW_H
#define BKD_ENGINE_RENEW_H

#include "bkd/engine/object_writer.h"
#include "bkd/engine/renewal.h"
#include "bkd/engine/sealed.h"
#include "bkd/engine/versions.h"

struct renew {
    struct renewal_rule rule;
    struct versions_needs filled; // bytes put into each object there is
    bool *due;                    // by number
    uint32_t n;
    uint64_t spent; // of the budget
    struct object_writer *writer; // NULL until something is stored anew
    // Figures of the run.
    uint64_t files, bytes; // stored anew
    uint64_t differing;    // files whose content is not what was stored, though they did not change
};

// Reads what was put into each object. A file that is missing or wrong says nothing: then an object is taken to hold what it has stored.
void renew_load(struct renew *r, const struct io *io, int dirfd, const uint8_t key[SEALED_KEY_SIZE]);
void renew_done(struct renew *r);
// Chooses what is emptied in this run: of the objects of the newest snapshot, as its refs say.
void renew_plan(struct renew *r, const struct renewal_rule *rule, const struct format_refs *refs);
// Is the object being emptied?
bool renew_is_due(const struct renew *r, uint32_t object);
bool renew_any_due(const struct renew *r, const struct versions_needs *needs);
// Bytes that are stored to make a file of this recipe, unchanged, independent of objects that are due.
uint64_t renew_cost(const struct renew *r, const struct recipe *recipe);
// Takes that much from the budget; false when it is not there. What is small may pass the budget once.
bool renew_spend(struct renew *r, uint64_t cost);
// Remembers what is in each object of the new snapshot. After a failure objects are taken to be fuller than they are.
// first_own: number of the run's first object.
MUST_USE int renew_save(const struct renew *r, const struct io *io, int dirfd, const uint8_t key[SEALED_KEY_SIZE], const struct format_refs *refs, uint32_t first_own,
                        struct error *err);

#endif
