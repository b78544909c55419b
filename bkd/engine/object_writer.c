#include "bkd/engine/object_writer.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/spare.h"
#include "bkd/base/work.h"
#include "bkd/codec/members.h"
#include "bkd/codec/zframe.h"
#include "bkd/engine/object_out.h"

enum {
    FRAME = 2 << 20,       // small files and deltas: random access costs one frame, and 1 MiB would store 2 % more (measured)
    FRAME_BIG = 4 << 20,   // pieces of this size and more: 0.3 % lost against one stream
    META_MAX = 1 << 20,    // manifest lines collected before they become a member
    AHEAD = 2,             // frames that wait for a compressing thread
    SEALING_MAX = 2,       // frames that wait to be sealed and written, or are
    PUTTING_FAR = 2,       // objects under way to a far place: while one is opened, made durable and named, the other is sent. A disk takes one at a time as fast
    PLAIN_BYTES = 24 << 20,  // of all frames that wait for a compressing thread or have one, however many there are: 12 of FRAME, 6 of FRAME_BIG
    CONTEXT_BYTES = 64 << 20, // of the compressing threads together: one takes up to 65 MiB at high levels
    THREADS_ALWAYS = 2,      // whatever the level: it was asked for
};

// One frame on its way through the stages. Every stage hands its jobs on in order.
struct frame_job {
    struct object_writer *writer;
    struct object_out *object;
    bool last; // of its object, which is the job's own then
    int level;
    struct buf plain, compressed;
    size_t plain_size;
    int status;
    struct error err;
};

struct object_writer {
    const struct io *io;
    struct object_writer_options options;
    struct work_pool *compressing, *sealing, *putting;
    struct zframe_compressor **compressors; // one a thread
    struct spare spare;      // where frames are, plain and compressed
    size_t plain_bytes;      // of the frames in `compressing`
    uint64_t first_left;     // bytes that are still compressed at first_level
    struct frame_job *frame; // being filled
    size_t frame_target;
    int failed; // an error code, or 0: frames are missing from then on
    struct error why;
    // The open object
    uint32_t number; // 0 = none open
    uint32_t next_number; // of the writer that gives the numbers
    struct members stream;
    struct object_out *object; // until its last frame is submitted
    uint64_t written;          // bytes of its compressed frames
    struct buf meta;
    struct object_writer_stats stats;
    struct profile_lap *lap, no_lap; // of the calling thread
    struct profile *profile;
};

static void free_job(struct frame_job *job)
{
    if (job == NULL)
        return;
    buf_done(&job->plain);
    buf_done(&job->compressed);
    free(job);
}

// As many as there are jobs, and memory for what they need.
static unsigned compressing_threads(const struct object_writer_options *options)
{
    int level = options->first_bytes > 0 && options->first_level > options->level ? options->first_level : options->level;
    size_t contexts = CONTEXT_BYTES / zframe_compressor_memory(level), frames = PLAIN_BYTES / FRAME;
    size_t most = contexts < THREADS_ALWAYS ? THREADS_ALWAYS : contexts < frames ? contexts : frames;
    return options->jobs == 0 ? 1 : options->jobs < most ? options->jobs : (unsigned)most;
}

// Of frames at all stages: before they are compressed, with the one being filled, and after, with those on their way out, if nothing of them can be compressed.
static size_t frames_memory(unsigned threads)
{
    size_t compressing = threads + AHEAD < PLAIN_BYTES / FRAME_BIG ? threads + AHEAD : PLAIN_BYTES / FRAME_BIG;
    return (compressing + 1 + compressing + SEALING_MAX + PUTTING_FAR) * zframe_bound(FRAME_BIG);
}

int object_writer_new(const struct io *io, const struct object_writer_options *options, struct object_writer **ret_writer, struct error *err)
{
    (void)err;
    struct object_writer *w = xcalloc(1, sizeof *w);
    w->io = io;
    w->options = *options;
    w->next_number = options->first_object;
    w->first_left = options->first_bytes;
    w->frame_target = FRAME;
    w->lap = options->lap == NULL ? &w->no_lap : options->lap;
    w->profile = w->lap->profile;
    unsigned threads = compressing_threads(options);
    w->compressing = work_new(threads);
    w->sealing = work_new(1);
    w->putting = work_new(options->store->far ? PUTTING_FAR : 1);
    work_profile(w->compressing, w->profile, io, PROFILE_COMPRESS);
    work_profile(w->sealing, w->profile, io, PROFILE_ENCRYPT);
    work_profile(w->putting, w->profile, io, PROFILE_WRITE);
    w->compressors = xcalloc(threads, sizeof *w->compressors);
    for (unsigned i = 0; i < threads; i++)
        w->compressors[i] = zframe_compressor_new(options->level);
    spare_init(&w->spare, frames_memory(threads));
    *ret_writer = w;
    return 0;
}

