#include "bkd/engine/backup.h"

#include <string.h>

#include "bkd/base/log.h"
#include "bkd/base/work.h"
#include "bkd/engine/guard.h"
#include "bkd/engine/run.h"

#define MIN_SIZE_AUTO (256u << 10) // smaller files change whole as a rule, and a recipe each would cost more than it saves

// The guard compares with local memory; where that was lost, the last head still tells that there were files.
static int check_not_emptied(const struct run *run, struct error *err)
{
    const struct repository_head *last = run->parent.head;
    const struct backup_options *o = run->options;
    for (size_t i = 0; i < o->n_sources; i++)
        if (select_counts(run->plan)->source_excluded[i] > 0)
            return 0; // there is something, and rules leave it out
    if (o->accept_source_change || o->n_sources == 0 || last == NULL || last->head.files <= o->n_streams || select_counts(run->plan)->files > 0)
        return 0;
    return error_set(err, ERROR_FAILED,
                     "the sources hold no file, but the last snapshot had %llu: are their disks mounted? Nothing was stored. When they are meant to be empty, "
                     "run once with --accept-source-change",
                     (unsigned long long)last->head.files);
}

static void make_stream_entries(struct run *run)
{
    const struct backup_options *o = run->options;
    run->streams = xcalloc(o->n_streams + 1, sizeof *run->streams);
    for (size_t i = 0; i < o->n_streams; i++)
        stream_entry(&o->streams[i], run->started_ns, &run->streams[i]);
}

static int scan_and_select(struct run *run, struct error *err)
{
    const struct backup_options *o = run->options;
    make_stream_entries(run);
    struct select_options options = {
        .streams = run->streams, .n_streams = o->n_streams,
        .scan = { .sources = o->sources, .n_sources = o->n_sources, .one_filesystem = o->one_filesystem, .scratch_fd = run->state.dirfd, .helpers = scan_helpers(o->jobs) },
        .keep = run_keep_content, .keep_arg = run, .compare_inode = o->compare_inode, .interrupted = o->interrupted,
    };
    uint64_t start = io_monotonic_ns(run->io);
    o->progress(o->arg, "scan", 0, 0, 0, 0);
    struct guard guard;
    int r = guard_begin(&guard, run->io, run->state.dirfd, run->cache_key, o->sources, o->n_sources, o->accept_source_change, err);
    if (r == 0)
        r = output_begin(&run->output, run->io, run->state.dirfd, run->cache_key, run->started_ns, run->journal, err);
    if (r == 0)
        r = select_run(run->io, &options, &run->previous, o->problem, o->arg, &run->plan, err);
    if (r == 0)
        r = guard_check(&guard, select_counts(run->plan), err);
    if (r == 0)
        r = check_not_emptied(run, err);
    if (r == 0 && !o->dry_run)
        r = guard_remember(&guard, err);
    guard_done(&guard);
    run->result.scan_ns = io_monotonic_ns(run->io) - start;
    return r;
}

static void note_progress(void *arg, uint64_t bytes, uint64_t files)
{
    struct run *run = arg;
    const struct select_counts *counts = select_counts(run->plan);
    run_renew_mark(run);
    run->options->progress(run->options->arg, "read", bytes, counts->read_bytes + counts->stream_bytes, files, counts->read_files + counts->streams);
}

static void pass_problem(void *arg, const struct scan_problem *problem)
{
    struct run *run = arg;
    run->options->problem(run->options->arg, problem);
}

static void pass_said(void *arg, const char *name, const char *line)
{
    struct run *run = arg;
    if (run->options->said != NULL)
        run->options->said(run->options->arg, name, line);
}

// Nothing of ours failed: what was read by then is made durable, so that the next run goes on from there.
static void keep_what_was_read(struct run *run)
{
    struct error why;
    if (run_finish_writers(run, &why) < 0)
        log_warn("what was read will be read again: %s", why.text);
}

