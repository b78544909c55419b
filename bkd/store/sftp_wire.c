#include "bkd/store/sftp_wire.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#define READ_STEP (256u << 10)

// ---- moving bytes

static void drop_front(struct buf *b, size_t *at)
{
    if (*at == 0)
        return;
    memmove(b->data, b->data + *at, b->len - *at);
    b->len -= *at;
    *at = 0;
}

int sftp_wire_move(struct sftp_client *c, bool *ret_moved, struct error *err)
{
    size_t n = 0;
    *ret_moved = false;
    if (sftp_wire_pending(c) > 0) {
        int r = c->stream->ops->write(c->stream, c->out.data + c->out_at, sftp_wire_pending(c), &n, err);
        if (r < 0)
            return r;
        c->out_at += n;
        *ret_moved = n > 0;
        if (c->out_at == c->out.len || c->out_at > SFTP_WIRE_PENDING_MAX)
            drop_front(&c->out, &c->out_at);
    }
    if (c->in_at == c->in.len)
        c->in.len = c->in_at = 0;
    if (c->in_at > SFTP_WIRE_PENDING_MAX)
        drop_front(&c->in, &c->in_at);
    buf_reserve(&c->in, READ_STEP);
    int r = c->stream->ops->read(c->stream, c->in.data + c->in.len, READ_STEP, &n, err);
    if (r < 0)
        return r;
    if (n > 0) {
        c->in.len += n;
        c->last_byte_ns = io_monotonic_ns(c->io);
        *ret_moved = true;
    }
    return 0;
}

static int timed_out(const struct sftp_client *c, struct error *err)
{
    return error_set(err, ERROR_UNREACHABLE, "the server has not answered for %u s", c->timeout_ms / 1000);
}

static int left_ms(const struct sftp_client *c)
{
    uint64_t passed = (io_monotonic_ns(c->io) - c->last_byte_ns) / 1000000;
    return passed >= c->timeout_ms ? 0 : (int)(c->timeout_ms - passed);
}

int sftp_wire_wait(struct sftp_client *const *clients, size_t n, int at_most_ms, struct error *err)
{
    struct pollfd polls[SFTP_LANES_MAX];
    int wait = at_most_ms;
    assert(n <= SFTP_LANES_MAX);
    for (size_t i = 0; i < n; i++) {
        struct sftp_client *c = clients[i];
        c->stream->ops->wants(c->stream, sftp_wire_pending(c) > 0, &polls[i]);
        int left = left_ms(c);
        if (left == 0)
            return timed_out(c, err);
        wait = wait < 0 || left < wait ? left : wait;
    }
    if (poll(polls, n, wait) < 0 && errno != EINTR)
        return error_set_errno(err, errno, "wait for the server");
    return 0;
}

static bool was_forgotten(struct sftp_client *c, uint32_t id)
{
    for (size_t at = 0; at < c->forgotten.len; at += sizeof id)
        if (memcmp(c->forgotten.data + at, &id, sizeof id) == 0) {
            c->forgotten.len -= sizeof id;
            memmove(c->forgotten.data + at, c->forgotten.data + c->forgotten.len, sizeof id);
            return true;
        }
    return false;
}

int sftp_wire_take(struct sftp_client *c, struct sftp_message *ret_message, bool *ret_got, struct error *err)
{
    *ret_got = false;
    while (c->in_at < c->in.len) {
        size_t length = 0;
        int r = sftp_take_message(c->in.data + c->in_at, c->in.len - c->in_at, ret_message, &length, err);
        if (r < 0 || length == 0)
            return r;
        c->in_at += length;
        if (was_forgotten(c, ret_message->id))
            continue;
        *ret_got = true;
        return 0;
    }
    return 0;
}

// ---- requests

uint32_t sftp_wire_begin(struct sftp_client *c, enum sftp_type type)
{
    uint32_t id = c->next_id++;
    if (sftp_wire_pending(c) == 0 && c->in_at == c->in.len)
        c->last_byte_ns = io_monotonic_ns(c->io); // the server owes an answer from now on
    c->begun = sftp_begin(&c->out, type, id);
    return id;
}

void sftp_wire_put_handle(struct sftp_client *c, const struct sftp_handle *handle) { sftp_put_string(&c->out, handle->bytes, handle->len); }

void sftp_wire_end(struct sftp_client *c) { sftp_end(&c->out, c->begun); }

void sftp_wire_forget(struct sftp_client *c, uint32_t id) { buf_add(&c->forgotten, &id, sizeof id); }

// The shortest answer so far: the line, with as little of the server's work as there is.
static void note_round_trip(struct sftp_client *c, uint64_t ns)
{
    if (c->abilities.round_trip_ns == 0 || ns < c->abilities.round_trip_ns)
        c->abilities.round_trip_ns = ns;
}

int sftp_wire_answer(struct sftp_client *c, uint32_t id, struct sftp_message *ret_message, struct error *err)
{
    uint64_t start = io_monotonic_ns(c->io);
    for (;;) {
        bool got = false, moved = false;
        int r = sftp_wire_take(c, ret_message, &got, err);
        if (r < 0)
            return r;
        if (got && ret_message->id == id) {
            note_round_trip(c, io_monotonic_ns(c->io) - start);
            return 0;
        }
        if (got)
            return error_set(err, ERROR_FORMAT, "the server answers a request that was not made");
        r = sftp_wire_move(c, &moved, err);
        if (r == 0 && !moved)
            r = sftp_wire_wait(&c, 1, -1, err);
        if (r < 0)
            return r;
    }
}

int sftp_wire_malformed(const struct sftp_message *m, struct error *err)
{
    return error_set(err, ERROR_FORMAT, "the server's answer (type %u) is not what the protocol says", m->type);
}

// Servers that have one code for every failure tell the reason in words, if at all.
static enum error_code code_of(uint32_t status, const char *text)
{
    switch (status) {
    case SFTP_NO_SUCH_FILE: return ERROR_NOT_FOUND;
    case SFTP_FILE_ALREADY_EXISTS: return ERROR_EXISTS;
    case SFTP_NO_CONNECTION:
    case SFTP_CONNECTION_LOST: return ERROR_UNREACHABLE;
    case 14: return ERROR_NO_SPACE; // SSH_FX_NO_SPACE_ON_FILESYSTEM of later versions
    case 15: return ERROR_NO_SPACE; // SSH_FX_QUOTA_EXCEEDED
    default: break;
    }
    if (strcasestr(text, "exist") != NULL && strcasestr(text, "not exist") == NULL)
        return ERROR_EXISTS;
    return strcasestr(text, "space") != NULL || strcasestr(text, "quota") != NULL ? ERROR_NO_SPACE : ERROR_FAILED;
}

int sftp_wire_status(const struct sftp_message *m, const char *what, const char *path, uint32_t *ret_status, struct error *err)
{
    struct cursor body = m->body;
    const uint8_t *text = (const uint8_t *)"";
    size_t n = 0;
    if (m->type != SFTP_STATUS || !sftp_get_u32(&body, ret_status))
        return sftp_wire_malformed(m, err);
    if (*ret_status == SFTP_OK)
        return 0;
    (void)sftp_get_string(&body, &text, &n); // version 3 has a text; some servers leave it out
    _cleanup_free_ char *words = xstrndup((const char *)text, n > 200 ? 200 : n);
    const char *known = sftp_status_text(*ret_status);
    bool more = words[0] != '\0' && strcasecmp(words, known) != 0;
    return error_set(err, code_of(*ret_status, words), "%s '%s': %s%s%s%s", what, path, known, more ? " (" : "", more ? words : "", more ? ")" : "");
}
