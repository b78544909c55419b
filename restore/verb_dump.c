// bkd-restore dump: one file to standard output, or a selection as a tar stream; each piece is compared before it is written.
#include <inttypes.h>
#include <unistd.h>

#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "restore/selection_args.h"
#include "restore/tar.h"
#include "restore/verb.h"

// ---- one file

static int begin_file(void *arg, const struct stream_member *m, struct error *err)
{
    (void)arg, (void)m, (void)err; // verb_dump looked at it
    return 0;
}

static int write_file(void *arg, const void *data, size_t n, struct error *err)
{
    return io_write_all(arg, STDOUT_FILENO, data, n, "standard output", err);
}

static int end_file(void *arg, struct error *err)
{
    (void)arg, (void)err;
    return 0;
}

// Is the selection one regular file? *ret_type is that of the first selected entry.
static int look(struct plan *plan, bool *ret_one_file, char *ret_type, struct error *err)
{
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    *ret_type = '\0';
    int r = plan_rewind(plan, err);
    while (r == 0 && *ret_type == '\0' && (r = plan_next(plan, &e, &role, &later, err)) == 0 && e != NULL)
        if (role == PLAN_SELECTED)
            *ret_type = (char)e->type;
    *ret_one_file = plan->totals.selected == 1 && *ret_type == MANIFEST_FILE;
    return r;
}

// ---- several

static int dump_tar(const struct stream_source *source, struct error *err)
{
    struct tar tar;
    if (isatty(STDOUT_FILENO))
        return error_set(err, ERROR_USAGE, "a tar stream is nothing for a terminal: send it to a file or to `tar x`");
    int r = tar_open(&tar, source->io, STDOUT_FILENO, err);
    if (r < 0)
        return r;
    struct stream_sink sink = tar_sink(&tar);
    r = stream_run(source, &sink, err);
    if (r == 0)
        r = tar_close(&tar, err);
    if (r == 0 && tar.sockets > 0)
        log_info("%" PRIu64 " sockets are not in the tar, which has no place for them", tar.sockets);
    tar_done(&tar);
    return r;
}

static int dump(struct stream_source *source, bool tar, bool one_path, struct error *err)
{
    bool one_file;
    char type;
    int r = look(source->plan, &one_file, &type, err);
    if (r < 0)
        return r;
    bool several = !one_path || source->plan->totals.selected > 1; // one PATH with several entries is a directory, or "stream/"
    if (tar || (!one_file && type != '\0' && (several || type == MANIFEST_DIR)))
        return dump_tar(source, err);
    if (!one_file)
        return error_set(err, ERROR_USAGE, "it is not a regular file: --tar writes it as a tar member, `bkd-restore restore` restores it");
    struct stream_sink sink = { .begin = begin_file, .data = write_file, .end = end_file, .arg = (void *)source->io };
    return stream_run(source, &sink, err);
}

static int check_arguments(const struct context *ctx, const struct cli_args *args, struct error *err)
{
    if (ctx->json)
        return error_set(err, ERROR_USAGE, "dump writes files themselves to standard output: leave --json out");
    bool chosen = args->count > 1 || cli_args_flag(args, "include") || cli_args_flag(args, "include-from") || cli_args_flag(args, "tar");
    return chosen ? 0 : error_set(err, ERROR_USAGE, "which file? Give a PATH, or --tar for the whole snapshot");
}

int verb_dump(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_session_ struct session session = { 0 };
    _cleanup_snapshot_ struct snapshot snapshot = { 0 };
    _cleanup_selection_ struct selection *selection = NULL;
    _cleanup_plan_ struct plan plan = { .fd = -1 };
    unsigned long jobs = 0;
    int scratch = -1;
    ctx->session.wants_parts = args->count > 1;
    int r = check_arguments(ctx, args, err);
    if (r == 0)
        r = cli_args_number(args, "jobs", 256, &jobs, err);
    if (r == 0)
        r = selection_from_args(ctx->io, args, 1, &selection, err);
    if (r == 0)
        r = session_open_for(&session, ctx->io, &ctx->session, cli_args_value(args, 0), err);
    if (r == 0)
        r = session_snapshot(&session, cli_args_value(args, 0), &snapshot, NULL, err);
    if (r == 0)
        r = plan_open_scratch(ctx->io, NULL, &scratch, err);
    if (r == 0)
        r = plan_open(&plan, ctx->io, &snapshot, scratch, selection, err);
    if (r == 0)
        r = plan_count(&plan, err);
    if (r == 0)
        r = selection_tell(selection, plan.totals.selected, false, err);
    if (r == 0) {
        struct stream_source source = { .io = ctx->io, .snapshot = &snapshot, .plan = &plan, .jobs = (unsigned)jobs, .interrupted = interrupt_requested };
        r = dump(&source, cli_args_flag(args, "tar"), args->count == 2, err);
    }
    io_close_quietly(ctx->io, &scratch);
    return r;
}
