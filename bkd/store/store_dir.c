// A store in a directory. Files are written in tmp/ and reach their names by rename without overwriting.
//
// Names come from this program or from listings of the store; they are opened relative to the store's directory.
#include <errno.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/fs.h"
#include "bkd/store/store.h"

#define SPOOL_DIR "tmp"
#define SPOOL_GRACE_S 60u

struct store_dir {
    struct store store;
    const struct io *io;
    int fd; // of the directory
    bool swept; // leftovers in tmp/ were looked for
};

static struct store_dir *dir_of(struct store *s) { return (struct store_dir *)s; }

// Says where: messages of io name only the path within the store.
static int in_store(const struct store *s, int r, struct error *err) { return r < 0 ? error_prefix(err, "repository %s", s->url) : r; }

static int make_parent(struct store_dir *d, const char *name, struct error *err)
{
    const char *slash = strrchr(name, '/');
    if (slash == NULL)
        return 0;
    _cleanup_free_ char *parent = xstrndup(name, (size_t)(slash - name));
    struct statx st;
    if (d->io->statx(d->io, d->fd, parent, 0, STATX_TYPE, &st) == 0 && S_ISDIR(st.stx_mode))
        return 0;
    return fs_make_dirs(d->io, d->fd, parent, 0700, err);
}

// Spool files of runs that were killed go away: nobody holds their lock, and they are old enough that their maker has locked them by now.
static int sweep_file(void *arg, const char *name, unsigned char type, struct error *err)
{
    struct store_dir *d = arg;
    struct statx st;
    int fd = -1;
    _cleanup_free_ char *path = xasprintf(SPOOL_DIR "/%s", name);
    (void)type;
    if (io_open(d->io, d->fd, path, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0, &fd, err) < 0)
        return 0;
    uint64_t now_s = io_realtime_ns(d->io) / 1000000000u;
    bool old = io_stat(d->io, fd, "", AT_EMPTY_PATH, &st, err) == 0 && st.stx_mtime.tv_sec >= 0 && now_s > (uint64_t)st.stx_mtime.tv_sec + SPOOL_GRACE_S;
    if (old && fs_try_lock(fd))
        (void)d->io->unlinkat(d->io, d->fd, path, 0); // tried again by the next run
    io_close_quietly(d->io, &fd);
    return 0;
}

static void sweep_spool(struct store_dir *d)
{
    struct error ignored; // leftovers take space, nothing else
    if (!d->swept)
        (void)!fs_list_dir(d->io, d->fd, SPOOL_DIR, sweep_file, d, &ignored);
    d->swept = true;
}

static int spool_open(struct store *s, int *ret_fd, char **ret_name, struct error *err)
{
    struct store_dir *d = dir_of(s);
    uint8_t noise[8];
    char hex[2 * sizeof noise + 1];
    io_random(d->io, noise, sizeof noise);
    format_hex(hex, noise, sizeof noise);
    _cleanup_free_ char *name = xasprintf(SPOOL_DIR "/%s", hex);
    int r = make_parent(d, name, err);
    if (r == 0)
        r = io_open(d->io, d->fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, ret_fd, err);
    if (r < 0)
        return in_store(s, r, err);
    (void)!fs_try_lock(*ret_fd); // where locks do not work, only the file's age protects it from being swept
    sweep_spool(d);
    *ret_name = TAKE(name);
    return 0;
}

static void spool_drop(struct store *s, const char *spool_name)
{
    struct store_dir *d = dir_of(s);
    (void)d->io->unlinkat(d->io, d->fd, spool_name, 0); // a file left in tmp/ is never read
}

// Durable first, named second: a file under its final name is complete after a power cut too.
static int commit_spool(struct store_dir *d, const char *name, int fd, const char *spool_name, struct error *err)
{
    int r = io_fsync(d->io, fd, spool_name, err);
    struct error late;
    int closed = io_close(d->io, &fd, spool_name, r == 0 ? err : &late);
    r = r == 0 ? closed : r;
    if (r == 0)
        r = make_parent(d, name, err);
    if (r == 0)
        r = io_rename_new(d->io, d->fd, spool_name, d->fd, name, err);
    if (r < 0)
        spool_drop(&d->store, spool_name);
    return r < 0 ? r : fs_sync_parent(d->io, d->fd, name, err);
}

