// The files as they are now, as a stream of manifest entries in path order: what a backup would find. Content and attributes that have not
// changed since the newest snapshot are known from the local caches; the rest can be read on demand.
//
// live_open walks all sources at once into a scratch file (memory stays constant), live_next gives entry after entry.
#ifndef BKD_ENGINE_LIVE_H
#define BKD_ENGINE_LIVE_H

#include "bkd/engine/scan.h"
#include "bkd/engine/select.h"
#include "bkd/repo/repository.h"

struct live_options {
    const char *state_dir, *policy; // whose caches; without them nothing is known, everything is read where it matters
    const struct repository_head *newest; // of the policy's chain; NULL = none
    struct scan_options scan;
    bool compare_inode;
    scan_problem_fn *problem;
    void *arg;
};

// One entry. Borrowed until the next call.
struct live_entry {
    struct manifest_entry *entry;
    bool is_known; // sha256, at, version, xattr and flags are those of the newest snapshot, and right
};

struct live;
MUST_USE int live_open(const struct io *io, const struct live_options *options, struct live **ret_live, struct error *err);
void live_free(struct live *l);
void free_livep(struct live **l);
#define _cleanup_live_ __attribute__((cleanup(free_livep)))
const struct select_counts *live_counts(const struct live *l);
// Were there caches to tell what has changed? Without, is_known is never set, and means nothing.
bool live_has_cache(const struct live *l);

// NULL in *ret_entry at the end.
MUST_USE int live_next(struct live *l, const struct live_entry **ret_entry, struct error *err);

// Reading what the entry does not say. ERROR_NOT_FOUND: it is gone by now; other errors say why it cannot be read.
// The SHA-256 of a regular file's content.
MUST_USE int live_hash(struct live *l, const struct manifest_entry *entry, uint8_t ret_sha256[32], struct error *err);
// Has it the content of this version of equal size, piece by piece? For files of which there is no hash of the whole. ERROR_FORMAT: the pieces of that version
// are not known here.
MUST_USE int live_has_content(struct live *l, const struct manifest_entry *entry, const struct place *version, bool *ret_same, struct error *err);
// Its extended attributes as text (doc/FORMAT.md section 7), appended, and its inode flags.
MUST_USE int live_attrs(struct live *l, const struct manifest_entry *entry, struct buf *ret_xattrs, uint32_t *ret_flags, struct error *err);
// Where the newest snapshot's objects hold this text of attributes; false when that is not known.
bool live_find_xattrs(struct live *l, const struct buf *text, struct place *ret_place);

#endif
