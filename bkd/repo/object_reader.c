#include "bkd/repo/object_reader.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/log.h"
#include "bkd/base/work.h"
#include "bkd/repo/decoder.h"
#include "bkd/repo/frame_cache.h"
#include "bkd/repo/stored.h"

#define HEAD_GUESS 4096u // bytes of a stored file first read: an age header for 16 recipients is below 2 KiB
#define TAIL_GUESS 16384u // plain bytes first read from the end: the seek table of some 2000 frames

// One stored file, opened when first needed.
struct object {
    pthread_mutex_t lock; // held while it is opened
    bool opened;
    size_t index; // in refs
    struct age_key key;
    uint64_t plain_size; // after decryption: frames and seek table
    struct zframe_table table;
};

struct object_reader {
    const struct io *io;
    struct stored *stored;
    struct decoders *decoders;
    struct format_refs refs; // the array is borrowed
    bool encrypted;
    struct frame_cache *cache;
    pthread_mutex_t lock; // over objects[]
    struct object **objects; // as refs.refs; NULL until asked for
    _Atomic uint64_t decoded_bytes, decode_ns;
};

// More decoders than processors only take memory, some 12 MiB each; but one that waits for a line far away keeps no processor busy.
static struct decoders_rules rules_for(const struct store *store)
{
    return (struct decoders_rules){ .most = store->far ? 0 : work_processors() + 1 };
}

int object_reader_new(const struct io *io, struct store *store, const struct format_refs *refs, bool encrypted,
                      const struct age_identity *identities, size_t n_identities, size_t cache_bytes,
                      struct object_reader **ret_reader, struct error *err)
{
    if (encrypted && n_identities == 0)
        return error_set(err, ERROR_KEY, "the repository %s is encrypted: give an identity file (-i FILE)", store->url);
    struct decoders *decoders = NULL;
    const struct decoders_rules rules = rules_for(store);
    int e = decoders_new(identities, n_identities, &rules, &decoders, err);
    if (e < 0)
        return e;
    struct object_reader *r = xcalloc(1, sizeof *r);
    r->io = io;
    r->stored = stored_new(io, store, refs, encrypted);
    r->decoders = decoders;
    r->refs = *refs;
    r->encrypted = encrypted;
    r->objects = xcalloc(refs->n == 0 ? 1 : refs->n, sizeof(struct object *));
    r->cache = frame_cache_new(cache_bytes);
    pthread_mutex_init(&r->lock, NULL);
    *ret_reader = r;
    return 0;
}

static void free_object(struct object *o)
{
    if (o == NULL)
        return;
    pthread_mutex_destroy(&o->lock);
    age_key_done(&o->key);
    zframe_table_done(&o->table);
    free(o);
}

