// bkd metrics: the figures for Prometheus, printed, written to a file, or served.
#include <poll.h>
#include <stdio.h>

#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/cmd.h"
#include "bkd/history/metering.h"

#define WAIT_MS 500

static int print(const struct context *ctx, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    int r = metering_text(ctx, &text, err);
    if (r < 0)
        return r;
    if (ctx->json) {
        struct json *line = json_line_new("metrics");
        json_add_str(line, "text", buf_str(&text));
        return json_line_print(&line, stdout, err);
    }
    if (fputs(buf_str(&text), stdout) == EOF || fflush(stdout) != 0)
        return error_set(err, ERROR_FAILED, "cannot write to standard output");
    return 0;
}

// Until a signal ends it.
static int serve(const struct context *ctx, const char *listen, struct error *err)
{
    _cleanup_scrape_ struct scrape *scrape = NULL;
    interrupt_install();
    int r = metering_serve(ctx, listen, &scrape, err);
    if (r < 0)
        return r;
    if (ctx->json) {
        struct json *line = json_line_new("listening");
        json_add_u64(line, "port", scrape_port(scrape));
        r = json_line_print(&line, stdout, err);
    } else {
        log_info("serves /metrics at %s (port %u) until it is ended", listen, scrape_port(scrape));
    }
    while (r == 0 && !interrupt_requested())
        (void)poll(NULL, 0, WAIT_MS);
    return r;
}

int cmd_metrics(struct context *ctx, const struct cli_args *args, struct error *err)
{
    const char *listen = cli_args_option(args, "listen"), *file = cli_args_option(args, "textfile");
    if (listen != NULL && file != NULL)
        return error_set(err, ERROR_USAGE, "--listen and --textfile do not go together");
    if (listen != NULL)
        return serve(ctx, listen, err);
    return file != NULL ? metering_write(ctx, file, err) : print(ctx, err);
}
