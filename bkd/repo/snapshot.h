// A snapshot's manifest and recipes as a reader sees them: head → refs → manifest recipe → manifest text; all verified by hash.
#ifndef BKD_REPO_SNAPSHOT_H
#define BKD_REPO_SNAPSHOT_H

#include "bkd/repo/manifest.h"
#include "bkd/repo/object_reader.h"
#include "bkd/repo/recipe.h"
#include "bkd/repo/repository.h"

struct snapshot {
    const struct repository *repository; // borrowed
    const struct format_head *head; // borrowed
    struct format_refs refs;
    struct object_reader *reader;
    struct recipe manifest; // recipe of the manifest, with the path index
};

// r and head are borrowed; identities are copied. ERROR_INTEGRITY for a void head and for anything that is not as the head signed
// it; ERROR_KEY when no identity fits.
MUST_USE int snapshot_open(const struct repository *r, const struct repository_head *head, const struct age_identity *identities,
                           size_t n_identities, struct snapshot *ret_snapshot, struct error *err);
// The same, but objects that are damaged elsewhere do not stand in the way (object_reader_accept_damaged). Head, manifest and its recipe are
// compared with their hashes as ever.
MUST_USE int snapshot_open_damaged(const struct repository *r, const struct repository_head *head, const struct age_identity *identities,
                                   size_t n_identities, struct snapshot *ret_snapshot, struct error *err);
// The same as snapshot_open for somebody who wants the manifest, or a few files: objects nearby are not read whole for it (object_reader_want_parts).
MUST_USE int snapshot_open_parts(const struct repository *r, const struct repository_head *head, const struct age_identity *identities,
                                 size_t n_identities, struct snapshot *ret_snapshot, struct error *err);
void snapshot_done(struct snapshot *s);
#define _cleanup_snapshot_ __attribute__((cleanup(snapshot_done)))

// Reads and verifies a recipe.
MUST_USE int snapshot_read_recipe(struct snapshot *s, const struct place *place, struct recipe *ret_recipe, struct error *err);

// Writes the whole manifest into fd (a scratch file, from its byte 0 on), verified against the head.
MUST_USE int snapshot_fetch_manifest(struct snapshot *s, int fd, const char *name, struct error *err);
// Writes only the part of the manifest that can hold `path` and what is below it (whole lines; the objects are authenticated, the
// pieces' own hashes are not looked at, so not for a snapshot opened with damage accepted). Several small reads thanks to
// the path index. *ret_size bytes were written.
MUST_USE int snapshot_fetch_part(struct snapshot *s, const char *path, int fd, const char *name, uint64_t *ret_size,
                                 struct error *err);

#endif
