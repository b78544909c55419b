#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/base/progress.h"
#include "bkd/cmd.h"
#include "bkd/copies/shipping.h"
#include "bkd/history/cataloguing.h"
#include "bkd/history/exporting.h"
#include "bkd/history/profiling.h"
#include "bkd/history/recording.h"
#include "bkd/host/surroundings.h"
#include "bkd/policy/schema.h"
#include "bkd/repo/tags.h"
#include "bkd/snapshots/holding.h"

enum { PROBLEMS_SHOWN = 100 };

struct display {
    const struct context *ctx;
    struct progress *progress;
    const char *phase;
    uint64_t bytes, files; // shown so far
    uint64_t problems;
};

static void show_progress(void *arg, const char *phase, uint64_t bytes, uint64_t total_bytes, uint64_t files, uint64_t total_files)
{
    struct display *d = arg;
    if (d->phase != phase) {
        progress_begin(d->progress, phase, total_files, total_bytes);
        d->phase = phase;
        d->bytes = d->files = 0;
    }
    if (bytes > d->bytes || files > d->files)
        progress_add(d->progress, files > d->files ? files - d->files : 0, bytes > d->bytes ? bytes - d->bytes : 0);
    d->bytes = bytes;
    d->files = files;
}

static void show_problem(void *arg, const struct scan_problem *problem)
{
    struct display *d = arg;
    d->problems++;
    if (d->ctx->json) {
        struct error ignored; // standard output gone: the summary will say so
        struct json *line = json_line_new("problem");
        json_add_name(line, "path", problem->path, strlen(problem->path));
        json_add_str(line, "reason", problem->reason);
        (void)!json_line_print(&line, stdout, &ignored);
    }
    progress_pause(d->progress);
    if (d->problems <= PROBLEMS_SHOWN)
        log_warn("'%.1000s%s' is not in this snapshot: %s", problem->path, strlen(problem->path) > 1000 ? "..." : "", problem->reason);
    else if (d->problems == PROBLEMS_SHOWN + 1)
        log_warn("more entries could not be read; they are counted, and listed with --json");
}

// What a stream's command says on its standard error.
static void show_said(void *arg, const char *name, const char *line)
{
    struct display *d = arg;
    if (d->ctx->json) {
        struct error ignored; // as above
        struct json *said = json_line_new("output");
        json_add_str(said, "stream", name);
        json_add_name(said, "line", line, strlen(line));
        (void)!json_line_print(&said, stdout, &ignored);
    }
    progress_pause(d->progress);
    log_info("stream '%s' says: %s", name, line);
}

// How a run is told: profile is always there, and shown when it was asked for.
struct telling {
    const struct profile_report *profile;
    bool shows_profile, dry_run, is_held;
};

static int print_json(const struct setup *s, const struct backup_result *r, const struct telling *t, struct error *err)
{
    struct json *line = json_line_new("summary");
    json_add_str(line, "policy", s->policy.name);
    if (t->dry_run)
        json_add_bool(line, "dry_run", true);
    else
        json_add_u64(line, "snapshot", r->snapshot);
    json_add_bool(line, "held", t->is_held);
    json_add_u64(line, "files", r->files);
    json_add_u64(line, "streams", r->streams);
    json_add_u64(line, "entries", r->entries);
    json_add_u64(line, "changed_files", r->changed_files);
    json_add_u64(line, "moved_files", r->moved_files);
    json_add_u64(line, "gone_files", r->gone_files);
    json_add_u64(line, "bytes_source", r->bytes_source);
    json_add_u64(line, "bytes_read", r->bytes_read);
    json_add_u64(line, "bytes_stored", r->bytes_stored);
    json_add_u64(line, "objects", r->objects);
    json_add_u64(line, "renewed_files", r->renewed_files);
    json_add_u64(line, "renewed_bytes", r->renewed_bytes);
    json_add_u64(line, "differing_files", r->differing_files);
    json_add_u64(line, "unstable_files", r->unstable_files);
    json_add_u64(line, "skipped", r->skipped);
    json_add_u64(line, "vanished", r->vanished);
    json_add_u64(line, "access_times_changed", r->touched_files);
    json_add_u64(line, "damaged_objects", r->damaged_objects);
    struct json *excluded = json_add_object(line, "excluded");
    for (int reason = EXCLUDE_NOT + 1; reason < EXCLUDE_REASONS; reason++)
        json_add_u64(excluded, exclude_reason_name((enum exclude_reason)reason), r->excluded[reason]);
    json_add_bool(line, "resumed", r->resumed);
    json_add_u64(line, "duration_ms", r->duration_ns / 1000000);
    struct json *phases = json_add_object(line, "phases");
    json_add_u64(phases, "scan_ms", r->scan_ns / 1000000);
    json_add_u64(phases, "read_ms", r->read_ns / 1000000);
    json_add_u64(phases, "commit_ms", r->commit_ns / 1000000);
    json_add_u64(phases, "compress_cpu_ms", t->profile->ns[PROFILE_COMPRESS][PROFILE_CPU] / 1000000);
    json_add_bool(line, "suspect", r->night.suspect);
    json_add_str(line, "suspect_reason", r->night.suspect ? r->suspect_reason : NULL);
    json_add_bool(line, "complete", r->complete);
    if (t->shows_profile)
        profiling_add_json(line, t->profile);
    return json_line_print(&line, stdout, err);
}

