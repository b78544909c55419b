// A run's marker in the repository, and whether what it builds on is still there: runs and prunes of other hosts go on at the same time.
#include <inttypes.h>
#include <stdlib.h>

#include "bkd/base/log.h"
#include "bkd/engine/run.h"
#include "bkd/repo/run_markers.h"
#include "bkd/repo/tombstones.h"

static int count_name(void *arg, const char *name, uint64_t size, struct error *err)
{
    (void)name, (void)size, (void)err;
    ++*(uint64_t *)arg;
    return 0;
}

static int count_records(const struct run *run, uint64_t *ret_count, struct error *err)
{
    *ret_count = 0;
    return run->store->ops->list(run->store, "records", count_name, ret_count, err);
}

static int put_marker(struct run *run, char **ret_name, struct error *err)
{
    const struct repository_head *parent = run->parent.head;
    return run_markers_begin(run->repository, run->parent.chain, parent == NULL ? NULL : parent->sha256, run->options->host, ret_name, err);
}

int run_mark(struct run *run, struct error *err)
{
    int r = put_marker(run, &run->marker, err);
    run->marked_mono_ns = io_monotonic_ns(run->io);
    return r < 0 ? r : count_records(run, &run->records, err);
}

void run_renew_mark(struct run *run)
{
    struct error why;
    char *name = NULL;
    uint64_t now = io_monotonic_ns(run->io);
    if (run->marker == NULL || now - run->marked_mono_ns < RUN_MARKERS_RENEW_NS)
        return;
    run->marked_mono_ns = now;
    if (put_marker(run, &name, &why) < 0) {
        log_warn("the marker of this run was not renewed: %s", why.text); // it counts for hours yet
        return;
    }
    run_markers_end(run->repository, run->marker);
    free(run->marker);
    run->marker = name;
}

void run_unmark(struct run *run)
{
    if (run->marker != NULL)
        run_markers_end(run->repository, run->marker);
    free(run->marker);
    run->marker = NULL;
}

static int gone(const struct run *run, struct error *err)
{
    return error_set(err, ERROR_INTEGRITY, "snapshot %" PRIu64 ", which this run builds on, was removed meanwhile; nothing was committed, and the next run stores everything anew",
                     run->parent.head->number);
}

int run_check_parent(const struct run *run, struct error *err)
{
    const struct repository_head *parent = run->parent.head;
    _cleanup_tombstones_ struct tombstones tombstones = { 0 };
    uint64_t records, size;
    if (parent == NULL || !run->has_parent_refs)
        return 0;
    _cleanup_free_ char *refs = format_refs_name(parent->head.refs);
    int r = run->store->ops->size(run->store, refs, &size, err);
    if (r == 0)
        r = count_records(run, &records, err);
    if (r == 0 && records != run->records)
        r = tombstones_load(run->repository, &tombstones, err);
    if (r == ERROR_NOT_FOUND || (r == 0 && tombstones_excuse(&tombstones, parent, io_realtime_ns(run->io))))
        return gone(run, err);
    return r;
}
