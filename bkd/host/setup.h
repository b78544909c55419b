// What the commands that work on a policy's repository need: the policy, its keys and its signers, loaded and checked.
#ifndef BKD_HOST_SETUP_H
#define BKD_HOST_SETUP_H

#include "bkd/codec/agekeys.h"
#include "bkd/engine/backup.h"
#include "bkd/host/context.h"
#include "bkd/host/sources.h"
#include "bkd/host/stream_sources.h"
#include "bkd/policy/policy.h"
#include "bkd/repo/repository.h"
#include "bkd/repo/snapshot.h"

struct setup {
    const struct context *ctx;
    struct policy policy;
    struct buf signers;     // text of allowed_signers
    struct buf signing_key; // bytes of the private key file; wiped
    struct age_recipients recipients;
    struct sources sources;
    struct stream_sources streams;
    char *host;
    bool far_sha256sum; // places on servers may be asked to run sha256sum
};

void setup_done(struct setup *s);
#define _cleanup_setup_ __attribute__((cleanup(setup_done)))

// Loads the policy and allowed_signers. ERROR_KEY: no signers file, with the remedy.
MUST_USE int setup_load(const struct context *ctx, const char *policy, struct setup *ret_setup, struct error *err);
// Loads the signing key, and makes sure that it will be believed.
MUST_USE int setup_load_signing(struct setup *s, struct error *err);
// Loads what a backup needs in addition: the signing key, the recipients, the sources with their rules.
MUST_USE int setup_load_writing(struct setup *s, struct error *err);
// The files that open the way to a place, as the policy names them, found in the configuration directory.
struct setup_access {
    char *identity, *known_hosts, *passphrase_file, *config; // owned
    struct store_access access;
};
void setup_access(const struct context *ctx, const struct policy_store *place, struct setup_access *ret_access);
void setup_access_done(struct setup_access *a);
#define _cleanup_setup_access_ __attribute__((cleanup(setup_access_done)))
// What the place's passphrase_command says, in a file in memory, for a program that knows files and runs no programs. *ret_fd stays as it is where there is no such
// command; the caller closes it. ERROR_KEY: it says nothing.
MUST_USE int setup_ask_passphrase(const struct context *ctx, const struct policy_store *place, int *ret_fd, struct error *err);
// Opens the place of the policy's repository, whether or not there is one.
MUST_USE int setup_open_store(const struct setup *s, bool create, struct store **ret_store, struct error *err);
// Opens the policy's repository, heads verified.
MUST_USE int setup_open_repository(const struct setup *s, struct repository **ret_repository, struct error *err);
// Opens one of the policy's copies, by its address, heads verified. *ret_place is borrowed from the policy. ERROR_USAGE: it is none of them.
MUST_USE int setup_open_copy(const struct setup *s, const char *url, const struct policy_store **ret_place, struct repository **ret_repository, struct error *err);
// The chain of this policy on this host (the state's, else the one with these labels, else the only one). ERROR_NOT_FOUND.
MUST_USE int setup_find_chain(const struct setup *s, const struct repository *repository, uint8_t ret_chain[16], struct error *err);
// What a person calls a snapshot (a number, latest, latest~N, a tag) in this policy's chain.
MUST_USE int setup_find_snapshot(const struct setup *s, const struct repository *repository, const char *snapshot, const struct repository_head **ret_head,
                                 struct error *err);
// Identities from the file given with -i, none when identity is NULL; a passphrase is asked for at the terminal.
MUST_USE int setup_load_identities(const struct setup *s, const char *identity, struct age_identities *ret_identities, struct error *err);

// A manifest in an unlinked scratch file (or the local copy), for reading with manifest_reader.
struct setup_manifest {
    const struct io *io;
    int fd; // owned
    uint64_t size;
};
void setup_manifest_done(struct setup_manifest *m);
#define _cleanup_setup_manifest_ __attribute__((cleanup(setup_manifest_done)))
// The snapshot's manifest: the local copy when it is the newest, else from the repository, which takes an identity where it is encrypted
// (ERROR_KEY with the remedy). path NULL or "/": all of it; else at least what can hold `path` and what is below.
MUST_USE int setup_open_manifest(const struct setup *s, const struct repository *repository, const char *snapshot, const char *identity, const char *path,
                                 const struct repository_head **ret_head, struct setup_manifest *ret_manifest, struct error *err);

#endif
