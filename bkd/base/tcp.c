#include "bkd/base/tcp.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SHARE_MIN_MS 2000u

// 0, or the errno of the failure. *fd is closed and -1 then.
static int try_address(const struct addrinfo *a, unsigned timeout_ms, int *ret_fd)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    int failure = 0;
    if (fd < 0)
        return errno;
    if (connect(fd, a->ai_addr, a->ai_addrlen) < 0)
        failure = errno;
    if (failure == EINPROGRESS) {
        struct pollfd p = { .fd = fd, .events = POLLOUT };
        int ready;
        do
            ready = poll(&p, 1, (int)timeout_ms);
        while (ready < 0 && errno == EINTR);
        socklen_t n = sizeof failure;
        if (ready == 0)
            failure = ETIMEDOUT;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &n) < 0)
            failure = errno;
    }
    if (failure != 0) {
        (void)close(fd);
        return failure;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); // slower without, nothing else
    *ret_fd = fd;
    return 0;
}

int tcp_connect(const struct io *io, const char *host, unsigned port, unsigned timeout_ms, int *ret_fd, struct error *err)
{
    char service[8];
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *list = NULL;
    (void)snprintf(service, sizeof service, "%u", port);
    int got = getaddrinfo(host, service, &hints, &list);
    if (got != 0)
        return error_set(err, ERROR_UNREACHABLE, "host '%s' has no address: %s", host, got == EAI_SYSTEM ? strerror(errno) : gai_strerror(got));
    uint64_t until = io_monotonic_ns(io) + timeout_ms * UINT64_C(1000000);
    int failure = ETIMEDOUT;
    for (const struct addrinfo *a = list; a != NULL && failure != 0; a = a->ai_next) {
        uint64_t now = io_monotonic_ns(io);
        if (now >= until)
            break;
        unsigned left = (unsigned)((until - now) / 1000000), share = a->ai_next == NULL ? left : left / 2;
        failure = try_address(a, share < SHARE_MIN_MS && share < left ? (left < SHARE_MIN_MS ? left : SHARE_MIN_MS) : share, ret_fd);
    }
    freeaddrinfo(list);
    if (failure == 0)
        return 0;
    return error_set(err, ERROR_UNREACHABLE, "no connection to port %u of '%s': %s", port, host, strerror(failure));
}
