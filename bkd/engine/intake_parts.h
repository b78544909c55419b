// An intake while it lasts: what its files share. Only for intake.c (small files, the queue, the feeding of it) and intake_big.c (what is stored as
// versions).
#ifndef BKD_ENGINE_INTAKE_PARTS_H
#define BKD_ENGINE_INTAKE_PARTS_H

#include "bkd/base/spare.h"
#include "bkd/base/work.h"
#include "bkd/engine/batch.h"
#include "bkd/engine/intake.h"

enum {
    INTAKE_IDLE_MAX = 8,
    INTAKE_READERS = 8, // threads for each job
    INTAKE_READERS_MAX = 16,
    INTAKE_SPACE_MIN = 1 << 20,
    INTAKE_DELTA_KEPT = 8 << 20,      // bytes of memory that a piece's job keeps for the next one's delta …
    INTAKE_DELTA_KEPT_MANY = 1 << 20, // … and where more than two jobs have compressors that take theirs
    INTAKE_PIECES_BYTES = 88 << 20, // memory of pieces and of their deltas
    INTAKE_PIECES_MAX = 4, // whole pieces in memory at a time, however many threads there are: four are hashed and compared at many GB/s
};

struct intake;

// A big file, or a stream, on its way through the queue.
struct intake_big {
    struct intake_big *next; // of those under way
    struct source_file source; // not open: a stream
    struct manifest_entry entry, old; // old.version: the version it probably continues
    struct buf xattrs;
    bool is_renewal;          // it has not changed since the snapshot before
    bool is_anew;             // its version is made independent of objects that are being emptied
    struct scan_stat planned; // as it was scanned
    struct bigfile *file;
    uint64_t left; // pieces not placed yet; of a stream one more
    bool failed;
    enum texture before; // of the content it continues
    bool partly; // an attribute could not be read
};

// One element of the queue: a batch, or a piece (the last one ends its file).
struct intake_job {
    struct intake *in;
    struct batch *batch;
    struct bigfile_job *piece;
    struct intake_big *big;
};

struct intake {
    const struct io *io;
    const struct intake_options *options;
    struct work_pool *pool;
    unsigned jobs;
    size_t n_pieces; // in the queue
    struct batch_worker *workers;
    struct batch_worker own; // of the main thread, for big files
    struct intake_big *under_way;
    struct batch *filling;
    struct batch *idle_batch[INTAKE_IDLE_MAX];
    size_t n_idle_batches;
    struct bigfile_job *idle_piece[INTAKE_PIECES_MAX];
    size_t n_idle_pieces;
    size_t delta_expected;  // memory that a piece's delta may take, by those before
    struct spare spaces; // where the bytes of pieces stand
    struct intake_stats stats;
    struct buf line;
    uint64_t bytes_done, files_done;
};

void intake_note_problem(struct intake *in, const struct manifest_entry *entry, const char *reason);
void intake_note_progress(struct intake *in, uint64_t bytes, uint64_t files);
// A file's content differs from what was stored: `before` is what that looked like, when the file continues one (is_known).
void intake_note_change(struct intake *in, bool is_known, enum texture before, enum texture now, uint64_t size);
// Stores the attributes' text, unless it is known, and names it in the entry.
MUST_USE int intake_place_xattrs(struct intake *in, struct manifest_entry *entry, const uint8_t *text, size_t n, struct error *err);
// An unchanged file was read, and is not what was stored. Is it really unchanged, so that the source is damaged, or the store was? Then that is told, and
// the entry gets the content that is stored.
MUST_USE bool intake_keep_stored(struct intake *in, struct manifest_entry *entry, const struct manifest_entry *old, const struct scan_stat *planned,
                                 const struct scan_stat *found);
// The entry is complete.
MUST_USE int intake_finish_entry(struct intake *in, struct manifest_entry *entry, const struct scan_stat *stat, struct error *err);
// Puts a batch or a piece into the queue, which takes it; places what comes out.
MUST_USE int intake_submit(struct intake *in, struct batch *batch, struct bigfile_job *piece, struct intake_big *big, struct error *err);
// Lends a piece that is to be submitted `bytes` of memory; while there is none, places what comes out of the queue.
MUST_USE int intake_lend_space(struct intake *in, struct bigfile_job *piece, size_t bytes, struct error *err);
// Places all that is in the queue.
MUST_USE int intake_drain(struct intake *in, struct error *err);

// intake_big.c: takes a planned file or stream, places a piece that comes out of the queue, forgets a file under way.
MUST_USE int intake_take_big(struct intake *in, const struct select_item *item, struct error *err);
MUST_USE int intake_take_stream(struct intake *in, const struct select_item *item, struct error *err);
MUST_USE int intake_place_piece(struct intake *in, struct intake_job *job, struct error *err);
void intake_free_big(struct intake *in, struct intake_big *big);

#endif
