// What every command of bkd-restore starts with: the signers to trust, the store, its verified heads, an identity, a snapshot.
#ifndef BKD_RESTORE_SESSION_H
#define BKD_RESTORE_SESSION_H

#include <stdbool.h>

#include "bkd/base/buf.h"
#include "bkd/codec/agekeys.h"
#include "bkd/repo/repository.h"
#include "bkd/repo/snapshot.h"

struct session_options {
    const char *repository; // directory or URL
    const char *identity;   // age identity file, or NULL
    const char *signers;    // allowed_signers file; NULL = look in the usual places
    struct store_access access; // for a repository on a server
    bool accept_unsigned;   // no signers: believe whatever is there
    bool accept_damaged;    // objects that are damaged do not stand in the way of the rest
    bool wants_parts;       // the manifest, or a few files: objects nearby are not read whole for it, unless damage is accepted
    const char *chain;      // 32 hex digits, or NULL
    const char *policy;     // label, or NULL
    const char *host;       // label, or NULL
};

struct session {
    const struct io *io;
    const struct session_options *options; // borrowed
    struct buf signers;                    // text; NUL-terminated; empty when accept_unsigned
    char *signers_path;                    // where it came from, or NULL
    struct repository *repository;
    struct age_identities identities;
};

// Opens store and heads. ERROR_KEY when no signers file is found, with the places that were looked at.
MUST_USE int session_open(struct session *s, const struct io *io, const struct session_options *options, struct error *err);
// The same for one snapshot, which session_find or session_snapshot is then asked for: of a place far away only the heads that name it are read.
MUST_USE int session_open_for(struct session *s, const struct io *io, const struct session_options *options, const char *snapshot, struct error *err);
void session_done(struct session *s);
#define _cleanup_session_ __attribute__((cleanup(session_done)))

// The text for repository_open and verify: NULL when unsigned repositories were accepted.
const char *session_signers(const struct session *s);

// Loads the identity where the repository is encrypted. ERROR_KEY with the remedy when there is none.
MUST_USE int session_unlock(struct session *s, struct error *err);

// The head of "7", "latest", "latest~2" or a tag in the chosen chain (the only one, or by --chain, --policy, --host).
MUST_USE int session_find(const struct session *s, const char *snapshot, const struct repository_head **ret_head, struct error *err);
// *ret_chosen false: no chain was asked for, all are meant.
MUST_USE int session_chain(const struct session *s, bool *ret_chosen, uint8_t ret_chain[16], struct error *err);

// session_unlock, session_find and snapshot_open. *ret_head may be NULL. Says how the decoding processes are confined, where that is less than
// it should be.
MUST_USE int session_snapshot(struct session *s, const char *name, struct snapshot *ret_snapshot, const struct repository_head **ret_head,
                              struct error *err);

#endif
