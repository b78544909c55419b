// The guard against mass changes: is what this run found far from what the policy is used to? Encryption or deletion by somebody else shows here first.
// Pure: figures of this run and of earlier ones in, a verdict out.
//
// Three shares of the files that were there before are looked at: gone, changed, and turned (compressible before, noise now; under the same name, or under new
// names in the place of files that went). Each is compared with a floor, which needs no history, and with what the policy's own nights had: the median plus
// eight robust standard deviations (1.4826 × the median absolute deviation, Hampel 1974), and half more than any night nobody wondered about. So trees
// that change a lot learn it, and first nights and small trees raise no alarm. Turning slowly shows in two weeks together, against the two weeks before.
#ifndef BKD_ENGINE_MASSCHANGE_H
#define BKD_ENGINE_MASSCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MASSCHANGE_REASON_MAX 256

// What one run found, against the snapshot before.
struct masschange_night {
    uint64_t snapshot;
    uint64_t held, held_bytes;     // files there were before, below today's sources
    uint64_t gone, changed;        // of these
    uint64_t turned, turned_bytes; // of these
    bool suspect;                  // was found so
    bool accepted;                 // and accepted since
};

// Percent; 0 = automatic. min_files: trees of fewer files are not judged; 0 = 20.
struct masschange_limits {
    bool is_off;
    uint32_t gone, changed, incompressible;
    uint64_t min_files;
};

// True: far from usual, and the reason, a part of a sentence ("83 % of 1200 files …"). nights: earlier ones, newest last.
bool masschange_judge(const struct masschange_limits *limits, const struct masschange_night *nights, size_t n, const struct masschange_night *now,
                      char ret_reason[MASSCHANGE_REASON_MAX]);

#endif