// ---- jobs

// Room for a frame of `size` bytes, plain or compressed. There are two sizes only, so that what comes back is soon of use again.
static struct buf take_space(struct object_writer *w, size_t size) { return spare_take(&w->spare, zframe_bound(size <= FRAME ? FRAME : FRAME_BIG)); }

static struct frame_job *new_job(struct object_writer *w)
{
    struct frame_job *job = xcalloc(1, sizeof *job);
    job->writer = w;
    job->object = w->object;
    job->plain = take_space(w, w->frame_target);
    return job;
}

// What was compressed is needed no more.
static void drop_plain(struct object_writer *w, struct frame_job *job)
{
    job->plain_size = job->plain.len;
    w->plain_bytes -= job->plain_size;
    spare_give(&w->spare, &job->plain);
}

// The job has come to its end, with the object whose last one it is.
static void retire(struct object_writer *w, struct frame_job *job)
{
    if (job->last)
        object_out_free(job->object);
    spare_give(&w->spare, &job->compressed);
    free_job(job);
}

static void retire_all(struct object_writer *w, struct work_pool *stage)
{
    struct frame_job *job;
    while ((job = work_next(stage)) != NULL)
        retire(w, job);
}

void object_writer_free(struct object_writer *w)
{
    if (w == NULL)
        return;
    unsigned threads = work_threads(w->compressing);
    retire_all(w, w->putting);
    retire_all(w, w->sealing); // works on objects whose last job is still being compressed
    retire_all(w, w->compressing);
    work_free(w->compressing);
    work_free(w->sealing);
    work_free(w->putting);
    object_out_free(w->object);
    for (unsigned i = 0; i < threads; i++)
        zframe_compressor_free(w->compressors[i]);
    free(w->compressors);
    free_job(w->frame);
    spare_done(&w->spare);
    buf_done(&w->meta);
    free(w);
}

void free_object_writerp(struct object_writer **w) { object_writer_free(*w); }

// ---- the stages, each in threads of its own

static void compress_frame(void *arg, unsigned worker)
{
    struct frame_job *job = arg;
    struct object_writer *w = job->writer;
    struct profile_lap lap;
    profile_begin(&lap, w->profile, w->io, PROFILE_COMPRESS);
    job->status = 0;
    zframe_compressor_set_level(w->compressors[worker], job->level);
    if (job->plain.len > 0) // an object's last one may be empty
        job->status = zframe_compress(w->compressors[worker], job->plain.data, job->plain.len, &job->compressed, &job->err);
    profile_end(&lap);
}

static void seal_frame(void *arg, unsigned worker)
{
    struct frame_job *job = arg;
    struct profile_lap lap;
    (void)worker;
    profile_begin(&lap, job->writer->profile, job->writer->io, PROFILE_ENCRYPT);
    if (job->status == 0 && job->plain_size > 0)
        job->status = object_out_add_frame(job->object, job->compressed.data, job->compressed.len, job->plain_size, &lap, &job->err);
    if (job->status == 0 && job->last)
        job->status = object_out_end(job->object, &lap, &job->err);
    profile_end(&lap);
}

static void put_object(void *arg, unsigned worker)
{
    struct frame_job *job = arg;
    struct profile_lap lap;
    (void)worker;
    profile_begin(&lap, job->writer->profile, job->writer->io, PROFILE_WRITE);
    job->status = object_out_put(job->object, &job->err);
    profile_end(&lap);
}

// ---- from stage to stage, in the calling thread. What a stage may hold is bounded: who hands a job on waits for room.

static struct frame_job *wait_for_next(struct object_writer *w, struct work_pool *stage)
{
    profile_pause(w->lap);
    struct frame_job *job = work_next(stage);
    profile_resume(w->lap, PROFILE_BLOCKED);
    return job;
}

static int take_put(struct object_writer *w, struct error *err)
{
    struct frame_job *job = wait_for_next(w, w->putting);
    struct format_ref ref = *object_out_ref(job->object);
    int r = job->status;
    if (r < 0)
        *err = job->err;
    retire(w, job);
    if (r < 0)
        return r;
    w->stats.objects++;
    w->stats.stored_bytes += ref.stored_size;
    return w->options.finished(w->options.arg, &ref, err);
}

