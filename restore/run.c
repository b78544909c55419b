#include "restore/run.h"

#include <errno.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>

#include "bkd/base/clock.h"
#include "bkd/base/progress.h"
#include "restore/content.h"
#include "restore/deferred.h"
#include "restore/fetch.h"

enum { WINDOWS = 2, OPEN_DIRS_MAX = 2048, DESCRIPTORS_KEPT = 256 };

struct run {
    const struct io *io;
    const struct run_options *options;
    struct snapshot *snapshot;
    struct timing *timing;
    struct report *report;
    struct attrs_self self;
    struct attrs_names *names;
    struct plan plan;
    struct target target;
    struct compare *compare;
    struct apply apply;
    struct work_pool *pool;
    struct fetch *windows[WINDOWS];
    unsigned filling; // the window that takes the next files
    struct deferred deferred;
    unsigned open_dirs_max;
    struct buf skipped; // below this directory nothing can be restored; len 0 = none
    bool root_claimed;  // the target itself stands for a directory of the snapshot
    struct progress *progress;
};

static bool is_interrupted(const struct run *r) { return r->options->interrupted != NULL && r->options->interrupted(); }
static bool is_stopped(struct run *r) { return atomic_load(&r->apply.stop); }

// ---- results of windows

static int take_result(struct run *r, struct apply_file *f, struct error *err)
{
    const char *why = f->error == NULL ? "" : f->error->text;
    switch (atomic_load(&f->result)) {
    case APPLY_DONE:
        break;
    case APPLY_EXISTS:
        report_problem(r->report, REPORT_EXISTS, f->path, "");
        return 0;
    case APPLY_LOST:
        report_problem(r->report, REPORT_LOST, f->path, why);
        return 0;
    case APPLY_FAILED:
        report_problem(r->report, REPORT_FAILED, f->path, why);
        return 0;
    default:
        return 0;
    }
    r->report->files++;
    r->report->bytes += f->size;
    r->report->owners += f->loss.owner;
    if (f->loss.why.len > 0)
        report_problem(r->report, REPORT_METADATA, f->path, buf_str(&f->loss.why));
    if (f->leader) {
        int e = deferred_add_first(&r->deferred, f->sequence, &f->id, err);
        if (e < 0)
            return e;
    }
    if ((f->attrs.flags & ATTRS_LATE_FLAGS) == 0)
        return 0;
    const char *below = plan_strip(f->path, r->options->strip);
    return deferred_add_flags(&r->deferred, f->path, strlen(below), &f->id, f->attrs.flags, err);
}

// What ends the restore as a whole stands in one of the files.
static void remember_cause(const struct apply_file *f, struct error *cause)
{
    enum apply_result result = atomic_load(&f->result);
    if (cause->code == ERROR_NONE && f->error != NULL && (result == APPLY_FAILED || result == APPLY_LOST)) {
        *cause = *f->error;
        (void)error_prefix(cause, "'%s'", f->path);
    }
}

static int finish_window(struct run *r, struct fetch *w, struct error *err)
{
    struct error cause = { 0 };
    size_t n;
    int e = 0;
    if (!fetch_is_started(w))
        return 0;
    fetch_finish(w, r->pool);
    uint64_t done_files = r->report->files, done_bytes = r->report->bytes;
    struct apply_file *const *files = fetch_files(w, &n);
    for (size_t i = 0; e == 0 && i < n; i++) {
        remember_cause(files[i], &cause);
        e = take_result(r, files[i], err);
    }
    fetch_reset(w);
    progress_add(r->progress, r->report->files - done_files, r->report->bytes - done_bytes);
    if (e == 0 && is_stopped(r) && cause.code != ERROR_NONE && err->code == ERROR_NONE)
        *err = cause;
    return e;
}

static int start_window(struct run *r, struct error *err)
{
    fetch_start(r->windows[r->filling], r->pool);
    r->filling = (r->filling + 1) % WINDOWS;
    return finish_window(r, r->windows[r->filling], err);
}

