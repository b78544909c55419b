#include "restore/run.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>

#include "restore/collisions.h"
#include "restore/reread.h"
#include "restore/run_state.h"
#include "restore/selection_args.h"
#include "restore/stream_entries.h"

enum {
    OPEN_DIRS_MAX = 2048,
    DESCRIPTORS_KEPT = 256,
    WORKERS_UNASKED = 8, // each holds some 8 MiB; all of a restore then stays below 192
};

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

static void tell_refused(void *arg, const struct error *why)
{
    struct run *r = arg;
    report_problem(r->report, REPORT_REFUSED, "manifest", why->text);
}

static int make_plan(struct run *r, struct error *err)
{
    if (r->options->keep_going) {
        r->plan.refused = tell_refused;
        r->plan.refused_arg = r;
    }
    int e = plan_open_scratch(r->io, r->options->target, &r->scratch_fd, err);
    if (e == 0)
        e = plan_open(&r->plan, r->io, r->snapshot, r->scratch_fd, r->options->selection, err);
    if (e == 0)
        e = plan_count(&r->plan, err);
    return e < 0 ? e : selection_tell(r->options->selection, r->plan.totals.selected, r->options->json, err);
}

// One worker more than processors: some of them wait for the file system at any time.
static unsigned workers_of(const struct run_options *o)
{
    unsigned enough = work_processors() + 1;
    return o->jobs > 0 ? o->jobs : enough > WORKERS_UNASKED ? WORKERS_UNASKED : enough;
}

static int start_workers(struct run *r, struct error *err)
{
    unsigned jobs = workers_of(r->options);
    r->apply = (struct apply){
        .reader = r->snapshot->reader,
        .timing = r->timing,
        .self = &r->self,
        .keep_going = r->options->keep_going,
        .direct = !r->options->no_sync,
    };
    apply_init(&r->apply, r->io, jobs + 1);
    r->apply.resume = r->rules.resume;
    r->apply.may_resume = r->marker.fd >= 0;
    if (r->apply.may_resume)
        r->apply.run = r->marker.parts;
    deferred_init(&r->deferred, r->io, r->scratch_fd, &r->rules);
    if (!r->options->no_sync)
        r->flush = flush_new(r->io, r->target.root->fd, r->target.name, &r->apply.stop);
    r->windows = (struct windows){
        .apply = &r->apply,
        .target = &r->target,
        .deferred = &r->deferred,
        .report = r->report,
        .progress = r->progress,
        .flush = r->flush,
        .strip = r->options->strip,
        .open_dirs_max = raise_open_files(),
    };
    r->entries = (struct entries){
        .io = r->io,
        .snapshot = r->snapshot,
        .timing = r->timing,
        .apply = &r->apply,
        .target = &r->target,
        .deferred = &r->deferred,
        .report = r->report,
        .windows = &r->windows,
        .plan = &r->plan,
        .names = r->names,
        .self = &r->self,
        .meet = &r->meet,
        .strip = r->options->strip,
        .keep_going = r->options->keep_going,
        .leave_streams = r->leave_streams,
        .counts_holes = r->counts_holes,
        .in_place_delta = r->options->in_place_delta,
        .root_made = r->target.root->made || r->marker.root_made,
        .root_wanted = r->options->target_attributes,
        .interrupted = r->options->interrupted,
    };
    return windows_init(&r->windows, jobs, err);
}

// ---- the end

// What goes on with a restore that stopped; "" where nothing can.
static void add_next_step(const struct run *r, struct error *err)
{
    char why[ERROR_TEXT_MAX / 2];
    const char *again = r->options->again;
    if (r->marker.fd < 0)
        return;
    (void)snprintf(why, sizeof why, "%.500s", err->text);
    (void)error_set(err, err->code, "%s. What has its name is whole; what does not is named " APPLY_PART_PREFIX "*. Go on with%s%s", why,
                    again == NULL ? " the same command and --resume" : ": ", again == NULL ? "" : again);
}

// How a restore that stopped says so.
static int say_why(const struct run *r, const struct error *cause, struct error *err)
{
    *err = *cause;
    if (err->code == ERROR_NONE)
        (void)error_set(err, ERROR_FAILED, "the restore stopped");
    if (err->code == ERROR_INTEGRITY || err->code == ERROR_FORMAT || err->code == ERROR_NOT_FOUND) {
        err->code = ERROR_INTEGRITY;
        (void)error_prefix(err, "stopped at stored data that is damaged or missing (--keep-going restores all the rest)");
    }
    add_next_step(r, err);
    return err->code;
}

