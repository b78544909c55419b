#include "bkd/engine/object_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/crypto.h"
#include "bkd/base/work.h"
#include "bkd/codec/pack.h"
#include "bkd/codec/zframe.h"
#include "bkd/engine/objects.h"
#include "bkd/repo/format.h"

enum {
    FRAME = 1 << 20,       // small files and deltas: fine-grained random access
    FRAME_BIG = 4 << 20,   // pieces of this size and more: 0.3 % lost against one stream, instead of 2 % (measured)
    META_MAX = 1 << 20,    // manifest lines collected before they become a member
    WRITE_MIN = 1 << 20,
};

struct frame_job {
    struct object_writer *writer;
    struct buf plain, compressed;
    int status;
    struct error err;
};

struct object_writer {
    const struct io *io;
    struct object_writer_options options;
    struct work_pool *pool;
    struct zframe_compressor **compressors; // one a thread
    struct frame_job **idle;                // finished jobs for reuse
    size_t n_idle;
    struct frame_job *frame; // being filled
    size_t frame_target;
    // The open object
    uint32_t number; // 0 = none open
    uint32_t next_number; // of the writer that gives the numbers
    uint32_t members;
    struct pack *pack;
    struct zframe_table table;
    struct age_encrypt age;
    int fd;
    char *spool;
    struct format_ref opening; // what is known of the object as soon as its age header is written
    struct crypto_sha256 hash;
    struct buf out; // stored bytes not written yet
    uint64_t written;
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

static void compress_frame(void *arg, unsigned worker)
{
    struct frame_job *job = arg;
    struct object_writer *w = job->writer;
    struct profile_lap lap;
    profile_begin(&lap, w->profile, w->io, PROFILE_COMPRESS);
    buf_reset(&job->compressed);
    job->status = zframe_compress(w->compressors[worker], job->plain.data, job->plain.len, &job->compressed, &job->err);
    profile_end(&lap);
}

int object_writer_new(const struct io *io, const struct object_writer_options *options, struct object_writer **ret_writer, struct error *err)
{
    (void)err;
    struct object_writer *w = xcalloc(1, sizeof *w);
    w->io = io;
    w->options = *options;
    w->next_number = options->first_object;
    w->fd = -1;
    w->frame_target = FRAME;
    w->lap = options->lap == NULL ? &w->no_lap : options->lap;
    w->profile = w->lap->profile;
    unsigned jobs = options->jobs == 0 ? 1 : options->jobs;
    profile_threads(w->profile, PROFILE_COMPRESS, jobs);
    w->pool = work_new(jobs);
    w->compressors = xcalloc(jobs, sizeof *w->compressors);
    for (unsigned i = 0; i < jobs; i++)
        w->compressors[i] = zframe_compressor_new(options->level);
    w->idle = xcalloc(jobs + 2, sizeof *w->idle);
    *ret_writer = w;
    return 0;
}

// Forgets the object under way.
static void drop_object(struct object_writer *w)
{
    struct frame_job *job;
    while ((job = work_next(w->pool)) != NULL)
        free_job(job);
    pack_free(w->pack);
    w->pack = NULL;
    zframe_table_done(&w->table);
    w->table = (struct zframe_table){ 0 };
    if (w->number != 0)
        age_encrypt_done(&w->age);
    io_close_quietly(w->io, &w->fd);
    if (w->spool != NULL)
        w->options.store->ops->spool_drop(w->options.store, w->spool);
    free(w->spool);
    w->spool = NULL;
    crypto_sha256_done(&w->hash);
    buf_reset(&w->out);
    buf_reset(&w->meta);
    w->number = 0;
}

void object_writer_free(struct object_writer *w)
{
    if (w == NULL)
        return;
    drop_object(w);
    unsigned threads = work_threads(w->pool);
    work_free(w->pool);
    for (unsigned i = 0; i < threads; i++)
        zframe_compressor_free(w->compressors[i]);
    free(w->compressors);
    for (size_t i = 0; i < w->n_idle; i++)
        free_job(w->idle[i]);
    free(w->idle);
    free_job(w->frame);
    buf_done(&w->out);
    buf_done(&w->meta);
    free(w);
}

void free_object_writerp(struct object_writer **w) { object_writer_free(*w); }

static int write_out(struct object_writer *w, struct error *err)
{
    profile_to(w->lap, PROFILE_ENCRYPT);
    crypto_sha256_update(&w->hash, w->out.data, w->out.len);
    profile_to(w->lap, PROFILE_WRITE);
    int r = io_write_all(w->io, w->fd, w->out.data, w->out.len, w->spool, err);
    profile_to(w->lap, PROFILE_PLACE);
    w->written += w->out.len;
    buf_reset(&w->out);
    return r < 0 ? error_prefix(err, "repository %s", w->options.store->url) : 0;
}

static int store_bytes(struct object_writer *w, const void *data, size_t n, struct error *err)
{
    profile_to(w->lap, PROFILE_ENCRYPT);
    if (w->options.n_recipients > 0)
        age_encrypt_update(&w->age, data, n, &w->out);
    else
        buf_add(&w->out, data, n);
    profile_to(w->lap, PROFILE_PLACE);
    return w->out.len < WRITE_MIN ? 0 : write_out(w, err);
}

// Takes the oldest compressed frame into the stored stream.
static int take_frame(struct object_writer *w, struct error *err)
{
    profile_pause(w->lap);
    struct frame_job *job = work_next(w->pool);
    profile_resume(w->lap, PROFILE_BLOCKED);
    int r = job->status;
    if (r < 0)
        *err = job->err;
    else if (!zframe_table_add(&w->table, (uint32_t)job->compressed.len, (uint32_t)job->plain.len))
        r = error_set(err, ERROR_FAILED, "object %u has too many frames", w->number);
    if (r == 0)
        r = store_bytes(w, job->compressed.data, job->compressed.len, err);
    if (w->n_idle < work_threads(w->pool) + 2)
        w->idle[w->n_idle++] = job;
    else
        free_job(job);
    return r;
}

static int end_frame(struct object_writer *w, struct error *err)
{
    if (w->frame == NULL || w->frame->plain.len == 0)
        return 0;
    while (work_count(w->pool) > work_threads(w->pool)) {
        int r = take_frame(w, err);
        if (r < 0)
            return r;
    }
    work_submit(w->pool, compress_frame, TAKE(w->frame));
    return 0;
}

// Receives the tar stream.
static int sink(void *arg, const void *data, size_t n, struct error *err)
{
    struct object_writer *w = arg;
    const uint8_t *at = data;
    while (n > 0) {
        if (w->frame == NULL) {
            w->frame = w->n_idle > 0 ? w->idle[--w->n_idle] : xcalloc(1, sizeof *w->frame);
            w->frame->writer = w;
            buf_reset(&w->frame->plain);
        }
        size_t room = w->frame_target - w->frame->plain.len;
        size_t take = n < room ? n : room;
        buf_add(&w->frame->plain, at, take);
        at += take;
        n -= take;
        int r = w->frame->plain.len < w->frame_target ? 0 : end_frame(w, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static struct object_writer *numbers_of(struct object_writer *w) { return w->options.numbers_of == NULL ? w : w->options.numbers_of; }

static int open_object(struct object_writer *w, struct error *err)
{
    struct store *store = w->options.store;
    int r = store->ops->spool_open(store, &w->fd, &w->spool, err);
    if (r < 0)
        return r;
    buf_reset(&w->out);
    if (w->options.n_recipients > 0)
        r = age_encrypt_begin(w->io, w->options.recipients, w->options.n_recipients, &w->out, &w->age, err);
    w->opening = (struct format_ref){ .opening_size = (uint32_t)w->out.len };
    crypto_sha256(w->out.data, w->out.len, w->opening.opening_sha256);
    if (r == 0)
        r = pack_open(sink, w, &w->pack, err);
    if (r < 0)
        return r;
    crypto_sha256_init(&w->hash);
    w->number = numbers_of(w)->next_number++;
    w->members = 0;
    w->written = 0;
    return 0;
}

static int add_member(struct object_writer *w, const char *kind, const void *data, size_t n, struct place *ret_place, struct error *err)
{
    char name[32];
    uint64_t offset = 0;
    (void)snprintf(name, sizeof name, "%08u.%s", w->members, kind);
    int r = pack_begin_member(w->pack, name, n, &offset, err);
    if (r == 0)
        r = pack_data(w->pack, data, n, err);
    if (r == 0)
        r = pack_end_member(w->pack, err);
    if (r < 0)
        return r;
    w->members++;
    *ret_place = (struct place){ .object = w->number, .offset = offset, .length = n };
    return 0;
}

// A big member begins a frame of its own, unless the one under way has hardly begun.
static int choose_frame(struct object_writer *w, size_t n, struct error *err)
{
    bool big = n >= FRAME_BIG;
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

// Without encryption equal content makes equal objects: one that a cut-off run left behind is as good, when it is whole.
static int take_existing(struct object_writer *w, const struct format_ref *object, const char *name, struct error *err)
{
    struct store *store = w->options.store;
    if (objects_check_stored(store, w->options.n_recipients > 0, object))
        return 0;
    return error_set(err, ERROR_INTEGRITY, "'%s' stands in repository '%s' with other bytes than its name says; move it away and run again", name, store->url);
}

static int put_object(struct object_writer *w, struct error *err)
{
    struct format_ref object = w->opening;
    object.object = w->number;
    object.stored_size = w->written;
    crypto_sha256_final(&w->hash, object.sha256);
    _cleanup_free_ char *name = format_object_name(object.sha256, w->options.n_recipients > 0);
    _cleanup_free_ char *spool = TAKE(w->spool);
    int fd = w->fd;
    w->fd = -1;
    struct store *store = w->options.store;
    if (w->options.sealed != NULL) {
        int r = w->options.sealed(w->options.arg, &object, err);
        if (r < 0) {
            io_close_quietly(w->io, &fd);
            store->ops->spool_drop(store, spool);
            return r;
        }
    }
    profile_to(w->lap, PROFILE_WRITE);
    int r = store->ops->put_spool(store, name, fd, spool, err);
    profile_to(w->lap, PROFILE_PLACE);
    if (r == ERROR_EXISTS)
        r = take_existing(w, &object, name, err);
    if (r < 0)
        return error_prefix(err, "object %u", w->number);
    w->stats.objects++;
    w->stats.stored_bytes += w->written;
    drop_object(w);
    return w->options.finished(w->options.arg, &object, err);
}

static int close_object(struct object_writer *w, struct error *err)
{
    int r = flush_meta(w, err);
    if (r == 0)
        r = pack_close(w->pack, err);
    if (r == 0)
        w->stats.tar_bytes += pack_offset(w->pack);
    if (r == 0)
        r = end_frame(w, err);
    while (r == 0 && work_count(w->pool) > 0)
        r = take_frame(w, err);
    if (r < 0)
        return r;
    _cleanup_buf_ struct buf table = { 0 };
    zframe_table_append(&w->table, &table);
    r = store_bytes(w, table.data, table.len, err);
    if (r == 0 && w->options.n_recipients > 0)
        age_encrypt_final(&w->age, &w->out);
    if (r == 0)
        r = write_out(w, err);
    return r < 0 ? r : put_object(w, err);
}

int object_writer_add(struct object_writer *w, const char *kind, const void *data, size_t n, struct place *ret_place, struct error *err)
{
    int r = 0;
    if (w->number != 0 && w->written + w->out.len >= w->options.object_size)
        r = close_object(w, err);
    if (r == 0 && w->number == 0)
        r = open_object(w, err);
    if (r == 0)
        r = choose_frame(w, n, err);
    return r < 0 ? r : add_member(w, kind, data, n, ret_place, err);
}

int object_writer_note_entry(struct object_writer *w, const char *line, size_t n, struct error *err)
{
    if (w->number == 0)
        return 0; // its object has just ended: the note goes without saying in the manifest
    buf_add_str(&w->meta, "entry ");
    buf_add(&w->meta, line, n);
    buf_add_char(&w->meta, '\n');
    return w->meta.len < META_MAX ? 0 : flush_meta(w, err);
}

int object_writer_finish(struct object_writer *w, struct error *err) { return w->number == 0 ? 0 : close_object(w, err); }
uint32_t object_writer_next_object(const struct object_writer *w) { return w->next_number; }
uint32_t object_writer_open_object(const struct object_writer *w) { return w->number; }

void object_writer_stats(const struct object_writer *w, struct object_writer_stats *ret_stats)
{
    *ret_stats = w->stats;
}
