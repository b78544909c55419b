// bkd rollback: shows what differs between a snapshot and the files as they are now, and puts it back.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/clock.h"
#include "bkd/cmd.h"
#include "bkd/history/recording.h"
#include "bkd/snapshots/rollback.h"

enum { SHOWN = 1000 };

struct view {
    const struct context *ctx;
    uint64_t lines;
};

static int show(void *arg, const struct diff_change *change, struct error *err)
{
    struct view *view = arg;
    if (view->ctx->verbosity < 0 && !view->ctx->json)
        return 0;
    view->lines++;
    return view->ctx->json || view->lines <= SHOWN ? diffing_print(view->ctx, change, err) : 0;
}

static void print_found(const struct rollback *rb, const struct view *view)
{
    char time[CLOCK_TEXT_MAX];
    if (view->ctx->json || view->ctx->verbosity < 0)
        return;
    if (view->lines > SHOWN)
        printf("… and %llu more; `bkd diff %s %llu` shows all\n", (unsigned long long)(view->lines - SHOWN), rb->policy.name, (unsigned long long)rb->number);
    clock_format_utc(time, rb->time_ns, false);
    printf("Since snapshot %llu of %s: ", (unsigned long long)rb->number, time);
    diffing_print_counts(&rb->before);
    if (rb->before.added > 0)
        printf("%s\n", rb->options->delete ? "What was added will be DELETED." : "What was added stays (--delete removes it).");
}

static int ask(const struct rollback *rb, struct error *err)
{
    char answer[16] = "";
    if (rb->ctx->json || !isatty(STDIN_FILENO))
        return error_set(err, ERROR_USAGE, "there is nobody to ask: look with --dry-run, then give --yes");
    printf("Put %llu entries back to snapshot %llu%s? [y/N] ", (unsigned long long)rollback_work(rb), (unsigned long long)rb->number,
           rb->options->no_backup ? " WITHOUT saving what is there now" : "");
    (void)fflush(stdout);
    if (fgets(answer, sizeof answer, stdin) != NULL && (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0))
        return 0;
    return error_set(err, ERROR_FAILED, "not confirmed: nothing was changed");
}

static int print_summary(const struct rollback *rb, bool dry_run, bool is_done, struct error *err)
{
    if (rb->ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_str(line, "policy", rb->policy.name);
        json_add_u64(line, "snapshot", rb->number);
        if (dry_run)
            json_add_bool(line, "dry_run", true);
        diffing_add_counts(line, &rb->before);
        json_add_str(line, "saved_as", rb->backup_tag[0] == '\0' ? NULL : rb->backup_tag);
        json_add_u64(line, "deleted", rb->appeared.removed);
        json_add_u64(line, "still_differ", rb->after.removed + rb->after.changed + rb->after.metadata);
        json_add_u64(line, "problems", rb->problems);
        json_add_bool(line, "complete", is_done);
        return json_line_print(&line, stdout, err);
    }
    if (rb->ctx->verbosity < 0 || dry_run)
        return 0;
    if (rollback_work(rb) == 0)
        printf("%s: nothing to put back\n", rb->policy.name);
    else if (is_done)
        printf("%s: as in snapshot %llu again; deleted %llu, kept %llu that had appeared%s%s\n", rb->policy.name, (unsigned long long)rb->number,
               (unsigned long long)rb->appeared.removed, (unsigned long long)rb->after.added, rb->backup_tag[0] == '\0' ? "" : "; what was there before has the tag ",
               rb->backup_tag);
    return 0;
}

static int put_back(struct rollback *rb, bool yes, struct error *err)
{
    int r = rollback_check_identity(rb, err);
    if (r == 0 && !yes)
        r = ask(rb, err);
    if (r == 0)
        r = rollback_try(rb, err);
    if (r == 0 && !rb->options->no_backup)
        r = rollback_save(rb, err);
    return r < 0 ? r : rollback_run(rb, err);
}

int cmd_rollback(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_rollback_ struct rollback rb = { 0 };
    bool dry_run = cli_args_flag(args, "dry-run");
    struct rollback_options options = {
        .policy = cli_args_value(args, 0), .snapshot = cli_args_value(args, 1), .identity = cli_args_option(args, "identity"),
        .paths = args->values + 2, .n_paths = args->count - 2, .delete = cli_args_flag(args, "delete"), .no_backup = cli_args_flag(args, "no-backup"),
        .in_place_delta = cli_args_flag(args, "in-place-delta"),
    };
    struct view view = { .ctx = ctx };
    int r = rollback_open(&rb, ctx, &options, err);
    if (r == 0)
        r = rollback_look(&rb, show, &view, err);
    if (r < 0)
        return r;
    print_found(&rb, &view);
    recording_snapshot(ctx, rb.number);
    recording_figure(ctx, "to_put_back", rollback_work(&rb));
    if (!dry_run && rollback_work(&rb) > 0)
        r = put_back(&rb, cli_args_flag(args, "yes"), err);
    if (r < 0 && r != ERROR_INCOMPLETE)
        return error_prefix(err, "policy %s", rb.policy.name);
    struct error ignored; // of the summary, when there is a worse one
    int printed = print_summary(&rb, dry_run, r == 0 && rb.problems == 0, r == 0 ? err : &ignored);
    if (r == 0 && printed == 0 && rb.problems > 0)
        r = error_set(err, ERROR_INCOMPLETE, "policy %s: %llu entries could not be compared", rb.policy.name, (unsigned long long)rb.problems);
    return r < 0 ? r : printed;
}
