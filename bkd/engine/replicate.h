// Bringing a copy of a repository up to date: what a snapshot needs first, what names it last, so that a copy that was cut off anywhere is a good
// copy of fewer snapshots.
//
// Order for each snapshot that the copy lacks, oldest first: objects, refs, then records, then the head. What a snapshot before it has brought is not
// asked for again, but of the newest snapshot that the copy has all objects are looked for, since the next ones build on them; an object that is there
// with its size is taken as it is, since a put is whole or nothing. Every byte that is sent was compared with its SHA-256 on the way.
#ifndef BKD_ENGINE_REPLICATE_H
#define BKD_ENGINE_REPLICATE_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/repo/proof.h"
#include "bkd/repo/repository.h"
#include "bkd/store/store_id.h"

struct replicate_options {
    const struct repository *from; // opened, heads verified
    struct store *to;
    const uint8_t *chain;    // 16 bytes: only this chain; NULL = all
    uint64_t shipped_before; // highest number of `chain` that is known to have been there; 0 = unknown
    bool dry_run;            // only count
    bool prove_present;       // the newest refs there, and objects that no head of the copy names yet, are read, not only looked at: what is there may not be as it was sent
    enum proof_reading proof; // how much of what was sent is read back from a far place that does not hash it itself
    // Snapshots the copy lacks and whose data was removed here by rule never get there: of them only the heads are brought, after this wrote down here, for
    // the copy's store, that they are absent there. NULL: the copy is the same store to all records (bkd copy), and takes over its name.
    int (*absent)(void *arg, const uint8_t chain[16], const uint8_t store[STORE_ID_SIZE], const struct repository_head *const *heads, size_t n, struct error *err);
    bool (*interrupted)(void); // asked between objects; NULL = never
    void (*progress)(void *arg, uint64_t bytes, uint64_t total_bytes, uint64_t snapshots, uint64_t total_snapshots); // may be NULL
    void *arg;
};

struct replicate_result {
    uint64_t snapshots; // heads brought
    uint64_t absent;    // of which without data: it had been removed by rule
    uint64_t objects, bytes;
    uint64_t records;
    uint64_t proved_by_server, proved_by_reading, proved_by_ranges, by_size_only; // objects of those sent to a far place
    uint64_t lost;      // heads that had been there, and were not; brought again
    uint64_t lost_objects; // likewise, of the newest snapshot that was there
    uint64_t latest;    // highest number of `chain` (or of the last chain) that is there now; 0 = none
    uint8_t latest_sha256[32]; // of that head's file
};

// *ret_result says what was done, also after a failure. ERROR_UNREACHABLE: the copy's store does not answer; ERROR_INTEGRITY: the copy is of another
// repository, has snapshots this one does not know, or stored bytes here are not what was signed. A copy that is nothing yet becomes one.
MUST_USE int replicate_run(const struct io *io, const struct replicate_options *options, struct replicate_result *ret_result, struct error *err);
// Only the records that the copy lacks.
MUST_USE int replicate_records(const struct io *io, const struct repository *from, struct store *to, uint64_t *ret_brought, struct error *err);

#endif
