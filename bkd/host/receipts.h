// What this host remembers of a policy's copies: which snapshot reached each of them and when, since when one cannot be reached, and when to try again.
// One file, STATE_DIR/policies/NAME/copies, a JSON object a line. It can be lost: copies are then looked at again, and loss there is not noticed once.
#ifndef BKD_HOST_RECEIPTS_H
#define BKD_HOST_RECEIPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/error.h"
#include "bkd/base/io.h"

#define RECEIPTS_STORE_MAX 33
#define RECEIPTS_SERIAL_MAX 33 // 32 hex digits of a removable disk, and NUL

struct receipt {
    char *url;                        // owned
    char serial[RECEIPTS_SERIAL_MAX]; // of a removable disk; "" = no such disk
    uint64_t snapshot;                // highest number that is there; 0 = none yet
    uint64_t snapshot_time_ns;        // when that snapshot was begun
    uint64_t shipped_ns;              // when it got there
    char chain[RECEIPTS_STORE_MAX];   // 32 hex digits of the chain that this host only looked at; "" = it brought the snapshot there itself
    char store[RECEIPTS_STORE_MAX];   // the name the store has for tombstones, 32 hex digits; "" = none yet
    uint64_t failing_since_ns;        // 0 = the last try succeeded
    unsigned failures;                // tries since then
    char *problem;                    // of the last one; owned, NULL = none
    bool damaged;                     // and it was that the copy is gone, changed or incomplete, which time does not heal
};

struct receipts {
    const struct io *io;
    char *path;  // owned
    int lock_fd; // -1 when opened for reading
    struct receipt *items;
    size_t n;
};

// `lock`: for shipping, by one process at a time (ERROR_BUSY). A file that cannot be understood is begun anew.
MUST_USE int receipts_open(const struct io *io, const char *state_dir, const char *policy, bool lock, struct receipts *ret_receipts, struct error *err);
void receipts_close(struct receipts *r);
#define _cleanup_receipts_ __attribute__((cleanup(receipts_close)))

// The receipt of a copy; made when there is none. Valid until the next call. serial "" for places that are no removable disks.
struct receipt *receipts_of(struct receipts *r, const char *url, const char *serial);
// Without making one: the newest that any disk at this address had, or NULL.
const struct receipt *receipts_newest(const struct receipts *r, const char *url);
// Durable.
MUST_USE int receipts_save(const struct receipts *r, struct error *err);

// When the next try of a copy that fails is due, after so many failures: a minute, doubled each time up to an hour.
uint64_t receipts_back_off_ns(unsigned failures);

#endif
