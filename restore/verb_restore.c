// bkd-restore restore
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/base/interrupt.h"
#include "restore/marker.h"
#include "restore/run.h"
#include "restore/selection_args.h"
#include "restore/verb.h"

enum { OWNERS_FILE_MAX = 1 << 20 };

static int read_owners(const struct io *io, const struct cli_args *args, struct owner_map *owners, struct error *err)
{
    const char *value;
    int r = 0;
    for (size_t i = 0; r == 0 && (value = cli_args_option_at(args, "chown-map", i)) != NULL; i++) {
        _cleanup_buf_ struct buf text = { 0 };
        if (owner_map_is_rule(value)) {
            r = owner_map_add(owners, value, err);
        } else {
            r = fs_read_file(io, AT_FDCWD, value, OWNERS_FILE_MAX, &text, err);
            if (r == 0)
                r = owner_map_add_text(owners, buf_str(&text), value, err);
        }
    }
    return r < 0 ? error_prefix(err, "--chown-map") : 0;
}

static bool delete_unasked(uint64_t count, const char *first, const char *target)
{
    (void)count, (void)first, (void)target;
    return true;
}

static bool ask_to_delete(uint64_t count, const char *first, const char *target)
{
    _cleanup_buf_ struct buf name = { 0 };
    char answer[16] = "";
    verb_add_printable(&name, first, strlen(first));
    (void)fprintf(stderr, "%" PRIu64 " entries in '%s' are not in the snapshot and will be deleted, the first is '%s'. Go on? [y/N] ", count, target,
                  buf_str(&name));
    return fgets(answer, sizeof answer, stdin) != NULL && (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0);
}

static int read_options(const struct context *ctx, const struct cli_args *args, struct run_options *ret_options, struct error *err)
{
    unsigned long strip = 0, jobs = 0;
    bool can_ask = !ctx->json && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    *ret_options = (struct run_options){
        .target = cli_args_option(args, "target"),
        .in_place_delta = cli_args_flag(args, "in-place-delta"),
        .delete = cli_args_flag(args, "delete"),
        .may_delete = cli_args_flag(args, "yes") ? delete_unasked : can_ask ? ask_to_delete : NULL,
        .repository = ctx->session.repository,
        .verify = cli_args_flag(args, "verify"),
        .no_sync = cli_args_flag(args, "no-sync"),
        .resume = cli_args_flag(args, "resume"),
        .dry_run = cli_args_flag(args, "dry-run"),
        .keep_going = cli_args_flag(args, "keep-going"),
        .strict = cli_args_flag(args, "strict"),
        .numeric_owner = cli_args_flag(args, "numeric-owner"),
        .untrusted = cli_args_flag(args, "untrusted"),
        .target_attributes = cli_args_flag(args, "target-attributes"),
        .json = ctx->json,
        .quiet = ctx->quiet,
        .interrupted = interrupt_requested,
    };
    const char *overwrite = cli_args_option(args, "overwrite");
    if (overwrite != NULL && decide_mode_parse(overwrite, &ret_options->overwrite, err) < 0)
        return err->code;
    if (cli_args_flag(args, "in-place")) {
        if (ret_options->target != NULL)
            return error_set(err, ERROR_USAGE, "--in-place restores where the files were; it does not go with --target");
        ret_options->target = "/";
    }
    if (ret_options->verify && ret_options->no_sync)
        return error_set(err, ERROR_USAGE, "--verify reads again what is on the disk, so it does not go with --no-sync");
    if (ret_options->no_sync && (ret_options->overwrite != DECIDE_NEVER || cli_args_flag(args, "in-place") || cli_args_flag(args, "delete")))
        return error_set(err, ERROR_USAGE, "--no-sync goes with a new target only: with --overwrite, --in-place or --delete a power cut could take what was there before, too");
    if (ret_options->target == NULL || *ret_options->target == '\0')
        return error_set(err, ERROR_USAGE, "where to? Give --target DIR, or --in-place for where the files were");
    if (strncmp(ret_options->target, "sftp://", 7) == 0 || strncmp(ret_options->target, "ssh://", 6) == 0) // which would be a directory of that name
        return error_set(err, ERROR_USAGE, "'%s' is on another host, and owners, ACLs and holes do not get there by SFTP: run bkd-restore there, as a recovery plan does by ssh (bkd-plan(5))",
                         ret_options->target);
    int r = cli_args_number(args, "strip-components", 1000, &strip, err);
    if (r == 0)
        r = cli_args_number(args, "jobs", 256, &jobs, err);
    ret_options->strip = (unsigned)strip;
    ret_options->jobs = (unsigned)jobs;
    return r;
}

// Under pressure, what goes on matters as much as what is wrong.
static int open_snapshot(struct session *session, const char *name, bool keep_going, struct snapshot *ret_snapshot,
                         const struct repository_head **ret_head, struct error *err)
{
    int r = session_snapshot(session, name, ret_snapshot, ret_head, err);
    if (r != ERROR_INTEGRITY || keep_going)
        return r;
    struct error why = *err;
    return error_set(err, r, "%.700s; --keep-going restores what can be proved, and `bkd-restore check` says which snapshots are whole", why.text);
}

int verb_restore(struct context *ctx, const struct cli_args *args, struct error *err)
{
    struct run_options options;
    _cleanup_buf_ struct buf again = { 0 };
    _cleanup_session_ struct session session = { 0 };
    _cleanup_snapshot_ struct snapshot snapshot = { 0 };
    _cleanup_selection_ struct selection *selection = NULL;
    _cleanup_owner_map_ struct owner_map owners = { 0 };
    const struct repository_head *head = NULL;
    struct report report;
    uint64_t since = ctx->timing.started_ns;
    int r = read_options(ctx, args, &options, err);
    if (r == 0)
        r = read_owners(ctx->io, args, &owners, err);
    if (r == 0)
        r = selection_from_args(ctx->io, args, 1, &selection, err);
    options.selection = selection;
    options.owners = &owners;
    verb_format_again(ctx, &again);
    options.again = again.len <= MARKER_COMMAND_MAX ? buf_str(&again) : NULL;
    ctx->session.accept_damaged = options.keep_going;
    ctx->session.wants_parts = args->count > 1;
    if (r == 0)
        r = session_open_for(&session, ctx->io, &ctx->session, cli_args_value(args, 0), err);
    if (r == 0)
        r = open_snapshot(&session, cli_args_value(args, 0), options.keep_going, &snapshot, &head, err);
    (void)timing_add(&ctx->timing, TIMING_OPEN, since, 0);
    if (r < 0)
        return r;
    r = run_restore(ctx->io, &snapshot, &options, &ctx->timing, &report, err);
    struct report_place place = {
        .repository = ctx->session.repository,
        .target = options.target,
        .host = head->head.host,
        .policy = head->head.policy,
        .snapshot = head->number,
        .snapshot_time_ns = head->head.time_ns,
    };
    bool whole = r == 0 || r == ERROR_INCOMPLETE || r == ERROR_INTEGRITY;
    if (r < 0 && ctx->json)
        verb_print_error(err);
    ctx->told = true;
    if (whole || ctx->json)
        report_summary(&report, &place, &ctx->timing, r == 0);
    return r;
}
