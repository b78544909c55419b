// Where finished entries go, in path order: the new manifest and the remembered inode facts beside it, the needs of the snapshot, the journal.
#ifndef BKD_ENGINE_OUTPUT_H
#define BKD_ENGINE_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/engine/journal.h"
#include "bkd/engine/previous.h"
#include "bkd/engine/sealed.h"
#include "bkd/engine/versions.h"
#include "bkd/repo/manifest.h"
#include "bkd/repo/recipe.h"

#define OUTPUT_INDEX_STEP (256u << 10) // manifest bytes between two entries of the path index

struct output {
    struct sealed_writer manifest, stat;
    struct recipe index;          // only its index is used: first path of each step
    uint64_t next_index;
    struct versions_needs needs;  // of the entries so far
    struct journal *journal;      // borrowed
    uint64_t racy_from_ns;        // ctime from here on may hide a later change
    uint64_t entries, files, bytes;
};

MUST_USE int output_begin(struct output *o, const struct io *io, int state_dirfd, const uint8_t key[SEALED_KEY_SIZE], uint64_t scan_start_ns, struct journal *journal,
                          struct error *err);
void output_done(struct output *o);

// An entry that is kept as it was: its line, without LF.
MUST_USE int output_keep(struct output *o, const char *line, size_t n, const struct scan_stat *stat, struct error *err);
// An entry that was read; journaled when it has content. *ret_line (may be NULL) is the line, borrowed until the next call.
MUST_USE int output_entry(struct output *o, const struct manifest_entry *entry, const struct scan_stat *stat, struct buf *line, struct error *err);
// Accounts for places a snapshot uses.
void output_need_place(struct output *o, const struct place *place);
void output_need(struct output *o, const struct versions_needs *needs);

#endif
