// Putting the live tree back to a snapshot, step by step: look → ask → try → save → remove → restore → look again. Restoring is the work of
// bkd-restore, which is run as a child; this host's code cannot read a repository.
#ifndef BKD_SNAPSHOTS_ROLLBACK_H
#define BKD_SNAPSHOTS_ROLLBACK_H

#include "bkd/snapshots/appeared.h"
#include "bkd/snapshots/diffing.h"

struct rollback_options {
    const char *policy, *snapshot;
    const char *identity; // -i FILE; NULL = none
    const char *const *paths; // as given; only what lies in the policy's sources is touched
    size_t n_paths;
    bool delete;    // remove what has appeared since
    bool no_backup; // do not make a snapshot first
    bool in_place_delta; // of large files write only what differs
};

#define ROLLBACK_TAG_SIZE 48

struct rollback {
    const struct context *ctx;
    const struct rollback_options *options;
    struct policy policy;
    bool has_policy;
    char **paths; // what is compared and restored: in the sources, none below another; owned
    bool *is_stored; // path i is in the snapshot
    size_t n_paths;
    uint64_t number; // of the snapshot
    uint64_t time_ns;
    uint8_t chain[16];
    bool is_encrypted;
    struct diff_counts before, after; // what differed, what still does
    struct appeared appeared;
    struct spared spared; // what stays as it is
    int scratch_fd;
    int passphrase_fd; // of the repository's key, in memory; 0 = nobody was asked for one
    uint64_t problems;
    char backup_tag[ROLLBACK_TAG_SIZE]; // of the snapshot that was made first; "" = none
};

// The policy, and what of its sources is meant. ERROR_USAGE: a PATH that is in none.
MUST_USE int rollback_open(struct rollback *rb, const struct context *ctx, const struct rollback_options *options, struct error *err);
void rollback_done(struct rollback *rb);
#define _cleanup_rollback_ __attribute__((cleanup(rollback_done)))

// Compares, showing each difference through `show` (NULL: quietly); collects what has appeared, and what is spared. ERROR_NOT_FOUND: a path that is neither in the
// snapshot nor there now.
MUST_USE int rollback_look(struct rollback *rb, diff_change_fn *show, void *arg, struct error *err);
// How many differences would go.
uint64_t rollback_work(const struct rollback *rb);

// Is there an identity where one is needed? ERROR_KEY says where to get it.
MUST_USE int rollback_check_identity(const struct rollback *rb, struct error *err);
// Would bkd-restore do it? A rehearsal, which reads what it takes with the identity. Nothing was changed when this fails.
MUST_USE int rollback_try(struct rollback *rb, struct error *err);
// Makes a snapshot of what is there now, with a tag of its own. What could not be saved is spared.
MUST_USE int rollback_save(struct rollback *rb, struct error *err);
// Removes what has appeared, restores the rest, and looks again: files whose size and time hid that they differ are restored anew.
// ERROR_INCOMPLETE when something still differs (rb->after).
MUST_USE int rollback_run(struct rollback *rb, struct error *err);

#endif
