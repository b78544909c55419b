// The timed report of a restore: bytes and time of each phase, added up from any thread.
//
// open, plan and verify are wall time of the one thread that does them. fetch, decode, write, compare and metadata are sums over all
// threads (so on N processors they may add up to N times the duration); the duration itself is wall time.
#ifndef BKD_RESTORE_TIMING_H
#define BKD_RESTORE_TIMING_H

#include <stdatomic.h>
#include <stdint.h>

#include "bkd/base/io.h"

enum timing_phase {
    TIMING_OPEN,     // store, heads, signatures
    TIMING_PLAN,     // manifest, selection, directories; bytes: of the manifest
    TIMING_FETCH,    // stored bytes read from the store
    TIMING_DECODE,   // decrypted and decompressed; bytes: what came out
    TIMING_WRITE,    // creating and writing files
    TIMING_COMPARE,  // SHA-256 of what came out against what was recorded
    TIMING_METADATA, // owners, modes, times, attributes, names; the final sync
    TIMING_VERIFY,   // with --verify: reading again from the disk
    TIMING_PHASES,
};

struct timing {
    const struct io *io;
    uint64_t started_ns;
    _Atomic uint64_t bytes[TIMING_PHASES];
    _Atomic uint64_t ns[TIMING_PHASES];
};

void timing_init(struct timing *t, const struct io *io);
uint64_t timing_now(const struct timing *t); // monotonic, ns
// Adds to a phase what passed since `since_ns` (from timing_now) and `bytes`; returns the time now, to go on from.
uint64_t timing_add(struct timing *t, enum timing_phase phase, uint64_t since_ns, uint64_t bytes);
// Wall time since timing_init, ns.
uint64_t timing_duration(const struct timing *t);
const char *timing_name(enum timing_phase phase); // "open", "plan" …

#endif
