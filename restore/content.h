// Where an entry's content is, and whether that can be believed.
#ifndef BKD_RESTORE_CONTENT_H
#define BKD_RESTORE_CONTENT_H

#include <stdbool.h>

#include "bkd/repo/snapshot.h"

#define CONTENT_XATTR_MAX (16u << 20) // bytes of the text of one entry's attributes

// Does a regular file's entry say where its content is, in a way that can be compared? ERROR_INTEGRITY when not.
MUST_USE int content_check_entry(const struct manifest_entry *e, struct error *err);

// Reads the recipe of an entry with `version`. It is believed when it agrees with the manifest and one of these holds: its only piece has the
// file's own SHA-256; the stored object it stands in is authentic; or *ret_whole is set and the caller compares the whole file's SHA-256 before
// using it (only when may_hash_whole).
MUST_USE int content_recipe(struct snapshot *snapshot, const struct manifest_entry *e, bool may_hash_whole, struct recipe *ret_recipe,
                            bool *ret_whole, struct error *err);

// The pieces of any regular file, as a recipe: of a small one, whose place stands in the entry, it has one piece; of an empty one none.
// Believed without a second look (content_recipe without may_hash_whole).
MUST_USE int content_pieces(struct snapshot *snapshot, const struct manifest_entry *e, struct recipe *ret_recipe, struct error *err);

// Appends the text of extended attributes. It is believed because its object is authentic: ERROR_INTEGRITY when that is damaged.
MUST_USE int content_xattr(struct object_reader *reader, const struct place *place, struct buf *ret_text, struct error *err);

// One piece into memory (piece->length bytes), compared with its SHA-256.
MUST_USE int content_piece(struct snapshot *snapshot, const struct recipe_piece *piece, void *data, struct error *err);

#endif
