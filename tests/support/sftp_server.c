#include "tests/support/sftp_server.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bkd/base/buf.h"
#include "bkd/base/bytes.h"
#include "bkd/store/sftp_client.h"

static const char program[] = "/usr/lib/openssh/sftp-server";

bool sftp_server_is_there(void) { return access(program, X_OK) == 0; }

static struct stream *start(const struct sftp_server *server, pid_t *ret_pid)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        abort();
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(pair[1], 0);
        (void)dup2(pair[1], 1);
        if (server->denied != NULL)
            (void)execl(program, program, "-P", server->denied, NULL);
        else
            (void)execl(program, program, NULL);
        _exit(127);
    }
    (void)close(pair[1]);
    *ret_pid = pid;
    return stream_of_fds(pair[0], pair[0], pid);
}

// A stream that breaks after so many bytes.
struct cutting {
    struct stream stream;
    struct stream *inner;
    pid_t pid;
    uint64_t left;
};

static int cut(struct cutting *c, struct error *err)
{
    (void)kill(c->pid, SIGKILL);
    return error_set(err, ERROR_UNREACHABLE, "the line was cut");
}

static size_t allowed(const struct cutting *c, size_t n) { return n < c->left ? n : (size_t)c->left; }

static int cutting_read(struct stream *s, void *data, size_t n, size_t *ret_n, struct error *err)
{
    struct cutting *c = (struct cutting *)s;
    if (c->left == 0)
        return cut(c, err);
    int r = c->inner->ops->read(c->inner, data, allowed(c, n), ret_n, err);
    c->left -= r == 0 ? *ret_n : 0;
    return r;
}

static int cutting_write(struct stream *s, const void *data, size_t n, size_t *ret_n, struct error *err)
{
    struct cutting *c = (struct cutting *)s;
    if (c->left == 0)
        return cut(c, err);
    int r = c->inner->ops->write(c->inner, data, allowed(c, n), ret_n, err);
    c->left -= r == 0 ? *ret_n : 0;
    return r;
}

static void cutting_wants(struct stream *s, bool writing, struct pollfd *ret_poll)
{
    struct cutting *c = (struct cutting *)s;
    c->inner->ops->wants(c->inner, writing, ret_poll);
}

static void cutting_close(struct stream *s)
{
    struct cutting *c = (struct cutting *)s;
    c->inner->ops->close(c->inner);
    free(c);
}

static const struct stream_ops cutting_ops = { cutting_read, cutting_write, cutting_wants, cutting_close };

// ---- a line so long that round trips can be counted: what the client writes is held until it waits, then all of it travels, and all the answers with it

struct counting {
    struct stream stream;
    struct stream *inner;
    struct sftp_server *server;
    int always[2]; // a pipe with a byte in it: waiting is over at once
    struct buf to, from; // held requests; answers, those before `at` are given
    size_t at;
};

static unsigned count_messages(const struct buf *b, size_t *ret_whole)
{
    unsigned n = 0;
    size_t at = 0;
    while (b->len - at >= 4) {
        size_t length = 4 + ((size_t)b->data[at] << 24 | (size_t)b->data[at + 1] << 16 | (size_t)b->data[at + 2] << 8 | b->data[at + 3]);
        if (b->len - at < length)
            break;
        at += length;
        n++;
    }
    *ret_whole = at;
    return n;
}

static void step(struct counting *c, size_t *sent)
{
    struct error err;
    struct pollfd p;
    size_t n = 0;
    uint8_t data[65536];
    if (*sent < c->to.len) {
        if (c->inner->ops->write(c->inner, c->to.data + *sent, c->to.len - *sent, &n, &err) != 0)
            abort();
        *sent += n;
    }
    size_t got = 0;
    if (c->inner->ops->read(c->inner, data, sizeof data, &got, &err) != 0)
        abort();
    buf_add(&c->from, data, got);
    if (n > 0 || got > 0)
        return;
    c->inner->ops->wants(c->inner, *sent < c->to.len, &p);
    (void)poll(&p, 1, 1000);
}