static int put_spool(struct store *s, const char *name, int fd, const char *spool_name, struct error *err)
{
    struct store_dir *d = dir_of(s);
    int r = store_check_name(s, name, err);
    if (r < 0) {
        io_close_quietly(d->io, &fd);
        spool_drop(s, spool_name);
        return r;
    }
    return in_store(s, commit_spool(d, name, fd, spool_name, err), err);
}

static int put(struct store *s, const char *name, const void *data, size_t n, struct error *err)
{
    struct store_dir *d = dir_of(s);
    int fd = -1;
    _cleanup_free_ char *spool_name = NULL;
    int r = store_check_name(s, name, err);
    if (r == 0)
        r = spool_open(s, &fd, &spool_name, err);
    if (r < 0)
        return r;
    r = io_write_all(d->io, fd, data, n, spool_name, err);
    if (r < 0) {
        io_close_quietly(d->io, &fd);
        spool_drop(s, spool_name);
        return in_store(s, r, err);
    }
    return put_spool(s, name, fd, spool_name, err);
}

static int open_file(struct store *s, const char *name, int *ret_fd, struct error *err)
{
    struct store_dir *d = dir_of(s);
    int r = store_check_name(s, name, err);
    return r < 0 ? r : in_store(s, io_open(d->io, d->fd, name, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0, ret_fd, err), err);
}

static int get(struct store *s, const char *name, uint64_t offset, void *data, size_t n, struct error *err)
{
    struct store_dir *d = dir_of(s);
    int fd = -1;
    int r = store_check_name(s, name, err);
    if (r < 0)
        return r;
    r = io_open(d->io, d->fd, name, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0, &fd, err);
    if (r < 0)
        return in_store(s, r, err);
    size_t got = 0;
    r = io_pread_full(d->io, fd, data, n, offset, name, &got, err);
    io_close_quietly(d->io, &fd);
    if (r == 0 && got < n)
        r = error_set(err, ERROR_INTEGRITY, "'%s' ends at byte %llu, but bytes up to %llu are needed: it was cut off", name,
                      (unsigned long long)(offset + got), (unsigned long long)(offset + n));
    return in_store(s, r, err);
}

static int size(struct store *s, const char *name, uint64_t *ret_size, struct error *err)
{
    struct store_dir *d = dir_of(s);
    struct statx st;
    int r = store_check_name(s, name, err);
    if (r < 0)
        return r;
    r = io_stat(d->io, d->fd, name, 0, &st, err);
    if (r == 0 && !S_ISREG(st.stx_mode))
        r = error_set(err, ERROR_INTEGRITY, "'%s' is not a regular file", name);
    if (r < 0)
        return in_store(s, r, err);
    *ret_size = st.stx_size;
    return 0;
}

static int modified(struct store *s, const char *name, uint64_t *ret_time_ns, struct error *err)
{
    struct store_dir *d = dir_of(s);
    struct statx st;
    int r = store_check_name(s, name, err);
    if (r == 0)
        r = io_stat(d->io, d->fd, name, AT_SYMLINK_NOFOLLOW, &st, err);
    if (r == 0)
        *ret_time_ns = st.stx_mtime.tv_sec < 0 ? 0 : (uint64_t)st.stx_mtime.tv_sec * 1000000000u + st.stx_mtime.tv_nsec;
    return in_store(s, r, err);
}

static int space(struct store *s, uint64_t *ret_free, uint64_t *ret_total, struct error *err)
{
    struct store_dir *d = dir_of(s);
    struct statvfs st;
    if (d->io->fstatvfs(d->io, d->fd, &st) < 0)
        return in_store(s, error_set_errno(err, errno, "ask for free space"), err);
    *ret_free = (uint64_t)st.f_bavail * st.f_frsize;
    *ret_total = (uint64_t)st.f_blocks * st.f_frsize;
    return 0;
}

