// How long a restore is expected to take: measured in a moment, not guessed. Some of the frames that are needed anyway are decoded and hashed;
// files are made, and bytes written to the disk, in the very place they will go to.
//
// The model: each byte costs decoding, hashing and writing, each file its making, shared by the threads; the disk takes bytes at its own rate
// at the same time, so the slower of the two counts; each stored object is authenticated once before that.
#ifndef BKD_RESTORE_EXPECT_H
#define BKD_RESTORE_EXPECT_H

#include "restore/plan.h"

// What was measured; 0 = nothing of the kind was there to measure.
struct expect_rates {
    double decode_s_per_byte;       // one thread, hashing included
    double write_s_per_byte;        // one thread, into memory
    double sync_s_per_byte;         // the disk
    double file_s;                  // making one small file, one thread
    double authenticate_s_per_byte; // of stored objects
};

// Pure: seconds for so much work with so many threads.
double expect_seconds(const struct expect_rates *rates, uint64_t files, uint64_t bytes, uint64_t stored_bytes, unsigned threads);

struct expect {
    struct expect_rates rates;
    uint64_t files, bytes;
    double seconds;
    double bytes_per_second, files_per_second; // of all threads together, for people
};

// Measures for about half a second, at most one, within `target_fd` (the target, or what exists of the way to it). Where nothing can be made
// there, only what can be measured counts. Rewinds the plan. Errors are those of reading the plan.
MUST_USE int expect_measure(const struct io *io, struct snapshot *snapshot, struct plan *plan, int target_fd, struct expect_rates *ret_rates,
                            struct error *err);

// The answer for so many files and bytes of this snapshot. `threads`: 0 = as many as processors.
struct expect expect_of(const struct expect_rates *rates, const struct snapshot *snapshot, uint64_t files, uint64_t bytes, unsigned threads);

#endif
