#include "restore/target.h"

#include <errno.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "bkd/base/fs.h"

enum { KEEP_OPEN = 64 }; // levels of a deep path that stay open

struct target_level {
    struct target_dir *dir; // NULL when it was given up to save descriptors
    struct target_id id;
    size_t path_len;
    bool made;
};

struct target_dir *target_ref(struct target_dir *d)
{
    atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
    return d;
}

void target_unref(struct target_dir *d)
{
    if (d == NULL || atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) != 1)
        return;
    atomic_fetch_sub_explicit(&d->target->open_dirs, 1, memory_order_relaxed);
    io_close_quietly(d->target->io, &d->fd);
    free(d);
}

static struct target_id id_of(const struct statx *st)
{
    return (struct target_id){ makedev(st->stx_dev_major, st->stx_dev_minor), st->stx_ino };
}

static struct target_dir *dir_new(struct target *t, int fd, const struct statx *st, bool made)
{
    struct target_dir *d = xcalloc(1, sizeof *d);
    d->target = t;
    d->fd = fd;
    atomic_init(&d->refs, 1);
    d->id = id_of(st);
    d->made = made;
    // On Linux a new file takes the directory's group where the directory is setgid or the mount says so.
    d->plain_owner = (st->stx_mode & S_ISGID) == 0 && (!made || (st->stx_gid == t->gid && st->stx_uid == t->uid));
    d->imposes_acl = fgetxattr(fd, "system.posix_acl_default", NULL, 0) > 0;
    atomic_fetch_add_explicit(&t->open_dirs, 1, memory_order_relaxed);
    return d;
}

int target_id_of(const struct io *io, int fd, struct target_id *ret_id, struct error *err)
{
    struct statx st;
    int r = io_stat(io, fd, "", AT_EMPTY_PATH, &st, err);
    if (r == 0)
        *ret_id = id_of(&st);
    return r;
}

static int open_root(struct target *t, const char *path, bool made, struct error *err)
{
    int fd = -1;
    struct statx st;
    int r = io_open(t->io, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd, err);
    if (r < 0 && (err->os_errno == ENOTDIR || err->os_errno == ELOOP))
        return error_set(err, ERROR_USAGE,
                         "target '%s' is not a directory (links are not followed): name a directory, or one that does not exist yet", path);
    if (r < 0)
        return error_prefix(err, "target");
    r = io_stat(t->io, fd, "", AT_EMPTY_PATH, &st, err);
    if (r < 0) {
        io_close_quietly(t->io, &fd);
        return r;
    }
    t->root = dir_new(t, fd, &st, made);
    return 0;
}

// A slash at the end would make the kernel follow a link.
static char *bare_path(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    return xstrndup(path, n);
}

int target_open(struct target *t, const struct io *io, const char *path, struct error *err)
{
    *t = (struct target){ .io = io, .name = xstrdup(path), .uid = geteuid(), .gid = getegid() };
    _cleanup_free_ char *bare = bare_path(path);
    char *slash = strrchr(bare, '/');
    if (slash != NULL && slash != bare) {
        *slash = '\0';
        int r = fs_make_dirs(io, AT_FDCWD, bare, 0755, err);
        if (r < 0)
            return error_prefix(err, "target '%s'", path);
        *slash = '/';
    }
    bool made = io->mkdirat(io, AT_FDCWD, bare, 0700) == 0;
    if (!made && errno != EEXIST)
        return error_set_errno(err, errno, "make target directory '%s'", path);
    return open_root(t, bare, made, err);
}

int target_open_existing(struct target *t, const struct io *io, const char *path, bool *ret_exists, struct error *err)
{
    *t = (struct target){ .io = io, .name = xstrdup(path), .uid = geteuid(), .gid = getegid() };
    _cleanup_free_ char *bare = bare_path(path);
    int r = open_root(t, bare, false, err);
    *ret_exists = r == 0;
    return r == ERROR_NOT_FOUND ? 0 : r;
}

