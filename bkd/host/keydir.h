// The key directory CONFIG_DIR/keys: how a host gets its keys, once.
//
//   signing, signing.pub      signs heads and records; stays on this host
//   retention, retention.pub  signs what may be removed, and that holds end; belongs to whoever decides that, not on this host in the long run
//   operations.txt            age identity for everyday restores; belongs on the verify or restore host
//   recovery.txt              age identity for the worst day; belongs offline
//   recipients.txt            the public halves of both: what backups are encrypted to
//   allowed_signers           whose signatures count; a copy belongs to everyone who restores
//
// Each file is created exclusively, complete and durable, with mode 0600, and never overwritten. The last two are made last, in
// this order, so that a directory without allowed_signers is half-made and keydir_init completes it: keys that are there already
// are kept.
#ifndef BKD_HOST_KEYDIR_H
#define BKD_HOST_KEYDIR_H

#include <stdbool.h>

#include "bkd/codec/age.h"
#include "bkd/codec/sshkey.h"

#define KEYDIR_SIGNING "signing"
#define KEYDIR_RETENTION "retention"
#define KEYDIR_OPERATIONS "operations.txt"
#define KEYDIR_RECOVERY "recovery.txt"
#define KEYDIR_RECIPIENTS "recipients.txt"
#define KEYDIR_SIGNERS "allowed_signers"

#define KEYDIR_SIGNING_NAMESPACES "bkd-repository@v1,bkd-head@v1,bkd-record@v1,bkd-recover@v1"
#define KEYDIR_RETENTION_NAMESPACES "bkd-retention@v1"

struct keydir_options {
    const char *keys_dir;       // made when missing, mode 0700
    const char *identities_dir; // for operations.txt and recovery.txt; NULL: keys_dir. Made when missing
    const char *host;           // for principals and comments; characters other than letters, digits, "-", "." and "_" become "-"
};

// The public halves of what is there afterwards.
struct keydir {
    struct age_recipient operations, recovery;
    uint8_t signing[CURVE_KEY_SIZE], retention[CURVE_KEY_SIZE];
};

// Makes the key directory. ERROR_EXISTS when it is complete; ERROR_KEY when a key found there is unsafe or does not fit its other
// half.
MUST_USE int keydir_init(const struct io *io, const struct keydir_options *options, struct keydir *ret_keydir, struct error *err);

// Does an identity (operations or recovery) lie in this directory? On a host that is backed up it should not, in the long run.
bool keydir_has_identity(const struct io *io, const char *dir);

#endif