static int read_and_store(struct run *run, struct error *err)
{
    const struct backup_options *o = run->options;
    uint64_t start = io_monotonic_ns(run->io);
    int r = run_open_writer(run, err);
    if (r < 0)
        return r;
    struct intake_options options = {
        .big = run_big_context(run), .output = &run->output, .plan = run->plan, .sources = o->sources, .n_sources = o->n_sources,
        .big_size = o->delta_min_size != 0 ? o->delta_min_size : MIN_SIZE_AUTO,
        .compare_inode = o->compare_inode, .jobs = o->jobs, .problem = pass_problem, .progress = note_progress, .arg = run, .interrupted = o->interrupted,
        .streams = o->streams, .n_streams = o->n_streams, .said = pass_said,
    };
    r = intake_run(run->io, &options, &run->intake, err);
    if (r < 0 && (run->intake.stream_failed || (o->interrupted != NULL && o->interrupted())))
        keep_what_was_read(run);
    run->result.read_ns = io_monotonic_ns(run->io) - start;
    return r;
}

// A dry run ends with the plan, gone through once: moves show only then.
static int only_plan(struct run *run, struct error *err)
{
    const struct select_item *item;
    int r;
    do
        r = select_next(run->plan, &item, err);
    while (r == 0 && item != NULL);
    run_fill_result(run);
    run->result.bytes_read = select_counts(run->plan)->read_bytes;
    run->result.changed_files = select_counts(run->plan)->read_files - select_counts(run->plan)->renew_files;
    return r;
}

static int begin(struct run *run, struct error *err)
{
    const struct backup_around *around = run->options->around;
    int r = run_lock(run, err);
    if (r < 0 || around == NULL)
        return r;
    run->begun = true;
    return around->begin(around->arg, err);
}

static void committed(const struct run *run)
{
    const struct backup_around *around = run->options->around;
    if (around != NULL && around->committed != NULL && !run->options->dry_run)
        around->committed(around->arg, run->store);
}

static void end(struct run *run, int r, const struct error *err)
{
    const struct backup_around *around = run->options->around;
    if (run->begun)
        around->end(around->arg, r, &run->result, err);
}

static int run_steps(struct run *run, struct error *err)
{
    int r = begin(run, err);
    if (r == 0)
        r = run_open(run, err);
    if (r == 0)
        r = scan_and_select(run, err);
    if (r < 0 || run->options->dry_run)
        return r < 0 ? r : only_plan(run, err);
    profile_to(&run->lap, PROFILE_PLACE);
    r = read_and_store(run, err);
    return r < 0 ? r : run_commit(run, err);
}

// Files of the local state are named relative to its directory, those of a store by its address: which file system is full is told in any case.
static int say_what_is_full(const struct backup_options *o, struct error *err)
{
    if (strstr(err->text, o->repository) != NULL || strstr(err->text, o->state_dir) != NULL)
        return err->code;
    return error_prefix(err, "state directory '%s/policies/%s'", o->state_dir, o->policy);
}

int backup_run(const struct io *io, const struct backup_options *options, struct backup_result *ret_result, struct error *err)
{
    struct backup_options o = *options;
    if (o.jobs == 0)
        o.jobs = work_processors();
    struct run run = { .io = io, .options = &o, .output = { .manifest = { .fd = -1 }, .stat = { .fd = -1 } } };
    run.started_ns = io_realtime_ns(io);
    run.started_mono_ns = io_monotonic_ns(io);
    profile_begin(&run.lap, o.profile, io, PROFILE_SCAN);
    int r = run_steps(&run, err);
    profile_end(&run.lap);
    if (r == ERROR_NO_SPACE)
        r = say_what_is_full(&o, err);
    run.result.duration_ns = io_monotonic_ns(io) - run.started_mono_ns;
    if (r == 0)
        committed(&run);
    run_close(&run); // what is around may unmount the repository
    end(&run, r, err);
    run_unlock(&run);
    if (r == 0)
        *ret_result = run.result;
    return r;
}
