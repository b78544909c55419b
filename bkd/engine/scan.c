#include "bkd/engine/scan.h"

#include <errno.h>
#include <grp.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "bkd/base/buf.h"
#include "bkd/base/spill.h"

enum { LISTING = 65536, LISTING_MEMORY = 4 << 20, KEEP_OPEN = 128, NAME_SPACE = 16384, GROUP_SPACE = 1 << 20 };

// Names of owners: asked once for each number. There are as many as accounts, not as files.
struct name {
    uint32_t id;
    char *text; // NULL = none
};

struct name_list {
    struct name *items;
    size_t count;
};

struct scan_names {
    struct name_list users, groups;
};

struct scan_names *scan_names_new(void) { return xcalloc(1, sizeof(struct scan_names)); }

static void free_list(struct name_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].text);
    free(list->items);
}

void scan_names_free(struct scan_names *names)
{
    if (names == NULL)
        return;
    free_list(&names->users);
    free_list(&names->groups);
    free(names);
}

// Threads look names up at the same time, each with its own cache: hence the reentrant calls.
static char *look_up_user(uint32_t id)
{
    char space[NAME_SPACE];
    struct passwd entry, *found = NULL;
    return getpwuid_r(id, &entry, space, sizeof space, &found) != 0 || found == NULL ? NULL : xstrdup(found->pw_name);
}

static char *look_up_group(uint32_t id)
{
    _cleanup_free_ char *space = xmalloc(GROUP_SPACE); // holds all members of the group
    struct group entry, *found = NULL;
    return getgrgid_r(id, &entry, space, GROUP_SPACE, &found) != 0 || found == NULL ? NULL : xstrdup(found->gr_name);
}

static void add_name(struct buf *out, struct name_list *list, uint32_t id, char *(*look_up)(uint32_t))
{
    size_t i = 0;
    while (i < list->count && list->items[i].id != id)
        i++;
    if (i == list->count) {
        list->items = xrealloc(list->items, (list->count + 1) * sizeof *list->items);
        list->items[list->count++] = (struct name){ id, look_up(id) };
    }
    if (i > 0) { // the owner just asked for is the likely next one
        struct name found = list->items[i];
        memmove(list->items + 1, list->items, i * sizeof found);
        list->items[0] = found;
    }
    if (list->items[0].text != NULL)
        buf_add_str(out, list->items[0].text);
}

static enum manifest_type type_of_mode(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return MANIFEST_DIR;
    case S_IFLNK:
        return MANIFEST_LINK;
    case S_IFIFO:
        return MANIFEST_FIFO;
    case S_IFCHR:
        return MANIFEST_CHAR;
    case S_IFBLK:
        return MANIFEST_BLOCK;
    case S_IFSOCK:
        return MANIFEST_SOCKET;
    default:
        return MANIFEST_FILE;
    }
}

void scan_fill_entry(struct scan_names *names, const struct statx *st, struct manifest_entry *entry, struct scan_stat *ret_stat)
{
    entry->type = type_of_mode(st->stx_mode);
    entry->mode = st->stx_mode & 07777;
    entry->uid = st->stx_uid;
    entry->gid = st->stx_gid;
    buf_reset(&entry->user);
    buf_reset(&entry->group);
    add_name(&entry->user, &names->users, st->stx_uid, look_up_user);
    add_name(&entry->group, &names->groups, st->stx_gid, look_up_group);
    entry->mtime_s = st->stx_mtime.tv_sec;
    entry->mtime_ns = st->stx_mtime.tv_nsec;
    entry->size = entry->type == MANIFEST_FILE ? st->stx_size : 0;
    entry->device_major = st->stx_rdev_major;
    entry->device_minor = st->stx_rdev_minor;
    buf_reset(&entry->hardlink);
    if (entry->type != MANIFEST_DIR && st->stx_nlink > 1)
        buf_addf(&entry->hardlink, "%x.%llx", (unsigned)(st->stx_dev_major << 20 | st->stx_dev_minor), (unsigned long long)st->stx_ino);
    *ret_stat = (struct scan_stat){ .inode = st->stx_ino, .ctime_s = st->stx_ctime.tv_sec, .ctime_ns = st->stx_ctime.tv_nsec };
}

struct level {
    int fd; // -1 when given up to save descriptors
    struct spill *names;
    size_t path_len;
    uint64_t device, inode;
    bool is_parent; // an ancestor of sources: only the way to them is walked
};

struct walk {
    const struct io *io;
    const struct scan_options *options;
    const struct scan_callbacks *callbacks;
    struct scan_names *owners;
    struct manifest_entry entry;
    struct buf path; // of the entry at hand, absolute; "" stands for the root
    struct level *levels;
    size_t depth, cap;
    uint32_t source;      // of the entry at hand
    size_t source_len;    // length of the source's path in `path`
    uint64_t device;      // of the source
    char *listing;
};