void object_reader_free(struct object_reader *r)
{
    if (r == NULL)
        return;
    frame_cache_free(r->cache);
    for (size_t i = 0; i < r->refs.n; i++)
        free_object(r->objects[i]);
    decoders_free(r->decoders);
    stored_free(r->stored);
    free(r->objects);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

void object_reader_accept_damaged(struct object_reader *r) { stored_accept_damaged(r->stored); }

void object_reader_want_parts(struct object_reader *r) { stored_want_parts(r->stored); }

void object_reader_tell_confinement(const struct object_reader *r)
{
    struct sandbox_state state = decoders_confinement(r->decoders);
    if (!state.filtered)
        log_warn("stored data is decoded without a filter of system calls (%s; some containers forbid it): going on with %s and resource "
                 "limits; all content is still authenticated and compared",
                 strerror(state.filter_errno), state.landlock > 0 ? "Landlock" : "neither it nor Landlock, only closed descriptors");
    log_debug("decoding is confined: seccomp %s, Landlock %s (version %d)", state.filtered ? "yes" : "no", state.landlock > 0 ? "yes" : "no",
              state.landlock);
}

// Whatever is wrong with stored bytes is an integrity failure that names the file; a wrong key and trouble with the store stay
// what they are.
static int object_error(const struct object_reader *r, const struct object *o, int code, struct error *err)
{
    if (code == ERROR_FORMAT || code == ERROR_NOT_FOUND)
        err->code = code = ERROR_INTEGRITY;
    (void)error_prefix(err, "object %u, %s", r->refs.refs[o->index].object, stored_name(r->stored, o->index));
    return code;
}

// What is wrong may have become so on the way here: a file that was authentic is asked once more.
static bool is_worth_rereading(struct object_reader *r, const struct object *o, int code)
{
    return (code == ERROR_INTEGRITY || code == ERROR_FORMAT) && stored_is_authentic(r->stored, o->index);
}

// ---- bytes of the stored file

static int get_stored(struct object_reader *r, const struct object *o, uint64_t offset, size_t n, struct decoder *d,
                      struct decode_job *job, struct error *err)
{
    size_t skip = 0;
    int e = stored_read(r->stored, o->index, offset, n, d->in, &skip, err);
    job->in_offset = (uint32_t)skip;
    job->in_size = (uint32_t)n;
    return e;
}

// Puts what holds bytes [offset, offset + n) of the decrypted file into the input area and describes it.
static int get_plain(struct object_reader *r, const struct object *o, uint64_t offset, size_t n, struct decoder *d,
                     struct decode_job *job, struct error *err)
{
    job->plain_size = (uint32_t)n;
    if (!r->encrypted)
        return get_stored(r, o, offset, n, d, job, err);
    job->encrypted = 1;
    job->key = o->key;
    if (!age_span(o->key.payload_offset, o->plain_size, offset, n, &job->span))
        return error_set(err, ERROR_INTEGRITY, "bytes beyond its end are asked for");
    return get_stored(r, o, job->span.stored_offset, (size_t)job->span.stored_size, d, job, err);
}

static int run(struct object_reader *r, struct decoder *d, struct decode_job *job, struct decode_reply *reply, struct error *err)
{
    uint64_t start = io_monotonic_ns(r->io);
    int e = decoder_run(r->decoders, d, job, reply, err);
    r->decode_ns += io_monotonic_ns(r->io) - start;
    explicit_bzero(&job->key, sizeof job->key);
    return e;
}

// ---- opening: header, then the seek table at the end

static int unwrap(struct object_reader *r, struct object *o, struct decoder *d, struct error *err)
{
    uint64_t stored = r->refs.refs[o->index].stored_size;
    struct decode_job job = { .op = DECODE_UNWRAP };
    struct decode_reply reply;
    size_t n = stored < HEAD_GUESS ? (size_t)stored : HEAD_GUESS, header;
    int e = get_stored(r, o, 0, n, d, &job, err);
    if (e == 0 && !age_header_size(d->in + job.in_offset, n, &header) && stored > n) {
        size_t most = AGE_HEADER_MAX + AGE_NONCE_SIZE;
        e = get_stored(r, o, 0, stored < most ? (size_t)stored : most, d, &job, err);
    }
    if (e == 0)
        e = run(r, d, &job, &reply, err);
    if (e < 0)
        return e;
    o->key = reply.key;
    explicit_bzero(&reply, sizeof reply);
    if (o->key.payload_offset > stored || !age_plain_size(stored, o->key.payload_offset, &o->plain_size))
        return error_set(err, ERROR_INTEGRITY, "no age file can have %llu bytes", (unsigned long long)stored);
    return 0;
}

// The entries come from a decoder: they are added one by one with the checks any table gets.
static int take_table(struct object *o, const struct decoder *d, const struct decode_reply *reply, struct error *err)
{
    if (reply->entries > ZFRAME_COUNT_MAX || reply->size != reply->entries * 8 || reply->size > DECODE_OUT_SIZE)
        return error_set(err, ERROR_INTEGRITY, "its seek table is none");
    zframe_table_done(&o->table);
    for (uint32_t i = 0; i < reply->entries; i++) {
        uint32_t entry[2];
        memcpy(entry, d->out + i * sizeof entry, sizeof entry);
        if (!zframe_table_add(&o->table, entry[0], entry[1]))
            return error_set(err, ERROR_INTEGRITY, "its seek table is none");
    }
    if (zframe_table_stored(&o->table) > o->plain_size)
        return error_set(err, ERROR_INTEGRITY, "its frames are larger than itself");
    return 0;
}

static int read_table(struct object_reader *r, struct object *o, struct decoder *d, struct error *err)
{
    uint64_t n = o->plain_size < TAIL_GUESS ? o->plain_size : TAIL_GUESS;
    struct decode_reply reply;
    for (int attempt = 0; attempt < 2; attempt++) {
        struct decode_job job = { .op = DECODE_TABLE, .plain_total = o->plain_size };
        int e = get_plain(r, o, o->plain_size - n, (size_t)n, d, &job, err);
        if (e == 0)
            e = run(r, d, &job, &reply, err);
        if (e < 0)
            return e;
        if (reply.size <= n || reply.entries > 0)
            return take_table(o, d, &reply, err);
        if (reply.size > o->plain_size || reply.size > ZFRAME_TABLE_MAX)
            break;
        n = reply.size; // the table is longer than what was read
    }
    return error_set(err, ERROR_INTEGRITY, "its seek table is larger than itself");
}

static int read_ends(struct object_reader *r, struct object *o, struct error *err)
{
    struct decoder *d = NULL;
    int e = decoders_take(r->decoders, &d, err);
    if (e < 0)
        return e;
    o->plain_size = r->refs.refs[o->index].stored_size;
    e = r->encrypted ? unwrap(r, o, d, err) : 0;
    if (e == 0)
        e = read_table(r, o, d, err);
    decoders_give(r->decoders, d);
    return e;
}

static int open_object(struct object_reader *r, struct object *o, struct error *err)
{
    int e = stored_open(r->stored, o->index, err);
    if (e == 0)
        e = read_ends(r, o, err);
    if (is_worth_rereading(r, o, e)) {
        stored_forget(r->stored, o->index);
        e = read_ends(r, o, err);
        if (e == 0)
            stored_tell_healed(r->stored, o->index);
    }
    if (e < 0) {
        zframe_table_done(&o->table);
        return object_error(r, o, e, err);
    }
    o->opened = true;
    return 0;
}

static int find_object(struct object_reader *r, uint32_t object, struct object **ret_object, struct error *err)
{
    const struct format_ref *ref = format_refs_find(&r->refs, object);
    if (ref == NULL)
        return error_set(err, ERROR_INTEGRITY, "object %u is needed but is not among the snapshot's objects", object);
    pthread_mutex_lock(&r->lock);
    struct object **slot = &r->objects[ref - r->refs.refs];
    if (*slot == NULL) {
        *slot = xcalloc(1, sizeof **slot);
        pthread_mutex_init(&(*slot)->lock, NULL);
        (*slot)->index = (size_t)(ref - r->refs.refs);
    }
    struct object *o = *slot;
    pthread_mutex_unlock(&r->lock);
    pthread_mutex_lock(&o->lock);
    int e = o->opened ? 0 : open_object(r, o, err);
    pthread_mutex_unlock(&o->lock);
    if (e == 0)
        *ret_object = o;
    return e;
}

static bool is_open(struct object_reader *r, size_t index)
{
    pthread_mutex_lock(&r->lock);
    struct object *o = r->objects[index];
    pthread_mutex_unlock(&r->lock);
    if (o == NULL)
        return false;
    pthread_mutex_lock(&o->lock);
    bool open = o->opened;
    pthread_mutex_unlock(&o->lock);
    return open;
}

// ---- frames

int object_reader_locate(struct object_reader *r, uint32_t object, uint64_t offset, uint32_t *ret_frame,
                         uint64_t *ret_frame_offset, uint32_t *ret_frame_size, struct error *err)
{
    struct object *o;
    uint32_t frame;
    int e = find_object(r, object, &o, err);
    if (e < 0)
        return e;
    if (!zframe_table_find(&o->table, offset, &frame))
        return error_set(err, ERROR_INTEGRITY, "object %u, %s: byte %llu is needed but it has only %llu", object,
                         stored_name(r->stored, o->index), (unsigned long long)offset, (unsigned long long)zframe_table_plain(&o->table));
    *ret_frame = frame;
    *ret_frame_offset = o->table.plain[frame];
    *ret_frame_size = (uint32_t)(o->table.plain[frame + 1] - o->table.plain[frame]);
    return 0;
}

// The content is copied out of the shared memory before anybody looks at it: what was compared must be what is used.
static int take_frame(struct object_reader *r, const struct decoder *d, const struct decode_reply *reply, void *plain, size_t size, struct error *err)
{
    if (reply->size != size)
        return error_set(err, ERROR_INTEGRITY, "decoding gave %u of %zu bytes", reply->size, size);
    memcpy(plain, d->out, size);
    r->decoded_bytes += size;
    return 0;
}

static uint32_t frame_size(const struct object *o, uint32_t frame) { return (uint32_t)(o->table.plain[frame + 1] - o->table.plain[frame]); }

// plain: frame_size bytes.
static int load_frame(struct object_reader *r, const struct object *o, uint32_t frame, void *plain, struct error *err)
{
    uint64_t offset = o->table.stored[frame];
    size_t n = (size_t)(o->table.stored[frame + 1] - offset), size = frame_size(o, frame);
    struct decode_job job = { .op = DECODE_FRAME, .frame_size = (uint32_t)size };
    struct decode_reply reply;
    struct decoder *d = NULL;
    int e = decoders_take(r->decoders, &d, err);
    if (e < 0)
        return e;
    for (bool again = false;; again = true) {
        e = get_plain(r, o, offset, n, d, &job, err);
        if (e == 0)
            e = run(r, d, &job, &reply, err);
        if (e == 0)
            e = take_frame(r, d, &reply, plain, size, err);
        if (!is_worth_rereading(r, o, e) || again) {
            if (e == 0 && again)
                stored_tell_healed(r->stored, o->index);
            break;
        }
        stored_forget(r->stored, o->index);
    }
    decoders_give(r->decoders, d);
    return e < 0 ? error_prefix(err, "frame %u", frame) : 0;
}

static int find_frame(struct object_reader *r, uint32_t object, uint32_t frame, struct object **ret_object, struct error *err)
{
    int e = find_object(r, object, ret_object, err);
    if (e == 0 && frame >= (*ret_object)->table.count)
        return error_set(err, ERROR_INTEGRITY, "object %u, %s: frame %u is needed but it has only %u", object,
                         stored_name(r->stored, (*ret_object)->index), frame, (*ret_object)->table.count);
    return e;
}

static int fill_entry(struct object_reader *r, const struct object *o, uint32_t frame, struct frame_cache_entry *entry, struct error *err)
{
    void *plain = NULL;
    int e = io_alloc(r->io, frame_size(o, frame), "a decoded frame", &plain, err);
    if (e == 0)
        e = load_frame(r, o, frame, plain, err);
    if (e < 0) {
        free(plain);
        frame_cache_failed(r->cache, entry);
        return e;
    }
    frame_cache_filled(r->cache, entry, plain, frame_size(o, frame));
    return 0;
}

int object_reader_frame(struct object_reader *r, uint32_t object, uint32_t frame, struct object_frame *ret_frame,
                        struct error *err)
{
    struct object *o;
    bool must_load;
    int e = find_frame(r, object, frame, &o, err);
    if (e < 0)
        return e;
    struct frame_cache_entry *entry = frame_cache_take(r->cache, object, frame, &must_load);
    if (must_load)
        e = fill_entry(r, o, frame, entry, err);
    if (e < 0)
        return object_error(r, o, e, err);
    *ret_frame = (struct object_frame){ .data = entry->data, .size = entry->size, .handle = entry };
    return 0;
}

static void release(struct object_reader *r, struct object_frame *frame, bool used_up)
{
    if (frame->handle != NULL)
        frame_cache_release(r->cache, frame->handle, used_up);
    *frame = (struct object_frame){ 0 };
}

void object_reader_release(struct object_reader *r, struct object_frame *frame) { release(r, frame, false); }
void object_reader_use_up(struct object_reader *r, struct object_frame *frame) { release(r, frame, true); }

int object_reader_frame_into(struct object_reader *r, uint32_t object, uint32_t frame, void *data, uint32_t size, struct error *err)
{
    struct object *o;
    int e = find_frame(r, object, frame, &o, err);
    if (e == 0 && frame_size(o, frame) != size)
        e = error_set(err, ERROR_INTEGRITY, "object %u: frame %u has another size", object, frame);
    if (e < 0)
        return e;
    struct frame_cache_entry *entry = frame_cache_find(r->cache, object, frame);
    if (entry != NULL) {
        memcpy(data, entry->data, size);
        frame_cache_release(r->cache, entry, true);
        return 0;
    }
    e = load_frame(r, o, frame, data, err);
    return e < 0 ? object_error(r, o, e, err) : 0;
}

int object_reader_read(struct object_reader *r, const struct place *place, void *data, struct error *err)
{
    if (place->object == 0) {
        memset(data, 0, (size_t)place->length);
        return 0;
    }
    uint8_t *to = data;
    uint64_t offset = place->offset, left = place->length;
    while (left > 0) {
        uint32_t index, frame_size;
        uint64_t frame_offset;
        struct object_frame frame;
        int e = object_reader_locate(r, place->object, offset, &index, &frame_offset, &frame_size, err);
        if (e == 0)
            e = object_reader_frame(r, place->object, index, &frame, err);
        if (e < 0)
            return e;
        uint64_t skip = offset - frame_offset, n = frame.size - skip < left ? frame.size - skip : left;
        memcpy(to, frame.data + skip, (size_t)n);
        object_reader_release(r, &frame);
        to += n;
        offset += n;
        left -= n;
    }
    return 0;
}

int object_reader_authentic(struct object_reader *r, uint32_t object, bool *ret_authentic, struct error *err)
{
    struct object *o;
    int e = find_object(r, object, &o, err);
    if (e == 0)
        *ret_authentic = stored_is_authentic(r->stored, o->index);
    return e;
}

// ---- before it is asked for

enum {
    TAIL_EXPECTED = 128 << 10, // the seek table, in whole chunks of age, and what was written last: a manifest's recipe
    WHOLE_EXPECTED = 2 * TAIL_EXPECTED,
    OBJECTS_EXPECTED = 64,
    FRAMES_EXPECTED = 256,
};

void object_reader_expect_ends(struct object_reader *r, const struct place *places, size_t n)
{
    struct stored_part parts[2 * OBJECTS_EXPECTED];
    size_t n_parts = 0, last = SIZE_MAX;
    for (size_t i = 0; stored_is_worth_expecting(r->stored) && i < n && n_parts + 2 <= 2 * OBJECTS_EXPECTED; i++) {
        const struct format_ref *ref = places[i].object == 0 ? NULL : format_refs_find(&r->refs, places[i].object);
        size_t index = ref == NULL ? SIZE_MAX : (size_t)(ref - r->refs.refs);
        if (ref == NULL || index == last || is_open(r, index))
            continue;
        last = index;
        bool whole = ref->stored_size <= WHOLE_EXPECTED;
        parts[n_parts++] = (struct stored_part){ index, 0, whole ? (size_t)ref->stored_size : HEAD_GUESS };
        if (!whole)
            parts[n_parts++] = (struct stored_part){ index, ref->stored_size - TAIL_EXPECTED, TAIL_EXPECTED };
    }
    if (n_parts > 0)
        stored_expect(r->stored, parts, n_parts);
}

// Where the frames that hold a place are stored, one part for neighbours.
static bool find_stored(struct object_reader *r, const struct place *place, struct stored_part *ret_part)
{
    struct object *o;
    struct error ignored;
    uint32_t first, last;
    struct age_span span;
    if (place->object == 0 || place->length == 0 || find_object(r, place->object, &o, &ignored) < 0 || !zframe_table_find(&o->table, place->offset, &first) ||
        !zframe_table_find(&o->table, place->offset + place->length - 1, &last))
        return false;
    uint64_t from = o->table.stored[first], n = o->table.stored[last + 1] - from;
    if (!age_span(o->key.payload_offset, o->plain_size, from, n, &span) || span.stored_size > STORED_AT_HAND_MAX / 2)
        return false;
    *ret_part = (struct stored_part){ o->index, span.stored_offset, (size_t)span.stored_size };
    return true;
}

void object_reader_expect(struct object_reader *r, const struct place *places, size_t n)
{
    struct stored_part parts[FRAMES_EXPECTED];
    size_t n_parts = 0, bytes = 0;
    if (!stored_is_worth_expecting(r->stored))
        return;
    object_reader_expect_ends(r, places, n);
    for (size_t i = 0; i < n && n_parts < FRAMES_EXPECTED && bytes < STORED_AT_HAND_MAX / 2; i++) {
        if (!find_stored(r, &places[i], &parts[n_parts]))
            continue;
        bytes += parts[n_parts].n;
        n_parts += n_parts == 0 || memcmp(&parts[n_parts - 1], &parts[n_parts], sizeof *parts) != 0;
    }
    stored_expect(r->stored, parts, n_parts);
}

void object_reader_stats(const struct object_reader *r, struct object_reader_stats *ret_stats)
{
    struct stored_stats stored;
    stored_stats(r->stored, &stored);
    *ret_stats = (struct object_reader_stats){
        .fetched_bytes = stored.read_bytes,
        .fetch_ns = stored.read_ns,
        .hashed_bytes = stored.hashed_bytes,
        .hash_ns = stored.hash_ns,
        .decoded_bytes = r->decoded_bytes,
        .decode_ns = r->decode_ns,
    };
}