// "; left out 12 (pattern 10, filesystem 2)": places where something was left out, not what lies below them.
static void add_excluded(struct buf *out, const struct backup_result *r)
{
    uint64_t total = 0;
    for (int reason = EXCLUDE_NOT + 1; reason < EXCLUDE_REASONS; reason++)
        total += r->excluded[reason];
    if (total == 0)
        return;
    buf_addf(out, "; left out %llu", (unsigned long long)total);
    const char *before = " (";
    for (int reason = EXCLUDE_NOT + 1; reason < EXCLUDE_REASONS; reason++) {
        if (r->excluded[reason] == 0)
            continue;
        buf_addf(out, "%s%s %llu", before, exclude_reason_name((enum exclude_reason)reason), (unsigned long long)r->excluded[reason]);
        before = ", ";
    }
    buf_add_char(out, ')');
}

static void add_renewed(struct buf *out, const struct backup_result *r)
{
    char bytes[CLOCK_TEXT_MAX];
    clock_format_bytes(bytes, r->renewed_bytes);
    if (r->renewed_files > 0)
        buf_addf(out, "; stored anew %llu unchanged files, %s, so that old objects can go", (unsigned long long)r->renewed_files, bytes);
    if (r->differing_files > 0)
        buf_addf(out, "; %llu unchanged files are NOT what was stored", (unsigned long long)r->differing_files);
}

static void print_text(const struct setup *s, const struct backup_result *r, bool dry_run)
{
    char source[CLOCK_TEXT_MAX], read[CLOCK_TEXT_MAX], stored[CLOCK_TEXT_MAX], duration[CLOCK_TEXT_MAX];
    clock_format_bytes(source, r->bytes_source);
    clock_format_bytes(read, r->bytes_read);
    clock_format_bytes(stored, r->bytes_stored);
    clock_format_duration(duration, r->duration_ns);
    _cleanup_buf_ struct buf excluded = { 0 };
    add_renewed(&excluded, r);
    add_excluded(&excluded, r);
    if (dry_run) {
        printf("%s: %llu files, %s; %llu of them (%s) would be read%s\n", s->policy.name, (unsigned long long)r->files, source,
               (unsigned long long)r->changed_files, read, buf_str(&excluded));
        for (size_t i = 0; i < s->streams.count; i++)
            printf("%s: stream '%s': a dry run does not run its command\n", s->policy.name, s->streams.list[i].name);
        return;
    }
    printf("%s: snapshot %llu, %llu files, %s; changed %llu, moved %llu, gone %llu; read %s, stored %s; %s%s%s\n", s->policy.name,
           (unsigned long long)r->snapshot, (unsigned long long)r->files, source, (unsigned long long)r->changed_files,
           (unsigned long long)r->moved_files, (unsigned long long)r->gone_files, read, stored, duration, buf_str(&excluded), r->resumed ? "; went on where an earlier run was cut off" : "");
}

