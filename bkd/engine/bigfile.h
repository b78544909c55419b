// A file stored as a version with a recipe: cut into pieces that worker threads read, hash and compare with the previous version, and that
// the main thread places in order. Also how the manifest itself is stored, and the output of commands, whose pieces come one after the other.
//
// Order: bigfile_begin; for each piece bigfile_piece (job) → a worker runs bigfile_piece_work → in order bigfile_take; bigfile_finish; bigfile_free.
// Every piece that was begun is worked on, and workers take them in order: the file's hash goes from piece to piece, each waiting for the one before.
// Of a stream: bigfile_begin_stream; bytes into bigfile_job_space, bigfile_stream_piece instead of bigfile_piece.
#ifndef BKD_ENGINE_BIGFILE_H
#define BKD_ENGINE_BIGFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/profile.h"
#include "bkd/engine/ancestry.h"
#include "bkd/engine/journal.h"
#include "bkd/engine/known.h"
#include "bkd/engine/object_writer.h"
#include "bkd/engine/renew.h"
#include "bkd/engine/versions.h"

// What storing versions needs of the run. Borrowed.
struct bigfile_context {
    const struct io *io;
    struct profile_lap *lap; // of the main thread
    struct object_writer *writer;
    struct known *known;
    struct versions *versions;
    struct journal *journal; // NULL: pieces are not journaled
    bool (*usable)(void *arg, uint32_t object);
    void *usable_arg;
    uint32_t block_size;        // of signatures; 0 = chosen by file size
    struct ancestry_limits ancestry;
    struct renew *renew;
    int (*open_renewer)(void *arg, struct error *err); // makes renew->writer; arg is usable_arg
};

#define BIGFILE_HEAD (64u << 10)

// The SHA-256 of a file's first BIGFILE_HEAD bytes, by which a version it may continue is found (KNOWN_HEAD). False when they say nothing of the file: all
// one byte.
bool bigfile_head(const void *data, size_t n, uint8_t ret_sha256[32]);

struct bigfile;

// Begins a version of the file open as fd (borrowed until free). base: place of a version it probably continues (NULL: none).
// What cannot be loaded of the base means going on without. index_from: the path index to put into the recipe (manifests), or NULL.
MUST_USE int bigfile_begin(const struct bigfile_context *ctx, int fd, const char *name, uint64_t size, const struct place *base,
                           const struct recipe *index_from, struct bigfile **ret_file, struct error *err);
// The same for bytes that come in order and whose number is known at their end; expected_size is a guess that chooses the signature's blocks.
MUST_USE int bigfile_begin_stream(const struct bigfile_context *ctx, const char *name, uint64_t expected_size, const struct place *base,
                                  struct bigfile **ret_file, struct error *err);
void bigfile_free(struct bigfile *f);
// Bytes it takes to make this version independent of the objects that are being emptied; 0 when it has nothing in them.
uint64_t bigfile_renewal_cost(const struct bigfile *f);
// Right after the beginning: it will be. Pieces that are stored whole in other objects are taken over, everything else goes to the renewer.
MUST_USE int bigfile_renew(struct bigfile *f, struct error *err);
uint64_t bigfile_pieces(const struct bigfile *f);

// A piece's job; reused through bigfile_job_new once.
struct bigfile_job;
struct bigfile_job *bigfile_job_new(void);
void bigfile_job_free(struct bigfile_job *job);
void bigfile_piece(struct bigfile *f, uint64_t index, struct bigfile_job *job);
// Between two pieces a job keeps the memory of its delta, which may become as large as a piece; not when it is larger than this. Returns how much it was.
size_t bigfile_job_trim(struct bigfile_job *job, size_t delta_max);
// Where the piece's bytes stand. Who has many pieces under way lends each bigfile_job_memory bytes before its work and takes them back after it was taken;
// else the job has memory of its own.
struct buf *bigfile_job_space(struct bigfile_job *job);
size_t bigfile_job_memory(const struct bigfile_job *job); // 0: nobody looks at the bytes of a hole
// The next piece of a stream: `length` bytes (only the last piece has fewer than RECIPE_PIECE_SIZE) that stand in the job's space already.
void bigfile_stream_piece(struct bigfile *f, struct bigfile_job *job, uint32_t length);
void bigfile_piece_work(struct bigfile_job *job, struct profile_lap *lap); // any thread; the lap is its own, and left in the stage that came last
uint32_t bigfile_job_length(const struct bigfile_job *job); // bytes, as read once the work is done
// Places the next piece. A read error of the source is ERROR_FAILED with *ret_source_failed true.
MUST_USE int bigfile_take(struct bigfile_job *job, bool *ret_source_failed, struct error *err);

struct bigfile_result {
    struct place version; // of the recipe
    bool has_sha256;      // false for files that are mostly holes
    uint8_t sha256[32];
    uint64_t size;        // as read
    bool short_read;      // the file shrank while it was read
    enum texture texture;
    bool is_base;         // exactly the base version: nothing was stored
    bool is_anew;         // bigfile_renew was called
    bool all_same;        // every piece is the base's
    uint64_t anew_bytes;  // stored for that
    uint64_t bytes_read;
    uint64_t hole_bytes;
    uint8_t recipe_sha256[32];
    uint64_t recipe_size;
    struct versions_needs needs; // of the closure; the caller frees with versions_needs_done
};
MUST_USE int bigfile_finish(struct bigfile *f, struct bigfile_result *ret_result, struct error *err);

#endif
