#include "bkd/engine/scan.h"

#include <errno.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>

#include "bkd/base/buf.h"
#include "bkd/base/spill.h"
#include "bkd/engine/levels.h"

enum { LISTING = 65536, LISTING_MEMORY = 4 << 20 };
#define PATH_ESCAPED_MAX (MANIFEST_LINE_MAX - 65536u) // leaves room for everything else in the entry's line

struct walk {
    const struct io *io;
    const struct scan_options *options;
    const struct scan_callbacks *callbacks;
    struct scan_names *owners;
    struct manifest_entry entry;
    struct buf path; // of the entry at hand, absolute; "" stands for the root
    struct levels levels;
    uint32_t source;   // of the entry at hand
    size_t source_len; // length of the source's path in `path`
    char *listing;
};

// The entry at hand.
struct visit {
    int dirfd; // of the directory that holds it
    const char *name;
    struct level_place place, dir; // its own, and of the directory that holds it
    struct statx st;
    bool is_dir;
    bool at_source; // it is a source
    bool is_parent; // it is on the way to one
};

// A directory that was opened and read.
struct opened {
    int fd; // -1 = it could not be
    struct spill *names;
    bool gone;
    struct exclude_verdict cut; // a file in it says that it holds nothing to keep
};

static const char *path_of(const struct walk *w) { return w->path.len == 0 ? "/" : buf_str(&w->path); }

static void report(struct walk *w, const char *reason)
{
    struct scan_problem problem = { path_of(w), reason };
    w->callbacks->problem(w->callbacks->arg, &problem);
}

static int report_excluded(struct walk *w, const struct visit *v, struct exclude_verdict verdict, bool stays, struct error *err)
{
    struct scan_excluded excluded = { .path = path_of(w), .source = w->source, .type = v->is_dir ? MANIFEST_DIR : scan_type(v->st.stx_mode),
                                      .size = v->st.stx_size, .verdict = verdict, .stays = stays };
    return w->callbacks->excluded == NULL ? 0 : w->callbacks->excluded(w->callbacks->arg, &excluded, err);
}

static int compare_names(const void *a, size_t a_len, const void *b, size_t b_len)
{
    int c = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return c != 0 ? c : a_len < b_len ? -1 : a_len > b_len;
}

static const struct exclude_rules *rules_here(const struct walk *w) { return w->options->sources[w->source].exclude; }

static int source_error(const struct walk *w, int os_errno, struct error *err)
{
    return error_set_errno(err, os_errno, "source '%s' cannot be read; nothing was stored", path_of(w));
}

// ---- the files of exclude_if_present

static bool has_signature(const struct walk *w, int dirfd, const char *name)
{
    struct error ignored; // what cannot be read marks nothing: then the directory is stored
    struct statx st;
    char head[sizeof EXCLUDE_CACHEDIR_SIGNATURE - 1];
    size_t n = 0;
    int fd = -1;
    if (io_open(w->io, dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, &fd, &ignored) < 0)
        return false;
    bool is_file = io_stat(w->io, fd, "", AT_EMPTY_PATH, &st, &ignored) == 0 && S_ISREG(st.stx_mode);
    if (is_file)
        (void)!io_pread_full(w->io, fd, head, sizeof head, 0, name, &n, &ignored);
    io_close_quietly(w->io, &fd);
    return exclude_marks(name, is_file, head, n);
}

// Of a marked directory only the marking files stay: a restored tree then tells why it is empty, and is left out again.
static int keep_markers(struct walk *w, uint32_t present, struct opened *dir, struct error *err)
{
    const struct exclude_rules *rules = rules_here(w);
    struct spill *kept = NULL;
    int r = 0;
    for (size_t i = 0; r == 0 && i < rules->n_markers; i++) {
        const char *name = rules->markers[i];
        struct statx st;
        struct error ignored; // gone just now
        if ((present >> i & 1) == 0 || (strcmp(name, EXCLUDE_CACHEDIR_TAG) == 0 && !has_signature(w, dir->fd, name)))
            continue;
        if (kept == NULL) {
            kept = spill_new(w->io, w->options->scratch_fd, compare_names, LISTING_MEMORY);
            dir->cut = (struct exclude_verdict){ EXCLUDE_MARKER, i };
        }
        if (io_stat(w->io, dir->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, &st, &ignored) == 0 && !S_ISDIR(st.stx_mode))
            r = spill_add(kept, name, strlen(name), err);
    }
    if (kept != NULL) {
        spill_free(dir->names);
        dir->names = kept;
    }
    return r;
}

