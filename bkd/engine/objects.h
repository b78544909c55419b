// The objects a run may refer to: those the parent snapshot needs, those a journal vouches for, and its own. One record an object.
#ifndef BKD_ENGINE_OBJECTS_H
#define BKD_ENGINE_OBJECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/engine/versions.h"
#include "bkd/repo/format.h"
#include "bkd/store/store.h"

struct objects {
    struct format_ref *items; // by number; stored_size 0: no such object; `used` is not used
    uint32_t n;
    uint32_t first_own; // number of the first object of this run: from there on all are usable; 0 = none
};

void objects_done(struct objects *o);
void objects_add(struct objects *o, const struct format_ref *object);
bool objects_usable(const struct objects *o, uint32_t number);
// Those alone that existed before this run: what caches of earlier runs may name.
bool objects_usable_before(const struct objects *o, uint32_t number);
// Reads the object with this hash: does the store have it, of this size, byte for byte?
bool objects_check_stored(struct store *store, bool encrypted, const struct format_ref *object);
// What a snapshot with these needs refers to. ERROR_INTEGRITY when one is not known (a defect).
MUST_USE int objects_refs(const struct objects *o, const uint8_t chain[16], const struct versions_needs *needs, struct format_refs *ret_refs, struct error *err);

#endif
