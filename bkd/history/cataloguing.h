// Snapshots and copies into the catalogue: after a backup, after shipping, and all of them again when the catalogue was lost.
// What repositories and receipts say is the truth; the catalogue repeats it. So nothing here fails a command: what could not be written is caught up with
// by the next backup, which sees the gap.
#ifndef BKD_HISTORY_CATALOGUING_H
#define BKD_HISTORY_CATALOGUING_H

#include "bkd/host/receipts.h"
#include "bkd/host/setup.h"
#include "bkd/record/copies.h"

// The policy is in use: from now on the times that it names count, also those that pass before a daemon or `bkd run --due` first looks at it.
void cataloguing_schedule(const struct setup *s);
// A backup has made this snapshot; tag NULL = none. Its policy is in use, then.
void cataloguing_snapshot(const struct setup *s, const struct backup_result *result, const char *tag);
// Copies were brought up to date, or could not be.
void cataloguing_copies(const struct setup *s, const struct repository *repository, const uint8_t chain[16], const struct receipts *receipts);

// A place can be read: what was proven there, by whichever host. copy NULL: at the repository itself; else at that copy, by hosts that only read it.
void cataloguing_proofs(const struct setup *s, const struct repository *repository, struct store *copy, const uint8_t chain[16]);

// Where heads were read: the policy's repository, or one of its copies.
struct cataloguing_place {
    const char *url;
    enum copy_role role;
};
// All snapshots of the policy's chain at a place, and what receipts say of its copies, in one transaction. *ret_snapshots: how many there are.
MUST_USE int cataloguing_all(struct catalogue *c, const struct setup *s, const struct cataloguing_place *place, const struct repository *repository, const uint8_t chain[16],
                             const struct receipts *receipts, uint64_t *ret_snapshots, struct error *err);

#endif
