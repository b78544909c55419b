#include "bkd/engine/object_out.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/crypto.h"
#include "bkd/codec/zframe.h"
#include "bkd/engine/objects.h"

enum { WRITE_MIN = 1 << 20 };

struct object_out {
    const struct io *io;
    struct object_out_options options;
    struct format_ref ref; // number and opening from the beginning, the rest at the end
    int fd;
    char *spool;
    struct zframe_table table;
    struct age_encrypt age;
    struct crypto_sha256 hash;
    struct buf out; // stored bytes that are not written yet
    int failed;     // an error code, or 0
    struct error why;
};

static bool is_encrypted(const struct object_out *o) { return o->options.n_recipients > 0; }

static int begin(struct object_out *o, struct error *err)
{
    struct store *store = o->options.store;
    int r = store->ops->spool_open(store, &o->fd, &o->spool, err);
    if (r == 0 && is_encrypted(o))
        r = age_encrypt_begin(o->io, o->options.recipients, o->options.n_recipients, &o->out, &o->age, err);
    if (r < 0)
        return r;
    o->ref.opening_size = (uint32_t)o->out.len;
    crypto_sha256(o->out.data, o->out.len, o->ref.opening_sha256);
    return 0;
}

int object_out_open(const struct io *io, const struct object_out_options *options, uint32_t number, struct object_out **ret_object, struct error *err)
{
    struct object_out *o = xcalloc(1, sizeof *o);
    *o = (struct object_out){ .io = io, .options = *options, .fd = -1, .ref = { .object = number } };
    crypto_sha256_init(&o->hash);
    int r = begin(o, err);
    if (r < 0) {
        object_out_free(o);
        return r;
    }
    *ret_object = o;
    return 0;
}

void object_out_free(struct object_out *o)
{
    if (o == NULL)
        return;
    io_close_quietly(o->io, &o->fd);
    if (o->spool != NULL)
        o->options.store->ops->spool_drop(o->options.store, o->spool);
    free(o->spool);
    zframe_table_done(&o->table);
    age_encrypt_done(&o->age);
    crypto_sha256_done(&o->hash);
    buf_done(&o->out);
    free(o);
}

static int write_out(struct object_out *o, struct profile_lap *lap, struct error *err)
{
    crypto_sha256_update(&o->hash, o->out.data, o->out.len);
    profile_to(lap, PROFILE_WRITE);
    int r = io_write_all(o->io, o->fd, o->out.data, o->out.len, o->spool, err);
    profile_to(lap, PROFILE_ENCRYPT);
    o->ref.stored_size += o->out.len;
    buf_reset(&o->out);
    return r < 0 ? error_prefix(err, "repository %s", o->options.store->url) : 0;
}

static int store_bytes(struct object_out *o, const void *data, size_t n, struct profile_lap *lap, struct error *err)
{
    if (is_encrypted(o))
        age_encrypt_update(&o->age, data, n, &o->out);
    else
        buf_add(&o->out, data, n);
    return o->out.len < WRITE_MIN ? 0 : write_out(o, lap, err);
}

static int add_frame(struct object_out *o, const void *frame, size_t n, size_t plain, struct profile_lap *lap, struct error *err)
{
    if (!zframe_table_add(&o->table, (uint32_t)n, (uint32_t)plain))
        return error_set(err, ERROR_FAILED, "object %u has too many frames", o->ref.object);
    return store_bytes(o, frame, n, lap, err);
}

static int end(struct object_out *o, struct profile_lap *lap, struct error *err)
{
    _cleanup_buf_ struct buf table = { 0 };
    zframe_table_append(&o->table, &table);
    int r = store_bytes(o, table.data, table.len, lap, err);
    if (r == 0 && is_encrypted(o))
        age_encrypt_final(&o->age, &o->out);
    if (r == 0)
        r = write_out(o, lap, err);
    if (r == 0)
        crypto_sha256_final(&o->hash, o->ref.sha256);
    return r;
}

static int note_failure(struct object_out *o, int r, const struct error *err)
{
    o->failed = r;
    if (r < 0)
        o->why = *err;
    return r;
}

static int failed_before(const struct object_out *o, struct error *err)
{
    *err = o->why;
    return o->failed;
}

int object_out_add_frame(struct object_out *o, const void *frame, size_t n, size_t plain, struct profile_lap *lap, struct error *err)
{
    return o->failed < 0 ? failed_before(o, err) : note_failure(o, add_frame(o, frame, n, plain, lap, err), err);
}

int object_out_end(struct object_out *o, struct profile_lap *lap, struct error *err)
{
    return o->failed < 0 ? failed_before(o, err) : note_failure(o, end(o, lap, err), err);
}

// Without encryption equal content makes equal objects: one that a cut-off run left behind is as good, when it is whole.
static int take_existing(const struct object_out *o, const char *name, struct error *err)
{
    struct store *store = o->options.store;
    if (objects_check_stored(store, is_encrypted(o), &o->ref))
        return 0;
    return error_set(err, ERROR_INTEGRITY, "'%s' stands in repository '%s' with other bytes than its name says; move it away and run again", name, store->url);
}

int object_out_put(struct object_out *o, struct error *err)
{
    struct store *store = o->options.store;
    _cleanup_free_ char *name = format_object_name(o->ref.sha256, is_encrypted(o));
    _cleanup_free_ char *spool = TAKE(o->spool);
    int fd = o->fd;
    o->fd = -1; // the store's, whatever becomes of it
    int r = store->ops->put_spool(store, name, fd, spool, err);
    if (r == ERROR_EXISTS)
        r = take_existing(o, name, err);
    return r < 0 ? error_prefix(err, "object %u", o->ref.object) : 0;
}

const struct format_ref *object_out_ref(const struct object_out *o) { return &o->ref; }
