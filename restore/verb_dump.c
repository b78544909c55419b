// bkd-restore dump: one file to standard output, piece by piece, each compared before it is written.
#include <stdlib.h>
#include <unistd.h>

#include "restore/content.h"
#include "restore/plan.h"
#include "restore/selection_args.h"
#include "restore/verb.h"

static int write_out(const struct cmd_context *ctx, const void *data, size_t n, struct error *err)
{
    return io_write_all(ctx->io, STDOUT_FILENO, data, n, "standard output", err);
}

static int dump_version(struct cmd_context *ctx, struct snapshot *snapshot, struct compare *compare, const struct manifest_entry *e,
                        void *data, struct error *err)
{
    _cleanup_recipe_ struct recipe recipe = { 0 };
    bool whole;
    int r = content_recipe(snapshot, compare, e, false, &recipe, &whole, err);
    for (size_t i = 0; r == 0 && i < recipe.n_pieces; i++) {
        r = content_piece(snapshot, &recipe.pieces[i], data, err);
        if (r == 0)
            r = write_out(ctx, data, recipe.pieces[i].length, err);
    }
    return r;
}

static int dump_entry(struct cmd_context *ctx, struct snapshot *snapshot, const struct manifest_entry *e, struct error *err)
{
    void *data = NULL;
    if (e->type != MANIFEST_FILE)
        return error_set(err, ERROR_USAGE, "it is not a regular file; `bkd-restore restore` restores it");
    int r = content_check_entry(e, err);
    if (r < 0 || e->size == 0)
        return r;
    r = io_alloc(ctx->io, RECIPE_PIECE_SIZE, "a piece", &data, err);
    if (r < 0)
        return r;
    struct compare *compare = compare_new(snapshot->repository->store, &snapshot->refs, snapshot->repository->info.encrypted, &ctx->timing);
    if (e->at.length > 0) {
        struct recipe_piece piece = { .kind = RECIPE_WHOLE, .length = (uint32_t)e->at.length, .member = e->at };
        for (size_t i = 0; i < sizeof piece.sha256; i++)
            piece.sha256[i] = e->sha256[i];
        r = content_piece(snapshot, &piece, data, err);
        if (r == 0)
            r = write_out(ctx, data, piece.length, err);
    } else {
        r = dump_version(ctx, snapshot, compare, e, data, err);
    }
    compare_free(compare);
    free(data);
    return r;
}

int verb_dump(struct cmd_context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_session_ struct session session = { 0 };
    _cleanup_snapshot_ struct snapshot snapshot = { 0 };
    _cleanup_selection_ struct selection *selection = NULL;
    _cleanup_plan_ struct plan plan = { .fd = -1 };
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    int scratch = -1;
    if (ctx->json)
        return error_set(err, ERROR_USAGE, "dump writes the file itself to standard output: leave --json out");
    int r = selection_from_args(ctx->io, args, 1, &selection, err);
    if (r == 0)
        r = session_open(&session, ctx->io, &ctx->session, err);
    if (r == 0)
        r = session_snapshot(&session, cli_args_value(args, 0), &snapshot, NULL, err);
    if (r == 0)
        r = plan_open_scratch(ctx->io, NULL, &scratch, err);
    if (r == 0)
        r = plan_open(&plan, ctx->io, &snapshot, scratch, selection, err);
    if (r == 0)
        r = plan_rewind(&plan, err);
    do {
        if (r == 0)
            r = plan_next(&plan, &e, &role, &later, err);
    } while (r == 0 && e != NULL && role == PLAN_ANCESTOR);
    if (r == 0 && e != NULL && dump_entry(ctx, &snapshot, e, err) < 0)
        r = error_prefix(err, "'%s'", buf_str(&e->path));
    io_close_quietly(ctx->io, &scratch);
    return r;
}