static void tell_touched(const struct setup *s, const struct backup_result *r)
{
    if (r->touched_files > 0)
        log_info("policy %s: the access times of %llu files of other owners changed by being read; root (or CAP_FOWNER) leaves them alone, and so does a "
                 "file system mounted with noatime",
                 s->policy.name, (unsigned long long)r->touched_files);
}

static void record(const struct context *ctx, const struct backup_result *r)
{
    recording_snapshot(ctx, r->snapshot);
    recording_phase(ctx, "scan", r->scan_ns);
    recording_phase(ctx, "read", r->read_ns);
    recording_phase(ctx, "commit", r->commit_ns);
    recording_figure(ctx, "files", r->files);
    recording_figure(ctx, "entries", r->entries);
    recording_figure(ctx, "changed_files", r->changed_files);
    recording_figure(ctx, "renewed_files", r->renewed_files);
    recording_figure(ctx, "renewed_bytes", r->renewed_bytes);
    recording_figure(ctx, "differing_files", r->differing_files);
    recording_figure(ctx, "moved_files", r->moved_files);
    recording_figure(ctx, "gone_files", r->gone_files);
    recording_figure(ctx, "bytes_source", r->bytes_source);
    recording_figure(ctx, "bytes_read", r->bytes_read);
    recording_figure(ctx, "bytes_stored", r->bytes_stored);
    recording_figure(ctx, "objects", r->objects);
    recording_figure(ctx, "skipped", r->skipped);
    recording_figure(ctx, "unstable_files", r->unstable_files);
    recording_figure(ctx, "damaged_objects", r->damaged_objects);
    recording_figure(ctx, "suspect", r->night.suspect);
    recording_figure(ctx, "held_files", r->night.held);
    recording_figure(ctx, "lost_files", r->night.gone);
    recording_figure(ctx, "altered_files", r->night.changed);
    recording_figure(ctx, "turned_files", r->night.turned);
    if (r->store_total > 0) {
        recording_figure(ctx, "store_free", r->store_free);
        recording_figure(ctx, "store_total", r->store_total);
    }
    recording_figure(ctx, "store_clock_off_s", (uint64_t)llabs(r->store_clock_off_ns / 1000000000));
}

static int report(const struct setup *s, const struct backup_result *r, const struct telling *t, struct error *err)
{
    if (s->ctx->json) {
        int rc = print_json(s, r, t, err);
        if (rc < 0)
            return rc;
    } else if (s->ctx->verbosity >= 0) {
        print_text(s, r, t->dry_run);
    }
    if (t->shows_profile && !s->ctx->json)
        profiling_print(t->profile);
    tell_touched(s, r);
    const char *name = s->policy.name;
    unsigned long long snapshot = r->snapshot;
    if (r->damaged_objects > 0)
        return error_set(err, ERROR_INTEGRITY, "policy %s: the snapshot is committed, but %llu objects of earlier ones are missing or damaged: run `bkd check %s`",
                         s->policy.name, (unsigned long long)r->damaged_objects, s->policy.name);
    if (r->night.suspect)
        return error_set(err, ERROR_INTEGRITY,
                         "policy %s: snapshot %llu is committed and marked suspect: %s. Retention is stopped. See `bkd diff %s %llu %llu --stat`; keep the last good one with `bkd "
                         "hold %s %llu`; if all is as it should be: `bkd accept %s %llu`",
                         name, snapshot, r->suspect_reason, name, snapshot - 1, snapshot, name, snapshot - 1, name, snapshot);
    if (r->complete)
        return 0;
    return error_set(err, ERROR_INCOMPLETE,
                     t->dry_run ? "policy %s: %llu entries could not be read" : "policy %s: the snapshot is committed but incomplete: %llu entries could not be read, %llu files changed while they were read",
                     s->policy.name, (unsigned long long)r->skipped, (unsigned long long)r->unstable_files);
}

// The snapshot is committed, whatever comes of the hold.
static int hold(const struct setup *s, const struct backup_result *result, const char *reason, struct error *err)
{
    int r = holding_hold_new(s, result->snapshot, reason, err);
    if (r < 0)
        return error_prefix(err, "policy %s: snapshot %llu is committed but NOT held (try `bkd hold %s %llu`)", s->policy.name,
                            (unsigned long long)result->snapshot, s->policy.name, (unsigned long long)result->snapshot);
    return 0;
}