static int say_interrupted(const struct run *r, struct error *err)
{
    (void)error_set(err, ERROR_FAILED, "interrupted after %llu files", (unsigned long long)r->report->files);
    add_next_step(r, err);
    return err->code;
}

// What the kernel could not write it tells once, and not of which files: those that have their names may lack some of it.
static int sync_failed(struct error *err)
{
    char why[ERROR_TEXT_MAX / 2];
    (void)snprintf(why, sizeof why, "%.500s", err->text);
    return error_set(err, err->code, "%s: what was restored is not all on the disk, also under final names; mend or change the disk, then restore anew", why);
}

static int end_flush(struct run *r, struct error *err)
{
    int e = flush_end(TAKE(r->flush), err);
    return e < 0 ? sync_failed(err) : 0;
}

static int write_content(struct run *r, struct error *err)
{
    struct error cause = { 0 };
    int e = entries_restore(&r->entries, &cause);
    if (e < 0)
        atomic_store(&r->apply.stop, true);
    struct error last = cause;
    int f = windows_finish(&r->windows, &last);
    if (cause.code == ERROR_NONE)
        cause = last;
    int s = end_flush(r, err);
    if (s < 0)
        return s;
    if (r->options->interrupted != NULL && r->options->interrupted())
        return say_interrupted(r, err);
    return e < 0 || f < 0 || atomic_load(&r->apply.stop) ? say_why(r, &cause, err) : 0;
}

static int read_again(struct run *r, struct error *err)
{
    const struct reread reread = {
        .io = r->io,
        .plan = &r->plan,
        .apply = &r->apply,
        .names = r->names,
        .rules = &r->rules,
        .survey = &r->survey,
        .told = &r->told,
        .report = r->report,
        .progress = r->progress,
        .strip = r->options->strip,
        .target_fd = r->target.root->fd,
        .interrupted = r->options->interrupted,
    };
    r->report->told = NULL;
    progress_begin(r->progress, "verify", r->plan.totals.files - r->plan.totals.names, r->plan.totals.bytes);
    return reread_run(&reread, r->snapshot, err);
}

// Where something is missing, what stands there may be all there is of it.
static int run_mirror(struct run *r, struct error *err)
{
    const struct report *t = r->report;
    if (r->mirror.extras == NULL || spill_count(r->mirror.extras) == 0)
        return 0;
    if (t->count[REPORT_LOST] + t->count[REPORT_REFUSED] + t->count[REPORT_FAILED] == 0)
        return mirror_run(&r->mirror, r->report, err);
    report_problem(r->report, REPORT_SKIPPED, r->mirror.first == NULL ? r->target.name : r->mirror.first, "nothing was deleted, because not everything could be restored");
    return 0;
}

static int write_tree(struct run *r, struct error *err)
{
    struct deferred_context context = {
        .plan = &r->plan, .target = &r->target, .apply = &r->apply, .report = r->report, .strip = r->options->strip
    };
    int e = write_content(r, err);
    if (e == 0)
        e = deferred_link(&r->deferred, &context, err);
    if (e == 0)
        e = run_mirror(r, err);
    if (e == 0)
        e = deferred_finish(&r->deferred, &context, err);
    uint64_t since = timing_now(r->timing);
    if (e == 0 && !r->options->no_sync)
        e = io_syncfs(r->io, r->target.root->fd, r->target.name, err) < 0 ? sync_failed(err) : 0;
    (void)timing_add(r->timing, TIMING_METADATA, since, 0);
    if (e == 0 && r->options->verify)
        e = read_again(r, err);
    return e < 0 ? e : marker_remove(&r->marker, err);
}

static void fill_counts(struct run *r)
{
    const struct plan_totals *t = &r->plan.totals;
    r->report->unstable = t->unstable;
    r->report->mounts = t->mounts;
    r->report->excluded = t->excluded;
    if (!r->options->dry_run)
        return;
    r->report->sockets = t->sockets;
    r->report->streams = r->leave_streams ? t->streams : 0;
}

