// Comparing a snapshot with another one, or with the files as they are now: two streams in path order, merged.
//
// Metadata first; content by its recorded hashes. Where the live file may have changed since the newest snapshot (its size, times or inode did)
// its content is hashed and its attributes are read; `content` hashes every regular file. Hard links are compared by having other names or not.
#ifndef BKD_ENGINE_DIFF_H
#define BKD_ENGINE_DIFF_H

#include "bkd/engine/differ.h"
#include "bkd/engine/live.h"

struct diff_change {
    char sign;       // '+' only in B, '-' only in A, 'M' content or type, 'm' metadata
    uint32_t fields; // enum differ; 0 for '+' and '-'
    const struct manifest_entry *a, *b; // NULL where there is none; borrowed during the call
};
typedef int diff_change_fn(void *arg, const struct diff_change *change, struct error *err);

// Reads a text of attributes that a snapshot stores.
typedef int diff_text_fn(void *arg, const struct place *place, struct buf *ret_text, struct error *err);

struct diff_options {
    struct manifest_reader *a;
    struct manifest_reader *b; // or, when NULL:
    struct live *live;
    const char *const *paths; // only these and what lies below them, normalised; NULL, 0 = everything
    size_t n_paths;
    bool content;
    // Texts of A and B, for attributes that are stored at two places. NULL: they count as different then.
    diff_text_fn *text_a, *text_b;
    void *text_arg;
    diff_change_fn *change;
    scan_problem_fn *problem; // what cannot be read in the live tree
    void (*progress)(void *arg, uint64_t files, uint64_t bytes); // hashed since the last call
    void *arg;
};

struct diff_counts {
    uint64_t added, removed, changed, metadata;
    uint64_t added_bytes, removed_bytes, changed_bytes; // of regular files; changed: as they are in B
    uint64_t problems;
};

MUST_USE int diff_run(const struct diff_options *options, struct diff_counts *ret_counts, struct error *err);

#endif