// ---- listing directories

static void note_marker(const struct exclude_rules *rules, const char *name, uint32_t *present)
{
    for (size_t i = 0; i < rules->n_markers; i++)
        if (strcmp(rules->markers[i], name) == 0)
            *present |= UINT32_C(1) << i;
}

static int read_names(struct walk *w, const struct visit *v, struct opened *dir, struct error *err)
{
    const struct exclude_rules *rules = v->at_source ? NULL : rules_here(w);
    uint32_t present = 0; // markers
    for (;;) {
        ssize_t n = w->io->getdents64(w->io, dir->fd, w->listing, LISTING);
        if (n < 0 && v->at_source)
            return source_error(w, errno, err);
        if (n < 0)
            report(w, strerror(errno));
        if (n <= 0)
            return present == 0 ? 0 : keep_markers(w, present, dir, err);
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *d = (const struct dirent64 *)(w->listing + at);
            at += d->d_reclen;
            if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
                continue;
            if (rules != NULL)
                note_marker(rules, d->d_name, &present);
            int r = spill_add(dir->names, d->d_name, strlen(d->d_name), err);
            if (r < 0)
                return r;
        }
    }
}

// The component below the directory at hand that leads to a source; NULL when it does not lie below.
static const char *component_towards(const struct walk *w, size_t source, size_t *ret_len)
{
    const char *path = w->options->sources[source].path;
    if (strncmp(path, buf_str(&w->path), w->path.len) != 0 || path[w->path.len] != '/' || path[w->path.len + 1] == '\0')
        return NULL;
    *ret_len = strcspn(path + w->path.len + 1, "/");
    return path + w->path.len + 1;
}

