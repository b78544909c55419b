// Proofs that verifications left in a repository as signed records: of this host and of others that hold an identity. The catalogue of every host that reads
// the repository takes them in, each once.
#ifndef BKD_HISTORY_PROOFS_H
#define BKD_HISTORY_PROOFS_H

#include "bkd/policy/policy.h"
#include "bkd/record/verifications.h"
#include "bkd/repo/records.h"

#define PROOFS_UID_MAX 33 // 32 hex digits and NUL

// The uid of the proof in the catalogue: the same wherever the record is read. A signer may have a record of the same number at several copies of a repository;
// the times tell them apart.
void proofs_uid(const struct record *record, const uint8_t signer[32], char ret_uid[PROOFS_UID_MAX]);
// The address in a proof, as records have it: its SHA-256; zeros for "", the repository itself.
void proofs_place(const char *url, uint8_t ret_place[32]);
// Takes in what is proven of snapshots of this chain; what is known already stays as it is. `at`: the address of the copy that the records were read from, which
// is what they mean by "the repository itself"; "" = the policy's repository.
MUST_USE int proofs_import(struct catalogue *c, const struct policy *policy, const char *at, const struct records *records, const uint8_t chain[16], struct error *err);
// Takes in what hosts that only read the copy at `url` proved of it and left there: the records of signers who have none at `home`, the policy's repository.
// Nothing but two listings when there are none.
MUST_USE int proofs_import_copy(struct catalogue *c, const struct policy *policy, const struct repository *home, struct store *copy, const char *signers,
                                const uint8_t chain[16], struct error *err);

#endif
