// A repository in a directory. A put is: file in tmp/ (exclusive) → write → fsync → rename that never overwrites → fsync of the directory.
#include <errno.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/fs.h"
#include "bkd/repo/store.h"

struct store_dir {
    struct store store;
    const struct io *io;
    int fd; // the root
};

static struct store_dir *dir_of(struct store *s) { return (struct store_dir *)s; }

static int name_error(const struct store *s, const char *name, struct error *err) { return error_prefix(err, "repository '%s', '%s'", s->url, name); }

static int dir_spool_open(struct store *s, int *ret_fd, char **ret_name, struct error *err)
{
    struct store_dir *d = dir_of(s);
    uint8_t noise[16];
    char hex[2 * sizeof noise + 1];
    io_random(d->io, noise, sizeof noise);
    format_hex(hex, noise, sizeof noise);
    _cleanup_free_ char *name = xasprintf("tmp/%s", hex);
    int r = fs_make_dirs(d->io, d->fd, "tmp", 0700, err);
    if (r == 0)
        r = io_open(d->io, d->fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, ret_fd, err);
    if (r < 0)
        return error_prefix(err, "repository '%s'", s->url);
    *ret_name = TAKE(name);
    return 0;
}

static void dir_spool_drop(struct store *s, const char *spool_name)
{
    (void)dir_of(s)->io->unlinkat(dir_of(s)->io, dir_of(s)->fd, spool_name, 0); // a leftover in tmp/ is never read
}

static int publish(struct store_dir *d, const char *spool_name, const char *name, struct error *err)
{
    const char *slash = strrchr(name, '/');
    int r = 0;
    if (slash != NULL) {
        _cleanup_free_ char *dir = xstrndup(name, (size_t)(slash - name));
        r = fs_make_dirs(d->io, d->fd, dir, 0700, err);
    }
    if (r == 0)
        r = io_rename_new(d->io, d->fd, spool_name, d->fd, name, err);
    return r < 0 ? r : fs_sync_parent(d->io, d->fd, name, err);
}

static int dir_put_spool(struct store *s, const char *name, int fd, const char *spool_name, struct error *err)
{
    struct store_dir *d = dir_of(s);
    int r = io_fsync(d->io, fd, spool_name, err);
    struct error late;
    int closed = io_close(d->io, &fd, spool_name, r == 0 ? err : &late);
    r = r == 0 ? closed : r;
    if (r == 0)
        r = publish(d, spool_name, name, err);
    if (r < 0) {
        dir_spool_drop(s, spool_name);
        return name_error(s, name, err);
    }
    return 0;
}

static int dir_put(struct store *s, const char *name, const void *data, size_t n, struct error *err)
{
    struct store_dir *d = dir_of(s);
    _cleanup_free_ char *spool_name = NULL;
    int fd = -1;
    int r = dir_spool_open(s, &fd, &spool_name, err);
    if (r < 0)
        return r;
    r = io_write_all(d->io, fd, data, n, spool_name, err);
    if (r == 0)
        return dir_put_spool(s, name, fd, spool_name, err);
    io_close_quietly(d->io, &fd);
    dir_spool_drop(s, spool_name);
    return name_error(s, name, err);
}

static int dir_get(struct store *s, const char *name, uint64_t offset, void *data, size_t n, struct error *err)
{
    struct store_dir *d = dir_of(s);
    int fd = -1;
    size_t got = 0;
    int r = io_open(d->io, d->fd, name, O_RDONLY | O_NOFOLLOW | O_NOCTTY, 0, &fd, err);
    if (r == 0)
        r = io_pread_full(d->io, fd, data, n, offset, name, &got, err);
    io_close_quietly(d->io, &fd);
    if (r < 0)
        return name_error(s, name, err);
    if (got != n)
        return error_set(err, ERROR_INTEGRITY, "'%s' in repository '%s' is too short: %zu bytes at %llu are wanted, %zu are there", name, s->url, n,
                         (unsigned long long)offset, got);
    return 0;
}

static int dir_size(struct store *s, const char *name, uint64_t *ret_size, struct error *err)
{
    struct statx st;
    int r = io_stat(dir_of(s)->io, dir_of(s)->fd, name, AT_SYMLINK_NOFOLLOW, &st, err);
    if (r < 0)
        return name_error(s, name, err);
    if (!S_ISREG(st.stx_mode))
        return error_set(err, ERROR_INTEGRITY, "'%s' in repository '%s' is not a regular file", name, s->url);
    *ret_size = st.stx_size;
    return 0;
}

struct listing {
    struct store *store;
    const char *dir; // relative to the root, "" = the root
    store_visit_fn *visit;
    void *arg;
};

static int dir_list(struct store *s, const char *dir, store_visit_fn *visit, void *arg, struct error *err);

static int visit_name(void *arg, const char *name, unsigned char type, struct error *err)
{
    struct listing *l = arg;
    struct store_dir *d = dir_of(l->store);
    bool at_root = l->dir[0] == '\0';
    if ((at_root && strcmp(name, "tmp") == 0) || strstr(name, ".part-") != NULL)
        return 0;
    _cleanup_free_ char *path = xasprintf("%s%s%s", l->dir, at_root ? "" : "/", name);
    struct statx st;
    if (type == DT_DIR)
        return dir_list(l->store, path, l->visit, l->arg, err);
    if (d->io->statx(d->io, d->fd, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st) < 0)
        return errno == ENOENT ? 0 : error_set_errno(err, errno, "stat '%s' in repository '%s'", path, l->store->url);
    if (S_ISDIR(st.stx_mode)) // file systems that do not tell types in listings
        return dir_list(l->store, path, l->visit, l->arg, err);
    return l->visit(l->arg, path, st.stx_size, err);
}

static int dir_list(struct store *s, const char *dir, store_visit_fn *visit, void *arg, struct error *err)
{
    struct listing l = { s, dir, visit, arg };
    int r = fs_list_dir(dir_of(s)->io, dir_of(s)->fd, dir[0] == '\0' ? "." : dir, visit_name, &l, err);
    return r == ERROR_NOT_FOUND ? 0 : r;
}

static int dir_remove(struct store *s, const char *name, struct error *err)
{
    int r = io_unlink(dir_of(s)->io, dir_of(s)->fd, name, 0, err);
    return r < 0 ? name_error(s, name, err) : fs_sync_parent(dir_of(s)->io, dir_of(s)->fd, name, err);
}

static void dir_close(struct store *s)
{
    io_close_quietly(dir_of(s)->io, &dir_of(s)->fd);
    free(s->url);
    free(s);
}

static const struct store_ops dir_ops = {
    .put = dir_put, .put_spool = dir_put_spool, .spool_open = dir_spool_open, .spool_drop = dir_spool_drop, .get = dir_get,
    .size = dir_size, .list = dir_list, .remove = dir_remove, .close = dir_close,
};

int store_dir_open(const struct io *io, const char *path, bool create, struct store **ret_store, struct error *err)
{
    int fd = -1;
    int r = create ? fs_make_dirs(io, AT_FDCWD, path, 0700, err) : 0;
    if (r == 0)
        r = io_open(io, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (r < 0)
        return error_prefix(err, "repository '%s'", path);
    struct store_dir *d = xcalloc(1, sizeof *d);
    *d = (struct store_dir){ .store = { .ops = &dir_ops, .url = xstrdup(path) }, .io = io, .fd = fd };
    *ret_store = &d->store;
    return 0;
}
