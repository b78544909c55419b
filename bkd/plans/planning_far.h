// A restore on another host, where only bkd-restore is copied: what it takes there to reach the policy's copy and to open it, whatever the policy says of keys: a
// file with or without passphrase, a passphrase command or credential of this host, the SSH agent, names and ways of ssh_config(5).
#ifndef BKD_PLANS_PLANNING_FAR_H
#define BKD_PLANS_PLANNING_FAR_H

#include "bkd/dr/parcel.h"
#include "bkd/dr/remote.h"
#include "bkd/dr/trial.h"
#include "bkd/host/setup.h"
#include "bkd/plans/planning_step.h"

// Files of this host; identity NULL: the backups are not encrypted.
struct planning_far_files {
    const char *program, *identity, *signers;
};

struct planning_far {
    struct planning_ssh ssh;
    struct parcel parcel;
    struct buf shell;                   // what stands before bkd-restore in the command for the other host
    const char *words[REMOTE_WORDS_MAX]; // of ssh
    char *paths[8], *repository;        // what trial_request borrows; owned
    size_t n_paths;
};

// Collects it for a restore from `place`, and says it in *request: the program and all files by their names there, and the way there. ERROR_USAGE: the other host cannot
// read that place; ERROR_KEY: a key of this host cannot be read. Call planning_far_done in every case.
MUST_USE int planning_far_init(struct planning_far *far, const struct planning_work *w, const struct policy_store *place, const struct planning_far_files *files,
                               struct trial_request *request, struct error *err);
void planning_far_done(struct planning_far *far);
#define _cleanup_planning_far_ __attribute__((cleanup(planning_far_done)))

// What bkd-restore or ssh could not even begin, told by the status it ended with; 0 = it is bkd-restore that speaks.
MUST_USE int planning_far_judge(const struct planning_work *w, const struct trial *trial, struct error *err);

#endif
