#include "tests/support/sftp_server.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bkd/base/buf.h"
#include "bkd/repo/sftp_client.h"

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
    return sftp_client_new(io_real(), stream, 20000, ret_client, err);
}

struct store_connector sftp_server_connector(struct sftp_server *server)
{
    return (struct store_connector){ .connect = connect_client, .arg = server, .back_off_ms = 1 };
}
