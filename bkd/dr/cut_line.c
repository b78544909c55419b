#include "bkd/dr/cut_line.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bkd/base/buf.h"
#include "bkd/base/tcp.h"

enum { CONNECTIONS = 16, BLOCK = 32 << 10, CONNECT_MS = 20000 };

// One direction of a connection. What was read is passed on before more is read.
struct way {
    int from, to;
    size_t at, n; // of `block`, what is still to be passed on
    bool has_ended, was_told; // the source; the destination was told
    char block[BLOCK];
};

struct connection {
    int client, server; // -1 = it is free
    struct way up, down;
};

struct cut_line {
    const struct io *io;
    char *host;
    unsigned port, own_port;
    uint64_t cut_bytes;
    int listener, stop; // sockets; an eventfd that ends the thread
    pthread_t thread;
    bool has_thread;
    _Atomic uint64_t bytes;
    atomic_bool was_cut;
    struct connection connections[CONNECTIONS];
};

static void drop(struct connection *c)
{
    if (c->client >= 0)
        (void)close(c->client);
    if (c->server >= 0)
        (void)close(c->server);
    c->client = c->server = -1;
}

static void cut(struct cut_line *l)
{
    atomic_store(&l->was_cut, true);
    (void)close(l->listener);
    l->listener = -1;
    for (size_t i = 0; i < CONNECTIONS; i++)
        drop(&l->connections[i]);
}

// ---- passing on

static short wanted_of(const struct way *w) { return w->n == 0 && !w->has_ended ? POLLIN : 0; }

// Where more may come than may pass, only what may is taken.
static bool read_some(struct cut_line *l, struct way *w, bool is_from_server)
{
    uint64_t left = l->cut_bytes - atomic_load(&l->bytes);
    size_t most = is_from_server && left < BLOCK ? (size_t)left : BLOCK;
    ssize_t n = recv(w->from, w->block, most, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    w->has_ended = n == 0;
    w->at = 0;
    w->n = (size_t)n;
    if (is_from_server)
        atomic_fetch_add(&l->bytes, (uint64_t)n);
    return true;
}

static bool write_some(struct way *w)
{
    ssize_t n = w->n == 0 ? 0 : send(w->to, w->block + w->at, w->n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    w->at += (size_t)n;
    w->n -= (size_t)n;
    if (w->n == 0 && w->has_ended && !w->was_told) {
        (void)shutdown(w->to, SHUT_WR);
        w->was_told = true;
    }
    return true;
}

static void tend(struct cut_line *l, struct connection *c, short client, short server)
{
    bool good = true;
    if ((client & (POLLIN | POLLHUP | POLLERR)) != 0 && wanted_of(&c->up) != 0)
        good = read_some(l, &c->up, false);
    if (good && (server & (POLLIN | POLLHUP | POLLERR)) != 0 && wanted_of(&c->down) != 0)
        good = read_some(l, &c->down, true);
    good = good && write_some(&c->up) && write_some(&c->down);
    if (!good || (c->up.was_told && c->down.was_told))
        drop(c);
}

static void take_connection(struct cut_line *l)
{
    struct connection *c = NULL;
    struct error ignored; // the client finds its connection closed
    int client = accept4(l->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), server = -1;
    for (size_t i = 0; i < CONNECTIONS && c == NULL; i++)
        c = l->connections[i].client < 0 ? &l->connections[i] : NULL;
    if (client < 0)
        return;
    if (c == NULL || tcp_connect(l->io, l->host, l->port, CONNECT_MS, &server, &ignored) < 0) {
        (void)close(client);
        return;
    }
    c->client = client;
    c->server = server;
    c->up = (struct way){ .from = client, .to = server };
    c->down = (struct way){ .from = server, .to = client };
}

static void turn(struct cut_line *l, struct pollfd fds[2 + 2 * CONNECTIONS])
{
    fds[0] = (struct pollfd){ .fd = l->stop, .events = POLLIN };
    fds[1] = (struct pollfd){ .fd = l->listener, .events = POLLIN };
    for (size_t i = 0; i < CONNECTIONS; i++) {
        const struct connection *c = &l->connections[i];
        short client = (short)(wanted_of(&c->up) | (c->down.n > 0 ? POLLOUT : 0)), server = (short)(wanted_of(&c->down) | (c->up.n > 0 ? POLLOUT : 0));
        // One that nothing is wanted of would only tell again and again that it has ended.
        fds[2 + 2 * i] = (struct pollfd){ .fd = client == 0 ? -1 : c->client, .events = client };
        fds[3 + 2 * i] = (struct pollfd){ .fd = server == 0 ? -1 : c->server, .events = server };
    }
    if (poll(fds, 2 + 2 * CONNECTIONS, -1) < 0)
        return;
    for (size_t i = 0; i < CONNECTIONS; i++)
        if (l->connections[i].client >= 0)
            tend(l, &l->connections[i], fds[2 + 2 * i].revents, fds[3 + 2 * i].revents);
    if (atomic_load(&l->bytes) >= l->cut_bytes)
        cut(l);
    else if ((fds[1].revents & POLLIN) != 0)
        take_connection(l);
}

static void *pass_on(void *arg)
{
    struct cut_line *l = arg;
    struct pollfd fds[2 + 2 * CONNECTIONS] = { { .revents = 0 } };
    sigset_t all;
    (void)sigfillset(&all); // a Ctrl-C is for whoever waits for the program
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    while ((fds[0].revents & POLLIN) == 0 && !atomic_load(&l->was_cut))
        turn(l, fds);
    return NULL;
}

// ---- begin and end

static int listen_on_loopback(struct cut_line *l, struct error *err)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    l->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->listener < 0 || bind(l->listener, (const struct sockaddr *)&address, sizeof address) < 0 || listen(l->listener, CONNECTIONS) < 0 ||
        getsockname(l->listener, (struct sockaddr *)&address, &size) < 0)
        return error_set_errno(err, errno, "listen on a port of this host");
    l->own_port = ntohs(address.sin_port);
    return 0;
}

