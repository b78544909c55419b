// bkd-restore check
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/base/progress.h"
#include "bkd/repo/verify.h"
#include "restore/plan.h"
#include "restore/verb.h"

struct view {
    struct context *ctx;
    struct progress *progress;
};

static void show_finding(void *arg, const struct verify_finding *f)
{
    struct view *view = arg;
    struct error ignored;
    progress_pause(view->progress);
    if (!view->ctx->json) {
        bool alarm = f->severity == VERIFY_ALARM;
        (alarm ? log_error : log_info)("%s: %s%s%s%s%s%s", f->file, f->reason, f->snapshots != NULL ? "; snapshots: " : "",
                                       f->snapshots != NULL ? f->snapshots : "", f->path != NULL ? "; file '" : "",
                                       f->path != NULL ? f->path : "", f->path != NULL ? "'" : "");
        return;
    }
    struct json *line = json_line_new("finding");
    json_add_str(line, "severity", f->severity == VERIFY_ALARM ? "alarm" : "note");
    json_add_name(line, "file", f->file, strlen(f->file));
    json_add_str(line, "reason", f->reason);
    if (f->snapshots != NULL)
        json_add_str(line, "snapshots", f->snapshots);
    if (f->path != NULL)
        json_add_name(line, "path", f->path, strlen(f->path));
    if (verb_print_line(&line, &ignored) < 0)
        return; // the exit code tells it as well
}

static void show_phase(void *arg, const char *phase, uint64_t files, uint64_t bytes)
{
    progress_begin(((struct view *)arg)->progress, phase, files, bytes);
}

static void show_progress(void *arg, uint64_t files, uint64_t bytes) { progress_add(((struct view *)arg)->progress, files, bytes); }

static int print_json(const struct context *ctx, const struct verify_totals *t, bool read_data, struct error *err)
{
    struct json *line = json_line_new("summary");
    json_add_u64(line, "snapshots", t->snapshots);
    json_add_u64(line, "pruned", t->pruned);
    json_add_u64(line, "chains", t->chains);
    json_add_u64(line, "records", t->records);
    json_add_u64(line, "objects", t->objects);
    json_add_u64(line, "object_bytes", t->object_bytes);
    json_add_u64(line, "files_hashed", t->hashed_files);
    json_add_u64(line, "bytes_hashed", t->hashed_bytes);
    json_add_bool(line, "read_data", read_data);
    json_add_u64(line, "pieces", t->pieces);
    json_add_u64(line, "bytes_compared", t->data_bytes);
    json_add_u64(line, "leftover_files", t->leftover_files);
    json_add_u64(line, "leftover_bytes", t->leftover_bytes);
    json_add_u64(line, "unknown_files", t->unknown_files);
    json_add_u64(line, "bytes_by_hand", t->newest_bytes);
    json_add_u64(line, "alarms", t->alarms);
    json_add_u64(line, "notes", t->notes);
    json_add_u64(line, "duration_ms", timing_duration(&ctx->timing) / 1000000);
    return verb_print_line(&line, err);
}

static void print_text(const struct context *ctx, const struct verify_totals *t, const struct verify_options *o)
{
    char objects[CLOCK_TEXT_MAX], hashed[CLOCK_TEXT_MAX], data[CLOCK_TEXT_MAX], hand[CLOCK_TEXT_MAX], duration[CLOCK_TEXT_MAX];
    clock_format_bytes(objects, t->object_bytes);
    clock_format_bytes(hashed, t->hashed_bytes);
    clock_format_bytes(data, t->data_bytes);
    clock_format_bytes(hand, t->newest_bytes);
    clock_format_duration(duration, timing_duration(&ctx->timing));
    printf("Checked %s: %" PRIu64 " snapshots in %" PRIu64 " chains, %" PRIu64 " objects of %s\n", ctx->session.repository, t->snapshots,
           t->chains, t->objects, objects);
    printf("  signatures and chains verified; %" PRIu64 " stored files (%s) compared with their SHA-256%s\n", t->hashed_files, hashed,
           o->quick ? ", of objects only the sizes (--quick)" : "");
    if (o->read_data)
        printf("  %" PRIu64 " pieces (%s of content) decoded and compared\n", t->pieces, data);
    printf("  recovering the newest snapshot by hand would move %s\n", hand);
    printf("  in %s: %s\n", duration, t->alarms == 0 ? "all is as it was written" : "NOT all is as it was written");
}

static int fill_options(struct context *ctx, const struct cli_args *args, struct session *session, struct verify_options *o,
                        uint8_t chain[16], struct error *err)
{
    unsigned long jobs = 0;
    bool chosen = false;
    int r = cli_args_number(args, "jobs", 256, &jobs, err);
    o->quick = cli_args_flag(args, "quick");
    o->read_data = cli_args_flag(args, "read-data");
    if (r == 0)
        r = session_open(session, ctx->io, &ctx->session, err);
    if (r == 0)
        r = session_chain(session, &chosen, chain, err);
    if (r == 0 && args->count > 0)
        r = session_find(session, cli_args_value(args, 0), &o->only, err);
    if (r == 0 && o->read_data)
        r = session_unlock(session, err);
    if (r == 0)
        r = plan_open_scratch(ctx->io, NULL, &o->scratch_dirfd, err);
    o->signers = session_signers(session);
    o->chain = chosen ? chain : NULL;
    o->identities = session->identities.list;
    o->n_identities = session->identities.n;
    o->jobs = (unsigned)jobs;
    return r;
}

int verb_check(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_session_ struct session session = { 0 };
    uint8_t chain[16];
    struct verify_totals totals = { 0 };
    struct view view = { .ctx = ctx };
    struct verify_options options = {
        .scratch_dirfd = -1,
        .finding = show_finding,
        .progress = show_progress,
        .phase = show_phase,
        .interrupted = interrupt_requested,
        .arg = &view,
    };
    int r = fill_options(ctx, args, &session, &options, chain, err);
    if (r == 0) {
        view.progress = progress_new(ctx->io, progress_style_for(ctx->json, ctx->quiet), NULL);
        r = verify_run(ctx->io, session.repository, &options, &totals, err);
        progress_free(&view.progress);
    }
    io_close_quietly(ctx->io, &options.scratch_dirfd);
    if (r < 0)
        return r;
    if (totals.alarms > 0) {
        r = error_set(
            err, ERROR_INTEGRITY,
            "%" PRIu64
            " alarms: each names the file and the snapshots it touches; restore those from another copy, and keep this one as it is",
            totals.alarms);
        if (ctx->json)
            verb_print_error(err);
        ctx->told = true;
    }
    if (!ctx->json && !ctx->quiet)
        print_text(ctx, &totals, &options);
    struct error ignored;
    if (ctx->json && print_json(ctx, &totals, options.read_data, r < 0 ? &ignored : err) < 0 && r == 0)
        return err->code;
    return r;
}
