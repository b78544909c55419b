// An opened repository: its signed description, its chains of heads, verified. What is trusted comes from the caller's signers
// file, never from the store.
#ifndef BKD_REPO_REPOSITORY_H
#define BKD_REPO_REPOSITORY_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/repo/format.h"
#include "bkd/store/store.h"

// One head number found in the store.
struct repository_head {
    uint8_t chain[16];
    uint64_t number;
    bool valid; // signature, text, repository, chain and number are right
    char *problem; // why not, or NULL; owned
    bool fork; // another valid head has the same predecessor
    bool chain_broken; // `previous` is not the hash of the preceding valid head
    uint8_t sha256[32]; // of the whole file
    struct format_head head; // set when valid
};

struct repository {
    const struct io *io;
    struct store *store; // owned
    struct format_repository info;
    char *signers; // text of the allowed_signers file that the heads were judged by; owned; NULL: whatever is there is believed
    struct repository_head *heads; // sorted by chain, then number; owned. One per snapshot, not per file
    size_t n_heads;
    bool partial; // only some of them were read: see repository_open_near
};

// store_taken belongs to the repository from here on, and is closed when opening fails.
// signers: text of an allowed_signers file (borrowed during the call), or NULL to accept unsigned/unknown signatures (the caller
// asked for that explicitly). ERROR_INTEGRITY when bkd-repository is not signed by a known signer; ERROR_NOT_FOUND when there is
// no repository (names the next step).
MUST_USE int repository_open(const struct io *io, struct store *store_taken, const char *signers,
                             struct repository **ret_repository, struct error *err);
// The same for somebody who wants one snapshot, named as repository_is_number says: of each chain only its newest heads and that one are read, so that the
// round trips and bytes do not grow with the number of snapshots. Forks and breaks are not looked for. Where what was read is not enough to say which
// snapshot is meant, or that there is none, repository_read_all_heads reads the rest.
MUST_USE int repository_open_near(const struct io *io, struct store *store_taken, const char *signers, const char *snapshot, struct repository **ret_repository,
                                  struct error *err);
MUST_USE int repository_read_all_heads(struct repository *r, const char *signers, struct error *err);
void repository_close(struct repository *r);
void free_repositoryp(struct repository **r);
#define _cleanup_repository_ __attribute__((cleanup(free_repositoryp)))

// Heads of one chain that are valid, newest last; the snapshot by number, "latest", "latest~N". chain may be NULL when the
// repository has exactly one (else ERROR_USAGE lists chains with host and policy). ERROR_NOT_FOUND names what exists.
MUST_USE int repository_find(const struct repository *r, const uint8_t *chain, const char *snapshot,
                             const struct repository_head **ret_head, struct error *err);
// Does the text name a snapshot by place: a number, "latest", "latest~N"?
bool repository_is_number(const char *snapshot);
// The only chain there is, borrowed from r; ERROR_USAGE lists several, ERROR_NOT_FOUND: none.
MUST_USE int repository_only_chain(const struct repository *r, const uint8_t **ret_chain, struct error *err);
// Chain by policy label (and host, NULL = any). ERROR_NOT_FOUND / ERROR_USAGE when several match.
MUST_USE int repository_chain(const struct repository *r, const char *policy, const char *host, uint8_t ret_chain[16],
                              struct error *err);
// Problems among all heads (void numbers, forks, breaks): count; used by check and the alarms.
size_t repository_count_problems(const struct repository *r);

// Reads and verifies the refs of a head.
MUST_USE int repository_read_refs(const struct repository *r, const struct format_head *head, struct format_refs *ret_refs,
                                  struct error *err);
// The same for several heads in few round trips: a result for each. Also after a failure of the whole (ERROR_UNREACHABLE) the results are to be freed.
struct repository_refs {
    int result; // 0 or an error code
    char *why;  // when result is not 0
    struct format_refs refs;
};
MUST_USE int repository_read_refs_many(const struct repository *r, const struct format_head *const *heads, size_t n, struct repository_refs *ret_results,
                                       struct error *err);
void repository_refs_done(struct repository_refs *result);

// Makes a new repository: bkd-repository signed, recover.sh and RECOVER.txt with their signatures, directories. ERROR_EXISTS when
// there is one already. private_key: bytes of an OpenSSH Ed25519 private key file. recover_script / recover_text: bytes to
// publish.
MUST_USE int repository_create(const struct io *io, struct store *store, const struct format_repository *info,
                               const char *private_key, size_t private_key_len, const char *recover_script,
                               const char *recover_text, struct error *err);

#endif