static void report(struct walk *w, const char *reason)
{
    struct scan_problem problem = { w->path.len == 0 ? "/" : buf_str(&w->path), reason };
    w->callbacks->problem(w->callbacks->arg, &problem);
}

static int compare_names(const void *a, size_t a_len, const void *b, size_t b_len)
{
    int c = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return c != 0 ? c : a_len < b_len ? -1 : a_len > b_len;
}

static uint64_t device_of(const struct statx *st) { return makedev(st->stx_dev_major, st->stx_dev_minor); }

static bool is_at_source(const struct walk *w) { return w->path.len == w->source_len; }

static int source_error(const struct walk *w, int os_errno, struct error *err)
{
    return error_set_errno(err, os_errno, "source '%s' cannot be read; nothing was stored", w->path.len == 0 ? "/" : buf_str(&w->path));
}

static int read_names(struct walk *w, int fd, struct spill *names, struct error *err)
{
    for (;;) {
        ssize_t n = w->io->getdents64(w->io, fd, w->listing, LISTING);
        if (n < 0 && is_at_source(w))
            return source_error(w, errno, err);
        if (n < 0) {
            report(w, strerror(errno));
            return 0;
        }
        if (n == 0)
            return 0;
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *d = (const struct dirent64 *)(w->listing + at);
            at += d->d_reclen;
            if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
                continue;
            int r = spill_add(names, d->d_name, strlen(d->d_name), err);
            if (r < 0)
                return r;
        }
    }
}

static void push_level(struct walk *w, int fd, struct spill *names, const struct statx *st, bool is_parent)
{
    if (w->depth == w->cap) {
        w->cap = w->cap == 0 ? 32 : 2 * w->cap;
        w->levels = xrealloc(w->levels, w->cap * sizeof *w->levels);
    }
    w->levels[w->depth++] = (struct level){
        .fd = fd, .names = names, .path_len = w->path.len, .device = device_of(st), .inode = st->stx_ino, .is_parent = is_parent,
    };
    if (w->depth > KEEP_OPEN)
        io_close_quietly(w->io, &w->levels[w->depth - 1 - KEEP_OPEN].fd);
}

// The parent's descriptor may have been given up on the way down: get it back through "..", and make sure it is the same directory.
static int pop_level(struct walk *w, struct error *err)
{
    struct level *child = &w->levels[--w->depth];
    int r = 0;
    if (w->depth > 0 && w->levels[w->depth - 1].fd < 0) {
        struct level *parent = &w->levels[w->depth - 1];
        struct statx st;
        r = io_open(w->io, child->fd, "..", O_RDONLY | O_DIRECTORY, 0, &parent->fd, err);
        if (r == 0)
            r = io_stat(w->io, parent->fd, "", AT_EMPTY_PATH, &st, err);
        if (r == 0 && (st.stx_ino != parent->inode || device_of(&st) != parent->device))
            r = error_set(err, ERROR_FAILED, "directory '%.*s' was moved while it was read; run again", (int)parent->path_len, buf_str(&w->path));
    }
    io_close_quietly(w->io, &child->fd);
    spill_free(child->names);
    return r;
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

static int list_children(struct walk *w, int fd, bool is_parent, struct spill *names, struct error *err)
{
    int r = is_parent ? list_towards_sources(w, names, err) : read_names(w, fd, names, err);
    return r < 0 ? r : spill_sort(names, err);
}

// Opens the directory of the entry at hand and makes it the level to go on with.
static int enter_directory(struct walk *w, int parent_fd, const char *name, const struct statx *st, bool is_parent, struct error *err)
{
    struct error why;
    int fd = -1;
    int flags = (is_parent ? O_PATH : O_RDONLY) | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK; // the way to a source need not be readable
    int r = io_open(w->io, parent_fd, name, is_parent ? flags : flags | O_NOATIME, 0, &fd, &why);
    if (r < 0 && why.os_errno == EPERM) // O_NOATIME is for the owner and root
        r = io_open(w->io, parent_fd, name, flags, 0, &fd, &why);
    if (r < 0 && (is_parent || is_at_source(w)))
        return source_error(w, why.os_errno, err);
    if (r < 0) {
        report(w, strerror(why.os_errno));
        return 0;
    }
    struct spill *names = spill_new(w->io, w->options->scratch_fd, compare_names, LISTING_MEMORY);
    r = list_children(w, fd, is_parent, names, err);
    if (r < 0) {
        spill_free(names);
        io_close_quietly(w->io, &fd);
        return r;
    }
    push_level(w, fd, names, st, is_parent);
    return 0;
}

static int read_target(struct walk *w, int dirfd, const char *name, struct buf *target, struct error *err)
{
    (void)err;
    buf_reset(target);
    buf_reserve(target, 4096);
    ssize_t n = w->io->readlinkat(w->io, dirfd, name, (char *)target->data, 4096);
    if (n < 0) {
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

static bool is_excluded(const struct walk *w, bool is_dir)
{
    const struct pattern_set *exclude = w->options->sources[w->source].exclude;
    const char *relative = buf_str(&w->path) + w->source_len + 1;
    return exclude != NULL && pattern_set_match(exclude, relative, is_dir, NULL);
}

// Kernel interfaces that look like files.
static bool is_pseudo_filesystem(int fd)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0)
        return false;
    switch ((unsigned long)fs.f_type) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case DEVPTS_SUPER_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC:
    case BPF_FS_MAGIC:
        return true;
    default:
        return false;
    }
}