static int finish_windows(struct run *r, struct error *err)
{
    int e = start_window(r, err);
    for (unsigned i = 0; e == 0 && i < WINDOWS; i++) {
        e = finish_window(r, r->windows[r->filling], err);
        r->filling = (r->filling + 1) % WINDOWS;
    }
    return e;
}

static int need_room(struct run *r, uint32_t length, struct error *err)
{
    if (!fetch_room(r->windows[r->filling], length)) {
        int e = start_window(r, err);
        if (e < 0)
            return e;
    }
    if (atomic_load(&r->target.open_dirs) > r->open_dirs_max)
        return finish_windows(r, err);
    return 0;
}

// ---- problems of one entry

// A fault of the stored data: the restore goes on only when asked to.
static int data_fault(struct run *r, enum report_kind kind, const char *path, const struct error *why, struct error *err)
{
    report_problem(r->report, kind, path, why->text);
    if (r->options->keep_going && why->code != ERROR_UNREACHABLE)
        return 0;
    *err = *why;
    if (err->code != ERROR_UNREACHABLE && err->code != ERROR_KEY)
        err->code = ERROR_INTEGRITY;
    return error_prefix(err, "'%s'", path);
}

// A fault of the target: goes on unless it would meet every other file as well.
static int target_fault(struct run *r, const char *path, const struct error *why, struct error *err)
{
    if (why->code == ERROR_NO_SPACE || why->os_errno == EIO || why->os_errno == EROFS) {
        *err = *why;
        return error_prefix(err, "'%s'", path);
    }
    report_problem(r->report, why->code == ERROR_EXISTS ? REPORT_EXISTS : REPORT_FAILED, path, why->text);
    return 0;
}

// The directory an entry belongs into. *ret_dir NULL: reported, go on without it.
static int find_parent(struct run *r, const char *path, const char *below, struct target_dir **ret_dir, const char **ret_name, struct error *err)
{
    struct error why;
    *ret_dir = NULL;
    int e = target_parent(&r->target, below, strlen(below), ret_dir, ret_name, &why);
    if (e == 0)
        return 0;
    *ret_dir = NULL;
    return e == ERROR_INTEGRITY ? data_fault(r, REPORT_REFUSED, path, &why, err) : target_fault(r, path, &why, err);
}

static bool is_taken(struct run *r, struct target_dir *dir, const char *name)
{
    struct statx st;
    return !dir->made && r->io->statx(r->io, dir->fd, name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st) == 0;
}

// ---- entries

static int defer_dir(struct run *r, const struct manifest_entry *e, const char *path, size_t n, struct target_dir *dir, struct error *err)
{
    struct deferred_dir late = { .id = dir->id, .clear_acl = dir->imposes_acl, .above = e->source == MANIFEST_NO_SOURCE };
    attrs_of_entry(r->names, &r->self, e, &late.attrs);
    return deferred_add_dir(&r->deferred, path, n, &late, err);
}

static int restore_dir(struct run *r, const struct manifest_entry *e, const char *path, const char *below, struct error *err)
{
    struct target_dir *dir = NULL;
    struct error why;
    int got = target_mkdir(&r->target, below, strlen(below), &dir, &why);
    if (got == ERROR_INTEGRITY)
        return data_fault(r, REPORT_REFUSED, path, &why, err);
    if (got < 0) {
        buf_reset(&r->skipped);
        buf_add_str(&r->skipped, path);
        return target_fault(r, path, &why, err);
    }
    if (!dir->made) {
        r->report->existing_dirs++;
        return 0;
    }
    r->report->dirs++;
    return defer_dir(r, e, path, strlen(below), dir, err);
}

static int make_special(struct run *r, const struct manifest_entry *e, struct target_dir *dir, const char *name)
{
    static const mode_t types[] = { ['p'] = S_IFIFO, ['c'] = S_IFCHR, ['b'] = S_IFBLK };
    if (e->type == MANIFEST_LINK)
        return r->io->symlinkat(r->io, buf_str(&e->target), dir->fd, name);
    return r->io->mknodat(r->io, dir->fd, name, types[e->type] | e->mode, makedev(e->device_major, e->device_minor));
}