// Objects are put while the next one is filled.
static int submit_put(struct object_writer *w, struct frame_job *job, struct error *err)
{
    int r = 0;
    while (r == 0 && work_count(w->putting) >= work_threads(w->putting))
        r = take_put(w, err);
    if (r == 0 && w->options.sealed != NULL)
        r = w->options.sealed(w->options.arg, object_out_ref(job->object), err);
    if (r < 0)
        retire(w, job);
    else
        work_submit(w->putting, put_object, job);
    return r;
}

static int take_sealed(struct object_writer *w, struct error *err)
{
    struct frame_job *job = wait_for_next(w, w->sealing);
    int r = job->status;
    if (r == 0 && job->last)
        return submit_put(w, job, err);
    if (r < 0)
        *err = job->err;
    retire(w, job);
    return r;
}

static int take_compressed(struct object_writer *w, struct error *err)
{
    struct frame_job *job = wait_for_next(w, w->compressing);
    int r = job->status;
    if (r < 0)
        *err = job->err;
    drop_plain(w, job);
    if (job->object == w->object)
        w->written += job->compressed.len;
    while (r == 0 && work_count(w->sealing) >= SEALING_MAX)
        r = take_sealed(w, err);
    work_submit(w->sealing, seal_frame, job); // after a failure too: those before it may be at work on the same object
    return r;
}

static bool has_room(const struct object_writer *w)
{
    size_t frames = work_count(w->compressing);
    return frames == 0 || (frames < work_threads(w->compressing) + AHEAD && w->plain_bytes + w->frame->plain.len <= PLAIN_BYTES);
}

static int submit_frame(struct object_writer *w, struct error *err)
{
    int r = 0;
    while (r == 0 && !has_room(w))
        r = take_compressed(w, err);
    if (r < 0)
        return r;
    struct frame_job *job = TAKE(w->frame);
    w->plain_bytes += job->plain.len;
    job->level = w->first_left > 0 ? w->options.first_level : w->options.level;
    w->first_left -= job->plain.len < w->first_left ? job->plain.len : w->first_left;
    job->compressed = take_space(w, job->plain.len);
    work_submit(w->compressing, compress_frame, job);
    return 0;
}

static int wait_for_all(struct object_writer *w, struct error *err)
{
    int r = 0;
    while (r == 0 && work_count(w->compressing) > 0)
        r = take_compressed(w, err);
    while (r == 0 && work_count(w->sealing) > 0)
        r = take_sealed(w, err);
    while (r == 0 && work_count(w->putting) > 0)
        r = take_put(w, err);
    return r;
}

// ---- filling the open object

static int end_frame(struct object_writer *w, struct error *err) { return w->frame == NULL || w->frame->plain.len == 0 ? 0 : submit_frame(w, err); }

