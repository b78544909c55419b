#include "restore/apply.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/inode_flags.h"
#include "restore/content.h"
#include "restore/existing.h"
#include "restore/replace.h"
#include "restore/reuse.h"

void apply_init(struct apply *a, const struct io *io, unsigned n_workers)
{
    a->io = io;
    a->n_workers = n_workers;
    a->workers = xcalloc(n_workers, sizeof *a->workers);
    io_random(io, &a->run, sizeof a->run);
    atomic_init(&a->stop, false);
    pthread_mutex_init(&a->lock, NULL);
}

void apply_done(struct apply *a)
{
    for (unsigned i = 0; i < a->n_workers; i++)
        buf_done(&a->workers[i].xattr_text);
    free(a->workers);
    pthread_mutex_destroy(&a->lock);
}

struct apply_part apply_part_name(const struct apply *a, uint64_t sequence)
{
    struct apply_part part;
    (void)snprintf(part.name, sizeof part.name, APPLY_PART_PREFIX "%016llx-%llx", (unsigned long long)a->run, (unsigned long long)sequence);
    return part;
}

struct apply_file *apply_file_new(struct target_dir *dir, const char *path, const char *name)
{
    struct apply_file *f = xcalloc(1, sizeof *f);
    f->dir = target_ref(dir);
    f->path = xstrdup(path);
    f->name = xstrdup(name);
    f->fd = f->direct_fd = f->source_fd = -1;
    atomic_init(&f->pieces_left, 1);
    atomic_init(&f->result, APPLY_PENDING);
    return f;
}

void apply_file_free(struct apply_file *f)
{
    if (f == NULL)
        return;
    target_unref(f->dir);
    recipe_done(&f->recipe);
    compare_whole_free(f->whole);
    attrs_loss_done(&f->loss);
    free(f->error);
    free(f->name);
    free(f->path);
    free(f);
}

// The first reason stays.
static void set_result(struct apply *a, struct apply_file *f, enum apply_result result, const struct error *err)
{
    pthread_mutex_lock(&a->lock);
    if (atomic_load(&f->result) == APPLY_PENDING) {
        if (err != NULL) {
            f->error = xmalloc(sizeof *f->error);
            *f->error = *err;
        }
        atomic_store(&f->result, result);
    }
    pthread_mutex_unlock(&a->lock);
}

static bool is_pending(const struct apply_file *f) { return atomic_load(&f->result) == APPLY_PENDING; }

// Failures of one name; every other failure to write would meet the next file too.
static bool concerns_one_file(const struct error *err)
{
    switch (err->os_errno) {
    case EEXIST:
    case ENAMETOOLONG:
    case EINVAL:
    case EILSEQ:
    case ENOENT: // what some file systems say of names they do not take; and of a directory that somebody removed
    case EFBIG:
    case EOVERFLOW:
    case EACCES:
    case EPERM:
        return true;
    default:
        return false;
    }
}

void apply_fail(struct apply *a, struct apply_file *f, const struct error *err)
{
    if (err->code == ERROR_EXISTS) {
        set_result(a, f, APPLY_EXISTS, f->replaces ? err : NULL);
        return;
    }
    set_result(a, f, APPLY_FAILED, err);
    if (!concerns_one_file(err))
        atomic_store(&a->stop, true);
}

void apply_lose(struct apply *a, struct apply_file *f, const struct error *err)
{
    set_result(a, f, APPLY_LOST, err);
    if (!a->keep_going || err->code == ERROR_UNREACHABLE)
        atomic_store(&a->stop, true);
}

// Nobody gets to read a part file whom the finished one would keep out: its own mode, where owner and attributes are right from the beginning. A run that
// goes on must be able to open it.
static uint32_t mode_at_creation(const struct apply *a, const struct apply_file *f)
{
    bool own = f->dir->plain_owner && f->attrs.uid == a->self->uid && f->attrs.gid == a->self->gid;
    bool plain = f->attrs.xattr.length == 0 && !f->dir->imposes_acl && (f->attrs.mode & 07600) == 0600;
    return own && plain ? f->attrs.mode : 0600;
}

