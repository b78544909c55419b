// Before the first write.
#include <linux/stat.h>
#include <string.h>

#include "bkd/base/log.h"
#include "restore/abilities.h"
#include "restore/ready.h"
#include "restore/rehearse.h"
#include "restore/run_state.h"
#include "restore/space.h"

#define SHORT_S 5.0

static struct marker_facts facts_of(const struct run *r, struct buf *options)
{
    const struct format_head *head = r->snapshot->head;
    struct marker_facts facts = { .snapshot = head->number, .strip = r->options->strip, .command = r->options->again };
    memcpy(facts.repository, head->repository, sizeof facts.repository);
    memcpy(facts.chain, head->chain, sizeof facts.chain);
    memcpy(facts.selection, r->plan.totals.fingerprint, sizeof facts.selection);
    const struct run_options *o = r->options;
    buf_addf(options, "--overwrite %s%s%s%s%s%s%s", decide_mode_name(o->overwrite), o->in_place_delta ? " --in-place-delta" : "",
             o->delete ? " --delete" : "", o->numeric_owner ? " --numeric-owner" : "", o->target_attributes ? " --target-attributes" : "",
             o->untrusted ? " --untrusted" : "", o->owners != NULL && o->owners->n > 0 ? " --chown-map" : "");
    facts.options = buf_str(options);
    return facts;
}

static int refuse_marked(const struct run *r, struct error *err)
{
    return error_set(err, ERROR_USAGE,
                     "an interrupted restore of the same stands in '%s'; go on with it: `%s`. To begin a new one, remove '%s' there first",
                     r->target.name, r->options->again == NULL ? "the same command and --resume" : r->options->again, r->marker.name);
}

// Into what is there, only what is missing or larger takes room, and the largest file twice for a moment. (A resumed restore is not asked: what
// its part files hold cannot be told from what else there is; should the room not suffice, it can be resumed again.)
static int check_space(struct run *r, bool empty, struct error *err)
{
    struct space_need need = { .bytes = r->plan.totals.blocks, .inodes = r->plan.totals.entries };
    if (!empty)
        need = (struct space_need){ .bytes = r->survey.growth + (r->options->in_place_delta ? 0 : r->survey.largest), .inodes = r->survey.missing };
    return space_check(r->io, &r->plan, &need, r->target.root->fd, r->target.name, err);
}

// Goes on with what an earlier run began, or leaves word of what is begun now.
static int mark_target(struct run *r, bool empty, struct error *err)
{
    _cleanup_buf_ struct buf options = { 0 };
    struct marker_facts facts = facts_of(r, &options);
    bool found = false;
    int e = marker_open(&r->marker, r->io, r->target.root->fd, &facts, &r->survey, &found, err);
    if (e < 0)
        return e;
    if (found && !r->options->resume)
        return refuse_marked(r, err);
    if (!found && r->options->resume)
        return error_set(err, ERROR_USAGE,
                         "there is nothing to resume in '%s': no interrupted restore of this snapshot and these paths left its marker there (a "
                         "restore that has ended removes it). Leave out --resume",
                         r->target.name);
    r->rules.resume = found;
    r->rules.doubt = r->marker.doubt || r->options->verify;
    if (!empty)
        e = survey_run(&r->survey, &r->plan, r->options->strip, r->target.root->fd,
                       found ? SURVEY_NONE : r->rules.mode == DECIDE_NEVER ? SURVEY_ALL : SURVEY_DIRS, err);
    if (e == 0 && !found)
        e = check_space(r, empty, err);
    if (e == 0 && !found)
        e = marker_create(&r->marker, &facts, r->target.root->made, &r->survey, err);
    return e < 0 ? e : survey_rewind(&r->survey, err);
}

// Only a restore that begins makes its target.
static int open_target(struct run *r, struct error *err)
{
    struct statx st;
    if (r->options->resume && io_stat(r->io, AT_FDCWD, r->options->target, 0, &st, err) < 0)
        return error_prefix(err, "nothing to resume");
    return target_open(&r->target, r->io, r->options->target, err);
}