struct listing {
    struct store_dir *d;
    const char *dir; // "" for the top
    store_visit_fn *visit;
    void *arg;
};

static int list_below(struct store_dir *d, const char *dir, store_visit_fn *visit, void *arg, struct error *err);

static int list_entry(void *arg, const char *name, unsigned char type, struct error *err)
{
    const struct listing *l = arg;
    if (strstr(name, ".part-") != NULL || (l->dir[0] == '\0' && strcmp(name, SPOOL_DIR) == 0))
        return 0;
    _cleanup_free_ char *path = l->dir[0] == '\0' ? xstrdup(name) : xasprintf("%s/%s", l->dir, name);
    uint64_t size_bytes = UINT64_MAX;
    if (type == DT_UNKNOWN) {
        struct statx st;
        int r = io_stat(l->d->io, l->d->fd, path, AT_SYMLINK_NOFOLLOW, &st, err);
        if (r < 0)
            return r;
        type = S_ISDIR(st.stx_mode) ? DT_DIR : DT_REG;
        size_bytes = st.stx_size;
    }
    return type == DT_DIR ? list_below(l->d, path, l->visit, l->arg, err) : l->visit(l->arg, path, size_bytes, err);
}

static int list_below(struct store_dir *d, const char *dir, store_visit_fn *visit, void *arg, struct error *err)
{
    struct listing l = { d, dir, visit, arg };
    return fs_list_dir(d->io, d->fd, dir[0] == '\0' ? "." : dir, list_entry, &l, err);
}

static int list(struct store *s, const char *dir, store_visit_fn *visit, void *arg, struct error *err)
{
    struct store_dir *d = dir_of(s);
    size_t n = strlen(dir);
    _cleanup_free_ char *path = xstrndup(dir, n > 0 && dir[n - 1] == '/' ? n - 1 : n);
    if (path[0] != '\0') {
        struct statx st;
        int r = store_check_name(s, path, err);
        if (r < 0)
            return r;
        r = io_stat(d->io, d->fd, path, 0, &st, err);
        if (r < 0)
            return r == ERROR_NOT_FOUND ? 0 : in_store(s, r, err);
    }
    return list_below(d, path, visit, arg, err);
}

static int remove_name(struct store *s, const char *name, struct error *err)
{
    struct store_dir *d = dir_of(s);
    int r = store_check_name(s, name, err);
    if (r == 0)
        r = in_store(s, io_unlink(d->io, d->fd, name, 0, err), err);
    return r < 0 ? r : in_store(s, fs_sync_parent(d->io, d->fd, name, err), err);
}

static void close_dir(struct store *s)
{
    struct store_dir *d = dir_of(s);
    io_close_quietly(d->io, &d->fd);
    free(d);
}

static const struct store_ops ops = {
    .put = put,
    .put_spool = put_spool,
    .open_file = open_file,
    .spool_open = spool_open,
    .spool_drop = spool_drop,
    .get = get,
    .size = size,
    .list = list,
    .remove = remove_name,
    .modified = modified,
    .space = space,
    .close = close_dir,
};

int store_dir_open(const struct io *io, const char *path, bool create, struct store **ret_store, struct error *err)
{
    int fd = -1;
    int r = create ? fs_make_dirs(io, AT_FDCWD, path, 0700, err) : 0;
    if (r == 0)
        r = io_open(io, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_NOT_FOUND, "there is no directory '%s': is the path right, and is what holds it mounted? (`bkd init` makes a new repository)", path);
    if (r < 0)
        return error_prefix(err, "repository %s", path);
    struct store_dir *d = xcalloc(1, sizeof *d);
    *d = (struct store_dir){ .store = { .ops = &ops, .url = xstrdup(path) }, .io = io, .fd = fd };
    *ret_store = &d->store;
    return 0;
}