static void travel(struct counting *c)
{
    size_t whole, sent = 0;
    unsigned asked = count_messages(&c->to, &whole);
    if (whole != c->to.len)
        return; // the client has more to write of this one
    while (sent < c->to.len || count_messages(&c->from, &whole) < asked)
        step(c, &sent);
    c->server->turns++;
    c->server->bytes += c->to.len + c->from.len;
    buf_reset(&c->to);
}

static int counting_read(struct stream *s, void *data, size_t n, size_t *ret_n, struct error *err)
{
    struct counting *c = (struct counting *)s;
    (void)err;
    *ret_n = c->from.len - c->at < n ? c->from.len - c->at : n;
    if (*ret_n > 0)
        memcpy(data, c->from.data + c->at, *ret_n);
    c->at += *ret_n;
    if (c->at == c->from.len)
        c->at = c->from.len = 0;
    return 0;
}

static int counting_write(struct stream *s, const void *data, size_t n, size_t *ret_n, struct error *err)
{
    (void)err;
    buf_add(&((struct counting *)s)->to, data, n);
    *ret_n = n;
    return 0;
}

static void counting_wants(struct stream *s, bool writing, struct pollfd *ret_poll)
{
    struct counting *c = (struct counting *)s;
    (void)writing;
    if (c->to.len > 0 && c->at == c->from.len)
        travel(c);
    *ret_poll = (struct pollfd){ .fd = c->always[0], .events = POLLIN };
}

static void counting_close(struct stream *s)
{
    struct counting *c = (struct counting *)s;
    c->inner->ops->close(c->inner);
    (void)close(c->always[0]);
    (void)close(c->always[1]);
    buf_done(&c->to);
    buf_done(&c->from);
    free(c);
}

static const struct stream_ops counting_ops = { counting_read, counting_write, counting_wants, counting_close };

static struct stream *count(struct sftp_server *server, struct stream *inner)
{
    struct counting *c = xcalloc(1, sizeof *c);
    *c = (struct counting){ .stream = { &counting_ops }, .inner = inner, .server = server };
    if (pipe(c->always) < 0 || write(c->always[1], "x", 1) != 1)
        abort();
    return &c->stream;
}

// ---- a server that lies: each of its messages is looked at on the way

struct lying {
    struct stream stream;
    struct stream *inner;
    enum sftp_lie lie;
    struct buf in, out; // from the server; to the client, those before `at` are given
    size_t at;
    unsigned messages;
};

static void set_length(struct buf *m, size_t body)
{
    if (m->len < 4 + body)
        memset(buf_extend(m, 4 + body - m->len), 'z', 1);
    m->len = 4 + body;
    put_u32be(m->data, (uint32_t)body);
}

// A message: u32 length, u8 type, u32 id, then (DATA) u32 length and bytes, (ATTRS) u32 flags and u64 size.
static void change_data(enum sftp_lie lie, struct buf *m)
{
    uint32_t n = get_u32be(m->data + 9), now = lie == SFTP_SHORT_DATA ? (n + 2) / 3 : lie == SFTP_EMPTY_DATA ? 0 : n + 1;
    set_length(m, 9 + now);
    put_u32be(m->data + 9, now);
}