// Finds what is not in the snapshot.
static int survey_mirror(struct run *r, struct error *err)
{
    struct statx root, target;
    size_t n = 0;
    const char *const *bounds = r->options->selection == NULL ? NULL : selection_bounds(r->options->selection, &n);
    if (!r->options->delete || r->target.root->made)
        return 0;
    int e = io_stat(r->io, AT_FDCWD, "/", 0, &root, err);
    if (e == 0)
        e = io_stat(r->io, r->target.root->fd, "", AT_EMPTY_PATH, &target, err);
    if (e < 0)
        return e;
    bool is_root = root.stx_ino == target.stx_ino && root.stx_dev_major == target.stx_dev_major && root.stx_dev_minor == target.stx_dev_minor;
    if (is_root && (n == 0 || strcmp(bounds[0], "/") == 0))
        return error_set(err, ERROR_USAGE, "--delete in the running system needs PATHs: say below which directories it may delete");
    r->mirror = (struct mirror){
        .io = r->io,
        .scratch_dirfd = r->scratch_fd,
        .plan = &r->plan,
        .selection = r->options->selection,
        .strip = r->options->strip,
        .target_fd = r->target.root->fd,
        .spared = r->rules.spared,
        .replaces = r->options->overwrite != DECIDE_NEVER,
    };
    mirror_init(&r->mirror);
    return mirror_survey(&r->mirror, err);
}

static int ask_to_delete(const struct run *r, struct error *err)
{
    const struct mirror *m = &r->mirror;
    if (m->count == 0)
        return 0;
    if (r->options->may_delete == NULL)
        return error_set(err, ERROR_USAGE,
                         "%llu entries in '%s' are not in the snapshot and would be deleted, the first is '%s'; nothing was written. --dry-run lists "
                         "them, --yes deletes them",
                         (unsigned long long)m->count, r->target.name, m->first);
    if (r->options->may_delete(m->count, m->first, r->target.name))
        return 0;
    return error_set(err, ERROR_USAGE, "nothing was deleted and nothing written, as you said");
}

static int look_and_mark(struct run *r, struct error *err)
{
    bool empty = r->target.root->made;
    int e = empty ? 0 : target_is_empty(&r->target, &empty, err);
    survey_init(&r->survey, r->io, r->scratch_fd);
    told_init(&r->told, r->io, r->scratch_fd);
    r->report->told = r->options->verify ? &r->told : NULL;
    r->meet = (struct meet){ .io = r->io, .rules = &r->rules, .apply = &r->apply, .survey = &r->survey };
    if (e == 0)
        e = survey_mirror(r, err);
    if (e == 0)
        e = ask_to_delete(r, err);
    if (e == 0)
        e = mark_target(r, empty, err);
    if (e < 0)
        return e;
    if (!r->target.root->made)
        abilities_sweep(r->io, r->target.root->fd, r->rules.resume);
    _cleanup_free_ char *other = marker_other(&r->marker);
    if (other != NULL)
        log_warn("'%s' holds '%s' of another restore, running or interrupted", r->target.name, other);
    if (r->marker.fd < 0)
        log_info("'%s' takes no marker from you: this restore cannot be resumed; should it be interrupted, run it again", r->target.name);
    return 0;
}

// What can be known before the first write; target_fd: the target, or what exists of the way to it. `apply` reads attributes.
static int look_ahead(struct run *r, struct apply *apply, int target_fd, struct error *err)
{
    struct ready ready = {
        .question = { .io = r->io, .plan = &r->plan, .apply = apply, .names = r->names, .self = &r->self, .strip = r->options->strip },
        .report = r->report,
        .target_fd = target_fd,
        .target = r->options->target,
        .strict = r->options->strict,
    };
    int e = ready_check(&ready, err);
    return e < 0 ? e : expect_measure(r->io, r->snapshot, &r->plan, target_fd, &r->rates, err);
}

static void init_apply(struct run *r, struct apply *apply)
{
    *apply = (struct apply){ .reader = r->snapshot->reader, .timing = r->timing, .self = &r->self };
    apply_init(apply, r->io, 1);
}

