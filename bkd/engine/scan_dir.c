#include "bkd/engine/scan_dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

enum { LISTING = 65536, LISTING_MEMORY = 4 << 20 };
#define PATH_ESCAPED_MAX (MANIFEST_LINE_MAX - 65536u) // leaves room for everything else in the entry's line

struct scan_place scan_place_of(const struct statx *st)
{
    return (struct scan_place){
        .device = makedev(st->stx_dev_major, st->stx_dev_minor),
        .inode = st->stx_ino,
        .mount = (st->stx_mask & STATX_MNT_ID) != 0 ? st->stx_mnt_id : 0,
    };
}

bool scan_place_same(const struct scan_place *a, const struct scan_place *b)
{
    return a->device == b->device && a->inode == b->inode && a->mount == b->mount;
}

// Is an entry at `place` on another mount or file system than the directory `dir` that holds it?
static bool is_elsewhere(const struct scan_place *place, const struct scan_place *dir)
{
    return place->device != dir->device || place->mount != dir->mount;
}

void scan_eyes_init(struct scan_eyes *eyes, const struct io *io, const struct scan_options *options)
{
    *eyes = (struct scan_eyes){ .io = io, .options = options, .listing = xmalloc(LISTING) };
}

void scan_eyes_done(struct scan_eyes *eyes)
{
    buf_done(&eyes->path);
    free(eyes->listing);
}

// Puts the directory's path into `eyes`, from its end to its beginning.
static void set_path(struct scan_eyes *eyes, const struct scan_dir *dir)
{
    buf_reset(&eyes->path);
    (void)buf_extend(&eyes->path, dir->path_len);
    for (const struct scan_dir *d = dir; d->path_len > 0; d = d->parent) {
        uint8_t *at = eyes->path.data + d->parent->path_len;
        *at = '/';
        memcpy(at + 1, d->name, d->path_len - d->parent->path_len - 1);
    }
}

static const char *path_of(const struct scan_eyes *eyes) { return eyes->path.len == 0 ? "/" : buf_str(&eyes->path); }

static const struct exclude_rules *rules_of(const struct scan_eyes *eyes, uint32_t source) { return eyes->options->sources[source].exclude; }

static int source_error(const struct scan_eyes *eyes, int os_errno, struct error *err)
{
    return error_set_errno(err, os_errno, "source '%s' cannot be read; nothing was stored", path_of(eyes));
}

// ---- the files of exclude_if_present

static bool has_signature(const struct io *io, int dirfd, const char *name)
{
    struct error ignored; // what cannot be read marks nothing: then the directory is stored
    struct statx st;
    char head[sizeof EXCLUDE_CACHEDIR_SIGNATURE - 1];
    size_t n = 0;
    int fd = -1;
    if (io_open(io, dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, &fd, &ignored) < 0)
        return false;
    bool is_file = io_stat(io, fd, "", AT_EMPTY_PATH, &st, &ignored) == 0 && S_ISREG(st.stx_mode);
    if (is_file)
        (void)!io_pread_full(io, fd, head, sizeof head, 0, name, &n, &ignored);
    io_close_quietly(io, &fd);
    return exclude_marks(name, is_file, head, n);
}

static int compare_names(const void *a, size_t a_len, const void *b, size_t b_len)
{
    int c = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return c != 0 ? c : a_len < b_len ? -1 : a_len > b_len;
}

static struct spill *new_names(const struct scan_eyes *eyes)
{
    return spill_new(eyes->io, eyes->options->scratch_fd, compare_names, LISTING_MEMORY);
}