static void special_attributes(struct run *r, const struct manifest_entry *e, struct target_dir *dir, const char *name, struct attrs_loss *loss)
{
    struct attrs attrs;
    const char *text = NULL;
    size_t n = 0;
    struct error err;
    attrs_of_entry(r->names, &r->self, e, &attrs);
    if (attrs.xattr.length > 0 && apply_xattr(&r->apply, r->apply.n_workers - 1, &attrs.xattr, &text, &n, &err) < 0)
        buf_addf(&loss->why, "extended attributes: %s", err.text);
    attrs_apply_at(r->io, dir->fd, name, &attrs, &r->self, text, n, loss);
}

// Symbolic links, FIFOs, devices.
static int restore_special(struct run *r, const struct manifest_entry *e, const char *path, const char *below, struct error *err)
{
    struct target_dir *dir;
    const char *name;
    struct statx st;
    struct error why;
    struct attrs_loss loss = { 0 };
    int got = find_parent(r, path, below, &dir, &name, err);
    if (got < 0 || dir == NULL)
        return got;
    if (make_special(r, e, dir, name) < 0) {
        if (errno == EPERM && e->type != MANIFEST_LINK)
            (void)error_set(&why, ERROR_FAILED, "only root may make devices");
        else
            (void)error_set_errno(&why, errno, "make it");
        return target_fault(r, path, &why, err);
    }
    special_attributes(r, e, dir, name, &loss);
    r->report->owners += loss.owner;
    *(e->type == MANIFEST_LINK ? &r->report->links : &r->report->others) += 1;
    if (loss.why.len > 0)
        report_problem(r->report, REPORT_METADATA, path, buf_str(&loss.why));
    buf_done(&loss.why);
    if (e->hardlink.len == 0)
        return 0;
    got = io_stat(r->io, dir->fd, name, AT_SYMLINK_NOFOLLOW, &st, err);
    struct target_id id = { makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_ino };
    return got < 0 ? got : deferred_add_first(&r->deferred, r->plan.sequence, &id, err);
}

// Undoes a file that will not get all its pieces, once no worker touches it any more.
static int give_up(struct run *r, struct apply_file *f, int e, struct error *err)
{
    struct error second = *err;
    atomic_store(&r->apply.stop, true);
    int last = finish_windows(r, e < 0 ? &second : err);
    struct error cause = { 0 }; // no window owns the file yet, so nobody else tells what happened to it
    remember_cause(f, &cause);
    if (e == 0 && last == 0 && cause.code != ERROR_NONE) {
        last = take_result(r, f, &second);
        if (err->code == ERROR_NONE)
            *err = cause;
    }
    apply_abandon(&r->apply, f);
    apply_file_free(f);
    return e < 0 ? e : last;
}

static int add_pieces(struct run *r, struct apply_file *f, struct error *err)
{
    const struct recipe *recipe = &f->recipe;
    uint64_t offset = 0;
    atomic_store(&f->pieces_left, (unsigned)recipe->n_pieces);
    f->sparse = recipe->n_extents > 0;
    apply_begin(&r->apply, f);
    for (size_t i = 0; i < recipe->n_pieces; i++) {
        const struct recipe_piece *piece = &recipe->pieces[i];
        struct place scratch;
        const struct place *ranges;
        size_t n;
        if (is_stopped(r) || is_interrupted(r))
            return give_up(r, f, 0, err);
        if (piece->kind == RECIPE_HOLE) {
            apply_hole(&r->apply, r->apply.n_workers - 1, f, (uint32_t)i, piece->length);
            r->report->holes += piece->length;
        } else {
            int e = need_room(r, piece->length, err);
            if (e < 0)
                return give_up(r, f, e, err);
            recipe_piece_ranges(piece, &scratch, &ranges, &n);
            fetch_add_piece(r->windows[r->filling], f, (uint32_t)i, offset, piece->length, piece->sha256, ranges, n, f->whole != NULL);
        }
        offset += piece->length;
    }
    fetch_own(r->windows[r->filling], f);
    return 0;
}

