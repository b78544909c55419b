#include "bkd/drills/drilling.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/clock.h"
#include "bkd/base/crypto.h"
#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/drills/drill_evidence.h"
#include "bkd/proof/verifying.h"
#include "bkd/record/drills.h"
#include "bkd/snapshots/choosing.h"
#include "bkd/snapshots/holding.h"

// ---- the record in the catalogue

// A drill that the catalogue does not know of has its record in the state directory all the same.
static void catalogue_it(const struct drilling *d)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    _cleanup_buf_ struct buf text = { 0 };
    struct error err;
    const struct context *ctx = d->setup.ctx;
    json_format(d->drill.record, &text);
    const struct drill_row row = {
        .uid = d->drill.id, .plan = d->setup.policy.name, .kind = json_get_str(d->drill.record, "kind"), .started_ns = d->drill.started_ns, .ended_ns = d->drill.ended_ns,
        .has_passed = d->drill.has_passed, .record = buf_str(&text),
    };
    int r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_WRITE, &catalogue, &err);
    if (r == 0)
        r = drills_put(&catalogue, &row, &err);
    if (r < 0)
        log_warn("drill %s is not in the catalogue, only in '%s': %s", d->drill.id, d->drill.dir, err.text);
}

// ---- the beginning

static int open_place(struct drilling *d, const char *from, struct error *err)
{
    const struct policy_store *ignored;
    int r = verifying_find_place(&d->setup.policy, from, &d->place, err);
    if (r < 0)
        return r;
    if (d->place == &d->setup.policy.repository)
        return setup_open_repository(&d->setup, &d->repository, err);
    return setup_open_copy(&d->setup, d->place->url, &ignored, &d->repository, err);
}

static int find_identity(struct drilling *d, const char *given, bool is_needed, struct error *err)
{
    if (!d->repository->info.encrypted)
        return 0;
    if (given != NULL && strcmp(given, "-") == 0) {
        d->identity = xstrdup("standard input");
        return 0;
    }
    int r = verifying_find_identity(d->setup.ctx, &d->setup.policy, given, &d->identity, err);
    if (r == 0 && is_needed && d->identity == NULL)
        r = error_set(err, ERROR_KEY, "this drill takes an identity that opens the backups of policy %s, and there is none on this host: give it with -i FILE", d->setup.policy.name);
    return r;
}

static void version_of(const struct context *ctx, const char *policy, char ret_version[2 * CRYPTO_SHA256_SIZE + 1])
{
    _cleanup_free_ char *path = context_policy_path(ctx, policy);
    _cleanup_buf_ struct buf text = { 0 };
    struct error ignored; // it was read a moment ago
    uint8_t sha256[CRYPTO_SHA256_SIZE];
    (void)!fs_read_file(ctx->io, AT_FDCWD, path, JSON_PARSE_MAX, &text, &ignored);
    crypto_sha256(text.data, text.len, sha256);
    format_hex(ret_version, sha256, sizeof sha256);
}

static int keep_evidence(struct drilling *d, struct error *err)
{
    json_add_hex(d->drill.record, "chain", d->head->chain, sizeof d->head->chain);
    json_add_hex(d->drill.record, "head_sha256", d->head->sha256, sizeof d->head->sha256);
    return drill_evidence_head(&d->drill, d->repository, d->head, "", err);
}

static int begin_record(struct drilling *d, const struct cli_args *args, const char *kind, const char *scope, struct error *err)
{
    char who[LINES_LABEL_MAX + 1], version[2 * CRYPTO_SHA256_SIZE + 1];
    const struct policy *policy = &d->setup.policy;
    const char *responsible = cli_args_option(args, "responsible"), *place = cli_args_option(args, "place");
    holding_who(&d->setup, who);
    const char *host = strrchr(who, '@');
    version_of(d->setup.ctx, cli_args_value(args, 0), version);
    const struct drill_about about = {
        .kind = kind, .plan = policy->name, .plan_version = version, .scope = scope, .copy = d->place->url, .snapshot = d->head->number,
        .place = place != NULL ? place : host != NULL ? host + 1 : who, .responsible = responsible != NULL ? responsible : who, .participants = cli_args_option(args, "participants"),
        .objective_rto_ms = policy->objectives.rto_s * 1000, .objective_rpo_ms = policy->objectives.rpo_s * 1000,
    };
    int r = fs_make_dirs(d->setup.ctx->io, AT_FDCWD, d->setup.ctx->state_dir, 0700, err);
    if (r == 0)
        r = drill_begin(d->setup.ctx->io, d->setup.ctx->state_dir, &about, &d->drill, err);
    if (r == 0)
        catalogue_it(d);
    if (r == 0)
        drill_loss(&d->drill, d->head->head.time_ns, about.objective_rpo_ms);
    return r < 0 ? r : keep_evidence(d, err);
}

