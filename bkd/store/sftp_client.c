#include "bkd/store/sftp_client.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/log.h"
#include "bkd/store/sftp_wire.h"

#define SLOW_DISK_BYTES_PER_MS 10000u // 10 MB/s

// ---- kinds of answers

static int expect_ok(struct sftp_client *c, uint32_t id, const char *what, const char *path, struct error *err)
{
    struct sftp_message m;
    uint32_t status;
    sftp_wire_end(c);
    int r = sftp_wire_answer(c, id, &m, err);
    return r < 0 ? r : sftp_wire_status(&m, what, path, &status, err);
}

static int expect_handle(struct sftp_client *c, uint32_t id, const char *what, const char *path, struct sftp_handle *ret_handle, struct error *err)
{
    struct sftp_message m;
    const uint8_t *data;
    size_t n;
    uint32_t status;
    sftp_wire_end(c);
    int r = sftp_wire_answer(c, id, &m, err);
    if (r < 0)
        return r;
    if (m.type != SFTP_HANDLE) {
        r = sftp_wire_status(&m, what, path, &status, err);
        return r < 0 ? r : sftp_wire_malformed(&m, err);
    }
    if (!sftp_get_string(&m.body, &data, &n) || n > SFTP_HANDLE_MAX)
        return sftp_wire_malformed(&m, err);
    memcpy(ret_handle->bytes, data, n);
    ret_handle->len = (uint32_t)n;
    return 0;
}

static int expect_attrs(struct sftp_client *c, uint32_t id, const char *what, const char *path, struct sftp_attrs *ret_attrs, struct error *err)
{
    struct sftp_message m;
    uint32_t status;
    sftp_wire_end(c);
    int r = sftp_wire_answer(c, id, &m, err);
    if (r < 0)
        return r;
    if (m.type != SFTP_ATTRS) {
        r = sftp_wire_status(&m, what, path, &status, err);
        return r < 0 ? r : sftp_wire_malformed(&m, err);
    }
    return sftp_get_attrs(&m.body, ret_attrs) ? 0 : sftp_wire_malformed(&m, err);
}

// ---- beginning

static void read_extensions(struct sftp_client *c, struct cursor body)
{
    _cleanup_buf_ struct buf all = { 0 };
    const uint8_t *name, *value;
    size_t name_len, value_len;
    while (sftp_get_string(&body, &name, &name_len) && sftp_get_string(&body, &value, &value_len)) {
        buf_addf(&all, "%s%.*s=%.*s", all.len > 0 ? ", " : "", (int)(name_len > 100 ? 100 : name_len), (const char *)name,
                 (int)(value_len > 100 ? 100 : value_len), (const char *)value);
        _cleanup_free_ char *text = xstrndup((const char *)name, name_len);
        c->abilities.fsync |= strcmp(text, "fsync@openssh.com") == 0;
        c->abilities.statvfs |= strcmp(text, "statvfs@openssh.com") == 0;
        c->abilities.hash |= strcmp(text, "check-file") == 0;
    }
    c->abilities.extensions = xstrdup(buf_str(&all));
    log_debug("the server speaks SFTP with %s", all.len > 0 ? buf_str(&all) : "no extensions");
}

static int greet(struct sftp_client *c, struct error *err)
{
    struct sftp_message m;
    c->last_byte_ns = io_monotonic_ns(c->io);
    c->begun = sftp_begin(&c->out, SFTP_INIT, SFTP_VERSION);
    sftp_wire_end(c);
    int r = sftp_wire_answer(c, SFTP_VERSION, &m, err);
    if (r < 0)
        return error_prefix(err, "SFTP");
    if (m.type != SFTP_VERSION_REPLY)
        return sftp_wire_malformed(&m, err);
    read_extensions(c, m.body);
    return 0;
}

int sftp_client_new(const struct io *io, struct stream *stream_taken, unsigned timeout_ms, struct sftp_client **ret_client, struct error *err)
{
    struct sftp_client *c = xcalloc(1, sizeof *c);
    *c = (struct sftp_client){ .io = io, .stream = stream_taken, .timeout_ms = timeout_ms, .next_id = 1, .window = SFTP_WIRE_WINDOW };
    int r = greet(c, err);
    if (r < 0)
        sftp_client_free(c);
    else
        *ret_client = c;
    return r;
}

void sftp_client_free(struct sftp_client *c)
{
    if (c == NULL)
        return;
    c->stream->ops->close(c->stream);
    buf_done(&c->out);
    buf_done(&c->in);
    buf_done(&c->forgotten);
    free(c->abilities.extensions);
    free(c);
}

const struct sftp_abilities *sftp_client_abilities(const struct sftp_client *c) { return &c->abilities; }

// ---- single requests

int sftp_open(struct sftp_client *c, const char *path, uint32_t flags, uint32_t mode, struct sftp_handle *ret_handle, struct error *err)
{
    struct sftp_attrs attrs = { .flags = (flags & SFTP_OPEN_CREAT) != 0 ? SFTP_ATTR_PERMISSIONS : 0, .permissions = mode };
    uint32_t id = sftp_wire_begin(c, SFTP_OPEN);
    sftp_put_text(&c->out, path);
    sftp_put_u32(&c->out, flags);
    sftp_put_attrs(&c->out, &attrs);
    return expect_handle(c, id, "open", path, ret_handle, err);
}

int sftp_close(struct sftp_client *c, const struct sftp_handle *handle, struct error *err)
{
    uint32_t id = sftp_wire_begin(c, SFTP_CLOSE);
    sftp_wire_put_handle(c, handle);
    return expect_ok(c, id, "close", "the file", err);
}