// Brings the copies up to date. A snapshot is no less one when a copy cannot be reached: that was told, is remembered, and tried again by the next run.
// What is left as a failure: a copy that is not what it should be, and one that is older than it may be.
static int ship(struct setup *s, struct error *err)
{
    if (s->policy.offsite.count == 0)
        return 0;
    _cleanup_progress_ struct progress *progress = progress_new(s->ctx->io, progress_style_for(s->ctx->json, s->ctx->verbosity < 0), NULL);
    struct shipping_options options = { .progress = progress };
    int r = shipping_run(s, &options, err);
    if (r == ERROR_INTEGRITY || r == ERROR_OBJECTIVE)
        return r;
    if (r < 0)
        log_warn("the snapshot is committed, but not all of its copies are up to date: %s; the next run tries again, or `bkd ship %s`", err->text, s->policy.name);
    return 0;
}

static int check_options(const struct setup *s, const struct cli_args *args, bool is_to_hold, struct error *err)
{
    const char *tag = cli_args_option(args, "tag");
    int r = tag == NULL ? 0 : tags_check(tag, err);
    if (r == 0)
        r = holding_check_reason(cli_args_option(args, "hold-reason"), err);
    return r < 0 || !is_to_hold ? r : holding_check(s, err);
}

// What is done with a new snapshot.
struct follow_up {
    struct setup *setup;
    const char *hold_reason;
    bool is_to_hold, is_to_ship;
    struct profile *profile;
    int held, shipped; // 0, or what became of it
    struct error hold_error, ship_error;
};

static int follow_up(void *arg, const struct backup_result *result, struct error *err)
{
    struct follow_up *f = arg;
    f->held = f->is_to_hold ? hold(f->setup, result, f->hold_reason, &f->hold_error) : 0;
    struct profile_lap lap;
    profile_begin(&lap, f->profile, f->setup->ctx->io, PROFILE_SHIP);
    f->shipped = f->is_to_ship ? ship(f->setup, &f->ship_error) : 0;
    profile_end(&lap);
    if (f->held < 0)
        *err = f->hold_error;
    else if (f->shipped < 0)
        *err = f->ship_error;
    return f->held < 0 ? f->held : f->shipped;
}

static void export_beside(void *arg, struct store *store)
{
    const struct follow_up *f = arg;
    exporting_nightly(f->setup, store);
}

static struct masschange_limits guard_limits(const struct policy *policy)
{
    return (struct masschange_limits){
        .is_off = !policy->guard, .gone = (uint32_t)policy->guard_gone_percent, .changed = (uint32_t)policy->guard_changed_percent,
        .incompressible = (uint32_t)policy->guard_incompressible_percent, .min_files = policy->guard_min_files,
    };
}

static void set_by_policy(const struct setup *s, struct backup_options *o)
{
    const struct policy *p = &s->policy;
    o->policy = p->name;
    o->host = s->host;
    o->repository = p->repository.url;
    o->signers = buf_str(&s->signers);
    o->signing_key = s->signing_key.data;
    o->signing_key_len = s->signing_key.len;
    o->recipients = s->recipients.list;
    o->n_recipients = s->recipients.n;
    o->sources = s->sources.list;
    o->n_sources = s->sources.count;
    o->streams = s->streams.list;
    o->n_streams = s->streams.count;
    o->one_filesystem = p->one_filesystem;
    o->compare_inode = p->compare == POLICY_COMPARE_INODE;
    o->compression_level = (int)p->compression_level;
    o->night_level = p->key_lines[schema_index(schema_find("", "compression"))] == 0 ? BACKUP_NIGHT_LEVEL : o->compression_level;
    o->delta_min_size = p->delta_min_size_bytes;
    o->delta_block_size = (uint32_t)p->delta_block_size_bytes;
    o->delta_max_chain = (uint32_t)p->delta_max_chain;
    o->delta_max_share_percent = (uint32_t)p->delta_max_share_percent;
    o->renewal_budget_percent = (uint32_t)p->renewal_budget_percent;
    o->renewal_budget_bytes = p->renewal_budget_bytes;
    if (p->renewal && policy_keep_is_set(&p->keep)) // where nothing goes, nothing is won
        o->renewal_min_live_percent = (uint32_t)p->renewal_min_live_percent;
    o->guard = guard_limits(p);
}

