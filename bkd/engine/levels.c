#include "bkd/engine/levels.h"

#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "bkd/base/buf.h"

enum { KEEP_OPEN = 128 };

struct level_place level_place_of(const struct statx *st)
{
    return (struct level_place){
        .device = makedev(st->stx_dev_major, st->stx_dev_minor),
        .inode = st->stx_ino,
        .mount = (st->stx_mask & STATX_MNT_ID) != 0 ? st->stx_mnt_id : 0,
    };
}

bool level_same_place(const struct level_place *a, const struct level_place *b)
{
    return a->device == b->device && a->inode == b->inode && a->mount == b->mount;
}

bool level_is_elsewhere(const struct level_place *place, const struct level_place *dir)
{
    return place->device != dir->device || place->mount != dir->mount;
}

void levels_push(struct levels *levels, const struct level *level)
{
    if (levels->depth == levels->cap) {
        levels->cap = levels->cap == 0 ? 32 : 2 * levels->cap;
        levels->items = xrealloc(levels->items, levels->cap * sizeof *levels->items);
    }
    levels->items[levels->depth++] = *level;
    if (levels->depth > KEEP_OPEN)
        io_close_quietly(levels->io, &levels->items[levels->depth - 1 - KEEP_OPEN].fd);
}

// Opens `name` in the directory dirfd; -1 unless it is the directory of that level.
static int open_same(const struct levels *levels, int dirfd, const char *name, const struct level *level)
{
    struct error ignored; // moved, removed or closed to us: all the same here
    struct statx st;
    int fd = -1;
    int flags = (level->is_parent ? O_PATH : O_RDONLY) | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK;
    if (io_open(levels->io, dirfd, name, flags, 0, &fd, &ignored) < 0)
        return -1;
    struct level_place place = { 0 };
    if (io_stat(levels->io, fd, "", AT_EMPTY_PATH, &st, &ignored) == 0)
        place = level_place_of(&st);
    if (!level_same_place(&place, &level->place))
        io_close_quietly(levels->io, &fd);
    return fd;
}

// The descriptor of the deepest level, from the root down. Returns how many of the deepest levels are not where they were; these are left alone.
static size_t find_again(struct levels *levels, const char *path)
{
    int at = -1;
    for (size_t i = 0; i < levels->depth; i++) {
        struct level *level = &levels->items[i];
        size_t start = i == 0 ? 0 : levels->items[i - 1].path_len + 1;
        _cleanup_free_ char *name = i == 0 ? xstrdup("/") : xstrndup(path + start, level->path_len - start);
        int fd = open_same(levels, i == 0 ? AT_FDCWD : at, name, level);
        if (fd < 0) {
            if (i > 0)
                levels->items[i - 1].fd = at;
            return levels->depth - i;
        }
        io_close_quietly(levels->io, &at);
        at = fd;
    }
    levels->items[levels->depth - 1].fd = at;
    return 0;
}

static void leave(struct levels *levels)
{
    struct level *level = &levels->items[--levels->depth];
    io_close_quietly(levels->io, &level->fd);
    spill_free(level->names);
}

size_t levels_pop(struct levels *levels, const char *path)
{
    struct level *child = &levels->items[levels->depth - 1], *above = levels->depth > 1 ? child - 1 : NULL;
    if (above != NULL && above->fd < 0 && child->fd >= 0)
        above->fd = open_same(levels, child->fd, "..", above);
    leave(levels);
    size_t lost = above != NULL && above->fd < 0 ? find_again(levels, path) : 0;
    for (size_t i = 0; i < lost; i++)
        leave(levels);
    return lost;
}

void levels_done(struct levels *levels)
{
    while (levels->depth > 0)
        leave(levels);
    free(levels->items);
    *levels = (struct levels){ 0 };
}
