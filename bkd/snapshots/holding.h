// Tags and holds as the commands write them: who does it, with which key, and what is said when it cannot be done.
#ifndef BKD_SNAPSHOTS_HOLDING_H
#define BKD_SNAPSHOTS_HOLDING_H

#include "bkd/codec/sshkey.h"
#include "bkd/host/setup.h"
#include "bkd/repo/holds.h"

// "user@host" for records, with the person behind sudo.
void holding_who(const struct setup *s, char ret_who[LINES_LABEL_MAX + 1]);
// Would a hold of this host be believed? ERROR_KEY says why not. For asking before a long run.
MUST_USE int holding_check(const struct setup *s, struct error *err);
// Writes a hold on the snapshot, signed with this host's key (setup_load_signing). reason may be NULL.
MUST_USE int holding_hold(const struct setup *s, const struct repository *repository, const struct repository_head *head, const char *reason,
                          struct error *err);
// Opens the repository anew and holds the snapshot of this number in the policy's chain: for the run that has just made it.
MUST_USE int holding_hold_new(const struct setup *s, uint64_t snapshot, const char *reason, struct error *err);

// A label as it is given on the command line: ERROR_USAGE when it is empty, longer than 255 bytes or "-".
MUST_USE int holding_check_reason(const char *reason, struct error *err);

// The key that gives up protection: `given`, or NULL for keys/retention. ERROR_KEY says where it belongs. Owner frees with sshkey_done.
MUST_USE int holding_load_retention_key(const struct context *ctx, const char *given, struct sshkey *ret_key, struct error *err);

#endif
