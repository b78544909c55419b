// Filling objects: members go into a tar stream, which is cut into independent zstd frames. From there a frame passes through three stages with bounded
// queues: compressing (several threads), sealing (one: age, SHA-256, the store's spool) and, behind an object's last frame, putting (one; two to a far place).
// The place of a member is known at once; its object exists when the `finished` callback says so. Making the tar stream, handing jobs from stage to
// stage and the callbacks happen in the calling thread, which waits where a stage is full. Objects are told of in their order.
#ifndef BKD_ENGINE_OBJECT_WRITER_H
#define BKD_ENGINE_OBJECT_WRITER_H

#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/profile.h"
#include "bkd/codec/age.h"
#include "bkd/repo/format.h"
#include "bkd/store/store.h"

struct object_writer;

// An object is complete and durable in the store; all is set but `used`. ERROR from the callback ends the run.
typedef int object_finished_fn(void *arg, const struct format_ref *object, struct error *err);

struct object_writer_options {
    struct store *store;                    // borrowed
    const struct age_recipient *recipients; // borrowed; n_recipients 0: no age layer
    size_t n_recipients;
    int level;              // zstd
    int first_level;        // of the first `first_bytes` of the tar stream
    uint64_t first_bytes;
    unsigned jobs;          // compressing threads
    uint64_t object_size;   // stored bytes after which an object ends
    uint32_t first_object;  // number of the first object
    struct object_writer *numbers_of; // NULL, or the writer that gives the numbers, where two fill objects of one chain at a time; borrowed
    uint8_t repository[16], chain[16];
    object_finished_fn *finished;
    object_finished_fn *sealed; // NULL = none. The object has its last byte and is about to be put: whoever notes this finds out later whether it was
    void *arg;                  // of both
    struct profile_lap *lap;    // of the calling thread; NULL: nobody asks where the time goes
};

MUST_USE int object_writer_new(const struct io *io, const struct object_writer_options *options, struct object_writer **ret_writer, struct error *err);
// Frees; an object under way is dropped, its spool file removed.
void object_writer_free(struct object_writer *w);
void free_object_writerp(struct object_writer **w);
#define _cleanup_object_writer_ __attribute__((cleanup(free_object_writerp)))

// Appends one member; kind is "whole", "delta", "recipe" or "xattr". *ret_place is where its data stands.
MUST_USE int object_writer_add(struct object_writer *w, const char *kind, const void *data, size_t n, struct place *ret_place, struct error *err);
// Records a manifest line (without LF) whose content was completed in the open object, for salvage.
MUST_USE int object_writer_note_entry(struct object_writer *w, const char *line, size_t n, struct error *err);
// Ends the open object, if any, and waits until it and those before it are durable. After a failure every call fails with the same error.
MUST_USE int object_writer_finish(struct object_writer *w, struct error *err);
// Number the next object will get (the open one's successor).
uint32_t object_writer_next_object(const struct object_writer *w);
// Number of the open object, 0 when none is open. What was placed there is not durable yet, and what was placed in those before it is when `finished` says so.
uint32_t object_writer_open_object(const struct object_writer *w);
// Finished objects, and their stored bytes.
struct object_writer_stats {
    uint64_t objects, stored_bytes, tar_bytes;
};
void object_writer_stats(const struct object_writer *w, struct object_writer_stats *ret_stats);

#endif
