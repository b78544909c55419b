// Exports of a host's catalogue beside its snapshots: catalogue/<chain>/<time>-<kind>-<nonce>.jsonl.zst[.age] and its signature .sig (doc/FORMAT.md section 3.5).
// A full export holds all, one of kind "since" what is new since the last full one. Nothing is ever overwritten.
#ifndef BKD_REPO_EXPORTS_H
#define BKD_REPO_EXPORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/codec/age.h"
#include "bkd/codec/sshkey.h"
#include "bkd/repo/repository.h"

#define EXPORTS_MAX (256u << 20)      // stored bytes of one
#define EXPORTS_PLAIN_MAX (1u << 30)  // bytes of its text
enum { EXPORTS_KEEP_FULL = 3, EXPORTS_KEEP_SINCE = 7 }; // the newest ones, where files can be removed

struct export {
    char *name; // owned
    uint64_t time_s;
    bool is_full, is_signed;
};

struct exports {
    struct export *items; // by time, oldest first; owned
    size_t n;
};
void exports_done(struct exports *exports);
#define _cleanup_exports_ __attribute__((cleanup(exports_done)))

// Is this the name of an export or of its signature?
bool exports_is_name(const char *name);
// Those of one chain. Files with other names are passed over.
MUST_USE int exports_list(struct store *store, const uint8_t chain[16], struct exports *ret_exports, struct error *err);

// Makes the stored bytes of a text, a part at a time. No recipients: not encrypted.
struct exports_writer;
MUST_USE int exports_writer_new(const struct io *io, const struct age_recipient *recipients, size_t n, struct exports_writer **ret_writer, struct error *err);
MUST_USE int exports_writer_add(struct exports_writer *w, const void *text, size_t n, struct error *err);
// Stores what was added, signed, under a new name; frees the writer in any case. *ret_size: stored bytes.
MUST_USE int exports_writer_put(struct exports_writer **w, struct store *store, const uint8_t chain[16], bool is_full, const struct sshkey *key, uint64_t *ret_size,
                                struct error *err);
void exports_writer_free(struct exports_writer **w);
#define _cleanup_exports_writer_ __attribute__((cleanup(exports_writer_free)))

// Reads one: its signature by one of the signers, then decryption, then the text, whole. ERROR_INTEGRITY, ERROR_KEY as elsewhere.
MUST_USE int exports_read(const struct repository *r, const struct export *export, const char *signers, const struct age_identity *identities, size_t n_identities,
                          struct buf *ret_text, struct error *err);

// Reads one and its signature only: is it what was signed by one of the signers? ERROR_INTEGRITY, ERROR_KEY as elsewhere.
MUST_USE int exports_check(const struct repository *r, const struct export *export, const char *signers, struct error *err);

// Removes those of a chain that are too many, where the store allows it; *ret_removed counts them. A store that refuses (one that can only grow) is no error.
MUST_USE int exports_prune(struct store *store, const uint8_t chain[16], uint64_t *ret_removed, struct error *err);
// Brings the newest full export and the newest one since then to a copy that lacks them. *ret_brought counts them.
MUST_USE int exports_copy(struct store *from, struct store *to, const uint8_t chain[16], uint64_t *ret_brought, struct error *err);

#endif