static int add_content(struct run *r, const struct manifest_entry *e, struct apply_file *f, struct error *err)
{
    struct error why;
    int got = need_room(r, e->at.length > 0 ? (uint32_t)e->at.length : 0, err);
    if (got < 0) {
        apply_file_free(f);
        return got;
    }
    struct fetch *w = r->windows[r->filling];
    if (e->size == 0) {
        fetch_add_empty(w, f);
        fetch_own(w, f);
        return 0;
    }
    if (e->at.length > 0) {
        fetch_add_piece(w, f, 0, 0, (uint32_t)e->size, e->sha256, &e->at, 1, false);
        fetch_own(w, f);
        return 0;
    }
    bool whole = false;
    got = content_recipe(r->snapshot, r->compare, e, true, &f->recipe, &whole, &why);
    if (got == 0 && whole)
        f->whole = compare_whole_new(r->timing, (uint32_t)f->recipe.n_pieces);
    if (got == 0)
        return add_pieces(r, f, err);
    got = data_fault(r, REPORT_LOST, f->path, &why, err);
    apply_file_free(f);
    return got;
}

static int restore_file(struct run *r, const struct manifest_entry *e, const char *path, const char *below, struct error *err)
{
    struct target_dir *dir;
    const char *name;
    struct error why;
    if (content_check_entry(e, &why) < 0)
        return data_fault(r, REPORT_REFUSED, path, &why, err);
    int got = find_parent(r, path, below, &dir, &name, err);
    if (got < 0 || dir == NULL)
        return got;
    if (is_taken(r, dir, name)) {
        report_problem(r->report, REPORT_EXISTS, path, "");
        return 0;
    }
    struct apply_file *f = apply_file_new(dir, path, name);
    attrs_of_entry(r->names, &r->self, e, &f->attrs);
    f->size = e->size;
    f->sequence = r->plan.sequence;
    f->has_sha256 = e->has_sha256;
    memcpy(f->sha256, e->sha256, sizeof f->sha256);
    f->leader = e->hardlink.len > 0;
    return add_content(r, e, f, err);
}

// What has no component left after --strip-components: a directory may stand for the target itself.
static int restore_root(struct run *r, const struct manifest_entry *e, const char *path, enum plan_role role, struct error *err)
{
    if (e->type != MANIFEST_DIR) {
        if (role == PLAN_SELECTED)
            report_problem(r->report, REPORT_SKIPPED, path, "--strip-components leaves nothing of its path");
        return 0;
    }
    _cleanup_free_ char *child = xasprintf("%s/x", strcmp(path, "/") == 0 ? "" : path);
    bool stands_for_target = plan_strip(child, r->options->strip) != NULL;
    if (!stands_for_target || !r->target.root->made || r->root_claimed)
        return 0;
    r->root_claimed = true;
    r->report->dirs++;
    return defer_dir(r, e, path, 0, r->target.root, err);
}

static int restore_entry(struct run *r, const struct manifest_entry *e, enum plan_role role, bool later, struct error *err)
{
    const char *path = buf_str(&e->path);
    if (*path != '/') {
        r->report->streams++;
        return 0;
    }
    const char *below = plan_strip(path, r->options->strip);
    if (below == NULL)
        return restore_root(r, e, path, role, err);
    if (later) // made as a hard link at the end
        return 0;
    if (r->skipped.len > 0 && manifest_path_below(path, e->path.len, buf_str(&r->skipped), r->skipped.len)) {
        report_problem(r->report, REPORT_SKIPPED, path, "its directory could not be made");
        return 0;
    }
    switch (e->type) {
    case MANIFEST_DIR:
        return restore_dir(r, e, path, below, err);
    case MANIFEST_FILE:
        return restore_file(r, e, path, below, err);
    case MANIFEST_SOCKET:
        r->report->sockets++;
        return 0;
    default:
        return restore_special(r, e, path, below, err);
    }
}

