// The signed records of a repository: which there are, which are valid, how those of one signer follow one another, and adding one.
//
// Each signer numbers its own records from 1 and names the one before by its hash. A record counts when its key may sign for its kind at the
// time it claims; a number that is void (torn, forged, of another repository) is passed over. What one can never do is take a record back:
// later ones say what holds now (see tags.h and holds.h).
#ifndef BKD_REPO_RECORDS_H
#define BKD_REPO_RECORDS_H

#include "bkd/codec/sshkey.h"
#include "bkd/repo/record.h"
#include "bkd/repo/repository.h"

struct records_item {
    uint8_t signer[32];
    uint64_t number;
    bool valid;        // signature, text, repository, signer and number are right
    char *problem;     // why not, or NULL; owned
    bool fork;         // another valid record of this signer has the same predecessor
    bool chain_broken; // `previous` is not the hash of the signer's valid record before
    uint8_t sha256[32]; // of the whole file
    struct record record; // set when valid
};

struct records {
    struct records_item *items; // sorted by signer, then number; owned. One per record, not per file
    size_t n;
    const struct records_item **by_snapshot; // the valid ones that name one snapshot, sorted by chain and snapshot; owned
    size_t n_by_snapshot;
};

// SHA-256 of the key as it stands in signatures: what `base64 -d | sha256sum` makes of a .pub file's second word.
void records_signer(const uint8_t public_key[CURVE_KEY_SIZE], uint8_t ret_signer[32]);
// The namespace in which a kind is signed. What gives up protection (RECORD_RELEASE, RECORD_ACCEPT, RECORD_TOMBSTONE), or takes that back, takes the
// retention key.
const char *records_namespace(enum record_kind kind);

// Reads all records. signers: text of allowed_signers, or NULL to believe whatever is there. A record that is not right is listed with its
// problem; ERROR_UNREACHABLE and failures of the listing end it. ret_records must not outlive the heads it is asked about.
MUST_USE int records_load(const struct repository *r, const char *signers, struct records *ret_records, struct error *err);
void records_done(struct records *records);
#define _cleanup_records_ __attribute__((cleanup(records_done)))
// Problems among all records: void numbers, forks, breaks.
size_t records_count_problems(const struct records *records);

// The records that speak of this snapshot: *ret_first points into by_snapshot. Those that name another head by its number are not among them.
size_t records_of(const struct records *records, const struct repository_head *head, const struct records_item *const **ret_first);
// Does this record name exactly this head?
bool records_concerns(const struct records_item *item, const struct repository_head *head);

// Signs the record and puts it after the last one of this key; repository, number and previous are filled in, and chain, snapshot and head
// come from `head`. ERROR_KEY, and nothing is written, when the signers would not believe it.
MUST_USE int records_append(const struct repository *r, const char *signers, const struct sshkey *key, const struct repository_head *head,
                            struct record *record, struct error *err);
// The same for the kinds that name several snapshots, whose chain the caller sets.
MUST_USE int records_append_several(const struct repository *r, const char *signers, const struct sshkey *key, struct record *record, struct error *err);

#endif
