#include "bkd/base/local_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 128 };

// Through an open descriptor of the directory the address is short, however deep it lies.
static int make_address(const char *dir, const char *name, int *ret_dirfd, struct sockaddr_un *ret_address, struct error *err)
{
    int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return error_set_errno(err, errno, "open directory '%s'", dir);
    *ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    (void)snprintf(ret_address->sun_path, sizeof ret_address->sun_path, "/proc/self/fd/%d/%s", dirfd, name);
    *ret_dirfd = dirfd;
    return 0;
}

static int bind_and_listen(int fd, int dirfd, const char *name, const struct sockaddr_un *address)
{
    mode_t mask = umask(0177);
    (void)unlinkat(dirfd, name, 0);
    int r = bind(fd, (const struct sockaddr *)address, sizeof *address);
    (void)umask(mask);
    return r < 0 ? r : listen(fd, BACKLOG);
}

int local_socket_listen(const char *dir, const char *name, int *ret_fd, struct error *err)
{
    struct sockaddr_un address;
    int dirfd, r = make_address(dir, name, &dirfd, &address, err);
    if (r < 0)
        return r;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind_and_listen(fd, dirfd, name, &address) < 0) {
        r = error_set_errno(err, errno, "listen at '%s/%s'", dir, name);
        if (fd >= 0)
            (void)close(fd);
        fd = -1;
    }
    (void)close(dirfd);
    if (r == 0)
        *ret_fd = fd;
    return r;
}

static int connect_to(int fd, const struct sockaddr_un *address, unsigned timeout_ms)
{
    struct timeval limit = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit); // connect(2), too
    return connect(fd, (const struct sockaddr *)address, sizeof *address);
}

int local_socket_connect(const char *dir, const char *name, unsigned timeout_ms, int *ret_fd, struct error *err)
{
    struct sockaddr_un address;
    int dirfd, r = make_address(dir, name, &dirfd, &address, err);
    if (r < 0)
        return r;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect_to(fd, &address, timeout_ms) < 0) {
        int os_errno = errno == ECONNREFUSED ? ENOENT : errno; // a name that a killed process left
        r = error_set_errno(err, os_errno, "connect to '%s/%s'", dir, name);
        if (fd >= 0)
            (void)close(fd);
    } else {
        *ret_fd = fd;
    }
    (void)close(dirfd);
    return r;
}

int local_socket_peer(int fd, uid_t *ret_uid, pid_t *ret_pid, struct error *err)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return error_set_errno(err, errno, "ask who is at the other end of a socket");
    *ret_uid = peer.uid;
    *ret_pid = peer.pid;
    return 0;
}
