#include "bkd/dr/inside.h"

#include <errno.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bkd/base/buf.h"

int inside_open(int tree_fd, const char *path, int flags, int *ret_fd, struct error *err)
{
    struct open_how how = { .flags = (uint64_t)(unsigned)flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
    int fd;
    do
        fd = (int)syscall(SYS_openat2, tree_fd, path, &how, sizeof how);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return error_set_errno(err, errno, "open '%s' in the restored tree", path);
    *ret_fd = fd;
    return 0;
}

int inside_path(const struct io *io, int tree_fd, const char *path, char **ret_path, struct error *err)
{
    char link[64], target[PATH_MAX];
    int fd = -1;
    int r = inside_open(tree_fd, path, O_PATH, &fd, err);
    if (r < 0)
        return r;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = io->readlinkat(io, AT_FDCWD, link, target, sizeof target);
    int failure = n < 0 ? errno : (size_t)n == sizeof target ? ENAMETOOLONG : 0;
    io_close_quietly(io, &fd);
    if (failure != 0)
        return error_set_errno(err, failure, "find out where '%s' of the restored tree is", path);
    *ret_path = xstrndup(target, (size_t)n);
    return 0;
}