static int restore_entries(struct run *r, struct error *err)
{
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    int got = plan_rewind(&r->plan, err);
    while (got == 0 && !is_stopped(r) && (got = plan_next(&r->plan, &e, &role, &later, err)) == 0 && e != NULL) {
        got = restore_entry(r, e, role, later, err);
        if (is_interrupted(r))
            atomic_store(&r->apply.stop, true);
    }
    return got;
}

// ---- before the first write

static int check_space(struct run *r, struct error *err)
{
    struct statvfs st;
    if (r->io->fstatvfs(r->io, r->target.root->fd, &st) < 0)
        return 0; // nothing is known; writing will tell
    uint64_t free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    const struct plan_totals *t = &r->plan.totals;
    uint64_t needed = t->blocks;
    if (needed > free_bytes && plan_count_data(&r->plan, &needed, err) < 0)
        return err->code;
    if (needed > free_bytes) {
        char need[CLOCK_TEXT_MAX], have[CLOCK_TEXT_MAX];
        clock_format_bytes(need, needed);
        clock_format_bytes(have, free_bytes);
        return error_set(err, ERROR_NO_SPACE, "the restore needs %s and '%s' has %s free; nothing was written. Choose another --target or restore fewer paths", need,
                         r->target.name, have);
    }
    if (st.f_files > 0 && t->entries > st.f_favail)
        return error_set(err, ERROR_NO_SPACE, "the restore needs %llu inodes and '%s' has %llu free; nothing was written. Choose another --target or restore fewer paths",
                         (unsigned long long)t->entries, r->target.name, (unsigned long long)st.f_favail);
    return 0;
}

static unsigned raise_open_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return OPEN_DIRS_MAX / 8;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); // what is allowed now is read back
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    uint64_t dirs = limit.rlim_cur > 2 * DESCRIPTORS_KEPT ? limit.rlim_cur - DESCRIPTORS_KEPT : limit.rlim_cur / 2;
    return dirs > OPEN_DIRS_MAX ? OPEN_DIRS_MAX : (unsigned)dirs;
}

// ---- the line

static int make_plan(struct run *r, struct error *err)
{
    int scratch = -1;
    int e = plan_open_scratch(r->io, r->options->target, &scratch, err);
    if (e < 0)
        return e;
    r->deferred.scratch_dirfd = scratch;
    e = plan_open(&r->plan, r->io, r->snapshot, scratch, r->options->paths, r->options->n_paths, err);
    return e < 0 ? e : plan_count(&r->plan, err);
}

static int start_workers(struct run *r, struct error *err)
{
    unsigned jobs = r->options->jobs > 0 ? r->options->jobs : work_processors();
    r->compare = compare_new(r->snapshot->repository->store, &r->snapshot->refs, r->snapshot->repository->info.encrypted, r->timing);
    r->apply.reader = r->snapshot->reader;
    r->apply.compare = r->compare;
    r->apply.timing = r->timing;
    r->apply.self = &r->self;
    r->apply.keep_going = r->options->keep_going;
    apply_init(&r->apply, r->io, jobs + 1);
    for (int i = 0; i < WINDOWS; i++) {
        int e = fetch_new(&r->apply, &r->windows[i], err);
        if (e < 0)
            return e;
    }
    r->pool = work_new(jobs);
    deferred_init(&r->deferred, r->io, r->deferred.scratch_dirfd);
    r->open_dirs_max = raise_open_files();
    return 0;
}

