// Proving that a policy's snapshot can be restored: a trial restore from one of its copies into scratch space, every byte and attribute compared, the policy's
// checks executed on it, each phase timed. What `bkd verify` does.
#ifndef BKD_PROOF_VERIFYING_H
#define BKD_PROOF_VERIFYING_H

#include "bkd/dr/check.h"
#include "bkd/dr/trial.h"
#include "bkd/history/proofs.h"
#include "bkd/host/context.h"

struct verifying_options {
    const char *policy;
    const char *from;     // "auto", "repository", "offsite", an address; NULL = as the policy says
    const char *snapshot; // as a person calls it, or "random"
    const char *identity; // file; NULL = as the policy says
    const char *sample;   // "full", a number of files, a size; NULL = as the policy says
    // Each check as it is done; may be NULL.
    void (*checked)(void *arg, const struct policy_check *check, const struct check_outcome *outcome);
    void (*began)(void *arg, uint64_t snapshot, const char *url, const char *target); // the restore begins; may be NULL
    void *arg;
};

enum verifying_mode { VERIFYING_FULL, VERIFYING_SAMPLE, VERIFYING_KEYLESS };
const char *verifying_mode_name(enum verifying_mode mode);

struct verifying {
    struct policy policy;
    enum verifying_mode mode;
    char *url;          // of the copy it was restored from; owned
    char *host;         // where it was restored; owned
    bool is_offsite;
    uint64_t snapshot, snapshot_time_ns;
    bool is_proven;
    uint64_t rto_ns;    // all phases; 0 when it was not restored
    bool misses_rto;    // restored in full, but slower than objectives.rto
    bool is_namespaced; // not as root, but in a user namespace, where files had their owners
    struct trial trial; // nothing of it with VERIFYING_KEYLESS
    uint64_t drawn, snapshot_files; // VERIFYING_SAMPLE: by chance, of how many
    struct check_outcome *checks;   // one for each check of the policy; n_checks 0 when they were not executed; owned
    size_t n_checks, n_failed;
    char uid[PROOFS_UID_MAX]; // of its record in the repository; "" = it has none
    char *why; // why it is not proven, one sentence; owned, or NULL
};

// What could be done is in *ret_verifying, also when it is not proven. Errors are those that kept it from being tried: ERROR_USAGE, ERROR_KEY (an identity that
// was named is not there), ERROR_UNREACHABLE, ERROR_NOT_FOUND (no such snapshot) …; verifying_done in every case.
MUST_USE int verifying_run(const struct context *ctx, const struct verifying_options *options, struct verifying *ret_verifying, struct error *err);
void verifying_done(struct verifying *v);
#define _cleanup_verifying_ __attribute__((cleanup(verifying_done)))

// The place that `from` means, as in verifying_options; borrowed from the policy. ERROR_USAGE: it is none of the policy's.
MUST_USE int verifying_find_place(const struct policy *policy, const char *from, const struct policy_store **ret_place, struct error *err);
// The file of the identity to restore with. One that was named must be there (ERROR_KEY); the one that is used by default may be missing: then *ret_identity
// stays as it is, and nothing can be proven here. Caller frees.
MUST_USE int verifying_find_identity(const struct context *ctx, const struct policy *policy, const char *given, char **ret_identity, struct error *err);

// What it came to, as an error: 0 proven (and in time), ERROR_INTEGRITY it does not restore or a check failed, ERROR_OBJECTIVE it misses the objective,
// ERROR_INCOMPLETE only looked through, without a key.
MUST_USE int verifying_result(const struct verifying *v, struct error *err);

#endif