int target_open_nearest(const struct io *io, const char *path, int *ret_fd, struct error *err)
{
    _cleanup_free_ char *nearest = xstrdup(path);
    for (;;) {
        int r = io_open(io, AT_FDCWD, nearest, O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
        char *slash = strrchr(nearest, '/');
        if (r == 0 || strcmp(nearest, "/") == 0 || strcmp(nearest, ".") == 0)
            return r;
        if (slash == NULL)
            (void)strcpy(nearest, "."); // it has at least one byte: it was not "." and not "/"
        else
            slash[slash == nearest] = '\0';
    }
}

int target_is_within(const struct io *io, int fd, const struct target_id *dir, bool *ret_within, struct error *err)
{
    struct target_id id, above;
    int at = -1, up = -1;
    int r = io_open(io, fd, ".", O_PATH | O_DIRECTORY, 0, &at, err);
    if (r == 0)
        r = target_id_of(io, at, &id, err);
    *ret_within = r == 0 && target_id_equal(&id, dir);
    for (bool top = false; r == 0 && !*ret_within && !top; id = above) {
        r = io_open(io, at, "..", O_PATH | O_DIRECTORY, 0, &up, err);
        if (r == 0)
            r = target_id_of(io, up, &above, err);
        if (r < 0)
            break;
        io_close_quietly(io, &at);
        at = up, up = -1;
        *ret_within = target_id_equal(&above, dir);
        top = target_id_equal(&above, &id);
    }
    io_close_quietly(io, &up);
    io_close_quietly(io, &at);
    return r;
}

static void leave_level(struct target *t)
{
    struct target_level *level = &t->levels[--t->depth];
    target_unref(level->dir);
    t->path.len = t->depth == 0 ? 0 : t->levels[t->depth - 1].path_len;
}

void target_done(struct target *t)
{
    while (t->depth > 0)
        leave_level(t);
    free(t->levels);
    buf_done(&t->path);
    target_unref(t->root);
    free(t->name);
    *t = (struct target){ 0 };
}

// Opens a component and checks that it is the directory it was before.
static int reopen(struct target *t, int parent_fd, const char *name, const struct target_level *level, int *ret_fd, struct error *err)
{
    int fd = -1;
    struct target_id id;
    int r = io_open(t->io, parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd, err);
    if (r == 0)
        r = target_id_of(t->io, fd, &id, err);
    if (r == 0 && !target_id_equal(&id, &level->id))
        r = error_set(err, ERROR_FAILED, "directory '%s' below the target was replaced by somebody during the restore", name);
    if (r < 0)
        io_close_quietly(t->io, &fd);
    else
        *ret_fd = fd;
    return r;
}

// Gets the descriptor of a level back that was given up: down from the nearest ancestor still held.
static int regain(struct target *t, size_t index, struct error *err)
{
    size_t from = index;
    while (from > 0 && t->levels[from - 1].dir == NULL)
        from--;
    struct target_dir *parent = target_ref(from == 0 ? t->root : t->levels[from - 1].dir);
    int r = 0;
    for (size_t i = from; r == 0 && i <= index; i++) {
        size_t start = i == 0 ? 0 : t->levels[i - 1].path_len + 1;
        _cleanup_free_ char *name = xstrndup((const char *)t->path.data + start, t->levels[i].path_len - start);
        int fd = -1;
        struct statx st;
        r = reopen(t, parent->fd, name, &t->levels[i], &fd, err);
        if (r == 0)
            r = io_stat(t->io, fd, "", AT_EMPTY_PATH, &st, err);
        if (r < 0) {
            io_close_quietly(t->io, &fd);
            break;
        }
        target_unref(parent);
        parent = dir_new(t, fd, &st, t->levels[i].made);
    }
    if (r == 0)
        t->levels[index].dir = target_ref(parent);
    target_unref(parent);
    return r;
}

int target_parent(struct target *t, const char *path, size_t n, struct target_dir **ret_dir, const char **ret_name, struct error *err)
{
    const char *slash = memrchr(path, '/', n);
    size_t dir_len = slash == NULL ? 0 : (size_t)(slash - path);
    while (t->depth > 0 &&
           (t->path.len > dir_len || memcmp(t->path.data, path, t->path.len) != 0 || (t->path.len < dir_len && path[t->path.len] != '/')))
        leave_level(t);
    if (t->path.len != dir_len)
        return error_set(err, ERROR_INTEGRITY, "the manifest has an entry without its directory; it was refused");
    if (t->depth > 0 && t->levels[t->depth - 1].dir == NULL) {
        int r = regain(t, t->depth - 1, err);
        if (r < 0)
            return r;
    }
    *ret_dir = t->depth == 0 ? t->root : t->levels[t->depth - 1].dir;
    *ret_name = slash == NULL ? path : slash + 1;
    return 0;
}

static void push_level(struct target *t, struct target_dir *dir, const char *path, size_t n)
{
    if (t->depth == t->cap) {
        t->cap = t->cap == 0 ? 32 : 2 * t->cap;
        t->levels = xrealloc(t->levels, t->cap * sizeof *t->levels);
    }
    t->levels[t->depth++] = (struct target_level){ .dir = dir, .id = dir->id, .path_len = n, .made = dir->made };
    buf_reset(&t->path);
    buf_add(&t->path, path, n);
    if (t->depth > KEEP_OPEN) {
        struct target_level *old = &t->levels[t->depth - 1 - KEEP_OPEN];
        target_unref(old->dir);
        old->dir = NULL;
    }
}

int target_mkdir(struct target *t, const char *path, size_t n, struct target_dir **ret_dir, struct error *err)
{
    struct target_dir *parent;
    const char *last;
    int r = target_parent(t, path, n, &parent, &last, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *name = xstrndup(last, n - (size_t)(last - path));
    bool made = t->io->mkdirat(t->io, parent->fd, name, 0700) == 0;
    if (!made && errno != EEXIST)
        return error_set_errno(err, errno, "make directory '%s'", name);
    int fd = -1;
    struct statx st;
    r = io_open(t->io, parent->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd, err);
    if (r < 0 && (err->os_errno == ENOTDIR || err->os_errno == ELOOP))
        return error_set(err, ERROR_EXISTS, "the target has something else than a directory of this name");
    if (r == 0)
        r = io_stat(t->io, fd, "", AT_EMPTY_PATH, &st, err);
    // Between mkdir and open somebody else may have put another directory there: ours belongs to us.
    if (r == 0 && made && st.stx_uid != t->uid)
        r = error_set(err, ERROR_FAILED, "directory '%s' below the target was replaced by somebody during the restore", name);
    if (r < 0) {
        io_close_quietly(t->io, &fd);
        return r;
    }
    *ret_dir = dir_new(t, fd, &st, made);
    push_level(t, *ret_dir, path, n);
    return 0;
}

void target_claim(struct target *t, struct target_dir *d)
{
    d->made = true;
    t->levels[t->depth - 1].made = true;
}

static int see_entry(void *arg, const char *name, unsigned char type, struct error *err)
{
    (void)name, (void)type, (void)err;
    *(bool *)arg = false;
    return 1;
}

int target_is_empty(struct target *t, bool *ret_empty, struct error *err)
{
    bool empty = true;
    int r = fs_list_dir(t->io, t->root->fd, ".", see_entry, &empty, err);
    if (r < 0)
        return r;
    *ret_empty = empty;
    return 0;
}