static int write_tree(struct run *r, struct error *err)
{
    struct error ended = { 0 };
    int e = restore_entries(r, &ended);
    if (e < 0)
        atomic_store(&r->apply.stop, true);
    struct error last = ended;
    int f = finish_windows(r, &last);
    if (ended.code == ERROR_NONE)
        ended = last;
    e = e < 0 ? e : f;
    if (is_interrupted(r))
        return error_set(err, ERROR_FAILED, "interrupted; unfinished files were removed, finished ones are in place. Start again into an empty --target");
    if (e < 0 || is_stopped(r)) {
        *err = ended;
        if (err->code == ERROR_NONE)
            (void)error_set(err, ERROR_FAILED, "the restore stopped");
        if (err->code == ERROR_INTEGRITY || err->code == ERROR_FORMAT || err->code == ERROR_NOT_FOUND) {
            err->code = ERROR_INTEGRITY;
            (void)error_prefix(err, "stopped at stored data that is damaged or missing (--keep-going restores all the rest)");
        }
        return err->code;
    }
    e = deferred_run(&r->deferred, &r->plan, r->options->strip, &r->target, &r->apply, r->report, err);
    uint64_t since = timing_now(r->timing);
    if (e == 0)
        e = io_syncfs(r->io, r->target.root->fd, r->target.name, err);
    (void)timing_add(r->timing, TIMING_METADATA, since, 0);
    return e;
}

static void fill_counts(struct run *r)
{
    const struct plan_totals *t = &r->plan.totals;
    r->report->unstable = t->unstable;
    r->report->mounts = t->mounts;
    if (!r->options->dry_run)
        return;
    r->report->files = t->files - t->names;
    r->report->bytes = t->bytes;
    r->report->dirs = t->dirs;
    r->report->links = t->links;
    r->report->others = t->others;
    r->report->hard_links = t->names;
    r->report->sockets = t->sockets;
    r->report->streams = t->streams;
}

static int run_all(struct run *r, struct error *err)
{
    uint64_t since = timing_now(r->timing);
    int e = make_plan(r, err);
    (void)timing_add(r->timing, TIMING_PLAN, since, r->snapshot->head->manifest_size);
    if (e < 0)
        return e;
    fill_counts(r);
    if (r->options->dry_run)
        return 0;
    r->progress = progress_new(r->io, progress_style_for(r->options->json, r->options->quiet), NULL);
    r->report->progress = r->progress;
    progress_begin(r->progress, "restore", r->plan.totals.files - r->plan.totals.names, r->plan.totals.bytes);
    e = target_open(&r->target, r->io, r->options->target, err);
    if (e == 0)
        e = check_space(r, err);
    if (e == 0)
        e = start_workers(r, err);
    return e < 0 ? e : write_tree(r, err);
}

static void take_stats(struct run *r)
{
    struct object_reader_stats stats = { 0 };
    object_reader_stats(r->snapshot->reader, &stats);
    atomic_fetch_add(&r->timing->bytes[TIMING_FETCH], stats.fetched_bytes);
    atomic_fetch_add(&r->timing->ns[TIMING_FETCH], stats.fetch_ns);
    atomic_fetch_add(&r->timing->bytes[TIMING_DECODE], stats.decoded_bytes);
    atomic_fetch_add(&r->timing->ns[TIMING_DECODE], stats.decode_ns);
}

static void clean_up(struct run *r)
{
    r->report->progress = NULL;
    progress_free(&r->progress);
    work_free(r->pool);
    for (int i = 0; i < WINDOWS; i++)
        fetch_free(r->windows[i]);
    if (r->apply.workers != NULL)
        apply_done(&r->apply);
    compare_free(r->compare);
    int scratch = r->deferred.scratch_dirfd;
    deferred_done(&r->deferred);
    if (r->target.io != NULL)
        target_done(&r->target);
    plan_done(&r->plan);
    io_close_quietly(r->io, &scratch);
    attrs_names_free(r->names);
    buf_done(&r->skipped);
}

int run_restore(const struct io *io, struct snapshot *snapshot, const struct run_options *options, struct timing *timing, struct report *ret_report,
                struct error *err)
{
    struct run r = { .io = io, .options = options, .snapshot = snapshot, .timing = timing, .report = ret_report, .names = attrs_names_new() };
    *ret_report = (struct report){ .json = options->json, .quiet = options->quiet, .dry_run = options->dry_run };
    r.plan.fd = -1;
    r.deferred.scratch_dirfd = -1;
    attrs_self_read(options->numeric_owner, &r.self);
    int e = run_all(&r, err);
    take_stats(&r);
    clean_up(&r);
    return e < 0 ? e : report_result(ret_report, err);
}