int cut_line_open(const struct io *io, const char *host, unsigned port, uint64_t cut_bytes, struct cut_line **ret_line, struct error *err)
{
    struct cut_line *l = xcalloc(1, sizeof *l);
    l->io = io;
    l->host = xstrdup(host);
    l->port = port;
    l->cut_bytes = cut_bytes;
    l->listener = -1;
    l->stop = eventfd(0, EFD_CLOEXEC);
    for (size_t i = 0; i < CONNECTIONS; i++)
        l->connections[i].client = l->connections[i].server = -1;
    int r = l->stop < 0 ? error_set_errno(err, errno, "make an eventfd") : listen_on_loopback(l, err);
    int error = r < 0 ? 0 : pthread_create(&l->thread, NULL, pass_on, l);
    l->has_thread = r == 0 && error == 0;
    if (error != 0)
        r = error_set_errno(err, error, "start a thread");
    if (r < 0)
        cut_line_close(l);
    else
        *ret_line = l;
    return r;
}

unsigned cut_line_port(const struct cut_line *l) { return l->own_port; }
uint64_t cut_line_bytes(const struct cut_line *l) { return atomic_load(&l->bytes); }
bool cut_line_was_cut(const struct cut_line *l) { return atomic_load(&l->was_cut); }

void cut_line_close(struct cut_line *l)
{
    uint64_t one = 1;
    if (l == NULL)
        return;
    if (l->has_thread) {
        (void)!write(l->stop, &one, sizeof one);
        (void)pthread_join(l->thread, NULL);
    }
    for (size_t i = 0; i < CONNECTIONS; i++)
        drop(&l->connections[i]);
    if (l->listener >= 0)
        (void)close(l->listener);
    if (l->stop >= 0)
        (void)close(l->stop);
    free(l->host);
    free(l);
}
