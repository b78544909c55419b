// Where the time of a recovery went. Each phase is elapsed time on the monotonic clock, and their sum is the whole: what ran at once in several threads
// shares the time it took together in proportion to the work of each. Pure.
#ifndef BKD_DR_PHASES_H
#define BKD_DR_PHASES_H

#include <stdint.h>

#include "bkd/base/json.h"

enum phase {
    PHASE_LOCATE,   // start, store, heads, signatures, manifest, plan
    PHASE_FETCH,    // stored bytes from the store
    PHASE_DECODE,   // decryption, decompression
    PHASE_WRITE,    // creating and writing files
    PHASE_COMPARE,  // SHA-256 against what was recorded, and everything read again from the disk
    PHASE_METADATA, // owners, modes, times, attributes, names; the final sync
    PHASE_CHECKS,   // what the policy says must work
    PHASES,
};
const char *phase_name(enum phase phase); // "locate" …

struct phases {
    uint64_t ns[PHASES];
};

uint64_t phases_sum(const struct phases *p);
// From the summary of `bkd-restore restore --json` that took wall_ns from start to end of its process. The phases but PHASE_CHECKS are set; they add up to
// wall_ns exactly. Without phases in the summary all of it is PHASE_LOCATE.
void phases_of_restore(const struct json *summary, uint64_t wall_ns, struct phases *ret_phases);
// {"locate_ms":…}: as `phases` in lines of --json; the milliseconds add up to those of the sum.
void phases_add_json(struct json *line, const struct phases *p);

#endif