// Of a parent directory only the components that lead to sources are taken, each once.
static int list_towards_sources(struct walk *w, struct spill *names, struct error *err)
{
    for (size_t i = 0; i < w->options->n_sources; i++) {
        size_t len = 0, other_len = 0;
        const char *name = component_towards(w, i, &len);
        bool seen = name == NULL;
        for (size_t k = 0; !seen && k < i; k++) {
            const char *other = component_towards(w, k, &other_len);
            seen = other != NULL && other_len == len && memcmp(other, name, len) == 0;
        }
        if (seen)
            continue;
        int r = spill_add(names, name, len, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int open_fd(const struct walk *w, const struct visit *v, int *ret_fd, struct error *err)
{
    int flags = (v->is_parent ? O_PATH : O_RDONLY) | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK; // the way to a source need not be readable
    int r = io_open(w->io, v->dirfd, v->name, v->is_parent ? flags : flags | O_NOATIME, 0, ret_fd, err);
    if (r < 0 && err->os_errno == EPERM) // O_NOATIME is for the owner and root
        r = io_open(w->io, v->dirfd, v->name, flags, 0, ret_fd, err);
    return r;
}

// Opens the directory. What was opened counts from here on: it may be another one than was looked at, but not one on another mount. (Of a
// source, and on the way to one, it may: opening may have mounted it.)
static int open_directory(struct walk *w, struct visit *v, struct opened *dir, struct error *err)
{
    struct error why;
    struct statx st;
    int r = open_fd(w, v, &dir->fd, &why);
    if (r == 0)
        r = io_stat(w->io, dir->fd, "", AT_EMPTY_PATH, &st, &why);
    if (r < 0 && (v->is_parent || v->at_source))
        return source_error(w, why.os_errno, err);
    if (r < 0) {
        dir->gone = why.os_errno == ENOENT || why.os_errno == ENOTDIR || why.os_errno == ELOOP;
        if (why.os_errno != ENOENT)
            report(w, dir->gone ? "it was exchanged for something else while it was read" : strerror(why.os_errno));
        io_close_quietly(w->io, &dir->fd);
        return 0;
    }
    struct level_place place = level_place_of(&st);
    dir->gone = !v->is_parent && !v->at_source && level_is_elsewhere(&place, &v->place);
    if (dir->gone) {
        report(w, "something was mounted there while it was read");
        io_close_quietly(w->io, &dir->fd);
    }
    v->place = place;
    v->st = st;
    return 0;
}

static int list_directory(struct walk *w, struct visit *v, struct opened *dir, struct error *err)
{
    int r = open_directory(w, v, dir, err);
    if (r < 0 || dir->fd < 0)
        return r;
    dir->names = spill_new(w->io, w->options->scratch_fd, compare_names, LISTING_MEMORY);
    r = v->is_parent ? list_towards_sources(w, dir->names, err) : read_names(w, v, dir, err);
    return r < 0 ? r : spill_sort(dir->names, err);
}

// ---- one entry

static int read_target(struct walk *w, const struct visit *v, struct buf *target)
{
    buf_reset(target);
    buf_reserve(target, 4096);
    ssize_t n = w->io->readlinkat(w->io, v->dirfd, v->name, (char *)target->data, 4096);
    if (n < 0) {
        if (errno != ENOENT)
            report(w, strerror(errno));
        return 1;
    }
    (void)buf_extend(target, (size_t)n);
    return 0;
}

// Which source is this path: sets w->source. Returns true when `path` is a source itself.
static bool begins_source(struct walk *w)
{
    for (size_t i = 0; i < w->options->n_sources; i++) {
        const char *source = w->options->sources[i].path;
        const char *at = strcmp(source, "/") == 0 ? "" : source;
        if (strlen(at) == w->path.len && memcmp(at, buf_str(&w->path), w->path.len) == 0) {
            w->source = (uint32_t)i;
            w->source_len = w->path.len;
            return true;
        }
    }
    return false;
}

// Asked without O_DIRECTORY, which would mount what autofs has there.
static enum exclude_filesystem filesystem_of(const struct walk *w, const struct visit *v)
{
    struct error ignored; // gone, or closed to us: the next step will say so
    struct statfs fs = { 0 };
    int fd = -1;
    if (io_open(w->io, v->dirfd, v->name, O_PATH | O_NOFOLLOW, 0, &fd, &ignored) < 0)
        return EXCLUDE_FS_FILES;
    int r = fstatfs(fd, &fs);
    io_close_quietly(w->io, &fd);
    return r < 0 ? EXCLUDE_FS_FILES : exclude_filesystem_of((uint64_t)fs.f_type);
}

// One that is another user's (FUSE) or whose server is gone can be told to be a mount point, but not more.
static bool is_closed_mount(struct walk *w, struct visit *v)
{
    int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
    v->st = (struct statx){ 0 };
    if (!w->options->one_filesystem || w->io->statx(w->io, v->dirfd, v->name, flags, 0, &v->st) < 0)
        return false;
    v->place = level_place_of(&v->st);
    v->is_dir = true;
    return level_is_elsewhere(&v->place, &v->dir);
}

// 0 and the facts, 1 when there is nothing to visit, or an error: a source must be there.
static int look(struct walk *w, struct visit *v, bool on_the_way, struct error *err)
{
    struct error why;
    int flags = AT_SYMLINK_NOFOLLOW | (on_the_way ? 0 : AT_NO_AUTOMOUNT); // what leads to a source may be mounted for it
    if (io_stat(w->io, v->dirfd, v->name, flags, &v->st, &why) == 0) {
        v->place = level_place_of(&v->st);
        v->is_dir = S_ISDIR(v->st.stx_mode);
        return 0;
    }
    if (on_the_way)
        return error_set(err, ERROR_NOT_FOUND, "source '%s' cannot be read: %s; mount it, or correct `sources` in the policy", path_of(w), strerror(why.os_errno));
    if (why.os_errno == ENOENT) // gone since the directory was read: as if it never was
        return 1;
    if (!is_closed_mount(w, v)) {
        report(w, strerror(why.os_errno));
        return 1;
    }
    int r = report_excluded(w, v, (struct exclude_verdict){ EXCLUDE_FILESYSTEM, 0 }, false, err);
    return r < 0 ? r : 1;
}

// Paths may be far longer than PATH_MAX, but an entry has to fit in its line.
static bool is_too_long(const struct walk *w)
{
    if (w->path.len <= PATH_ESCAPED_MAX / 3)
        return false;
    _cleanup_buf_ struct buf escaped = { 0 };
    manifest_escape(&escaped, w->path.data, w->path.len);
    return escaped.len > PATH_ESCAPED_MAX;
}

static int check_source(const struct walk *w, const struct visit *v, struct error *err)
{
    const char *path = path_of(w);
    if (v->is_parent && !v->is_dir)
        return error_set(err, ERROR_USAGE, "'%s' on the way to a source is not a directory (links are not followed); name the real path in `sources`", path);
    if (v->at_source && S_ISLNK(v->st.stx_mode))
        return error_set(err, ERROR_USAGE, "source '%s' is a symbolic link, which is not followed; name the directory it leads to in `sources`", path);
    if (v->at_source && filesystem_of(w, v) == EXCLUDE_FS_KERNEL)
        return error_set(err, ERROR_USAGE, "source '%s' is an interface of the kernel (proc, sysfs and the like), not files that could be restored; take it out of `sources`", path);
    return 0;
}

// The one place where entries below a source are left out. *ret_cut: the entry stays, but nothing below it. Returns 1 for out, 0 for in, or an error.
static int leave_out(struct walk *w, const struct visit *v, struct exclude_verdict *ret_cut, struct error *err)
{
    struct exclude_entry entry = {
        .path = buf_str(&w->path) + w->source_len + 1, .is_dir = v->is_dir, .is_file = S_ISREG(v->st.stx_mode), .size = v->st.stx_size,
        .nodump = (v->st.stx_attributes & STATX_ATTR_NODUMP) != 0,
    };
    struct exclude_verdict verdict = exclude_entry(rules_here(w), &entry);
    bool automount = (v->st.stx_attributes & STATX_ATTR_AUTOMOUNT) != 0;
    if (verdict.reason == EXCLUDE_NOT && (automount || level_is_elsewhere(&v->place, &v->dir))) {
        // A directory that is left out anyway is not asked: its server may not answer.
        bool ask = !v->is_dir || !w->options->one_filesystem;
        struct exclude_mount mount = { .is_dir = v->is_dir, .automount = automount, .filesystem = ask && !automount ? filesystem_of(w, v) : EXCLUDE_FS_FILES };
        verdict.reason = exclude_mount(w->options->one_filesystem, &mount);
        if (v->is_dir) {
            *ret_cut = verdict;
            return 0;
        }
    }
    if (verdict.reason == EXCLUDE_NOT)
        return 0;
    int r = report_excluded(w, v, verdict, false, err);
    return r < 0 ? r : 1;
}

// Hands the entry out and goes into its directory.
static int take_entry(struct walk *w, const struct visit *v, struct opened *dir, struct exclude_verdict cut, struct error *err)
{
    struct manifest_entry *e = &w->entry;
    struct scan_stat stat;
    manifest_entry_reset(e);
    buf_add_str(&e->path, path_of(w));
    scan_fill_entry(w->owners, &v->st, e, &stat);
    e->source = v->is_parent ? MANIFEST_NO_SOURCE : w->source;
    e->notes |= cut.reason == EXCLUDE_NOT ? 0 : cut.reason == EXCLUDE_MARKER ? MANIFEST_EXCLUDED : MANIFEST_MOUNT;
    if (e->type == MANIFEST_LINK && read_target(w, v, &e->target) != 0)
        return 0;
    int r = w->callbacks->visit(w->callbacks->arg, e, &stat, v->st.stx_nlink, v->st.stx_blocks * 512, err);
    if (r == 0 && cut.reason != EXCLUDE_NOT)
        r = report_excluded(w, v, cut, true, err);
    if (r != 0)
        return r;
    if (dir->fd >= 0) {
        struct level level = { .fd = dir->fd, .names = TAKE(dir->names), .path_len = w->path.len, .place = v->place, .is_parent = v->is_parent };
        dir->fd = -1;
        levels_push(&w->levels, &level);
    }
    return 0;
}

// The entry whose path stands in w->path, in the directory `level` (NULL: the root itself).
static int visit_entry(struct walk *w, const struct level *level, const char *name, struct error *err)
{
    bool on_the_way = level == NULL || level->is_parent;
    struct visit v = { .dirfd = level == NULL ? AT_FDCWD : level->fd, .name = name, .at_source = on_the_way && begins_source(w) };
    v.is_parent = on_the_way && !v.at_source;
    if (v.at_source && w->options->sources[w->source].read_from != NULL) {
        v.dirfd = AT_FDCWD;
        v.name = w->options->sources[w->source].read_from;
    }
    if (level != NULL)
        v.dir = level->place;
    int r = look(w, &v, on_the_way, err);
    if (r == 0)
        r = check_source(w, &v, err);
    if (r != 0)
        return r > 0 ? 0 : r;
    if (is_too_long(w)) {
        report(w, "its path is too long to be recorded; what is below it is left out");
        return 0;
    }
    struct opened dir = { .fd = -1 };
    struct exclude_verdict cut = { EXCLUDE_NOT, 0 };
    if (!on_the_way && (r = leave_out(w, &v, &cut, err)) != 0)
        return r > 0 ? 0 : r;
    if (v.is_dir && cut.reason == EXCLUDE_NOT) {
        r = list_directory(w, &v, &dir, err);
        cut = dir.cut;
    }
    if (r == 0 && !dir.gone)
        r = take_entry(w, &v, &dir, cut, err);
    io_close_quietly(w->io, &dir.fd);
    spill_free(dir.names);
    return r;
}

// ---- the walk

// Leaves the directory whose entries are all visited.
static void leave_directory(struct walk *w)
{
    size_t lost = levels_pop(&w->levels, buf_str(&w->path));
    if (lost == 0)
        return;
    w->path.len = w->levels.depth == 0 ? 0 : w->levels.items[w->levels.depth - 1].path_len;
    (void)buf_extend(&w->path, 0); // ends the text here
    report(w, "directories below it were moved while they were read; what they hold was not read to the end");
}

// Is the entry at hand on the way to the place that is wanted, or below it?
static bool is_wanted(const struct walk *w)
{
    const char *only = w->options->only;
    return only == NULL || manifest_path_below(only, strlen(only), path_of(w), strlen(path_of(w))) ||
           manifest_path_below(path_of(w), strlen(path_of(w)), only, strlen(only));
}

static int walk_all(struct walk *w, struct error *err)
{
    int r = visit_entry(w, NULL, "/", err);
    while (r == 0 && w->levels.depth > 0) {
        struct level *level = &w->levels.items[w->levels.depth - 1];
        const void *name;
        size_t n;
        w->path.len = level->path_len;
        r = spill_next(level->names, &name, &n, err);
        if (r < 0)
            break;
        if (name == NULL) {
            leave_directory(w);
            continue;
        }
        buf_add_char(&w->path, '/');
        buf_add(&w->path, name, n);
        _cleanup_free_ char *copy = xstrndup(name, n);
        if (is_wanted(w))
            r = visit_entry(w, level, copy, err);
    }
    return r;
}

int scan_run(const struct io *io, const struct scan_options *options, const struct scan_callbacks *callbacks, struct error *err)
{
    if (options->n_sources == 0)
        return 0;
    struct walk w = { .io = io, .options = options, .callbacks = callbacks, .owners = scan_names_new(), .levels = { .io = io }, .listing = xmalloc(LISTING) };
    int r = walk_all(&w, err);
    levels_done(&w.levels);
    free(w.listing);
    buf_done(&w.path);
    manifest_entry_done(&w.entry);
    scan_names_free(w.owners);
    return r;
}

int scan_filesystem(const struct io *io, const char *path, struct scan_filesystem *ret_fs, struct error *err)
{
    int fd = -1;
    int r = io_open(io, AT_FDCWD, path, O_PATH | O_NOFOLLOW, 0, &fd, err);
    if (r < 0)
        return r;
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0)
        r = error_set_errno(err, errno, "file system of '%s'", path);
    io_close_quietly(io, &fd);
    if (r < 0)
        return r;
    uint64_t id = 0;
    // Only these derive f_fsid from the UUID on disk; others number their mounts or devices.
    if (fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == BTRFS_SUPER_MAGIC)
        memcpy(&id, &fs.f_fsid, sizeof id < sizeof fs.f_fsid ? sizeof id : sizeof fs.f_fsid);
    *ret_fs = (struct scan_filesystem){ .type = (uint64_t)fs.f_type, .id = id };
    return 0;
}
