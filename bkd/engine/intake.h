// Taking in what the plan says: worker threads open, read and hash ahead; the main thread places content and writes the manifest, in path order.
// Kept lines, small files (in batches) and the pieces of big files go through one ordered queue, so the order needs no further care,
// and memory is bounded by the queue's length.
#ifndef BKD_ENGINE_INTAKE_H
#define BKD_ENGINE_INTAKE_H

#include <stdint.h>

#include "bkd/engine/bigfile.h"
#include "bkd/engine/output.h"
#include "bkd/engine/select.h"
#include "bkd/engine/stream.h"

struct intake_options {
    struct bigfile_context big;  // writer, known, versions, journal …
    struct output *output;
    struct select_plan *plan;
    const struct scan_source *sources; // for what is read in the place of some
    size_t n_sources;
    const struct stream_source *streams; // those the plan has entries of
    size_t n_streams;
    uint64_t big_size; // files from this size on are stored as versions with a recipe
    bool compare_inode; // an unchanged file's ctime and inode are as they were
    unsigned jobs;
    scan_problem_fn *problem; // what could not be read
    void (*progress)(void *arg, uint64_t bytes, uint64_t files); // read so far
    stream_said_fn *said;     // by a stream's command
    void *arg; // of all three
    bool (*interrupted)(void); // may be NULL
};

struct intake_stats {
    uint64_t changed_files; // regular files whose content or metadata was read and differs from what was stored
    // Of these, for the guard against mass changes. What is new continues nothing that was there.
    uint64_t altered_files;                      // had other content before
    uint64_t turned_files, turned_bytes;         // altered from compressible to not
    uint64_t dense_new_files, dense_new_bytes;   // new, and not compressible
    uint64_t renewed_files, renewed_bytes; // unchanged, and stored anew
    uint64_t differing_files; // unchanged, but not what was stored
    uint64_t bytes_read;
    uint64_t unstable_files;
    uint64_t skipped; // entries that could not be read, or not all of them
    uint64_t touched; // files whose access time was changed by reading
    uint64_t gone;    // entries that disappeared meanwhile
    bool stream_failed; // of a run that failed: a command did, nothing of ours
};

// *ret_stats is set on failure too.
MUST_USE int intake_run(const struct io *io, const struct intake_options *options, struct intake_stats *ret_stats, struct error *err);

#endif
