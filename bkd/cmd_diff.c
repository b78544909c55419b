// bkd diff: two snapshots, or a snapshot and the files as they are now.
#include <string.h>

#include "bkd/cmd.h"
#include "bkd/snapshots/diffing.h"

struct view {
    const struct context *ctx;
    bool summary_only;
};

static int show(void *arg, const struct diff_change *change, struct error *err)
{
    const struct view *view = arg;
    return view->summary_only ? 0 : diffing_print(view->ctx, change, err);
}

static int print_summary(const struct diffing *d, const struct diff_counts *counts, struct error *err)
{
    if (d->ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_u64(line, "snapshot", d->a.head->number);
        if (d->live != NULL)
            json_add_bool(line, "live", true);
        else
            json_add_u64(line, "other_snapshot", d->b.head->number);
        diffing_add_counts(line, counts);
        json_add_u64(line, "problems", d->problems);
        json_add_bool(line, "complete", d->problems == 0);
        return json_line_print(&line, stdout, err);
    }
    if (d->ctx->verbosity >= 0)
        diffing_print_counts(counts);
    return 0;
}

// B is there unless the word begins with '/', as every PATH does and no tag may.
static void read_args(const struct cli_args *args, struct diffing_options *ret_options)
{
    const char *second = cli_args_value(args, 2);
    bool has_b = second != NULL && second[0] != '/';
    size_t first_path = has_b ? 3 : 2;
    *ret_options = (struct diffing_options){
        .policy = cli_args_value(args, 0), .a = cli_args_value(args, 1), .b = has_b && strcmp(second, "live") != 0 ? second : NULL,
        .identity = cli_args_option(args, "identity"), .content = cli_args_flag(args, "content"),
        .paths = args->values + first_path, .n_paths = args->count > first_path ? args->count - first_path : 0,
    };
}

int cmd_diff(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_diffing_ struct diffing d = { 0 };
    struct diffing_options options;
    struct diff_counts counts = { 0 };
    struct view view = { ctx, cli_args_flag(args, "stat") };
    read_args(args, &options);
    int r = diffing_open(&d, ctx, &options, err);
    if (r == 0)
        r = diffing_run(&d, show, &view, &counts, err);
    if (r == 0)
        r = print_summary(&d, &counts, err);
    if (r < 0)
        return r;
    if (d.problems > 0)
        return error_set(err, ERROR_INCOMPLETE, "policy %s: %llu entries could not be compared", d.setup.policy.name, (unsigned long long)d.problems);
    bool differ = counts.added + counts.removed + counts.changed + counts.metadata > 0;
    ctx->exit_code = differ && cli_args_flag(args, "exit-code") ? 1 : 0;
    return 0;
}
