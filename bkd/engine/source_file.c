#include "bkd/engine/source_file.h"

#include <errno.h>
#include <linux/stat.h>

#include "bkd/engine/attrs.h"

static enum source_file_result failure(const struct error *err)
{
    return err->os_errno == ENOENT || err->os_errno == ENOTDIR || err->os_errno == ELOOP ? SOURCE_FILE_GONE : SOURCE_FILE_PROBLEM;
}

static enum source_file_result refresh(struct source_file *f, const struct io *io, struct scan_names *names, struct error *err)
{
    struct statx st;
    enum manifest_type expected = f->entry->type;
    if (io_stat(io, f->fd, "", AT_EMPTY_PATH, &st, err) < 0)
        return failure(err);
    scan_fill_entry(names, &st, f->entry, &f->stat);
    f->blocks_bytes = st.stx_blocks * 512;
    if (f->entry->type != expected) {
        f->entry->type = expected;
        return SOURCE_FILE_GONE;
    }
    f->mtime_s = f->entry->mtime_s;
    f->mtime_ns = f->entry->mtime_ns;
    return SOURCE_FILE_READ;
}

// Regular files for their content, directories for their flags, where that is allowed; anything else without opening it, and directories that are
// mount points too: a mount could be made by it, or hang.
static int open_entry(struct source_file *f, const struct io *io, int dirfd, const char *name, struct error *err)
{
    bool is_dir = f->entry->type == MANIFEST_DIR && (f->entry->notes & MANIFEST_MOUNT) == 0;
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | (is_dir ? O_DIRECTORY : 0);
    if (f->entry->type == MANIFEST_FILE || is_dir) {
        int r = io_open(io, dirfd, name, flags | O_NOATIME, 0, &f->fd, err);
        if (r < 0 && err->os_errno == EPERM) { // O_NOATIME is for the owner and root
            f->touched = !is_dir;
            r = io_open(io, dirfd, name, flags, 0, &f->fd, err);
        }
        if (r == 0 || !is_dir)
            return r;
    }
    return io_open(io, dirfd, name, O_PATH | O_NOFOLLOW, 0, &f->fd, err);
}

// Opens, and does not look.
static enum source_file_result open_path(struct source_file *f, struct dirchain *chain, struct manifest_entry *entry, struct error *err)
{
    *f = (struct source_file){ .fd = -1, .entry = entry };
    int dirfd;
    const char *name;
    // A file that is gone is gone; a directory that is gone was moved as a rule, and what it holds is then in no snapshot: worth a word.
    if (dirchain_parent(chain, buf_str(&entry->path), &dirfd, &name, err) < 0)
        return SOURCE_FILE_PROBLEM;
    return open_entry(f, chain->io, dirfd, name, err) < 0 ? failure(err) : SOURCE_FILE_READ;
}

// What was opened counts from here on.
static enum source_file_result look(struct source_file *f, const struct io *io, struct scan_names *names, struct error *err)
{
    enum source_file_result result = refresh(f, io, names, err);
    f->opened = f->stat;
    if (result != SOURCE_FILE_READ)
        source_file_close(f, io);
    return result;
}

enum source_file_result source_file_open(struct source_file *f, struct dirchain *chain, struct scan_names *names, struct manifest_entry *entry, struct error *err)
{
    enum source_file_result result = open_path(f, chain, entry, err);
    return result == SOURCE_FILE_READ ? look(f, chain->io, names, err) : result;
}

void source_file_close(struct source_file *f, const struct io *io) { io_close_quietly(io, &f->fd); }

enum source_file_result source_file_changed(struct source_file *f, const struct io *io, struct scan_names *names, bool *ret_changed, struct error *err)
{
    uint64_t size = f->entry->size;
    int64_t mtime_s = f->mtime_s;
    uint32_t mtime_ns = f->mtime_ns;
    struct scan_stat before = f->stat;
    enum source_file_result result = refresh(f, io, names, err);
    *ret_changed = f->entry->size != size || f->mtime_s != mtime_s || f->mtime_ns != mtime_ns || f->stat.ctime_s != before.ctime_s ||
                   f->stat.ctime_ns != before.ctime_ns;
    return result;
}

// Reads entry->size bytes, max at most; *ret_n is how many there were.
static int read_content(struct source_file *f, const struct io *io, size_t max, struct buf *data, size_t *ret_n, struct error *err)
{
    size_t start = data->len, size = f->entry->size < max ? (size_t)f->entry->size : max, got = 0;
    int r = io_pread_full(io, f->fd, buf_extend(data, size), size, 0, buf_str(&f->entry->path), &got, err);
    data->len = r < 0 ? start : start + got;
    *ret_n = got;
    return r;
}

// Reads until it stays as it is while it is read.
static enum source_file_result read_settled(struct source_file *f, const struct io *io, struct scan_names *names, size_t max, struct buf *data, struct error *err)
{
    size_t start = data->len;
    for (int try = 1;; try++) {
        size_t got = 0;
        bool changed = false;
        data->len = start;
        if (read_content(f, io, max, data, &got, err) < 0)
            return failure(err);
        enum source_file_result result = source_file_changed(f, io, names, &changed, err);
        if (result != SOURCE_FILE_READ)
            return result;
        if (!changed && got == f->entry->size)
            return SOURCE_FILE_READ;
        if (try < SOURCE_FILE_TRIES)
            continue;
        f->entry->size = got;
        f->entry->notes |= MANIFEST_UNSTABLE;
        return SOURCE_FILE_READ;
    }
}

static bool is_as_scanned(const struct source_file *f, const struct io *io, const struct scan_stat *scanned)
{
    struct error ignored; // then it is looked at again
    struct statx st;
    const struct manifest_entry *e = f->entry;
    return io_stat(io, f->fd, "", AT_EMPTY_PATH, &st, &ignored) == 0 && manifest_type_of(st.stx_mode) == e->type && st.stx_size == e->size &&
           st.stx_mtime.tv_sec == e->mtime_s && st.stx_mtime.tv_nsec == e->mtime_ns && st.stx_ino == scanned->inode &&
           st.stx_ctime.tv_sec == scanned->ctime_s && st.stx_ctime.tv_nsec == scanned->ctime_ns;
}

enum source_file_result source_file_read(struct source_file *f, struct dirchain *chain, struct scan_names *names, struct manifest_entry *entry,
                                         const struct scan_stat *scanned, size_t max, struct buf *data, struct error *err)
{
    size_t start = data->len, got = 0;
    enum source_file_result result = open_path(f, chain, entry, err);
    if (result != SOURCE_FILE_READ)
        return result;
    f->stat = f->opened = *scanned;
    if (read_content(f, chain->io, max, data, &got, err) == 0 && got == entry->size && is_as_scanned(f, chain->io, scanned))
        return SOURCE_FILE_READ;
    data->len = start;
    result = look(f, chain->io, names, err);
    if (result == SOURCE_FILE_READ)
        result = read_settled(f, chain->io, names, max, data, err);
    if (result != SOURCE_FILE_READ) {
        data->len = start;
        source_file_close(f, chain->io);
    }
    return result;
}

enum source_file_result source_file_attrs(struct source_file *f, const struct io *io, struct buf *xattrs, struct error *err)
{
    if (f->entry->type == MANIFEST_FILE || f->entry->type == MANIFEST_DIR)
        f->entry->flags = attrs_read_flags(f->fd);
    return attrs_read_xattrs(io, f->fd, buf_str(&f->entry->path), xattrs, err) < 0 ? SOURCE_FILE_PROBLEM : SOURCE_FILE_READ;
}