// What weighs most of what went wrong; r and *err are how the report ended, which tells of what is missing.
static int conclude(const struct follow_up *follow, const struct surroundings *around, int r, struct error *err)
{
    if (follow->held < 0) {
        *err = follow->hold_error;
        return follow->held;
    }
    if (follow->shipped < 0 && (r == 0 || follow->shipped == ERROR_INTEGRITY)) {
        *err = follow->ship_error;
        return follow->shipped;
    }
    return r == ERROR_INCOMPLETE && around != NULL && surroundings_failed(around) ? surroundings_problem(around, err) : r;
}

static int run_backup(struct setup *s, const struct cli_args *args, struct display *display, struct surroundings *around, struct error *err)
{
    const struct context *ctx = s->ctx;
    struct profiling profiling = { 0 };
    profiling_begin(ctx, &profiling);
    unsigned long jobs = 0;
    bool dry_run = cli_args_flag(args, "dry-run");
    bool is_to_hold = (cli_args_flag(args, "hold") || cli_args_flag(args, "hold-reason")) && !dry_run;
    int r = setup_load_writing(s, err);
    if (r == 0)
        r = check_options(s, args, is_to_hold, err);
    if (r == 0)
        r = cli_args_number(args, "jobs", 256, &jobs, err);
    if (r < 0)
        return r;
    struct follow_up follow = {
        .setup = s, .hold_reason = cli_args_option(args, "hold-reason"), .is_to_hold = is_to_hold, .is_to_ship = !cli_args_flag(args, "no-ship"), .profile = &profiling.profile,
    };
    if (around != NULL) {
        around->beside = export_beside;
        around->committed = follow_up;
        around->arg = &follow;
    }
    _cleanup_setup_access_ struct setup_access access = { 0 };
    setup_access(ctx, &s->policy.repository, &access);
    struct backup_options options = {
        .state_dir = ctx->state_dir, .access = &access.access, .jobs = (unsigned)jobs, .accept_source_change = cli_args_flag(args, "accept-source-change"), .dry_run = dry_run,
        .tag = cli_args_option(args, "tag"), .progress = show_progress, .problem = show_problem, .said = show_said, .arg = display, .profile = &profiling.profile,
        .interrupted = interrupt_requested, .around = around == NULL ? NULL : &around->around,
    };
    set_by_policy(s, &options);
    struct backup_result result = { 0 };
    r = backup_run(ctx->io, &options, &result, err);
    progress_free(&display->progress);
    if (r < 0)
        return error_prefix(err, "policy %s", s->policy.name);
    struct profile_report profile;
    profiling_take(ctx, &profiling, &profile);
    record(ctx, &result);
    profiling_record(ctx, &profile);
    if (!dry_run)
        cataloguing_snapshot(s, &result, options.tag);
    result.complete = result.complete && (around == NULL || !surroundings_failed(around));
    struct telling telling = { .profile = &profile, .shows_profile = cli_args_flag(args, "profile") && !dry_run, .dry_run = dry_run, .is_held = is_to_hold && follow.held == 0 };
    r = report(s, &result, &telling, err);
    return conclude(&follow, around, r, err);
}

int cmd_backup(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_setup_ struct setup s = { 0 };
    int r = setup_load(ctx, cli_args_value(args, 0), &s, err);
    if (r < 0)
        return r;
    bool dry_run = cli_args_flag(args, "dry-run"), wanted = surroundings_are_wanted(&s.policy);
    struct display display = { .ctx = ctx, .progress = progress_new(ctx->io, progress_style_for(ctx->json, ctx->verbosity < 0), NULL) };
    struct surroundings around;
    surroundings_init(&around, &s, display.progress, cli_args_option(args, "tag"));
    if (dry_run && wanted)
        log_info("a dry run runs no hooks and takes no snapshots of sources: it looks at them as they are");
    interrupt_install();
    r = run_backup(&s, args, &display, dry_run ? NULL : &around, err);
    if (r < 0 && !dry_run)
        surroundings_tell_failure(&around, err);
    progress_free(&display.progress);
    return r;
}