// Of a marked directory only the marking files stay: a restored tree then tells why it is empty, and is left out again.
static int keep_markers(const struct scan_eyes *eyes, const struct exclude_rules *rules, uint32_t present, struct scan_dir *dir, struct scan_part *part)
{
    struct spill *kept = NULL;
    int r = 0;
    for (size_t i = 0; r == 0 && i < rules->n_markers; i++) {
        const char *name = rules->markers[i];
        struct statx st;
        struct error ignored; // gone just now
        if ((present >> i & 1) == 0 || (strcmp(name, EXCLUDE_CACHEDIR_TAG) == 0 && !has_signature(eyes->io, dir->fd, name)))
            continue;
        if (kept == NULL) {
            kept = new_names(eyes);
            part->cut = (struct exclude_verdict){ EXCLUDE_MARKER, i };
        }
        if (io_stat(eyes->io, dir->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, &st, &ignored) == 0 && !S_ISDIR(st.stx_mode))
            r = spill_add(kept, name, strlen(name), &part->err);
    }
    if (kept != NULL) {
        spill_free(dir->names);
        dir->names = kept;
    }
    return r;
}

static void note_marker(const struct exclude_rules *rules, const char *name, uint32_t *present)
{
    for (size_t i = 0; i < rules->n_markers; i++)
        if (strcmp(rules->markers[i], name) == 0)
            *present |= UINT32_C(1) << i;
}

// ---- listing

static int read_names(struct scan_eyes *eyes, struct scan_dir *dir, struct scan_part *part)
{
    const struct exclude_rules *rules = dir->at_source ? NULL : rules_of(eyes, dir->source);
    uint32_t present = 0; // markers
    for (;;) {
        ssize_t n = eyes->io->getdents64(eyes->io, dir->fd, eyes->listing, LISTING);
        if (n < 0 && dir->at_source)
            return source_error(eyes, errno, &part->err);
        if (n < 0)
            part->problem = strerror(errno);
        if (n <= 0)
            return present == 0 ? 0 : keep_markers(eyes, rules, present, dir, part);
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *d = (const struct dirent64 *)(eyes->listing + at);
            at += d->d_reclen;
            if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
                continue;
            if (rules != NULL)
                note_marker(rules, d->d_name, &present);
            int r = spill_add(dir->names, d->d_name, strlen(d->d_name), &part->err);
            if (r < 0)
                return r;
        }
    }
}

// The component below the directory at hand that leads to a source; NULL when it does not lie below.
static const char *component_towards(const struct scan_eyes *eyes, size_t source, size_t *ret_len)
{
    const char *path = eyes->options->sources[source].path;
    size_t n = eyes->path.len;
    if (strncmp(path, buf_str(&eyes->path), n) != 0 || path[n] != '/' || path[n + 1] == '\0')
        return NULL;
    *ret_len = strcspn(path + n + 1, "/");
    return path + n + 1;
}