// With flags that a file should have from the beginning; with the metadata they are looked at again.
static void set_birth_flags(struct apply *a, struct apply_file *f)
{
    if ((f->attrs.flags & INODE_FLAGS_BIRTH) != 0)
        (void)a->io->setflags(a->io, f->fd, f->attrs.flags, INODE_FLAGS_BIRTH);
}

int apply_make_part(struct apply *a, struct apply_file *f, struct error *err)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
    f->part = apply_part_name(a, f->sequence);
    f->mode = mode_at_creation(a, f);
    int r = io_open(a->io, f->dir->fd, f->part.name, flags, f->mode, &f->fd, err);
    if (r == ERROR_EXISTS && a->resume) {
        replace_discard(a->io, f->dir->fd, f->part.name);
        r = io_open(a->io, f->dir->fd, f->part.name, flags, f->mode, &f->fd, err);
    }
    // A part name that exists is an accident that must not look like an existing file.
    if (r == ERROR_EXISTS)
        r = error_set(err, ERROR_FAILED, "temporary name '%s' is taken", f->part.name);
    if (r < 0)
        f->part.name[0] = '\0';
    else
        set_birth_flags(a, f);
    return r;
}

static int make_nameless(struct apply *a, const struct target_dir *dir, uint32_t mode)
{
    return a->io->openat(a->io, dir->fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, mode);
}

// As far as this user can, the file is given away before: with CAP_CHOWN alone it could not be linked then (proc_sys_fs(5), protected_hardlinks), though renamed.
// It has the part name of the first file: a run that goes on looks for that.
static bool try_nameless(struct apply *a, const struct apply_file *f)
{
    struct error ignored;
    struct apply_part part = apply_part_name(a, f->sequence);
    int fd = make_nameless(a, f->dir, 0600);
    if (fd >= 0)
        (void)a->io->fchownat(a->io, fd, "", a->self->uid ^ 1, (gid_t)-1, AT_EMPTY_PATH);
    bool works = fd >= 0 && io_link_fd(a->io, fd, f->dir->fd, part.name, &ignored) == 0 && io_unlink(a->io, f->dir->fd, part.name, 0, &ignored) == 0;
    io_close_quietly(a->io, &fd);
    return works;
}

// Can files of this one's file system be made without a name, and be given one by descriptor? Found out where the first one is to be made: there the directory's
// time changes anyway.
static bool nameless_works(struct apply *a, const struct apply_file *f)
{
    pthread_mutex_lock(&a->lock);
    if (!a->nameless_tried)
        a->nameless_on = try_nameless(a, f) ? f->dir->id.device : 0;
    a->nameless_tried = true;
    bool works = a->nameless_on == f->dir->id.device;
    pthread_mutex_unlock(&a->lock);
    return works;
}

// That takes the kernel less than a part name and a rename, and nothing is left of it by a kill. Only for small ones, which are written at once, need no second descriptor
// and are not worth keeping; and not where the part files of an interrupted run may stand, whose names are taken.
static bool is_nameless(struct apply *a, const struct apply_file *f)
{
    return !f->multi && !f->replaces && !a->resume && f->size < APPLY_DIRECT_MIN && nameless_works(a, f);
}

static int make_aside(struct apply *a, struct apply_file *f, struct error *err)
{
    if (is_nameless(a, f)) {
        f->mode = mode_at_creation(a, f);
        f->fd = make_nameless(a, f->dir, f->mode);
        f->nameless = f->fd >= 0;
    }
    if (!f->nameless)
        return apply_make_part(a, f, err);
    set_birth_flags(a, f);
    return 0;
}

// Large ones serve the run that goes on with an interrupted restore; what was somebody's file is never removed.
static bool is_worth_keeping(const struct apply *a, const struct apply_file *f)
{
    return (f->borrowed && f->touched) || (a->may_resume && f->multi && atomic_load(&a->stop) && atomic_load(&f->result) != APPLY_LOST);
}

