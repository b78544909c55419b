// bkd evidence pack: what others may verify without bkd.
#include <stdio.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/cmd.h"
#include "bkd/drills/evidence_pack.h"

static int report(const struct context *ctx, const char *file, const struct evidence_pack_result *result, struct error *err)
{
    char bytes[CLOCK_TEXT_MAX];
    if (ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_str(line, "file", file);
        json_add_u64(line, "drills", result->drills);
        json_add_u64(line, "runs", result->runs);
        json_add_u64(line, "verifications", result->verifications);
        json_add_u64(line, "files", result->files);
        json_add_u64(line, "bytes", result->bytes);
        return json_line_print(&line, stdout, err);
    }
    clock_format_bytes(bytes, result->bytes);
    if (ctx->verbosity >= 0)
        printf("%s: %llu drills, %llu runs, %llu verifications; %llu files, %s, signed; README.txt in it says how it is verified\n", file, (unsigned long long)result->drills,
               (unsigned long long)result->runs, (unsigned long long)result->verifications, (unsigned long long)result->files, bytes);
    return 0;
}

int cmd_evidence_pack(struct context *ctx, const struct cli_args *args, struct error *err)
{
    struct evidence_pack_result result;
    struct period period;
    const char *drill = cli_args_option(args, "drill"), *quarter = cli_args_option(args, "period"), *file = cli_args_option(args, "output");
    const char *name_of = drill != NULL ? drill : quarter;
    if (name_of == NULL || (drill != NULL && quarter != NULL) || file == NULL)
        return error_set(err, ERROR_USAGE, "say which drills, and where to: bkd evidence pack --drill ID -o FILE.tar.zst, or --period 2026Q4");
    if (drill != NULL && (drill[0] == '\0' || strchr(drill, '/') != NULL))
        return error_set(err, ERROR_USAGE, "'%s' is no drill: `bkd drill list` shows their ids", drill);
    if (quarter != NULL && period_parse(quarter, &period, err) < 0)
        return err->code;
    _cleanup_free_ char *name = xasprintf("evidence-%s", name_of);
    const struct evidence_pack_options options = { .drill = drill, .period = quarter != NULL ? &period : NULL, .name = name, .file = file };
    int r = evidence_pack(ctx, &options, &result, err);
    return r < 0 ? r : report(ctx, file, &result, err);
}
