// Writing files below the target: aside, without a name or under a part name, piece by piece as pieces come out right, metadata by descriptor, and the final
// name only when all of it is right. Used by worker threads; a file's result is read by the planner when its window is done.
#ifndef BKD_RESTORE_APPLY_H
#define BKD_RESTORE_APPLY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bkd/repo/object_reader.h"
#include "bkd/repo/recipe.h"
#include "restore/attrs.h"
#include "restore/compare.h"
#include "restore/target.h"
#include "restore/timing.h"

#define APPLY_PART_PREFIX ".bkd-part-"
#define APPLY_DIRECT_ALIGN 4096u     // of memory, offset and length of what is written past the page cache: no logical block of a disk is larger
#define APPLY_DIRECT_MIN (1u << 20) // bytes of a file, and of one write, from which on that is worth it

// What one worker keeps between files: neighbours often share attributes.
struct apply_worker {
    struct place xattr_place;
    struct buf xattr_text;
};

struct apply {
    const struct io *io;
    struct object_reader *reader; // borrowed, as the next two
    struct timing *timing;
    const struct attrs_self *self;
    uint64_t run;     // random: makes part names this restore's own
    bool resume;      // part files of an interrupted run of this restore are taken up again
    bool may_resume;  // a marker stands in the target: large part files stay when the restore stops
    atomic_bool stop;     // workers do nothing more than clean up
    atomic_ullong kept_bytes;    // found in the target, not fetched
    atomic_ullong written_bytes; // to files
    bool keep_going;      // a file lost does not stop the others
    bool direct;          // large writes go past the page cache, as all of it has to be on the disk at the end
    pthread_mutex_t lock; // for errors, and for the next two
    bool nameless_tried;
    uint64_t nameless_on; // device of the file system where small files are made without a name until they are complete; 0 = none
    struct apply_worker *workers;
    unsigned n_workers;
};

void apply_init(struct apply *a, const struct io *io, unsigned n_workers);
void apply_done(struct apply *a);

// The name of what is made aside for an entry, until it gets its own.
struct apply_part {
    char name[sizeof APPLY_PART_PREFIX + 33];
};
struct apply_part apply_part_name(const struct apply *a, uint64_t sequence);

enum apply_result {
    APPLY_PENDING,
    APPLY_DONE,
    APPLY_EXISTS,  // the name was taken: left alone; `error` may say why
    APPLY_LOST,    // its stored bytes are damaged or missing
    APPLY_FAILED,  // the target did not take it
    APPLY_STOPPED, // not tried, or undone, because the restore ends
};

struct apply_file {
    struct target_dir *dir; // a reference
    char *path;             // in the snapshot; owned
    char *name;             // last component in the target; owned
    struct attrs attrs;
    uint64_t size;
    uint64_t sequence; // number of the entry in the selection; part of the part's name
    bool existed;      // something has the name: `old`
    bool replaces;     // which goes when the part file gets it
    struct target_id old;
    const struct target_id *old_all_but; // see replace_name
    bool has_sha256;
    uint8_t sha256[32];
    bool leader; // first of several names: `id` is wanted
    bool multi;  // begun with apply_begin: several pieces
    bool sparse; // holes are left out by `recipe.extents`
    bool preallocated; // … and get their space all the same
    struct recipe recipe;
    struct compare_whole *whole; // NULL = the pieces' hashes are enough
    atomic_uint pieces_left;
    bool reused;    // content that may be right is there (restore/reuse.h)
    bool borrowed;  // the part file is the existing file itself
    bool touched;   // and is no longer what it was
    bool unchanged; // every piece of the existing file was right
    int source_fd;  // the existing file, only read; -1 = none
    bool nameless;  // the part file has no name
    int fd;         // of the part file, while it is open
    int direct_fd;  // the same file opened with O_DIRECT; -1 = not, or the file system has no such thing
    struct apply_part part; // empty = none
    uint32_t mode;          // it was made with
    // the result
    _Atomic enum apply_result result;
    struct error *error; // why not; owned, NULL when done
    struct attrs_loss loss;
    struct target_id id; // leaders and files with late flags
    uint64_t written;    // bytes
};

struct apply_file *apply_file_new(struct target_dir *dir, const char *path, const char *name);
void apply_file_free(struct apply_file *f);

// The part file, empty; the name of one that stands there from an interrupted run is used anew. Removing it gives back what was borrowed and
// keeps what the restore can go on with.
MUST_USE int apply_make_part(struct apply *a, struct apply_file *f, struct error *err);
void apply_remove_part(struct apply *a, struct apply_file *f);

// For files of several pieces: makes the part file with its size. On failure the file's result says so.
void apply_begin(struct apply *a, struct apply_file *f);
// Is the file's content still of any use? False when it is lost, or the restore ends.
bool apply_wants(const struct apply *a, const struct apply_file *f);
// One piece came out and was compared with its SHA-256: `equal`, it is written at `offset`; else the file is lost. When it was the last one the
// file is finished. data stays valid until the window is done where the file has `whole`. Data at APPLY_DIRECT_ALIGN can be written past the page cache.
void apply_piece(struct apply *a, unsigned worker, struct apply_file *f, uint32_t index, uint64_t offset, const void *data, uint32_t length,
                 bool equal);
// A piece of zeros: what of it the extents call data is written.
void apply_hole(struct apply *a, unsigned worker, struct apply_file *f, uint32_t index, uint64_t offset, uint32_t length);
// The file cannot be had; err says why (copied). Its pieces must still be given or be over.
void apply_lose(struct apply *a, struct apply_file *f, const struct error *err);
// The target did not take it; err is copied. As with apply_lose.
void apply_fail(struct apply *a, struct apply_file *f, const struct error *err);
// A piece will not come, or is there already: its file is lost, or everything stops.
void apply_piece_over(struct apply *a, unsigned worker, struct apply_file *f);
// A file without content.
void apply_empty(struct apply *a, unsigned worker, struct apply_file *f);
// Undoes a file whose pieces will not all come (the planner's, after the workers are idle).
void apply_abandon(struct apply *a, struct apply_file *f);

// The attributes' text of a place, kept by the worker until its next file. ERROR_INTEGRITY when its object is not what the refs say.
MUST_USE int apply_xattr(struct apply *a, unsigned worker, const struct place *place, const char **ret_text, size_t *ret_n,
                         struct error *err);

#endif
