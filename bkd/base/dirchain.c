#include "bkd/base/dirchain.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int dirchain_init(struct dirchain *d, const struct io *io, const char *root, struct error *err)
{
    *d = (struct dirchain){ .io = io, .root_fd = -1 };
    return io_open(io, AT_FDCWD, root, O_PATH | O_DIRECTORY, 0, &d->root_fd, err);
}

void dirchain_done(struct dirchain *d)
{
    for (size_t i = 0; i < d->depth; i++)
        io_close_quietly(d->io, &d->levels[i].fd);
    io_close_quietly(d->io, &d->root_fd);
    buf_done(&d->path);
    buf_done(&d->real);
    free(d->levels);
    free(d->aliases);
    *d = (struct dirchain){ .root_fd = -1 };
}

static void leave_level(struct dirchain *d)
{
    io_close_quietly(d->io, &d->levels[--d->depth].fd);
    d->path.len = d->depth == 0 ? 0 : d->levels[d->depth - 1].path_len;
}

// Levels of the chain that `dir` (relative, n bytes) shares.
static size_t common_depth(const struct dirchain *d, const char *dir, size_t n)
{
    size_t depth = 0;
    while (depth < d->depth) {
        size_t len = d->levels[depth].path_len;
        if (len > n || memcmp(d->path.data, dir, len) != 0 || (len < n && dir[len] != '/'))
            break;
        depth++;
    }
    return depth;
}

static int enter_level(struct dirchain *d, int parent_fd, const char *dir, size_t name_at, size_t name_len, int *ret_fd, struct error *err)
{
    _cleanup_free_ char *name = xstrndup(dir + name_at, name_len);
    int fd = -1;
    int r = io_open(d->io, parent_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, &fd, err); // a directory that may be searched need not be readable
    if (r < 0)
        return error_prefix(err, "'/%.*s'", (int)(name_at + name_len > 512 ? 512 : name_at + name_len), dir);
    if (d->depth == d->cap) {
        d->cap = d->cap == 0 ? 32 : 2 * d->cap;
        d->levels = xrealloc(d->levels, d->cap * sizeof *d->levels);
    }
    d->path.len = d->depth == 0 ? 0 : d->levels[d->depth - 1].path_len;
    if (d->path.len > 0)
        buf_add_char(&d->path, '/');
    buf_add(&d->path, name, name_len);
    d->levels[d->depth++] = (struct dirchain_level){ .fd = fd, .path_len = d->path.len };
    if (d->depth > DIRCHAIN_OPEN_MAX)
        io_close_quietly(d->io, &d->levels[d->depth - 1 - DIRCHAIN_OPEN_MAX].fd);
    *ret_fd = fd;
    return 0;
}

void dirchain_alias(struct dirchain *d, const char *path, const char *place)
{
    d->aliases = xrealloc(d->aliases, (d->n_aliases + 1) * sizeof *d->aliases);
    d->aliases[d->n_aliases++] = (struct dirchain_alias){ path, place };
}

static const char *real_path(struct dirchain *d, const char *path)
{
    for (size_t i = 0; i < d->n_aliases; i++) {
        const struct dirchain_alias *alias = &d->aliases[i];
        size_t n = strcmp(alias->path, "/") == 0 ? 0 : strlen(alias->path);
        if (strncmp(path, alias->path, n) != 0 || (path[n] != '/' && path[n] != '\0'))
            continue;
        buf_reset(&d->real);
        buf_add_str(&d->real, alias->place);
        buf_add_str(&d->real, strcmp(path + n, "/") == 0 ? "" : path + n);
        return buf_str(&d->real);
    }
    return path;
}

int dirchain_parent(struct dirchain *d, const char *path, int *ret_dirfd, const char **ret_name, struct error *err)
{
    path = real_path(d, path);
    while (*path == '/')
        path++;
    if (*path == '\0') {
        *ret_dirfd = d->root_fd;
        *ret_name = ".";
        return 0;
    }
    const char *slash = strrchr(path, '/');
    size_t dir_len = slash == NULL ? 0 : (size_t)(slash - path);
    size_t keep = dir_len == 0 ? 0 : common_depth(d, path, dir_len);
    while (d->depth > keep)
        leave_level(d);
    // A level given up long ago is entered again from the root.
    if (d->depth > 0 && d->levels[d->depth - 1].fd < 0)
        while (d->depth > 0)
            leave_level(d);
    int fd = d->depth == 0 ? d->root_fd : d->levels[d->depth - 1].fd;
    size_t at = d->depth == 0 ? 0 : d->levels[d->depth - 1].path_len + 1;
    while (at < dir_len) {
        const char *end = memchr(path + at, '/', dir_len - at);
        size_t len = end == NULL ? dir_len - at : (size_t)(end - path) - at;
        int r = enter_level(d, fd, path, at, len, &fd, err);
        if (r < 0)
            return r;
        at += len + 1;
    }
    *ret_dirfd = fd;
    *ret_name = slash == NULL ? path : slash + 1;
    return 0;
}