void apply_remove_part(struct apply *a, struct apply_file *f)
{
    io_close_quietly(a->io, &f->direct_fd);
    io_close_quietly(a->io, &f->fd);
    if (f->part.name[0] == '\0')
        return;
    if (f->borrowed && !f->touched)
        (void)a->io->renameat2(a->io, f->dir->fd, f->part.name, f->dir->fd, f->name, RENAME_NOREPLACE); // or it stays aside
    else if (!is_worth_keeping(a, f))
        (void)a->io->unlinkat(a->io, f->dir->fd, f->part.name, 0); // the file's own failure is what gets reported
    f->part.name[0] = '\0';
}

// Before the data, so that holes are holes, and reserved space is one piece.
static int set_size(struct apply *a, struct apply_file *f, struct error *err)
{
    int r = io_truncate(a->io, f->fd, f->size, f->name, err);
    if (r < 0 || !f->preallocated || a->io->fallocate(a->io, f->fd, 0, 0, (off_t)f->size) == 0)
        return r;
    if (errno == ENOSPC || errno == EDQUOT)
        return error_set_errno(err, errno, "reserve the space of '%s'", f->name);
    buf_addf(&f->loss.why, "reserved space: %s", strerror(errno));
    return 0;
}

// Where it cannot be had, all goes through the page cache; so it does where the name leads to something else by now: whoever may write into the directory can
// put a file of his own there, or a FIFO on which an open without O_NONBLOCK waits.
static void open_direct(struct apply *a, struct apply_file *f)
{
    struct target_id made, opened;
    struct error ignored;
    if (!a->direct || f->size < APPLY_DIRECT_MIN)
        return;
    f->direct_fd = a->io->openat(a->io, f->dir->fd, f->part.name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_DIRECT | O_CLOEXEC, 0);
    if (f->direct_fd >= 0 && (target_id_of(a->io, f->fd, &made, &ignored) < 0 || target_id_of(a->io, f->direct_fd, &opened, &ignored) < 0 ||
                              !target_id_equal(&made, &opened)))
        io_close_quietly(a->io, &f->direct_fd);
}

// One that will be written in large pieces gets its size first: behind its end a file grows by one write at a time.
static int make_ready(struct apply *a, struct apply_file *f, struct error *err)
{
    int r = make_aside(a, f, err);
    if (r == 0)
        open_direct(a, f);
    return r == 0 && (f->multi || f->sparse || f->direct_fd >= 0) ? set_size(a, f, err) : r;
}

void apply_begin(struct apply *a, struct apply_file *f)
{
    struct error err;
    uint64_t since = timing_now(a->timing);
    f->multi = true;
    if (make_ready(a, f, &err) < 0) {
        apply_remove_part(a, f);
        apply_fail(a, f, &err);
    }
    (void)timing_add(a->timing, TIMING_WRITE, since, 0);
}

int apply_xattr(struct apply *a, unsigned worker, const struct place *place, const char **ret_text, size_t *ret_n, struct error *err)
{
    struct apply_worker *w = &a->workers[worker];
    if (memcmp(&w->xattr_place, place, sizeof *place) != 0) {
        w->xattr_place = (struct place){ 0 };
        buf_reset(&w->xattr_text);
        int r = content_xattr(a->reader, place, &w->xattr_text, err);
        if (r < 0) {
            buf_reset(&w->xattr_text);
            return r;
        }
        w->xattr_place = *place;
    }
    *ret_text = buf_str(&w->xattr_text);
    *ret_n = w->xattr_text.len;
    return 0;
}

static void set_attributes(struct apply *a, unsigned worker, struct apply_file *f)
{
    struct error err;
    struct attrs_object object = {
        .fd = f->fd, .mode = f->mode, .plain_owner = f->dir->plain_owner, .clear_acl = f->dir->imposes_acl
    };
    if (f->reused) { // nothing is known of it
        object.mode = UINT32_MAX;
        object.plain_owner = false;
    }
    if (f->attrs.xattr.length > 0 && apply_xattr(a, worker, &f->attrs.xattr, &object.xattr_text, &object.n, &err) < 0)
        buf_addf(&f->loss.why, "extended attributes: %s", err.text);
    else if (f->reused)
        existing_remove_xattrs(a->io, f->fd, object.xattr_text, object.n, a->self->untrusted);
    attrs_apply(a->io, &object, &f->attrs, a->self, &f->loss);
}

