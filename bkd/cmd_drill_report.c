// bkd drill report: one drill as a page to read, print and sign, or as JSON.
#include <stdio.h>

#include "bkd/base/fs.h"
#include "bkd/cmd.h"
#include "bkd/drills/drill_reports.h"
#include "bkd/history/history.h"

static int write_html(const struct context *ctx, const char *file, const struct buf *html, struct error *err)
{
    if (file != NULL) {
        int r = fs_create_file(ctx->io, AT_FDCWD, file, 0644, html->data, html->len, err);
        if (r == 0 && ctx->verbosity >= 0)
            printf("%s\n", file);
        return r;
    }
    if (fwrite(html->data, 1, html->len, stdout) != html->len || fflush(stdout) != 0)
        return error_set(err, ERROR_FAILED, "the report cannot be written to standard output");
    return 0;
}

int cmd_drill_report(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    _cleanup_json_ struct json *record = NULL;
    _cleanup_buf_ struct buf html = { 0 };
    enum drill_report_language language = DRILL_REPORT_ENGLISH;
    const char *lang = cli_args_option(args, "lang");
    int r = lang != NULL ? drill_report_language(lang, &language, err) : 0;
    if (r == 0)
        r = history_open(ctx, &catalogue, err);
    if (r == 0)
        r = drill_reports_find(&catalogue, cli_args_value(args, 0), &record, err);
    if (r == 0 && ctx->json) {
        r = drill_reports_add_improvements(ctx, record, err);
        return r < 0 ? r : json_line_print(&record, stdout, err);
    }
    if (r == 0)
        r = drill_reports_html(ctx, &catalogue, record, language, &html, err);
    return r < 0 ? r : write_html(ctx, cli_args_option(args, "output"), &html, err);
}
