// Content that is in the target already and serves a file being restored: the part file an interrupted run left, or (--in-place-delta) the
// existing file itself. A piece whose SHA-256 is right there is not fetched; of a piece that is not, only the blocks of 4 KiB that differ are written.
//
// An existing file is first only read. When the first difference shows it is claimed: cloned into the part file where the file system shares
// blocks (reflink); else renamed to the part name and changed there, when the inode has no other name; else copied. So its own name never
// stands for something half-changed.
//
//      looked at ── reuse_claim ──> part file ── apply's finish ──> named
//          └──────── nothing differs: apply's finish, metadata only ────^
#ifndef BKD_RESTORE_REUSE_H
#define BKD_RESTORE_REUSE_H

#include "restore/apply.h"

#define REUSE_MIN (1u << 20) // smaller files are replaced as a whole: that is one rename, and nothing to gain

// Opens the part file an interrupted run of this restore left. False: there is none, or none that can be used.
bool reuse_part(struct apply *a, struct apply_file *f);
// Opens f->old under f->name for reading. False: it cannot be read.
bool reuse_existing(struct apply *a, struct apply_file *f);

// Is the piece there? Counts it as kept.
bool reuse_piece(struct apply *a, struct apply_file *f, uint64_t offset, uint32_t length, const uint8_t sha256[32]);
// Before the first change: f->fd becomes the part file, with the content of the existing one and the file's size.
MUST_USE int reuse_claim(struct apply *a, struct apply_file *f, struct error *err);
// Writes what differs. In a sparse file, what lies outside the data extents becomes a hole.
MUST_USE int reuse_write(struct apply *a, struct apply_file *f, uint64_t offset, const uint8_t *data, uint32_t length, struct error *err);
MUST_USE int reuse_hole(struct apply *a, struct apply_file *f, uint64_t offset, uint64_t length, struct error *err);

#endif