static void change(struct lying *l, struct buf *m)
{
    uint8_t type = m->data[4];
    enum sftp_lie lie = l->lie;
    if (l->messages++ < 2) // its version, and the store's directory
        return;
    if (type == SFTP_DATA && (lie == SFTP_SHORT_DATA || lie == SFTP_EMPTY_DATA || lie == SFTP_LONG_DATA))
        change_data(lie, m);
    else if (lie == SFTP_WRONG_ID)
        m->data[7] ^= 0x80;
    else if (lie == SFTP_HUGE_LENGTH)
        m->data[0] = 0x7f;
    else if (lie == SFTP_CUT_BODY && type != SFTP_STATUS)
        set_length(m, m->len - 4 > 10 ? 7 : 5);
    else if (lie == SFTP_NOISE && type != SFTP_DATA)
        for (size_t i = 9; i < m->len; i++)
            m->data[i] = (uint8_t)(m->data[i] * 167 + 13);
    else if (type == SFTP_ATTRS && (lie == SFTP_SMALLER_SIZE || lie == SFTP_LARGER_SIZE))
        m->data[20] = (uint8_t)(m->data[20] + (lie == SFTP_LARGER_SIZE ? 1 : -1));
    else if (lie == SFTP_OTHER_TYPE)
        m->data[4] = type == SFTP_DATA ? SFTP_HANDLE : SFTP_DATA;
    else if (lie == SFTP_STATUS_4 || lie == SFTP_STATUS_11) {
        set_length(m, 9);
        m->data[4] = SFTP_STATUS;
        put_u32be(m->data + 9, lie == SFTP_STATUS_4 ? 4 : 11);
    }
}

static int lying_read(struct stream *s, void *data, size_t n, size_t *ret_n, struct error *err)
{
    struct lying *l = (struct lying *)s;
    uint8_t step[65536];
    size_t got = 0, whole;
    int r = l->inner->ops->read(l->inner, step, sizeof step, &got, err);
    if (r == 0)
        buf_add(&l->in, step, got);
    while (count_messages(&l->in, &whole) > 0) {
        size_t length = 4 + get_u32be(l->in.data);
        struct buf one = { 0 };
        buf_add(&one, l->in.data, length);
        change(l, &one);
        buf_add(&l->out, one.data, one.len);
        buf_done(&one);
        memmove(l->in.data, l->in.data + length, l->in.len - length);
        l->in.len -= length;
    }
    *ret_n = l->out.len - l->at < n ? l->out.len - l->at : n;
    if (*ret_n > 0)
        memcpy(data, l->out.data + l->at, *ret_n);
    l->at += *ret_n;
    return *ret_n > 0 ? 0 : r;
}

static int lying_write(struct stream *s, const void *data, size_t n, size_t *ret_n, struct error *err)
{
    struct lying *l = (struct lying *)s;
    return l->inner->ops->write(l->inner, data, n, ret_n, err);
}

static void lying_wants(struct stream *s, bool writing, struct pollfd *ret_poll)
{
    struct lying *l = (struct lying *)s;
    l->inner->ops->wants(l->inner, writing, ret_poll);
}

static void lying_close(struct stream *s)
{
    struct lying *l = (struct lying *)s;
    l->inner->ops->close(l->inner);
    buf_done(&l->in);
    buf_done(&l->out);
    free(l);
}

static const struct stream_ops lying_ops = { lying_read, lying_write, lying_wants, lying_close };

static struct stream *lie(const struct sftp_server *server, struct stream *inner)
{
    struct lying *l = xcalloc(1, sizeof *l);
    *l = (struct lying){ .stream = { &lying_ops }, .inner = inner, .lie = server->lie };
    return &l->stream;
}

static int connect_client(void *arg, struct sftp_client **ret_client, struct error *err)
{
    struct sftp_server *server = arg;
    unsigned number = atomic_fetch_add(&server->started, 1) + 1;
    pid_t pid;
    if (server->refuse_after > 0 && number > server->refuse_after)
        return error_set(err, ERROR_UNREACHABLE, "no more connections");
    struct stream *stream = start(server, &pid);
    if (server->cut_after > 0 && number <= server->cuts) {
        struct cutting *c = xcalloc(1, sizeof *c);
        *c = (struct cutting){ .stream = { &cutting_ops }, .inner = stream, .pid = pid, .left = server->cut_after };
        stream = &c->stream;
    }
    if (server->lie != SFTP_HONEST)
        stream = lie(server, stream);
    if (server->count)
        stream = count(server, stream);
    return sftp_client_new(io_real(), stream, 20000, ret_client, err);
}

struct store_connector sftp_server_connector(struct sftp_server *server)
{
    return (struct store_connector){ .connect = connect_client, .arg = server, .back_off_ms = 1 };
}