int drilling_begin(const struct context *ctx, const struct cli_args *args, const char *kind, const char *scope, bool needs_identity, struct drilling *ret_drilling,
                   struct error *err)
{
    struct drilling *d = ret_drilling;
    *d = (struct drilling){ .scratch = { .lock_fd = -1 }, .drill = { .journal_fd = -1 } };
    int r = setup_load(ctx, cli_args_value(args, 0), &d->setup, err);
    if (r == 0)
        r = open_place(d, cli_args_option(args, "from"), err);
    if (r == 0)
        r = choosing_snapshot(&d->setup, d->repository, d->place, "latest", &d->head, err);
    if (r == 0)
        r = find_identity(d, cli_args_option(args, "identity"), needs_identity, err);
    if (r == 0)
        r = scratch_make(ctx->io, d->setup.policy.verify.scratch, &d->scratch, err);
    if (r < 0)
        return r;
    d->signers = context_key_path(ctx, "allowed_signers");
    setup_access(ctx, d->place, &d->access);
    return begin_record(d, args, kind, scope, err);
}

// ---- steps

int drilling_step(struct drilling *d, const char *name, uint64_t took_ns, enum drill_result result, struct error *err, const char *text, ...)
{
    char took[CLOCK_TEXT_MAX], line[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, text);
    (void)vsnprintf(line, sizeof line, text, args);
    va_end(args);
    clock_format_duration(took, took_ns);
    if (!d->setup.ctx->json && d->setup.ctx->verbosity >= 0)
        printf("%-7s %s: %s (%s)\n", drill_result_name(result), name, line, took);
    (void)fflush(stdout); // a drill takes its time, and who waits sees each step
    return drill_step(&d->drill, &(struct drill_step){ .name = name, .took_ns = took_ns, .result = result, .text = line }, err);
}

// ---- the end

static int tell(const struct drilling *d, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    if (d->setup.ctx->json) { // the record is the summary
        struct json *line = NULL;
        json_format(d->drill.record, &text);
        int r = json_parse(text.data, text.len, &line, err);
        if (r == 0)
            json_add_str(line, "type", "summary");
        return r < 0 ? r : json_line_print(&line, stdout, err);
    }
    if (d->setup.ctx->verbosity >= 0)
        printf("drill %s (%s) of policy %s, snapshot %llu, %s: %s\n", d->drill.id, json_get_str(d->drill.record, "kind"), d->setup.policy.name,
               (unsigned long long)d->head->number, d->place->url, d->drill.has_passed ? "PASSED" : "NOT PASSED");
    return 0;
}

int drilling_end(struct drilling *d, int r, const char *evaluation, struct error *err)
{
    struct error why;
    if (d->drill.record == NULL)
        return r; // it did not begin
    if (r < 0)
        (void)!drill_problem(&d->drill, err->text, &why); // what broke it off weighs more
    int ended = drill_end(&d->drill, r == 0 ? DRILL_HELD : d->drill.n_failed > 0 ? DRILL_NOT_DONE : DRILL_BROKEN_OFF, r < 0 ? "broken off" : evaluation, &why);
    catalogue_it(d);
    if (r == 0 && ended < 0) {
        *err = why;
        return ended;
    }
    if (r == 0)
        r = tell(d, err);
    if (r == 0)
        r = scratch_remove(&d->scratch, err);
    if (r == 0 && !d->drill.has_passed)
        r = error_set(err, ERROR_INTEGRITY, "drill %s of policy %s: %zu steps did not go as they should; see '%s/record.json'", d->drill.id, d->setup.policy.name, d->drill.n_failed,
                      d->drill.dir);
    return r;
}

void drilling_done(struct drilling *d)
{
    scratch_done(&d->scratch);
    drill_done(&d->drill);
    repository_close(d->repository);
    setup_access_done(&d->access);
    free(d->identity);
    free(d->signers);
    setup_done(&d->setup);
}
