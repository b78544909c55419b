#include "bkd/repo/object_reader.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/codec/age.h"
#include "bkd/codec/zframe.h"
#include "bkd/repo/frame_cache.h"

#define HEAD_GUESS 4096u // bytes of a stored file first read: an age header for 16 recipients is below 2 KiB
#define TAIL_GUESS 16384u // plain bytes first read from the end: the seek table of some 2000 frames
#define DECODERS 64u // kept for reuse; there are as many as threads that read at once

// What one thread needs for decoding; kept, because fresh memory of a frame's size costs more than decrypting into it.
struct decoder {
    struct zframe_decompressor *decompressor;
    struct buf sealed, plain;
};

// One stored file, opened when first needed.
struct object {
    pthread_mutex_t lock; // held while it is opened
    bool opened;
    const struct format_ref *ref;
    char *name;
    struct age_key key;
    uint64_t plain_size; // after decryption: frames and seek table
    struct zframe_table table;
};

struct object_reader {
    const struct io *io;
    struct store *store;
    struct format_refs refs; // the array is borrowed
    bool encrypted;
    struct age_identity *identities;
    size_t n_identities;
    struct frame_cache *cache;
    pthread_mutex_t lock; // over objects[] and decoders[]
    struct object **objects; // as refs.refs; NULL until asked for
    struct decoder *decoders[DECODERS];
    size_t n_decoders;
    _Atomic uint64_t fetched_bytes, fetch_ns, decoded_bytes, decode_ns;
};

int object_reader_new(const struct io *io, struct store *store, const struct format_refs *refs, bool encrypted,
                      const struct age_identity *identities, size_t n_identities, size_t cache_bytes,
                      struct object_reader **ret_reader, struct error *err)
{
    if (encrypted && n_identities == 0)
        return error_set(err, ERROR_KEY, "the repository %s is encrypted: give an identity file (-i FILE)", store->url);
    struct object_reader *r = xcalloc(1, sizeof *r);
    r->io = io;
    r->store = store;
    r->refs = *refs;
    r->encrypted = encrypted;
    if (n_identities > 0) {
        r->identities = xcalloc(n_identities, sizeof *identities);
        memcpy(r->identities, identities, n_identities * sizeof *identities);
        r->n_identities = n_identities;
    }
    r->objects = xcalloc(refs->n == 0 ? 1 : refs->n, sizeof(struct object *));
    r->cache = frame_cache_new(cache_bytes);
    pthread_mutex_init(&r->lock, NULL);
    *ret_reader = r;
    return 0;
}

static void free_decoder(struct decoder *d)
{
    if (d == NULL)
        return;
    zframe_decompressor_free(d->decompressor);
    buf_done(&d->sealed);
    buf_done(&d->plain);
    free(d);
}

static struct decoder *take_decoder(struct object_reader *r)
{
    pthread_mutex_lock(&r->lock);
    struct decoder *d = r->n_decoders > 0 ? r->decoders[--r->n_decoders] : NULL;
    pthread_mutex_unlock(&r->lock);
    if (d != NULL)
        return d;
    d = xcalloc(1, sizeof *d);
    d->decompressor = zframe_decompressor_new();
    return d;
}

static void give_decoder(struct object_reader *r, struct decoder *d)
{
    pthread_mutex_lock(&r->lock);
    if (r->n_decoders < DECODERS) {
        r->decoders[r->n_decoders++] = d;
        d = NULL;
    }
    pthread_mutex_unlock(&r->lock);
    free_decoder(d);
}

