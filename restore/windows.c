#include "restore/windows.h"

#include <string.h>

#include "bkd/base/inode_flags.h"

int windows_init(struct windows *w, unsigned jobs, struct error *err)
{
    w->pairing = fetch_pairing_new();
    for (int i = 0; i < WINDOWS; i++) {
        int r = fetch_new(w->apply, w->pairing, &w->slots[i], err);
        if (r < 0)
            return r;
    }
    w->pool = work_new(jobs);
    return 0;
}

void windows_done(struct windows *w)
{
    work_free(w->pool);
    for (int i = 0; i < WINDOWS; i++)
        fetch_free(w->slots[i]);
    fetch_pairing_free(w->pairing);
    *w = (struct windows){ 0 };
}

struct fetch *windows_filling(struct windows *w) { return w->slots[w->filling]; }

static int take_result(struct windows *w, struct apply_file *f, struct error *err)
{
    const char *why = f->error == NULL ? "" : f->error->text;
    switch (atomic_load(&f->result)) {
    case APPLY_DONE:
        break;
    case APPLY_EXISTS:
        report_problem(w->report, REPORT_EXISTS, f->path, why);
        return 0;
    case APPLY_LOST:
        report_problem(w->report, REPORT_LOST, f->path, why);
        return 0;
    case APPLY_FAILED:
        report_problem(w->report, REPORT_FAILED, f->path, why);
        return 0;
    default:
        return 0;
    }
    w->report->files += !f->unchanged;
    w->report->replaced += f->existed && !f->unchanged;
    w->report->updated += f->unchanged;
    w->report->bytes += f->size;
    w->report->owners += f->loss.owner;
    report_inexact(w->report, f->path, buf_str(&f->loss.why), buf_str(&f->loss.stripped));
    if (f->leader) {
        const struct deferred_first first = { f->id, f->attrs.mtime_s, f->attrs.mtime_ns };
        int e = deferred_add_first(w->deferred, f->sequence, &first, err);
        if (e < 0)
            return e;
    }
    if ((f->attrs.flags & INODE_FLAGS_LATE) == 0)
        return 0;
    const char *below = plan_strip(f->path, w->strip);
    return deferred_add_flags(w->deferred, f->path, strlen(below), &f->id, f->attrs.flags, err);
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

static int finish_window(struct windows *w, struct fetch *window, struct error *err)
{
    struct error cause = { 0 };
    size_t n;
    int e = 0;
    if (!fetch_is_started(window))
        return 0;
    fetch_finish(window, w->pool);
    uint64_t done_files = w->report->files, bytes = fetch_bytes(window);
    struct apply_file *const *files = fetch_files(window, &n);
    for (size_t i = 0; e == 0 && i < n; i++) {
        remember_cause(files[i], &cause);
        e = take_result(w, files[i], err);
    }
    fetch_reset(window);
    progress_add(w->progress, w->report->files - done_files, bytes);
    flush_written(w->flush, w->report->files - done_files, bytes);
    if (e == 0 && atomic_load(&w->apply->stop) && cause.code != ERROR_NONE && err->code == ERROR_NONE)
        *err = cause;
    return e;
}

static int start_window(struct windows *w, struct error *err)
{
    fetch_start(w->slots[w->filling], w->pool);
    w->filling = (w->filling + 1) % WINDOWS;
    return finish_window(w, w->slots[w->filling], err);
}

// All of them are waited for, whatever happens: their files are the caller's to free afterwards.
int windows_finish(struct windows *w, struct error *err)
{
    int e = start_window(w, err);
    for (unsigned i = 0; i < WINDOWS; i++) {
        struct error second = *err;
        int r = finish_window(w, w->slots[w->filling], e < 0 ? &second : err);
        e = e < 0 ? e : r;
        w->filling = (w->filling + 1) % WINDOWS;
    }
    return e;
}

int windows_need_room(struct windows *w, uint32_t length, struct error *err)
{
    if (!fetch_room(w->slots[w->filling], length)) {
        int e = start_window(w, err);
        if (e < 0)
            return e;
    }
    if (atomic_load(&w->target->open_dirs) > w->open_dirs_max)
        return windows_finish(w, err);
    return 0;
}

int windows_give_up(struct windows *w, struct apply_file *f, int failure, struct error *err)
{
    struct error second = *err;
    atomic_store(&w->apply->stop, true);
    int last = windows_finish(w, failure < 0 ? &second : err);
    struct error cause = { 0 }; // no window owns the file yet, so nobody else tells what happened to it
    remember_cause(f, &cause);
    if (failure == 0 && last == 0 && cause.code != ERROR_NONE) {
        last = take_result(w, f, &second);
        if (err->code == ERROR_NONE)
            *err = cause;
    }
    apply_abandon(w->apply, f);
    apply_file_free(f);
    return failure < 0 ? failure : last;
}
