// A trial restore: bkd-restore itself, as on the bad day, into scratch space; its report read, its time measured from outside.
#ifndef BKD_DR_TRIAL_H
#define BKD_DR_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/io.h"
#include "bkd/dr/phases.h"

enum { TRIAL_PROBLEMS_KEPT = 20 };

// What to restore, and what opens the way to it; NULL where there is nothing to say.
struct trial_request {
    const char *program;    // bkd-restore
    const char *repository; // directory or address
    const char *identity, *signers, *ssh_identity, *ssh_passphrase, *ssh_config, *known_hosts;
    bool ssh_program; // bkd-restore connects by the system's ssh
    int stdin_fd;           // borrowed; what it reads; 0 = nothing
    int userns_fd;          // borrowed; the user namespace to run it in; 0 = none
    const char *chain;      // hex
    uint64_t snapshot;
    const char *const *paths; // only these; n_paths 0 = everything
    size_t n_paths;
    const char *target;     // does not exist yet, unless is_merging
    bool is_in_place;       // instead of a target: where the files were
    bool is_merging;        // what exists at the target is replaced where it differs
    const char *const *through; // words of a command that takes the rest as one word for a shell elsewhere (ssh HOST); NULL = run here
    const char *shell;          // what stands before the rest in that word
    bool gives_way;         // to everything else on this host (bkd/base/proc.h)
    uint64_t timeout_ms;    // when it is ended, and has failed; 0 = never
    bool (*stop)(void *arg); // asked while it runs
};

struct trial {
    int exit_code;      // of bkd-restore; -1 = ended by a signal
    bool is_restored;   // everything came back and is what was signed; what the target cannot hold apart
    uint64_t files, entries, bytes, bytes_fetched;
    uint64_t inexact;   // entries whose metadata the target cannot hold, or this user may not give
    uint64_t owners;    // entries that belong to this user instead of their owners
    uint64_t sockets;   // never restored
    uint64_t special;   // devices and the like that the target cannot have, or this user may not make
    uint64_t wall_ns;
    struct phases phases;
    struct buf problems; // up to TRIAL_PROBLEMS_KEPT lines "path: reason"
    uint64_t n_problems;
    char *why;          // what bkd-restore said at its end when it was not 0; owned, or NULL
};

// ERROR_NOT_FOUND: there is no bkd-restore. A restore that failed is success here, and told in *ret_trial.
MUST_USE int trial_run(const struct io *io, const struct trial_request *request, struct trial *ret_trial, struct error *err);
void trial_done(struct trial *t);
#define _cleanup_trial_ __attribute__((cleanup(trial_done)))

#endif