// Receives the tar stream.
static int sink(void *arg, const void *data, size_t n, struct error *err)
{
    struct object_writer *w = arg;
    const uint8_t *at = data;
    while (n > 0) {
        if (w->frame == NULL)
            w->frame = new_job(w);
        size_t room = w->frame_target - w->frame->plain.len;
        size_t take = n < room ? n : room;
        buf_add(&w->frame->plain, at, take);
        at += take;
        n -= take;
        int r = w->frame->plain.len < w->frame_target ? 0 : submit_frame(w, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static struct object_writer *numbers_of(struct object_writer *w) { return w->options.numbers_of == NULL ? w : w->options.numbers_of; }

static int open_object(struct object_writer *w, struct error *err)
{
    const struct object_writer_options *o = &w->options;
    struct object_out_options out = { .store = o->store, .recipients = o->recipients, .n_recipients = o->n_recipients };
    uint32_t number = numbers_of(w)->next_number;
    int r = object_out_open(w->io, &out, number, &w->object, err);
    if (r == 0)
        r = members_begin(&w->stream, sink, w, err);
    if (r < 0)
        return r;
    numbers_of(w)->next_number++;
    w->number = number;
    w->written = 0;
    return 0;
}

static int add_member(struct object_writer *w, const char *kind, const void *data, size_t n, struct place *ret_place, struct error *err)
{
    uint64_t offset = 0;
    int r = members_add(&w->stream, kind, data, n, &offset, err);
    if (r == 0)
        *ret_place = (struct place){ .object = w->number, .offset = offset, .length = n };
    return r;
}

// The frame under way, which has hardly begun, is to hold more than it was made for.
static void widen_frame(struct object_writer *w)
{
    struct buf wider = take_space(w, w->frame_target);
    buf_add(&wider, w->frame->plain.data, w->frame->plain.len);
    spare_give(&w->spare, &w->frame->plain);
    w->frame->plain = wider;
}

// At high levels a context for FRAME takes half of one for FRAME_BIG, and there must be THREADS_ALWAYS of them.
static bool has_memory_for_big(const struct object_writer *w)
{
    return THREADS_ALWAYS * zframe_compressor_memory(w->options.level) <= CONTEXT_BYTES;
}

// A big member begins a frame of its own, unless the one under way has hardly begun.
static int choose_frame(struct object_writer *w, size_t n, struct error *err)
{
    bool big = n >= FRAME_BIG && has_memory_for_big(w);
    if (big && w->frame != NULL && w->frame->plain.len > FRAME / 4) {
        int r = end_frame(w, err);
        if (r < 0)
            return r;
    }
    size_t target = big ? FRAME_BIG : FRAME;
    if (w->frame != NULL && w->frame->plain.len >= target) {
        int r = end_frame(w, err);
        if (r < 0)
            return r;
    }
    w->frame_target = target;
    if (big && w->frame != NULL && w->frame->plain.cap <= FRAME_BIG)
        widen_frame(w);
    return 0;
}

static int flush_meta(struct object_writer *w, struct error *err)
{
    struct place ignored;
    _cleanup_buf_ struct buf text = { 0 };
    buf_add_str(&text, "bkd-meta/1\nrepository ");
    buf_add_hex(&text, w->options.repository, 16);
    buf_add_str(&text, "\nchain ");
    buf_add_hex(&text, w->options.chain, 16);
    buf_addf(&text, "\nobject %u\n", w->number);
    buf_add(&text, w->meta.data, w->meta.len);
    buf_reset(&w->meta);
    return add_member(w, "meta", text.data, text.len, &ignored, err);
}

// Its last frame ends it, when that has come through the stages.
static int close_object(struct object_writer *w, struct error *err)
{
    int r = flush_meta(w, err);
    if (r == 0)
        r = members_end(&w->stream, err);
    if (r < 0)
        return r;
    w->stats.tar_bytes += w->stream.offset;
    if (w->frame == NULL)
        w->frame = new_job(w);
    w->frame->last = true;
    r = submit_frame(w, err);
    if (r < 0)
        return r; // the object is still the writer's
    w->object = NULL;
    w->number = 0;
    return 0;
}

static int add(struct object_writer *w, const char *kind, const void *data, size_t n, struct place *ret_place, struct error *err)
{
    int r = 0;
    if (w->number != 0 && w->written >= w->options.object_size)
        r = close_object(w, err);
    if (r == 0 && w->number == 0)
        r = open_object(w, err);
    if (r == 0)
        r = choose_frame(w, n, err);
    return r < 0 ? r : add_member(w, kind, data, n, ret_place, err);
}

static int finish(struct object_writer *w, struct error *err)
{
    int r = w->number == 0 ? 0 : close_object(w, err);
    return r < 0 ? r : wait_for_all(w, err);
}

static int failed_before(const struct object_writer *w, struct error *err)
{
    *err = w->why;
    return w->failed;
}

static int note_failure(struct object_writer *w, int r, const struct error *err)
{
    w->failed = r;
    if (r < 0)
        w->why = *err;
    return r;
}

int object_writer_add(struct object_writer *w, const char *kind, const void *data, size_t n, struct place *ret_place, struct error *err)
{
    return w->failed < 0 ? failed_before(w, err) : note_failure(w, add(w, kind, data, n, ret_place, err), err);
}

int object_writer_finish(struct object_writer *w, struct error *err) { return w->failed < 0 ? failed_before(w, err) : note_failure(w, finish(w, err), err); }

int object_writer_note_entry(struct object_writer *w, const char *line, size_t n, struct error *err)
{
    if (w->number == 0)
        return 0; // its object has just ended: the note goes without saying in the manifest
    buf_add_str(&w->meta, "entry ");
    buf_add(&w->meta, line, n);
    buf_add_char(&w->meta, '\n');
    return w->meta.len < META_MAX || w->failed < 0 ? 0 : note_failure(w, flush_meta(w, err), err);
}

uint32_t object_writer_next_object(const struct object_writer *w) { return w->next_number; }
uint32_t object_writer_open_object(const struct object_writer *w) { return w->number; }

void object_writer_stats(const struct object_writer *w, struct object_writer_stats *ret_stats) { *ret_stats = w->stats; }