// What could not be closed is not known to be whole.
static int name_nameless(struct apply *a, struct apply_file *f, struct error *err)
{
    int r = io_link_fd(a->io, f->fd, f->dir->fd, f->name, err);
    if (r < 0)
        return r;
    r = io_close(a->io, &f->fd, f->name, err);
    if (r < 0)
        (void)a->io->unlinkat(a->io, f->dir->fd, f->name, 0);
    return r;
}

static int name_file(struct apply *a, struct apply_file *f, struct error *err)
{
    int r = 0;
    if (f->leader || (f->attrs.flags & INODE_FLAGS_LATE) != 0)
        r = target_id_of(a->io, f->fd, &f->id, err);
    if (r == 0 && f->nameless)
        return name_nameless(a, f, err);
    if (r == 0 && f->direct_fd >= 0) // some network file systems tell of a failed write only here, and only the descriptor that made it
        r = io_close(a->io, &f->direct_fd, f->name, err);
    if (r == 0)
        r = io_close(a->io, &f->fd, f->name, err);
    if (r == 0 && f->part.name[0] != '\0')
        r = replace_name(a->io, f->dir->fd, f->part.name, f->name, f->replaces ? &f->old : NULL, f->old_all_but, err);
    if (r == 0)
        f->part.name[0] = '\0';
    return r;
}

// An existing file of which every piece was right is not even renamed.
static void settle_source(struct apply *a, struct apply_file *f)
{
    if (f->source_fd < 0)
        return;
    if (f->fd < 0 && f->part.name[0] == '\0' && is_pending(f)) {
        f->fd = f->source_fd;
        f->source_fd = -1;
        f->unchanged = true;
    }
    io_close_quietly(a->io, &f->source_fd);
}

static void tell_what_is_left(struct apply_file *f)
{
    if (f->borrowed && f->touched && f->error != NULL)
        (void)error_prefix(f->error, "its old content is partly overwritten and stands beside it as '%s'", f->part.name);
}

// All pieces are written or failed.
static void finish(struct apply *a, unsigned worker, struct apply_file *f)
{
    struct error err;
    if (is_pending(f) && f->whole != NULL) {
        compare_whole_settle(f->whole);
        if (!compare_whole_equal(f->whole, f->sha256)) {
            (void)error_set(&err, ERROR_INTEGRITY, "the content as a whole does not have the recorded SHA-256");
            apply_lose(a, f, &err);
        }
    }
    if (is_pending(f) && atomic_load(&a->stop))
        set_result(a, f, APPLY_STOPPED, NULL);
    settle_source(a, f);
    if (is_pending(f)) {
        uint64_t since = timing_now(a->timing);
        set_attributes(a, worker, f);
        if (name_file(a, f, &err) < 0)
            apply_fail(a, f, &err);
        else
            set_result(a, f, APPLY_DONE, NULL);
        (void)timing_add(a->timing, TIMING_METADATA, since, 0);
    }
    if (atomic_load(&f->result) != APPLY_DONE) {
        tell_what_is_left(f);
        apply_remove_part(a, f);
    }
}

void apply_piece_over(struct apply *a, unsigned worker, struct apply_file *f)
{
    if (atomic_fetch_sub(&f->pieces_left, 1) == 1)
        finish(a, worker, f);
}

static bool can_go_direct(const struct apply_file *f, uint64_t offset, const uint8_t *data, size_t n)
{
    return f->direct_fd >= 0 && n >= APPLY_DIRECT_MIN && offset % APPLY_DIRECT_ALIGN == 0 && (uintptr_t)data % APPLY_DIRECT_ALIGN == 0;
}

// What the file system will not take directly, or the end of a file, goes through the page cache; there any other failure comes again.
static int write_range(struct apply *a, struct apply_file *f, uint64_t offset, const uint8_t *data, size_t n, struct error *err)
{
    size_t direct = can_go_direct(f, offset, data, n) ? n - n % APPLY_DIRECT_ALIGN : 0;
    if (direct > 0 && io_pwrite_all(a->io, f->direct_fd, data, direct, offset, f->name, err) < 0)
        direct = 0;
    return direct == n ? 0 : io_pwrite_all(a->io, f->fd, data + direct, n - direct, offset + direct, f->name, err);
}