void sftp_close_later(struct sftp_client *c, const struct sftp_handle *handle)
{
    uint32_t id = sftp_wire_begin(c, SFTP_CLOSE);
    sftp_wire_put_handle(c, handle);
    sftp_wire_end(c);
    sftp_wire_forget(c, id);
}

int sftp_stat(struct sftp_client *c, const char *path, struct sftp_attrs *ret_attrs, struct error *err)
{
    uint32_t id = sftp_wire_begin(c, SFTP_LSTAT);
    sftp_put_text(&c->out, path);
    return expect_attrs(c, id, "ask about", path, ret_attrs, err);
}

int sftp_mkdir(struct sftp_client *c, const char *path, uint32_t mode, struct error *err)
{
    uint32_t id = sftp_wire_begin(c, SFTP_MKDIR);
    sftp_put_text(&c->out, path);
    sftp_put_attrs(&c->out, &(struct sftp_attrs){ .flags = SFTP_ATTR_PERMISSIONS, .permissions = mode });
    return expect_ok(c, id, "make directory", path, err);
}

int sftp_remove(struct sftp_client *c, const char *path, struct error *err)
{
    uint32_t id = sftp_wire_begin(c, SFTP_REMOVE);
    sftp_put_text(&c->out, path);
    return expect_ok(c, id, "remove", path, err);
}

int sftp_rename(struct sftp_client *c, const char *from, const char *to, struct error *err)
{
    uint32_t id = sftp_wire_begin(c, SFTP_RENAME);
    sftp_put_text(&c->out, from);
    sftp_put_text(&c->out, to);
    return expect_ok(c, id, "rename to", to, err);
}

int sftp_setstat(struct sftp_client *c, const char *path, const struct sftp_attrs *attrs, struct error *err)
{
    uint32_t id = sftp_wire_begin(c, SFTP_SETSTAT);
    sftp_put_text(&c->out, path);
    sftp_put_attrs(&c->out, attrs);
    return expect_ok(c, id, "change", path, err);
}

int sftp_posix_rename(struct sftp_client *c, const char *from, const char *to, struct error *err)
{
    uint32_t id = sftp_wire_begin(c, SFTP_EXTENDED);
    sftp_put_text(&c->out, "posix-rename@openssh.com");
    sftp_put_text(&c->out, from);
    sftp_put_text(&c->out, to);
    return expect_ok(c, id, "rename to", to, err);
}

// "check-file" (which not all servers repeat), the algorithm, the digest.
static int read_digest(const struct sftp_message *m, uint8_t ret_sha256[32], struct error *err)
{
    struct cursor body = m->body;
    const uint8_t *text, *digest;
    size_t n;
    bool good = sftp_get_string(&body, &text, &n);
    if (good && n == 10 && memcmp(text, "check-file", n) == 0)
        good = sftp_get_string(&body, &text, &n);
    if (!good || n != 6 || memcmp(text, "sha256", n) != 0 || cursor_left(&body) != 32 || !cursor_take(&body, 32, &digest))
        return sftp_wire_malformed(m, err);
    memcpy(ret_sha256, digest, 32);
    return 0;
}

int sftp_hash_file(struct sftp_client *c, const char *path, uint64_t size, uint8_t ret_sha256[32], struct error *err)
{
    struct sftp_message m;
    uint32_t status;
    if (!c->abilities.hash)
        return error_set(err, ERROR_NOT_FOUND, "the server does not hash files");
    uint32_t id = sftp_wire_begin(c, SFTP_EXTENDED);
    sftp_put_text(&c->out, "check-file-name");
    sftp_put_text(&c->out, path);
    sftp_put_text(&c->out, "sha256");
    sftp_put_u64(&c->out, 0);
    sftp_put_u64(&c->out, 0); // to the end
    sftp_put_u32(&c->out, 0); // as one block
    sftp_wire_end(c);
    unsigned usual_ms = c->timeout_ms;
    uint64_t patience_ms = usual_ms + size / SLOW_DISK_BYTES_PER_MS;
    c->timeout_ms = patience_ms > INT_MAX ? INT_MAX : (unsigned)patience_ms;
    int r = sftp_wire_answer(c, id, &m, err);
    c->timeout_ms = usual_ms;
    if (r < 0)
        return r;
    if (m.type == SFTP_EXTENDED_REPLY)
        return read_digest(&m, ret_sha256, err);
    r = sftp_wire_status(&m, "hash", path, &status, err);
    return r < 0 ? r : sftp_wire_malformed(&m, err);
}

int sftp_space(struct sftp_client *c, const char *path, uint64_t *ret_free, uint64_t *ret_total, struct error *err)
{
    struct sftp_message m;
    uint64_t fields[11]; // bsize, frsize, blocks, bfree, bavail, files, ffree, favail, fsid, flag, namemax
    uint32_t status;
    if (!c->abilities.statvfs)
        return error_set(err, ERROR_NOT_FOUND, "the server does not tell its free space");
    uint32_t id = sftp_wire_begin(c, SFTP_EXTENDED);
    sftp_put_text(&c->out, "statvfs@openssh.com");
    sftp_put_text(&c->out, path);
    sftp_wire_end(c);
    int r = sftp_wire_answer(c, id, &m, err);
    if (r < 0)
        return r;
    if (m.type != SFTP_EXTENDED_REPLY) {
        r = sftp_wire_status(&m, "ask for the space of", path, &status, err);
        return r < 0 ? r : sftp_wire_malformed(&m, err);
    }
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!sftp_get_u64(&m.body, &fields[i]))
            return sftp_wire_malformed(&m, err);
    *ret_free = fields[1] * fields[4];
    *ret_total = fields[1] * fields[2];
    return 0;
}
