// Proving that a repository is whole: signatures, chains, records, refs, the presence, size and SHA-256 of every stored file, the signed recovery
// script, and (with an identity) that all content decodes to what was recorded. Used by `bkd check` and `bkd-restore check`.
//
// Findings come one by one through a callback, named by the stored file, with the snapshots they touch. Memory is proportional to stored
// objects and snapshots, never to the files in them.
#ifndef BKD_REPO_VERIFY_H
#define BKD_REPO_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/repo/proof.h"
#include "bkd/repo/repository.h"

enum verify_severity {
    VERIFY_NOTE,  // worth knowing, nothing is wrong: leftovers of a killed run, files bkd does not know
    VERIFY_ALARM, // stored bytes are damaged, missing or not signed as they should be
};

// Borrowed during the call.
struct verify_finding {
    enum verify_severity severity;
    const char *file;      // name in the store
    const char *reason;    // one sentence
    const char *snapshots; // "3-17 of policy erp, host db1", or NULL: none, or all
    const char *path;      // a file in a snapshot that is touched, or NULL
};
typedef void verify_finding_fn(void *arg, const struct verify_finding *finding);
// Counts what was read since the last call.
typedef void verify_progress_fn(void *arg, uint64_t files, uint64_t bytes);
// Tells before a phase ("hash", "read-data") how much it is; totals 0 = unknown.
typedef void verify_phase_fn(void *arg, const char *phase, uint64_t files, uint64_t bytes);

struct verify_options {
    const char *signers;                // text of the allowed_signers file; NULL: signatures are not judged
    const uint8_t *chain;               // read_data: only this chain; NULL = all
    const struct repository_head *only; // read_data: only this snapshot; NULL = all
    bool quick;                         // sizes only, no hashing of objects
    enum proof_reading reading;         // how much of the objects is read where the place does not hash them itself
    bool read_data;                     // decode everything that is needed and compare it; needs identities where encrypted
    const struct age_identity *identities;
    size_t n_identities;
    unsigned jobs;     // 0 = processors
    int scratch_dirfd; // read_data: for sorted runs and manifests; borrowed
    verify_finding_fn *finding;
    verify_progress_fn *progress; // may be NULL, as may phase and interrupted
    verify_phase_fn *phase;
    bool (*interrupted)(void);
    void *arg; // for the callbacks
};

struct verify_totals {
    uint64_t snapshots, chains, records; // snapshots whose data is to be here
    uint64_t pruned;                     // and those whose data need not be, by signed tombstones
    uint64_t objects, object_bytes; // that snapshots need
    uint64_t hashed_files, hashed_bytes; // read here
    uint64_t far_files, far_bytes;       // objects hashed by the place itself
    uint64_t sized_files, sized_bytes;   // objects of which the size is all that was compared
    uint64_t leftover_files, leftover_bytes; // objects and refs no valid snapshot needs
    uint64_t unknown_files;
    uint64_t pieces, data_bytes; // read_data: compared
    uint64_t newest_bytes;       // stored bytes a recovery of the newest snapshot by hand has to move
    uint64_t notes, alarms;
};

// 0 also when there were findings: ret_totals->alarms says so. Errors are those that end the check: store unreachable, scratch, key, interrupted.
MUST_USE int verify_run(const struct io *io, struct repository *repository, const struct verify_options *options,
                        struct verify_totals *ret_totals, struct error *err);

#endif