// Only what lies in data extents of a sparse file is written: the rest stays a hole.
static int write_extents(struct apply *a, struct apply_file *f, uint64_t offset, const uint8_t *data, uint32_t length, struct error *err)
{
    const struct recipe *recipe = &f->recipe;
    for (size_t i = recipe_extent_at(recipe, offset); i < recipe->n_extents && recipe->extents[i].offset < offset + length; i++) {
        uint64_t start = recipe->extents[i].offset, end = start + recipe->extents[i].length;
        start = start < offset ? offset : start;
        end = end > offset + length ? offset + length : end;
        int r = write_range(a, f, start, data + (start - offset), (size_t)(end - start), err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int write_piece(struct apply *a, struct apply_file *f, uint64_t offset, const void *data, uint32_t length, struct error *err)
{
    int r = f->fd < 0 ? make_ready(a, f, err) : 0;
    if (r < 0)
        return r;
    if (f->reused)
        return reuse_write(a, f, offset, data, length, err);
    atomic_fetch_add(&a->written_bytes, length);
    if (f->sparse && f->recipe.n_extents > 0)
        return write_extents(a, f, offset, data, length, err);
    return write_range(a, f, offset, data, length, err);
}

bool apply_wants(const struct apply *a, const struct apply_file *f) { return is_pending(f) && !atomic_load(&a->stop); }

void apply_piece(struct apply *a, unsigned worker, struct apply_file *f, uint32_t index, uint64_t offset, const void *data, uint32_t length,
                 bool equal)
{
    struct error err;
    if (apply_wants(a, f)) {
        if (!equal) {
            (void)error_set(&err, ERROR_INTEGRITY, "its bytes at %llu+%u do not have the recorded SHA-256", (unsigned long long)offset,
                            length);
            apply_lose(a, f, &err);
        } else {
            uint64_t since = timing_now(a->timing);
            if (write_piece(a, f, offset, data, length, &err) < 0)
                apply_fail(a, f, &err);
            (void)timing_add(a->timing, TIMING_WRITE, since, length);
        }
    }
    if (f->whole != NULL && apply_wants(a, f))
        compare_whole_piece(f->whole, index, data, length);
    apply_piece_over(a, worker, f);
}

// A piece of zeros is not always a hole: a base that had one there may have been followed by a version that has written zeros.
static int write_zeros(struct apply *a, struct apply_file *f, uint64_t offset, uint32_t length, struct error *err)
{
    static const uint8_t zeros[65536];
    const struct recipe *recipe = &f->recipe;
    size_t i = recipe_extent_at(recipe, offset);
    if (recipe->n_extents > 0 && (i == recipe->n_extents || recipe->extents[i].offset >= offset + length))
        return 0;
    for (uint32_t n, done = 0; done < length; done += n) {
        n = length - done < sizeof zeros ? length - done : (uint32_t)sizeof zeros;
        int r = write_piece(a, f, offset + done, zeros, n, err);
        if (r < 0)
            return r;
    }
    return 0;
}

void apply_hole(struct apply *a, unsigned worker, struct apply_file *f, uint32_t index, uint64_t offset, uint32_t length)
{
    struct error err;
    if (is_pending(f) && !atomic_load(&a->stop) && write_zeros(a, f, offset, length, &err) < 0)
        apply_fail(a, f, &err);
    if (is_pending(f) && f->whole != NULL)
        compare_whole_piece(f->whole, index, NULL, length);
    apply_piece_over(a, worker, f);
}

void apply_empty(struct apply *a, unsigned worker, struct apply_file *f)
{
    struct error err;
    if (!atomic_load(&a->stop)) {
        uint64_t since = timing_now(a->timing);
        if (make_aside(a, f, &err) < 0)
            apply_fail(a, f, &err);
        (void)timing_add(a->timing, TIMING_WRITE, since, 0);
    }
    apply_piece_over(a, worker, f);
}

void apply_abandon(struct apply *a, struct apply_file *f)
{
    set_result(a, f, APPLY_STOPPED, NULL);
    tell_what_is_left(f);
    io_close_quietly(a->io, &f->source_fd);
    apply_remove_part(a, f);
}