// Holes take no time, but where they are stands in the recipe of each large file: what is over in seconds anyway goes without reading them all.
static int guess_duration(struct run *r, struct expect *ret_expect, struct error *err)
{
    const struct plan_totals *t = &r->plan.totals;
    uint64_t bytes = t->bytes;
    r->counts_holes = true;
    *ret_expect = expect_of(&r->rates, r->snapshot, t->files - t->names, bytes, r->options->jobs);
    if (ret_expect->seconds < SHORT_S || !plan_is_sparse(&r->plan))
        return 0;
    r->counts_holes = false;
    int e = plan_count_data(&r->plan, &bytes, err);
    if (e == 0)
        *ret_expect = expect_of(&r->rates, r->snapshot, t->files - t->names, bytes, r->options->jobs);
    return e;
}

static int look_ahead_of_writing(struct run *r, struct error *err)
{
    struct apply apply;
    struct expect expect;
    init_apply(r, &apply);
    int e = look_ahead(r, &apply, r->target.root->fd, err);
    apply_done(&apply);
    if (e == 0)
        e = guess_duration(r, &expect, err);
    if (e < 0)
        return e;
    ready_tell(r->report, &expect);
    progress_begin(r->progress, "restore", expect.files, expect.bytes);
    progress_expect(r->progress, expect.files_per_second > 0 ? 1 / expect.files_per_second : 0,
                    expect.bytes_per_second > 0 ? 1 / expect.bytes_per_second : 0);
    return 0;
}

int run_prepare(struct run *r, struct error *err)
{
    int e = open_target(r, err);
    if (e == 0)
        e = look_ahead_of_writing(r, err);
    return e < 0 ? e : look_and_mark(r, err);
}

// ---- rehearsal

static void list_deleted(void *arg, const char *below) { rehearse_deleted(arg, below); }

static int rehearse_mirror(struct run *r, struct rehearse *rehearsal, struct error *err)
{
    int e = survey_mirror(r, err);
    if (e == 0 && r->mirror.extras != NULL)
        e = mirror_list(&r->mirror, list_deleted, rehearsal, err);
    r->report->deleted = r->mirror.count;
    return e;
}

// What the rehearsal found to be needed, against what there is.
static int rehearse_needs(struct run *r, struct error *err)
{
    int fd = -1;
    struct report *report = r->report;
    int e = target_open_nearest(r->io, r->options->target, &fd, err);
    if (e < 0)
        return e;
    e = look_ahead(r, &r->apply, fd, err);
    report->free_known = space_free(r->io, fd, &report->free_space);
    struct space_room room = { report->free_space, space_own(r->io, &r->plan, fd) };
    io_close_quietly(r->io, &fd);
    if (e < 0)
        return e;
    struct expect expect = expect_of(&r->rates, r->snapshot, report->files, report->needed < report->bytes ? report->needed : report->bytes,
                                     r->options->jobs);
    ready_tell(report, &expect);
    return report->free_known && report->needed > report->free_space
               ? space_too_little(report->needed, &room, r->target.name, err)
               : 0;
}

int run_rehearse(struct run *r, struct error *err)
{
    bool exists = false;
    int e = target_open_existing(&r->target, r->io, r->options->target, &exists, err);
    if (e < 0)
        return e;
    init_apply(r, &r->apply);
    survey_init(&r->survey, r->io, r->scratch_fd);
    r->meet = (struct meet){ .io = r->io, .rules = &r->rules, .apply = &r->apply, .survey = &r->survey };
    if (exists)
        e = survey_run(&r->survey, &r->plan, r->options->strip, r->target.root->fd, SURVEY_DIRS, err);
    if (e == 0)
        e = survey_rewind(&r->survey, err);
    struct rehearse rehearsal = {
        .io = r->io,
        .plan = &r->plan,
        .meet = &r->meet,
        .names = r->names,
        .self = &r->self,
        .report = r->report,
        .strip = r->options->strip,
        .leave_streams = r->leave_streams,
        .target_fd = exists ? r->target.root->fd : -1,
    };
    if (e == 0)
        e = rehearse_run(&rehearsal, err);
    if (e == 0 && exists)
        e = rehearse_mirror(r, &rehearsal, err);
    return e < 0 ? e : rehearse_needs(r, err);
}
