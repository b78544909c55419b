#include "restore/reuse.h"

#include <errno.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "restore/existing.h"
#include "restore/replace.h"

enum { BLOCK = 4096, CHUNK = 1 << 20 };

// ---- finding content

bool reuse_part(struct apply *a, struct apply_file *f)
{
    struct apply_part part = apply_part_name(a, f->sequence);
    struct statx st;
    struct error ignored; // then the file is made anew
    int fd = -1;
    if (io_open(a->io, f->dir->fd, part.name, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0, &fd, &ignored) < 0)
        return false;
    // With a second name it would be somebody's file too.
    if (io_stat(a->io, fd, "", AT_EMPTY_PATH, &st, &ignored) < 0 || !S_ISREG(st.stx_mode) || st.stx_nlink != 1 ||
        io_truncate(a->io, fd, f->size, part.name, &ignored) < 0) {
        io_close_quietly(a->io, &fd);
        return false;
    }
    f->part = part;
    f->fd = fd;
    f->multi = f->reused = true;
    return true;
}

bool reuse_existing(struct apply *a, struct apply_file *f)
{
    struct statx st;
    struct error ignored; // then the file is replaced as a whole
    if (existing_open(a->io, f->dir->fd, f->name, &f->old, &f->source_fd, &ignored) < 0)
        return false;
    f->multi = f->reused = true;
    if (io_stat(a->io, f->source_fd, "", AT_EMPTY_PATH, &st, &ignored) == 0 &&
        (st.stx_size == f->size || reuse_claim(a, f, &ignored) == 0)) // another size is a difference already
        return true;
    apply_remove_part(a, f);
    io_close_quietly(a->io, &f->source_fd);
    f->multi = f->reused = false;
    return false;
}

static int read_there(struct apply *a, struct apply_file *f, void *data, uint64_t offset, uint32_t length, bool *ret_whole, struct error *err)
{
    size_t n = 0;
    int r = io_pread_full(a->io, f->source_fd >= 0 ? f->source_fd : f->fd, data, length, offset, f->name, &n, err);
    *ret_whole = r == 0 && n == length;
    return r;
}

bool reuse_piece(struct apply *a, struct apply_file *f, uint64_t offset, uint32_t length, const uint8_t sha256[32])
{
    _cleanup_free_ char *data = malloc(length);
    struct error ignored; // what cannot be read is fetched
    bool whole = false;
    if (data == NULL || read_there(a, f, data, offset, length, &whole, &ignored) < 0 || !whole)
        return false;
    if (!compare_bytes(a->timing, data, length, sha256))
        return false;
    atomic_fetch_add(&a->kept_bytes, length);
    return true;
}

// ---- claiming

static int copy_content(struct apply *a, struct apply_file *f, struct error *err)
{
    _cleanup_free_ char *chunk = xmalloc(CHUNK);
    size_t n = CHUNK;
    for (off_t at = 0; n == CHUNK;) {
        off_t data = a->io->lseek(a->io, f->source_fd, at, SEEK_DATA); // holes stay holes
        if (data < 0 && errno == ENXIO)
            return 0;
        at = data < 0 ? at : data;
        int r = io_pread_full(a->io, f->source_fd, chunk, CHUNK, (uint64_t)at, f->name, &n, err);
        if (r == 0)
            r = io_pwrite_all(a->io, f->fd, chunk, n, (uint64_t)at, f->name, err);
        if (r < 0)
            return r;
        atomic_fetch_add(&a->written_bytes, n);
        at += (off_t)n;
    }
    return 0;
}

// Undoes a borrowing that led nowhere.
static void give_back(struct apply *a, struct apply_file *f)
{
    struct error ignored; // should the name be taken by now, the file stays aside under a name that says what it is
    io_close_quietly(a->io, &f->fd);
    if (io_rename_new(a->io, f->dir->fd, f->part.name, f->dir->fd, f->name, &ignored) < 0)
        return;
    f->part.name[0] = '\0';
    f->borrowed = false;
}

