#include "bkd/watch/status.h"

#include <stdlib.h>

#include "bkd/base/log.h"

static int heavier(int a, int b)
{
    int security = error_exit_code(ERROR_INTEGRITY);
    return a == security || b == security ? security : a != 0 ? a : b;
}

static int exit_code(const struct watched *w)
{
    int code = w->n == 0 ? error_exit_code(ERROR_OBJECTIVE) : watch_exit_code(&w->host); // nothing is protected
    for (size_t i = 0; i < w->n; i++)
        code = heavier(code, watch_exit_code(&w->items[i].findings));
    return code;
}

// Looking makes no catalogue. Without write access it is read as it is, and alarms wait for somebody who has it.
static bool open_catalogue(const struct context *ctx, struct catalogue *ret_catalogue, char **ret_problem)
{
    _cleanup_free_ char *path = xasprintf("%s/catalogue.db", ctx->state_dir);
    struct statx st;
    struct error err;
    if (io_stat(ctx->io, AT_FDCWD, path, 0, &st, &err) == ERROR_NOT_FOUND)
        return false;
    if (catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_WRITE, ret_catalogue, &err) == 0 || catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_READ, ret_catalogue, &err) == 0)
        return true;
    *ret_problem = xstrdup(err.text);
    return false;
}

static void record(const struct watched *w, bool is_all)
{
    struct error why;
    if (w->source.catalogue != NULL && watch_record(w, is_all, &why) < 0)
        log_debug("alarms were not recorded: %s", why.text);
}

int status_show(const struct context *ctx, const struct status_options *options, int *ret_exit_code, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    _cleanup_watched_ struct watched w = { 0 };
    _cleanup_free_ char *problem = NULL;
    bool is_open = open_catalogue(ctx, &catalogue, &problem);
    enum watch_depth depth = options->refresh ? WATCH_REFRESH : WATCH_LOCAL;
    struct catalogue *c = is_open ? &catalogue : NULL;
    uint64_t now_ns = io_realtime_ns(ctx->io);
    int r = options->policy == NULL ? watch_all(ctx, c, problem, depth, now_ns, &w, err) : watch_one(ctx, c, problem, depth, now_ns, options->policy, &w, err);
    if (r < 0)
        return r;
    record(&w, options->policy == NULL);
    *ret_exit_code = exit_code(&w);
    if (ctx->json)
        return status_json(&w, err);
    if (ctx->verbosity < 0)
        return 0;
    if (options->policy != NULL && !options->check)
        status_text_detail(&w);
    else
        status_text_overview(&w, options->check);
    return 0;
}
