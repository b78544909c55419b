#include "restore/prune.h"

#include <errno.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "bkd/base/fs.h"

void prune_done(struct prune *p)
{
    buf_done(&p->path);
    buf_done(&p->why);
}

static bool keep(struct prune *p, const char *name, const char *why)
{
    p->kept++;
    if (p->why.len == 0)
        buf_addf(&p->why, "'%s': %s", name, why);
    return false;
}

static bool is_spared(const struct prune *p, const struct statx *st)
{
    struct target_id id = { makedev(st->stx_dev_major, st->stx_dev_minor), st->stx_ino };
    for (size_t i = 0; i < p->n_spared; i++)
        if (target_id_equal(&id, &p->spared[i]))
            return true;
    return false;
}

static bool is_mount(const struct io *io, int dirfd, const struct statx *st)
{
    struct statx above;
    if ((st->stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0)
        return (st->stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
    return io->statx(io, dirfd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &above) < 0 || above.stx_dev_major != st->stx_dev_major ||
           above.stx_dev_minor != st->stx_dev_minor;
}

struct level {
    struct prune *prune;
    int fd;
    bool whole; // nothing of it stays
};

static int visit(void *arg, const char *name, unsigned char type, struct error *err)
{
    struct level *level = arg;
    (void)type, (void)err;
    struct buf *path = &level->prune->path;
    size_t n = path->len;
    buf_add_char(path, '/');
    buf_add_str(path, name);
    if (!prune_name(level->prune, level->fd, name))
        level->whole = false;
    path->len = n;
    path->data[n] = '\0';
    return 0;
}

// The directory is opened without following and must be the one that was looked at.
static bool prune_dir(struct prune *p, int dirfd, const char *name, const struct statx *st)
{
    struct error err;
    struct target_id id;
    struct level level = { .prune = p, .fd = -1, .whole = true };
    struct target_id seen = { makedev(st->stx_dev_major, st->stx_dev_minor), st->stx_ino };
    int r = io_open(p->io, dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &level.fd, &err);
    if (r == 0)
        r = target_id_of(p->io, level.fd, &id, &err);
    if (r == 0 && !target_id_equal(&id, &seen))
        r = error_set(&err, ERROR_FAILED, "it was replaced by somebody");
    if (r == 0)
        r = fs_list_dir(p->io, level.fd, ".", visit, &level, &err);
    io_close_quietly(p->io, &level.fd);
    return r < 0 ? keep(p, name, err.text) : level.whole;
}

bool prune_name(struct prune *p, int dirfd, const char *name)
{
    struct statx st;
    if (p->io->statx(p->io, dirfd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st) < 0)
        return errno == ENOENT ? true : keep(p, name, strerror(errno));
    bool is_dir = S_ISDIR(st.stx_mode);
    if (p->stays != NULL && p->stays(p->arg, buf_str(&p->path), is_dir))
        return false;
    if (is_dir && is_mount(p->io, dirfd, &st))
        return keep(p, name, "something is mounted there");
    if (is_dir && is_spared(p, &st))
        return keep(p, name, "the repository lies there");
    if (is_dir && !prune_dir(p, dirfd, name, &st))
        return false;
    if (!p->count_only && p->io->unlinkat(p->io, dirfd, name, is_dir ? AT_REMOVEDIR : 0) < 0 && errno != ENOENT)
        return keep(p, name, strerror(errno));
    p->removed++;
    return true;
}