// The file itself goes aside. Nobody else may have it under another name.
static bool borrow(struct apply *a, struct apply_file *f)
{
    struct statx st;
    struct error ignored; // then it is copied
    struct apply_part part = apply_part_name(a, f->sequence);
    if (io_stat(a->io, f->source_fd, "", AT_EMPTY_PATH, &st, &ignored) < 0 || st.stx_nlink != 1 ||
        io_rename_new(a->io, f->dir->fd, f->name, f->dir->fd, part.name, &ignored) < 0)
        return false;
    f->part = part;
    f->borrowed = true;
    struct target_id id;
    if (io_open(a->io, f->dir->fd, part.name, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0, &f->fd, &ignored) < 0 ||
        target_id_of(a->io, f->fd, &id, &ignored) < 0 || !target_id_equal(&id, &f->old)) {
        give_back(a, f);
        return false;
    }
    f->replaces = false; // its name is free now
    return true;
}

int reuse_claim(struct apply *a, struct apply_file *f, struct error *err)
{
    int r = 0;
    if (f->part.name[0] != '\0')
        return 0;
    r = apply_make_part(a, f, err);
    if (r == 0 && a->io->clone(a->io, f->fd, f->source_fd) < 0) {
        apply_remove_part(a, f);
        if (!borrow(a, f)) {
            r = apply_make_part(a, f, err);
            if (r == 0)
                r = copy_content(a, f, err);
        }
    }
    return r < 0 ? r : io_truncate(a->io, f->fd, f->size, f->name, err);
}

// ---- writing

// Runs of blocks that differ from what is there.
static int write_blocks(struct apply *a, struct apply_file *f, uint64_t offset, const char *data, uint32_t length, const char *there,
                        struct error *err)
{
    uint32_t at = 0;
    while (at < length) {
        uint32_t start = at;
        bool differs = false;
        while (at < length) { // blocks are those of the file, not of the piece
            uint32_t n = BLOCK - (uint32_t)((offset + at) % BLOCK);
            n = n < length - at ? n : length - at;
            bool other = memcmp(data + at, there + at, n) != 0;
            if (at > start && other != differs)
                break;
            differs = other;
            at += n;
        }
        if (!differs)
            continue;
        int r = io_pwrite_all(a->io, f->fd, data + start, at - start, offset + start, f->name, err);
        if (r < 0)
            return r;
        atomic_fetch_add(&a->written_bytes, at - start);
    }
    return 0;
}

static int write_range(struct apply *a, struct apply_file *f, uint64_t offset, const void *data, uint32_t length, struct error *err)
{
    _cleanup_free_ char *there = malloc(length);
    size_t n = 0;
    if (there == NULL)
        return error_set(err, ERROR_FAILED, "no memory for %u bytes", length);
    int r = io_pread_full(a->io, f->fd, there, length, offset, f->name, &n, err);
    if (r < 0)
        return r;
    f->touched = true;
    uint32_t blocks = (uint32_t)n; // the file has its size, so that is all of it
    return write_blocks(a, f, offset, data, blocks, there, err);
}

int reuse_hole(struct apply *a, struct apply_file *f, uint64_t offset, uint64_t length, struct error *err)
{
    if (length == 0)
        return 0;
    f->touched = true;
    if (a->io->punch(a->io, f->fd, (off_t)offset, (off_t)length) == 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return error_set_errno(err, errno, "make a hole in '%s'", f->name);
    _cleanup_free_ char *zeros = xcalloc(1, CHUNK); // a file system without holes
    for (uint64_t at = 0, n; at < length; at += n) {
        n = length - at < CHUNK ? length - at : CHUNK;
        int r = write_range(a, f, offset + at, zeros, (uint32_t)n, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int reuse_write(struct apply *a, struct apply_file *f, uint64_t offset, const uint8_t *data, uint32_t length, struct error *err)
{
    const struct recipe *recipe = &f->recipe;
    uint64_t at = offset, end = offset + length;
    if (!f->sparse)
        return write_range(a, f, offset, data, length, err);
    for (size_t i = 0; i < recipe->n_extents && at < end; i++) {
        uint64_t start = recipe->extents[i].offset, stop = start + recipe->extents[i].length;
        if (stop <= at)
            continue;
        if (start >= end)
            break;
        start = start < at ? at : start;
        stop = stop > end ? end : stop;
        int r = reuse_hole(a, f, at, start - at, err);
        if (r == 0)
            r = write_range(a, f, start, data + (start - offset), (uint32_t)(stop - start), err);
        if (r < 0)
            return r;
        at = stop;
    }
    return reuse_hole(a, f, at, end - at, err);
}