static void free_object(struct object *o)
{
    if (o == NULL)
        return;
    pthread_mutex_destroy(&o->lock);
    free(o->name);
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
    for (size_t i = 0; i < r->n_decoders; i++)
        free_decoder(r->decoders[i]);
    if (r->identities != NULL)
        explicit_bzero(r->identities, r->n_identities * sizeof *r->identities);
    free(r->identities);
    free(r->objects);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

// Whatever is wrong with stored bytes is an integrity failure that names the file; a wrong key and trouble with the store stay
// what they are.
static int object_error(const struct object *o, int code, struct error *err)
{
    if (code == ERROR_FORMAT || code == ERROR_NOT_FOUND)
        err->code = code = ERROR_INTEGRITY;
    (void)error_prefix(err, "object %u, %s", o->ref->object, o->name);
    return code;
}

// ---- bytes of the stored file

static int get_stored(struct object_reader *r, const struct object *o, uint64_t offset, void *data, size_t n, struct error *err)
{
    uint64_t start = io_monotonic_ns(r->io);
    int e = r->store->ops->get(r->store, o->name, offset, data, n, err);
    r->fetch_ns += io_monotonic_ns(r->io) - start;
    if (e == 0)
        r->fetched_bytes += n;
    return e;
}

static int decrypt_span(const struct object *o, const struct age_span *span, const uint8_t *sealed, uint8_t *plain,
                        struct error *err)
{
    _cleanup_age_decrypt_ struct age_decrypt d;
    age_decrypt_init(&d, &o->key);
    uint64_t left = span->stored_size;
    int e = 0;
    for (uint64_t i = 0; e == 0 && i < span->chunks; i++) {
        size_t n = left < AGE_SEALED_SIZE ? (size_t)left : AGE_SEALED_SIZE;
        uint64_t chunk = span->first_chunk + i;
        e = age_decrypt_chunk(&d, chunk, chunk == span->last_chunk, sealed + i * AGE_SEALED_SIZE, n, plain + i * AGE_CHUNK_SIZE,
                              err);
        left -= n;
    }
    return e;
}

// Bytes of the decrypted file, borrowed from the decoder until it is used again.
static int read_plain(struct object_reader *r, const struct object *o, uint64_t offset, size_t n, struct decoder *d,
                      const uint8_t **ret_data, struct error *err)
{
    buf_reset(&d->plain);
    buf_reset(&d->sealed);
    if (!r->encrypted) {
        *ret_data = buf_extend(&d->plain, n);
        return get_stored(r, o, offset, d->plain.data, n, err);
    }
    struct age_span span;
    if (!age_span(o->key.payload_offset, o->plain_size, offset, n, &span))
        return error_set(err, ERROR_INTEGRITY, "bytes beyond its end are asked for");
    uint8_t *sealed = buf_extend(&d->sealed, (size_t)span.stored_size);
    int e = get_stored(r, o, span.stored_offset, sealed, (size_t)span.stored_size, err);
    if (e < 0)
        return e;
    uint8_t *plain = buf_extend(&d->plain, (size_t)(span.chunks * AGE_CHUNK_SIZE));
    uint64_t start = io_monotonic_ns(r->io);
    e = decrypt_span(o, &span, sealed, plain, err);
    r->decode_ns += io_monotonic_ns(r->io) - start;
    *ret_data = plain + span.skip;
    return e;
}

// ---- opening: header, then the seek table at the end

static int unwrap(struct object_reader *r, struct object *o, struct error *err)
{
    uint64_t stored = o->ref->stored_size;
    _cleanup_buf_ struct buf head = { 0 };
    size_t n = stored < HEAD_GUESS ? (size_t)stored : HEAD_GUESS, header;
    int e = get_stored(r, o, 0, buf_extend(&head, n), n, err);
    if (e == 0 && !age_header_size(head.data, head.len, &header) && stored > n) {
        size_t most = AGE_HEADER_MAX + AGE_NONCE_SIZE;
        size_t more = (stored < most ? (size_t)stored : most) - n;
        e = get_stored(r, o, n, buf_extend(&head, more), more, err);
    }
    if (e == 0)
        e = age_unwrap(head.data, head.len, r->identities, r->n_identities, &o->key, err);
    if (e < 0)
        return e;
    if (!age_plain_size(stored, o->key.payload_offset, &o->plain_size))
        return error_set(err, ERROR_INTEGRITY, "no age file can have %llu bytes", (unsigned long long)stored);
    return 0;
}

static int read_table(struct object_reader *r, struct object *o, struct decoder *d, struct error *err)
{
    if (o->plain_size < ZFRAME_FOOTER_SIZE)
        return error_set(err, ERROR_INTEGRITY, "too short for a seek table");
    size_t n = o->plain_size < TAIL_GUESS ? (size_t)o->plain_size : TAIL_GUESS, size = 0;
    const uint8_t *tail = NULL;
    int e = read_plain(r, o, o->plain_size - n, n, d, &tail, err);
    if (e == 0)
        e = zframe_table_size(tail + n - ZFRAME_FOOTER_SIZE, &size, err);
    if (e == 0 && size > o->plain_size)
        e = error_set(err, ERROR_INTEGRITY, "its seek table is larger than itself");
    if (e == 0 && size > n) {
        n = size;
        e = read_plain(r, o, o->plain_size - n, n, d, &tail, err);
    }
    return e < 0 ? e : zframe_table_parse(tail + n - size, size, o->plain_size - size, &o->table, err);
}

static int open_object(struct object_reader *r, struct object *o, struct error *err)
{
    o->plain_size = o->ref->stored_size;
    int e = r->encrypted ? unwrap(r, o, err) : 0;
    if (e == 0) {
        struct decoder *d = take_decoder(r);
        e = read_table(r, o, d, err);
        give_decoder(r, d);
    }
    if (e < 0) {
        zframe_table_done(&o->table);
        o->table = (struct zframe_table){ 0 };
        return object_error(o, e, err);
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
        (*slot)->ref = ref;
        (*slot)->name = format_object_name(ref->sha256, r->encrypted);
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
        return error_set(err, ERROR_INTEGRITY, "object %u, %s: byte %llu is needed but it has only %llu", object, o->name,
                         (unsigned long long)offset, (unsigned long long)zframe_table_plain(&o->table));
    *ret_frame = frame;
    *ret_frame_offset = o->table.plain[frame];
    *ret_frame_size = (uint32_t)(o->table.plain[frame + 1] - o->table.plain[frame]);
    return 0;
}

static int decompress(struct object_reader *r, struct decoder *d, const uint8_t *frame, size_t n, size_t size,
                      uint8_t **ret_plain, struct error *err)
{
    void *plain;
    int e = io_alloc(r->io, size == 0 ? 1 : size, "a decoded frame", &plain, err);
    if (e < 0)
        return e;
    uint64_t start = io_monotonic_ns(r->io);
    e = zframe_decompress(d->decompressor, frame, n, plain, size, err);
    r->decode_ns += io_monotonic_ns(r->io) - start;
    if (e < 0) {
        free(plain);
        return e;
    }
    r->decoded_bytes += size;
    *ret_plain = plain;
    return 0;
}

static int load_frame(struct object_reader *r, const struct object *o, uint32_t frame, uint8_t **ret_plain, uint32_t *ret_size,
                      struct error *err)
{
    uint64_t offset = o->table.stored[frame];
    size_t n = (size_t)(o->table.stored[frame + 1] - offset), size = (size_t)(o->table.plain[frame + 1] - o->table.plain[frame]);
    struct decoder *d = take_decoder(r);
    const uint8_t *stored = NULL;
    int e = read_plain(r, o, offset, n, d, &stored, err);
    if (e == 0)
        e = decompress(r, d, stored, n, size, ret_plain, err);
    give_decoder(r, d);
    if (e < 0)
        return error_prefix(err, "frame %u", frame);
    *ret_size = (uint32_t)size;
    return 0;
}

int object_reader_frame(struct object_reader *r, uint32_t object, uint32_t frame, struct object_frame *ret_frame,
                        struct error *err)
{
    struct object *o;
    int e = find_object(r, object, &o, err);
    if (e < 0)
        return e;
    if (frame >= o->table.count)
        return error_set(err, ERROR_INTEGRITY, "object %u, %s: frame %u is needed but it has only %u", object, o->name, frame,
                         o->table.count);
    bool must_load;
    struct frame_cache_entry *entry = frame_cache_take(r->cache, object, frame, &must_load);
    if (must_load) {
        uint8_t *plain = NULL;
        uint32_t size = 0;
        e = load_frame(r, o, frame, &plain, &size, err);
        if (e < 0) {
            frame_cache_failed(r->cache, entry);
            return object_error(o, e, err);
        }
        frame_cache_filled(r->cache, entry, plain, size);
    }
    *ret_frame = (struct object_frame){ .data = entry->data, .size = entry->size, .handle = entry };
    return 0;
}

void object_reader_release(struct object_reader *r, struct object_frame *frame)
{
    if (frame->handle != NULL)
        frame_cache_release(r->cache, frame->handle);
    *frame = (struct object_frame){ 0 };
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

void object_reader_stats(const struct object_reader *r, struct object_reader_stats *ret_stats)
{
    *ret_stats = (struct object_reader_stats){
        .fetched_bytes = r->fetched_bytes,
        .fetch_ns = r->fetch_ns,
        .decoded_bytes = r->decoded_bytes,
        .decode_ns = r->decode_ns,
    };
}
