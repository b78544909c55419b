#include "bkd/store/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bkd/base/buf.h"

struct fds {
    struct stream stream;
    int in, out, pid;
};

static struct fds *fds_of(struct stream *s) { return (struct fds *)s; }

static bool is_later(int os_errno) { return os_errno == EAGAIN || os_errno == EWOULDBLOCK || os_errno == EINTR; }

static int read_fd(struct stream *s, void *data, size_t n, size_t *ret_n, struct error *err)
{
    ssize_t got = read(fds_of(s)->in, data, n);
    if (got == 0)
        return error_set(err, ERROR_UNREACHABLE, "the other side closed the connection");
    if (got < 0 && !is_later(errno)) {
        (void)error_set_errno(err, errno, "read from the other side");
        return err->code = ERROR_UNREACHABLE;
    }
    *ret_n = got < 0 ? 0 : (size_t)got;
    return 0;
}

static int write_fd(struct stream *s, const void *data, size_t n, size_t *ret_n, struct error *err)
{
    ssize_t put = write(fds_of(s)->out, data, n);
    if (put < 0 && !is_later(errno)) {
        (void)error_set_errno(err, errno, "write to the other side");
        return err->code = ERROR_UNREACHABLE;
    }
    *ret_n = put < 0 ? 0 : (size_t)put;
    return 0;
}

// Of two descriptors the one being waited for is the input, unless writing is all that is left to do: a server that takes no more has answered first.
static void wants(struct stream *s, bool writing, struct pollfd *ret_poll)
{
    struct fds *f = fds_of(s);
    if (f->in == f->out)
        *ret_poll = (struct pollfd){ .fd = f->in, .events = (short)(POLLIN | (writing ? POLLOUT : 0)) };
    else
        *ret_poll = writing ? (struct pollfd){ .fd = f->out, .events = POLLOUT } : (struct pollfd){ .fd = f->in, .events = POLLIN };
}

static void close_fds(struct stream *s)
{
    struct fds *f = fds_of(s);
    (void)close(f->in);
    if (f->out != f->in)
        (void)close(f->out);
    if (f->pid > 0)
        (void)waitpid(f->pid, NULL, 0);
    free(f);
}

static const struct stream_ops ops = { .read = read_fd, .write = write_fd, .wants = wants, .close = close_fds };

struct stream *stream_of_fds(int in, int out, int pid)
{
    struct fds *f = xcalloc(1, sizeof *f);
    *f = (struct fds){ .stream = { &ops }, .in = in, .out = out, .pid = pid };
    (void)fcntl(in, F_SETFL, fcntl(in, F_GETFL) | O_NONBLOCK);
    (void)fcntl(out, F_SETFL, fcntl(out, F_GETFL) | O_NONBLOCK);
    return &f->stream;
}
