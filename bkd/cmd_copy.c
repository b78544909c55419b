// bkd copy: a whole repository to another place, each byte compared with its hash on the way.
#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/fs.h"
#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/base/progress.h"
#include "bkd/cmd.h"
#include "bkd/codec/signers.h"
#include "bkd/engine/replicate.h"
#include "bkd/repo/exports.h"

struct copying {
    struct context *ctx;
    const struct cli_args *args;
    const char *from, *to;
    struct bandwidth bandwidth;
    struct progress *progress;
    uint64_t shown_bytes, shown_snapshots;
};

// One side's keys: the options --SIDE-…, else what the configuration directory has.
static int open_side(const struct copying *c, const char *side, const char *url, bool create, struct store **ret_store, struct error *err)
{
    _cleanup_free_ char *identity_option = xasprintf("%s-identity", side), *passphrase_option = xasprintf("%s-passphrase", side),
                        *own_identity = context_key_path(c->ctx, "ssh_ed25519"), *own_known_hosts = context_key_path(c->ctx, "known_hosts");
    const char *identity = cli_args_option(c->args, identity_option), *known_hosts = cli_args_option(c->args, "known-hosts");
    struct store_access access = {
        .identity = identity == NULL ? own_identity : identity, .passphrase_file = cli_args_option(c->args, passphrase_option),
        .known_hosts = known_hosts == NULL ? own_known_hosts : known_hosts, .ssh_config = cli_args_option(c->args, "ssh-config"), .bandwidth = c->bandwidth,
    };
    return store_open(c->ctx->io, url, &access, create, ret_store, err);
}

static int open_from(const struct copying *c, struct repository **ret_repository, struct error *err)
{
    _cleanup_buf_ struct buf signers = { 0 };
    _cleanup_free_ char *own = context_key_path(c->ctx, "allowed_signers");
    const char *given = cli_args_option(c->args, "signers"), *file = given == NULL ? own : given;
    struct store *store = NULL;
    int r = fs_read_file(c->ctx->io, AT_FDCWD, file, SIGNERS_FILE_MAX, &signers, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_KEY, "there is no '%s', which says whose signatures count: give --signers FILE", file);
    if (r == 0)
        r = open_side(c, "from", c->from, false, &store, err);
    return r < 0 ? r : repository_open(c->ctx->io, store, buf_str(&signers), ret_repository, err);
}

static void show_progress(void *arg, uint64_t bytes, uint64_t total_bytes, uint64_t snapshots, uint64_t total_snapshots)
{
    struct copying *c = arg;
    if (bytes == 0 && snapshots == 0)
        progress_begin(c->progress, "copy", total_snapshots, total_bytes);
    progress_add(c->progress, snapshots - c->shown_snapshots, bytes - c->shown_bytes);
    c->shown_bytes = bytes;
    c->shown_snapshots = snapshots;
}

static size_t count_bad_heads(const struct repository *repository)
{
    size_t n = 0;
    for (size_t i = 0; i < repository->n_heads; i++)
        n += !repository->heads[i].valid;
    return n;
}

static int report(const struct copying *c, const struct repository *from, const struct replicate_result *result, uint64_t duration_ns, struct error *err)
{
    size_t bad = count_bad_heads(from);
    if (c->ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_str(line, "from", c->from);
        json_add_str(line, "to", c->to);
        json_add_u64(line, "snapshots", from->n_heads - bad);
        json_add_u64(line, "snapshots_copied", result->snapshots);
        json_add_u64(line, "snapshots_left_out", bad);
        json_add_u64(line, "objects", result->objects);
        json_add_u64(line, "bytes", result->bytes);
        json_add_u64(line, "records", result->records);
        json_add_u64(line, "duration_ms", duration_ns / 1000000);
        int r = json_line_print(&line, stdout, err);
        if (r < 0)
            return r;
    } else if (c->ctx->verbosity >= 0) {
        char bytes[CLOCK_TEXT_MAX], duration[CLOCK_TEXT_MAX];
        clock_format_bytes(bytes, result->bytes);
        clock_format_duration(duration, duration_ns);
        printf("%s has all %zu snapshots of %s; copied %llu snapshots, %llu objects, %s, each compared with its hash; %s\n", c->to, from->n_heads - bad, c->from,
               (unsigned long long)result->snapshots, (unsigned long long)result->objects, bytes, duration);
    }
    if (bad > 0)
        return error_set(err, ERROR_INTEGRITY, "%zu heads of %s are not valid and were left out; `bkd-restore check` names them", bad, c->from);
    return 0;
}

// What hosts' catalogues exported beside their snapshots. A copy is whole without it.
static void copy_exports(const struct repository *from, struct store *to)
{
    uint64_t brought;
    struct error err;
    for (size_t i = 0; i < from->n_heads; i++) {
        const uint8_t *chain = from->heads[i].chain;
        if (i > 0 && memcmp(chain, from->heads[i - 1].chain, sizeof from->heads[i].chain) == 0)
            continue;
        if (exports_copy(from->store, to, chain, &brought, &err) < 0)
            log_warn("the export of a catalogue was not copied: %s", err.text);
    }
}

int cmd_copy(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_repository_ struct repository *from = NULL;
    _cleanup_progress_ struct progress *progress = progress_new(ctx->io, progress_style_for(ctx->json, ctx->verbosity < 0), NULL);
    struct copying c = { .ctx = ctx, .args = args, .from = cli_args_value(args, 0), .to = cli_args_value(args, 1), .progress = progress };
    struct store *to = NULL;
    struct replicate_result result;
    uint64_t start = io_monotonic_ns(ctx->io);
    const char *rate = cli_args_option(args, "bandwidth");
    if (rate != NULL && bandwidth_parse(rate, &c.bandwidth, err) < 0)
        return error_prefix(err, "--bandwidth");
    interrupt_install();
    int r = open_from(&c, &from, err);
    if (r == 0)
        r = open_side(&c, "to", c.to, true, &to, err);
    if (r < 0)
        return r;
    struct replicate_options options = { .from = from, .to = to, .prove_present = true, .proof = PROOF_SAMPLE, .interrupted = interrupt_requested, .progress = show_progress, .arg = &c };
    r = replicate_run(ctx->io, &options, &result, err);
    if (r == 0)
        copy_exports(from, to);
    store_close(to);
    progress_pause(progress);
    return r < 0 ? error_prefix(err, "copy to %s", c.to) : report(&c, from, &result, io_monotonic_ns(ctx->io) - start, err);
}