// Of a parent directory only the components that lead to sources are taken, each once.
static int list_towards_sources(const struct scan_eyes *eyes, struct spill *names, struct error *err)
{
    for (size_t i = 0; i < eyes->options->n_sources; i++) {
        size_t len = 0, other_len = 0;
        const char *name = component_towards(eyes, i, &len);
        bool seen = name == NULL;
        for (size_t k = 0; !seen && k < i; k++) {
            const char *other = component_towards(eyes, k, &other_len);
            seen = other != NULL && other_len == len && memcmp(other, name, len) == 0;
        }
        int r = seen ? 0 : spill_add(names, name, len, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int open_fd(const struct io *io, int parent_fd, const struct scan_dir *dir, int *ret_fd, struct error *err)
{
    const char *name = dir->read_from != NULL ? dir->read_from : dir->name;
    int dirfd = dir->read_from != NULL ? AT_FDCWD : parent_fd;
    int flags = (dir->is_parent ? O_PATH : O_RDONLY) | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK; // the way to a source need not be readable
    int r = io_open(io, dirfd, name, dir->is_parent ? flags : flags | O_NOATIME, 0, ret_fd, err);
    if (r < 0 && err->os_errno == EPERM) // O_NOATIME is for the owner and root
        r = io_open(io, dirfd, name, flags, 0, ret_fd, err);
    return r;
}

int scan_dir_open_again(const struct io *io, int parent_fd, const struct scan_dir *dir)
{
    struct error ignored; // moved, removed or closed to us: all the same here
    struct statx st;
    int fd = -1;
    if (open_fd(io, parent_fd, dir, &fd, &ignored) < 0)
        return -1;
    struct scan_place place = { 0 };
    if (io_stat(io, fd, "", AT_EMPTY_PATH, &st, &ignored) == 0)
        place = scan_place_of(&st);
    if (!scan_place_same(&place, &dir->place))
        io_close_quietly(io, &fd);
    return fd;
}

// Opens the directory. What was opened counts from here on: it may be another one than was looked at, but not one on another mount. (Of a
// source, and on the way to one, it may: opening may have mounted it.)
static int open_directory(struct scan_eyes *eyes, int parent_fd, struct scan_dir *dir, struct scan_part *part)
{
    struct error why;
    bool on_the_way = dir->is_parent || dir->at_source;
    int r = open_fd(eyes->io, parent_fd, dir, &dir->fd, &why);
    if (r == 0)
        r = io_stat(eyes->io, dir->fd, "", AT_EMPTY_PATH, &part->st, &why);
    if (r < 0 && on_the_way)
        return source_error(eyes, why.os_errno, &part->err);
    if (r < 0) {
        part->gone = why.os_errno == ENOENT || why.os_errno == ENOTDIR || why.os_errno == ELOOP;
        if (why.os_errno != ENOENT)
            part->problem = part->gone ? "it was exchanged for something else while it was read" : strerror(why.os_errno);
        io_close_quietly(eyes->io, &dir->fd);
        return 0;
    }
    struct scan_place place = scan_place_of(&part->st);
    part->opened = true;
    part->gone = !on_the_way && is_elsewhere(&place, &dir->place);
    if (part->gone) {
        part->problem = "something was mounted there while it was read";
        io_close_quietly(eyes->io, &dir->fd);
    }
    dir->place = place;
    return 0;
}

void scan_dir_list(struct scan_eyes *eyes, int parent_fd, struct scan_dir *dir, struct scan_part *part)
{
    set_path(eyes, dir);
    part->status = open_directory(eyes, parent_fd, dir, part);
    if (part->status < 0 || dir->fd < 0)
        return;
    dir->names = new_names(eyes);
    part->status = dir->is_parent ? list_towards_sources(eyes, dir->names, &part->err) : read_names(eyes, dir, part);
    if (part->status == 0)
        part->status = spill_sort(dir->names, &part->err);
}

void scan_dir_take(struct scan_dir *dir, struct scan_part *part)
{
    const void *name = NULL;
    size_t n, at = 0;
    part->is_last = dir->names == NULL || part->status < 0;
    while (!part->is_last && part->n < SCAN_PART_MAX) {
        part->status = spill_next(dir->names, &name, &n, &part->err);
        part->is_last = part->status < 0 || name == NULL;
        if (part->is_last)
            break;
        buf_add(&part->text, name, n);
        buf_add_char(&part->text, '\0');
        part->n++;
    }
    if (part->is_last) {
        spill_free(dir->names);
        dir->names = NULL;
    }
    part->found = xcalloc(part->n, sizeof *part->found);
    for (size_t i = 0; i < part->n; i++, at += strlen(buf_str(&part->text) + at) + 1)
        part->found[i].name = at;
}

// ---- one entry

// The entry at hand.
struct visit {
    const struct scan_eyes *eyes;
    const struct scan_dir *dir; // that holds it
    struct scan_part *part;
    struct scan_found *found;
    int dirfd;
    const char *name; // may move when something is added to the part's text
    bool on_the_way; // to a source, or one
};

static void set_unreadable(struct scan_found *found, const char *problem)
{
    found->fate = SCAN_UNREADABLE;
    found->problem = problem;
}

static void set_left_out(struct scan_found *found, struct exclude_verdict verdict)
{
    found->fate = SCAN_LEFT_OUT;
    found->verdict = verdict;
}

static bool read_target(const struct visit *v)
{
    char target[4096];
    ssize_t n = v->eyes->io->readlinkat(v->eyes->io, v->dirfd, v->name, target, sizeof target);
    if (n < 0) {
        set_unreadable(v->found, strerror(errno));
        return errno != ENOENT;
    }
    v->found->target = v->part->text.len;
    v->found->target_len = (size_t)n;
    buf_add(&v->part->text, target, (size_t)n);
    return true;
}

// Which source is this path: true when it is a source itself.
static bool begins_source(const struct visit *v)
{
    const struct scan_eyes *eyes = v->eyes;
    for (size_t i = 0; i < eyes->options->n_sources; i++) {
        const char *source = eyes->options->sources[i].path;
        const char *at = strcmp(source, "/") == 0 ? "" : source;
        if (strlen(at) == eyes->path.len && memcmp(at, buf_str(&eyes->path), eyes->path.len) == 0) {
            v->found->source = (uint32_t)i;
            v->found->source_len = eyes->path.len;
            return true;
        }
    }
    return false;
}

// Asked without O_DIRECTORY, which would mount what autofs has there.
static enum exclude_filesystem filesystem_of(const struct visit *v)
{
    const struct io *io = v->eyes->io;
    struct error ignored; // gone, or closed to us: the next step will say so
    struct statfs fs = { 0 };
    int fd = -1;
    if (io_open(io, v->dirfd, v->name, O_PATH | O_NOFOLLOW, 0, &fd, &ignored) < 0)
        return EXCLUDE_FS_FILES;
    int r = fstatfs(fd, &fs);
    io_close_quietly(io, &fd);
    return r < 0 ? EXCLUDE_FS_FILES : exclude_filesystem_of((uint64_t)fs.f_type);
}

// One that is another user's (FUSE) or whose server is gone can be told to be a mount point, but not more.
static bool is_closed_mount(const struct visit *v)
{
    struct scan_found *found = v->found;
    int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
    found->st = (struct statx){ 0 };
    if (!v->eyes->options->one_filesystem || v->eyes->io->statx(v->eyes->io, v->dirfd, v->name, flags, 0, &found->st) < 0)
        return false;
    found->place = scan_place_of(&found->st);
    found->is_dir = true;
    return is_elsewhere(&found->place, &v->dir->place);
}

// 0 and the facts, 1 when there is no more to be found out, or an error: a source must be there. *ret_gone: it is not there any more.
static int look(const struct visit *v, bool *ret_gone)
{
    struct scan_found *found = v->found;
    struct error why;
    int flags = AT_SYMLINK_NOFOLLOW | (v->on_the_way ? 0 : AT_NO_AUTOMOUNT); // what leads to a source may be mounted for it
    if (io_stat(v->eyes->io, v->dirfd, v->name, flags, &found->st, &why) == 0) {
        found->place = scan_place_of(&found->st);
        found->is_dir = S_ISDIR(found->st.stx_mode);
        return 0;
    }
    if (v->on_the_way)
        return error_set(&v->part->err, ERROR_NOT_FOUND, "source '%s' cannot be read: %s; mount it, or correct `sources` in the policy", path_of(v->eyes),
                         strerror(why.os_errno));
    *ret_gone = why.os_errno == ENOENT; // since the directory was read: as if it never was
    if (*ret_gone)
        return 1;
    if (is_closed_mount(v))
        set_left_out(found, (struct exclude_verdict){ EXCLUDE_FILESYSTEM, 0 });
    else
        set_unreadable(found, strerror(why.os_errno));
    return 1;
}

// Paths may be far longer than PATH_MAX, but an entry has to fit in its line.
static bool is_too_long(const struct scan_eyes *eyes)
{
    if (eyes->path.len <= PATH_ESCAPED_MAX / 3)
        return false;
    _cleanup_buf_ struct buf escaped = { 0 };
    manifest_escape(&escaped, eyes->path.data, eyes->path.len);
    return escaped.len > PATH_ESCAPED_MAX;
}

static int check_source(const struct visit *v)
{
    struct error *err = &v->part->err;
    const char *path = path_of(v->eyes);
    if (v->found->is_parent && !v->found->is_dir)
        return error_set(err, ERROR_USAGE, "'%s' on the way to a source is not a directory (links are not followed); name the real path in `sources`", path);
    if (v->found->at_source && S_ISLNK(v->found->st.stx_mode))
        return error_set(err, ERROR_USAGE, "source '%s' is a symbolic link, which is not followed; name the directory it leads to in `sources`", path);
    if (v->found->at_source && filesystem_of(v) == EXCLUDE_FS_KERNEL)
        return error_set(err, ERROR_USAGE, "source '%s' is an interface of the kernel (proc, sysfs and the like), not files that could be restored; take it out of `sources`", path);
    return 0;
}

// The one place where entries below a source are left out; or only what a directory holds.
static void leave_out(const struct visit *v)
{
    struct scan_found *found = v->found;
    bool one_filesystem = v->eyes->options->one_filesystem;
    struct exclude_entry entry = {
        .path = buf_str(&v->eyes->path) + v->dir->source_len + 1, .is_dir = found->is_dir, .is_file = S_ISREG(found->st.stx_mode), .size = found->st.stx_size,
        .nodump = (found->st.stx_attributes & STATX_ATTR_NODUMP) != 0,
    };
    struct exclude_verdict verdict = exclude_entry(rules_of(v->eyes, v->dir->source), &entry);
    bool automount = (found->st.stx_attributes & STATX_ATTR_AUTOMOUNT) != 0;
    if (verdict.reason == EXCLUDE_NOT && (automount || is_elsewhere(&found->place, &v->dir->place))) {
        // A directory that is left out anyway is not asked: its server may not answer.
        bool ask = !found->is_dir || !one_filesystem;
        struct exclude_mount mount = { .is_dir = found->is_dir, .automount = automount, .filesystem = ask && !automount ? filesystem_of(v) : EXCLUDE_FS_FILES };
        verdict.reason = exclude_mount(one_filesystem, &mount);
        found->verdict = verdict;
        if (found->is_dir)
            return;
    }
    if (verdict.reason != EXCLUDE_NOT)
        set_left_out(found, verdict);
}

// 1 when it is found, 0 when it is gone, or an error that ends the walk.
static int visit_entry(struct visit *v)
{
    struct scan_found *found = v->found;
    bool gone = false;
    found->at_source = v->on_the_way && begins_source(v);
    found->is_parent = v->on_the_way && !found->at_source;
    if (found->at_source && v->eyes->options->sources[found->source].read_from != NULL) {
        v->dirfd = AT_FDCWD;
        v->name = v->eyes->options->sources[found->source].read_from;
    }
    int r = look(v, &gone);
    if (r == 0)
        r = check_source(v);
    if (r != 0)
        return r < 0 ? r : !gone;
    if (is_too_long(v->eyes)) {
        set_unreadable(found, "its path is too long to be recorded; what is below it is left out");
        return 1;
    }
    if (!v->on_the_way)
        leave_out(v);
    return found->fate == SCAN_TAKEN && S_ISLNK(found->st.stx_mode) ? read_target(v) : 1;
}

// Is the entry at hand on the way to the place that is wanted, or below it?
static bool is_wanted(const struct scan_eyes *eyes)
{
    const char *only = eyes->options->only, *path = path_of(eyes);
    return only == NULL || manifest_path_below(only, strlen(only), path, eyes->path.len == 0 ? 1 : eyes->path.len) ||
           manifest_path_below(path, strlen(path), only, strlen(only));
}

void scan_dir_look(struct scan_eyes *eyes, struct scan_dir *dir, struct scan_part *part)
{
    size_t taken = part->n;
    part->n = 0;
    set_path(eyes, dir);
    for (size_t i = 0; part->status == 0 && i < taken; i++) {
        struct scan_found *found = &part->found[part->n];
        size_t name = part->found[i].name;
        *found = (struct scan_found){ .name = name, .source = dir->source, .source_len = dir->source_len };
        struct visit v = { .eyes = eyes, .dir = dir, .part = part, .found = found, .dirfd = dir->fd, .name = buf_str(&part->text) + name, .on_the_way = dir->is_parent };
        eyes->path.len = dir->path_len;
        if (dir->parent != NULL) { // else it is the root
            buf_add_char(&eyes->path, '/');
            buf_add_str(&eyes->path, v.name);
        }
        if (!is_wanted(eyes))
            continue;
        int r = visit_entry(&v);
        part->status = r < 0 ? r : 0;
        part->n += r > 0;
    }
}
