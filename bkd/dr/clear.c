#include "bkd/dr/clear.h"

#include <dirent.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>

#include "bkd/base/fs.h"

enum { MOVED_NAME_SIZE = 40 };

struct clearing {
    const struct io *io;
    int top_fd;
    int dir_fd;      // whose entries are being looked at
    uint64_t moved;  // names given at the top
    bool progress;   // this pass over the top
};

// Takes away what keeps it from being removed or entered: immutable and append-only flags, missing permissions.
static void loosen(const struct clearing *c, int dirfd, const char *name, bool is_dir)
{
    (void)!fchmodat(dirfd, name, is_dir ? 0700 : 0600, 0);
    int fd = c->io->openat(c->io, dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (is_dir ? O_DIRECTORY : 0), 0);
    if (fd < 0)
        return; // what follows says why
    (void)c->io->setflags(c->io, fd, 0, FS_IMMUTABLE_FL | FS_APPEND_FL);
    (void)c->io->fchmod(c->io, fd, is_dir ? 0700 : 0600);
    io_close_quietly(c->io, &fd);
}

static bool is_directory(const struct clearing *c, int dirfd, const char *name, unsigned char type)
{
    struct statx st;
    struct error ignored;
    if (type != DT_UNKNOWN)
        return type == DT_DIR;
    return io_stat(c->io, dirfd, name, AT_SYMLINK_NOFOLLOW, &st, &ignored) == 0 && S_ISDIR(st.stx_mode);
}

static int unlink_file(const struct clearing *c, int dirfd, const char *name, unsigned char type, struct error *err)
{
    if (c->io->unlinkat(c->io, dirfd, name, 0) == 0)
        return 0;
    if (type == DT_REG || type == DT_UNKNOWN)
        loosen(c, dirfd, name, false);
    return io_unlink(c->io, dirfd, name, 0, err);
}

static int clear_entry(void *arg, const char *name, unsigned char type, struct error *err)
{
    struct clearing *c = arg;
    char moved[MOVED_NAME_SIZE];
    if (!is_directory(c, c->dir_fd, name, type))
        return unlink_file(c, c->dir_fd, name, type, err);
    if (c->io->unlinkat(c->io, c->dir_fd, name, AT_REMOVEDIR) == 0)
        return 0;
    loosen(c, c->dir_fd, name, true); // moving it writes its ".."
    (void)snprintf(moved, sizeof moved, "bkd-moved-%llu", (unsigned long long)c->moved++);
    return io_rename_new(c->io, c->dir_fd, name, c->top_fd, moved, err);
}

// Empties one directory of the top level: its directories come up, and are found by the next pass.
static int clear_directory(struct clearing *c, const char *name, struct error *err)
{
    int r;
    if (c->io->unlinkat(c->io, c->top_fd, name, AT_REMOVEDIR) == 0)
        return 0;
    loosen(c, c->top_fd, name, true);
    r = io_open(c->io, c->top_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &c->dir_fd, err);
    if (r < 0)
        return r;
    r = fs_list_dir(c->io, c->dir_fd, ".", clear_entry, c, err);
    io_close_quietly(c->io, &c->dir_fd);
    return r < 0 ? r : io_unlink(c->io, c->top_fd, name, AT_REMOVEDIR, err);
}

static int clear_top_entry(void *arg, const char *name, unsigned char type, struct error *err)
{
    struct clearing *c = arg;
    c->progress = true;
    return is_directory(c, c->top_fd, name, type) ? clear_directory(c, name, err) : unlink_file(c, c->top_fd, name, type, err);
}

int clear_tree(const struct io *io, const char *path, struct error *err)
{
    struct clearing c = { .io = io, .top_fd = -1, .dir_fd = -1, .progress = true };
    loosen(&c, AT_FDCWD, path, true);
    int r = io_open(io, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &c.top_fd, err);
    if (r == ERROR_NOT_FOUND)
        return 0;
    while (r == 0 && c.progress) {
        c.progress = false;
        r = fs_list_dir(io, c.top_fd, ".", clear_top_entry, &c, err);
    }
    io_close_quietly(io, &c.top_fd);
    return r < 0 ? error_prefix(err, "below '%s'", path) : io_unlink(io, AT_FDCWD, path, AT_REMOVEDIR, err);
}
