// Which objects are to be emptied by storing what is left in them anew from the live source. Pure: the backup and the simulation share it.
//
// The host cannot decrypt, so it cannot repack. An object goes when no kept snapshot names it, so a few unchanged files keep a whole object of dead
// data. Storing them again frees it, but not at once: the snapshots made meanwhile go on naming the old object as long as the rules keep them, and
// until then the data is there twice. So renewing too early makes a repository larger, not smaller. The defaults come from `bkd prune --simulate`.
#ifndef BKD_ENGINE_RENEWAL_H
#define BKD_ENGINE_RENEWAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct renewal_rule {
    unsigned min_live_percent; // objects of which less is in use are emptied; 0 = none
    uint64_t budget_bytes;     // to be stored anew in one run
};

struct renewal_object {
    uint32_t number;
    uint64_t bytes;      // of data that were put into it
    uint64_t used_bytes; // of these by the newest snapshot; 0: nothing is left to be done
};

bool renewal_is_due(const struct renewal_rule *rule, const struct renewal_object *object);

// Puts the objects to be emptied in this run to the front, those with the smallest share in use first, and returns how many: as many as the budget
// covers, the last one in part.
size_t renewal_choose(const struct renewal_rule *rule, struct renewal_object *objects, size_t n);

#endif