// A repository on this machine is no place for what is in it, and nothing of it is ever removed.
static int spare_repository(struct run *r, struct error *err)
{
    struct statx st;
    struct error ignored; // a store elsewhere
    bool within = false;
    int fd = -1;
    if (r->options->repository == NULL || io_stat(r->io, AT_FDCWD, r->options->repository, 0, &st, &ignored) < 0)
        return 0;
    r->rules.spared = (struct target_id){ makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_ino };
    if (target_open_nearest(r->io, r->options->target, &fd, &ignored) < 0)
        return 0; // the target itself says what is wrong with it
    int e = target_is_within(r->io, fd, &r->rules.spared, &within, err);
    io_close_quietly(r->io, &fd);
    if (e < 0 || !within)
        return e;
    return error_set(err, ERROR_USAGE, "target '%s' is inside the repository '%s': name a directory outside it", r->options->target,
                     r->options->repository);
}

static int run_all(struct run *r, struct error *err)
{
    uint64_t since = timing_now(r->timing);
    int e = spare_repository(r, err);
    if (e == 0)
        e = make_plan(r, err);
    (void)timing_add(r->timing, TIMING_PLAN, since, r->snapshot->head->manifest_size);
    if (e < 0)
        return e;
    e = stream_entries_check(&r->plan, r->options->target, r->options->strip, &r->leave_streams, err);
    if (e == 0)
        e = collisions_check(&r->plan, r->options->strip, r->scratch_fd, err);
    if (e < 0)
        return e;
    fill_counts(r);
    if (r->options->dry_run)
        return run_rehearse(r, err);
    r->progress = progress_new(r->io, progress_style_for(r->options->json, r->options->quiet), NULL);
    r->report->progress = r->progress;
    e = run_prepare(r, err);
    if (e == 0)
        e = start_workers(r, err);
    return e < 0 ? e : write_tree(r, err);
}

static void take_stats(struct run *r)
{
    struct object_reader_stats stats = { 0 };
    object_reader_stats(r->snapshot->reader, &stats);
    r->report->kept = atomic_load(&r->apply.kept_bytes);
    r->report->written = atomic_load(&r->apply.written_bytes);
    atomic_fetch_add(&r->timing->bytes[TIMING_FETCH], stats.fetched_bytes);
    atomic_fetch_add(&r->timing->ns[TIMING_FETCH], stats.fetch_ns);
    atomic_fetch_add(&r->timing->bytes[TIMING_COMPARE], stats.hashed_bytes);
    atomic_fetch_add(&r->timing->ns[TIMING_COMPARE], stats.hash_ns);
    atomic_fetch_add(&r->timing->bytes[TIMING_DECODE], stats.decoded_bytes);
    atomic_fetch_add(&r->timing->ns[TIMING_DECODE], stats.decode_ns);
}

static void clean_up(struct run *r)
{
    r->report->progress = NULL;
    progress_free(&r->progress);
    windows_done(&r->windows);
    struct error ignored; // the restore has failed already
    (void)!end_flush(r, &ignored);
    entries_done(&r->entries);
    if (r->apply.workers != NULL)
        apply_done(&r->apply);
    deferred_done(&r->deferred);
    if (r->survey.io != NULL)
        survey_done(&r->survey);
    marker_done(&r->marker);
    r->report->told = NULL;
    told_done(&r->told);
    if (r->mirror.extras != NULL)
        mirror_done(&r->mirror);
    if (r->target.io != NULL)
        target_done(&r->target);
    plan_done(&r->plan);
    io_close_quietly(r->io, &r->scratch_fd);
    attrs_names_free(r->names);
}

int run_restore(const struct io *io, struct snapshot *snapshot, const struct run_options *options, struct timing *timing,
                struct report *ret_report, struct error *err)
{
    struct run r = { .io = io,
                     .options = options,
                     .snapshot = snapshot,
                     .timing = timing,
                     .report = ret_report,
                     .scratch_fd = -1,
                     .names = attrs_names_new() };
    *ret_report = (struct report){ .json = options->json, .quiet = options->quiet, .dry_run = options->dry_run };
    r.plan.fd = -1;
    attrs_self_read(options->numeric_owner, &r.self);
    r.rules = (struct decide_rules){ .mode = options->overwrite, .own_owners = !r.self.root, .delete = options->delete };
    r.self.owners = options->owners;
    r.self.untrusted = options->untrusted;
    int e = run_all(&r, err);
    take_stats(&r);
    clean_up(&r);
    return e < 0 ? e : report_result(ret_report, err);
}
