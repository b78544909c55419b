// Against mistaking an unmounted disk for a deletion: a source that had entries and is empty now, or lies on another file system, fails the run.
#ifndef BKD_ENGINE_GUARD_H
#define BKD_ENGINE_GUARD_H

#include "bkd/engine/scan.h"
#include "bkd/engine/sealed.h"
#include "bkd/engine/select.h"

struct guard {
    const struct io *io;
    int dirfd; // borrowed: the policy's state directory
    uint8_t key[SEALED_KEY_SIZE];
    const struct scan_source *sources; // borrowed
    size_t n_sources;
    bool accept;
    struct scan_filesystem *now; // one a source; owned
};

// Before the scan: asks what file systems the sources are on and compares with what was remembered. ERROR_FAILED names the source and what to do.
MUST_USE int guard_begin(struct guard *g, const struct io *io, int state_dirfd, const uint8_t key[SEALED_KEY_SIZE], const struct scan_source *sources,
                         size_t n_sources, bool accept, struct error *err);
// After the scan: compares the numbers of entries.
MUST_USE int guard_check(const struct guard *g, const struct select_counts *counts, struct error *err);
// Remembers the file systems for the next run; not after a dry run, which decides nothing.
MUST_USE int guard_remember(const struct guard *g, struct error *err);
void guard_done(struct guard *g);

#endif