static bool must_not_enter(struct walk *w, int dirfd, const char *name, const struct statx *st)
{
    if (device_of(st) == w->device)
        return false;
    if (w->options->one_filesystem)
        return true;
    int fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool pseudo = fd >= 0 && is_pseudo_filesystem(fd);
    io_close_quietly(w->io, &fd);
    return pseudo;
}

// The entry whose path stands in w->path. `in_source`: inside (or at) a source, else on the way to one.
static int visit_entry(struct walk *w, int dirfd, const char *name, bool parent_is_parent, struct error *err)
{
    struct statx st;
    struct error why;
    bool at_source = parent_is_parent && begins_source(w);
    if (io_stat(w->io, dirfd, name, AT_SYMLINK_NOFOLLOW, &st, &why) < 0) {
        if (parent_is_parent)
            return error_set(err, ERROR_NOT_FOUND, "source '%s' cannot be read: %s; mount it, or correct `sources` in the policy", buf_str(&w->path), strerror(why.os_errno));
        if (why.os_errno != ENOENT) // gone since the directory was read: as if it never was
            report(w, strerror(why.os_errno));
        return 0;
    }
    bool is_dir = S_ISDIR(st.stx_mode);
    bool is_parent = parent_is_parent && !at_source;
    if (is_parent && !is_dir)
        return error_set(err, ERROR_USAGE, "'%s' on the way to a source is not a directory (links are not followed); name the real path in `sources`", buf_str(&w->path));
    if (at_source && S_ISLNK(st.stx_mode))
        return error_set(err, ERROR_USAGE, "source '%s' is a symbolic link, which is not followed; name the directory it leads to in `sources`", buf_str(&w->path));
    if (at_source)
        w->device = device_of(&st);
    if (!parent_is_parent && is_excluded(w, is_dir))
        return 0;

    struct manifest_entry *e = &w->entry;
    struct scan_stat stat;
    manifest_entry_reset(e);
    buf_add(&e->path, w->path.data, w->path.len);
    if (w->path.len == 0)
        buf_add_char(&e->path, '/');
    scan_fill_entry(w->owners, &st, e, &stat);
    e->source = is_parent ? MANIFEST_NO_SOURCE : w->source;
    if (e->type == MANIFEST_LINK && read_target(w, dirfd, name, &e->target, err) != 0)
        return 0;
    bool mount = is_dir && !is_parent && !at_source && must_not_enter(w, dirfd, name, &st);
    if (mount)
        e->notes |= MANIFEST_MOUNT;
    int r = w->callbacks->visit(w->callbacks->arg, e, &stat, st.stx_nlink, st.stx_blocks * 512, err);
    if (r != 0)
        return r;
    return is_dir && !mount ? enter_directory(w, dirfd, name, &st, is_parent, err) : 0;
}

static int walk_all(struct walk *w, struct error *err)
{
    int r = visit_entry(w, AT_FDCWD, "/", true, err);
    while (r == 0 && w->depth > 0) {
        struct level *level = &w->levels[w->depth - 1];
        const void *name;
        size_t n;
        w->path.len = level->path_len;
        r = spill_next(level->names, &name, &n, err);
        if (r < 0)
            break;
        if (name == NULL) {
            r = pop_level(w, err);
            continue;
        }
        buf_add_char(&w->path, '/');
        buf_add(&w->path, name, n);
        _cleanup_free_ char *copy = xstrndup(name, n);
        r = visit_entry(w, level->fd, copy, level->is_parent, err);
    }
    return r;
}

int scan_run(const struct io *io, const struct scan_options *options, const struct scan_callbacks *callbacks, struct error *err)
{
    if (options->n_sources == 0)
        return 0;
    struct walk w = { .io = io, .options = options, .callbacks = callbacks, .owners = scan_names_new(), .listing = xmalloc(LISTING) };
    int r = walk_all(&w, err);
    while (w.depth > 0) {
        struct level *level = &w.levels[--w.depth];
        io_close_quietly(io, &level->fd);
        spill_free(level->names);
    }
    free(w.levels);
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
