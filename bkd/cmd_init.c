#include "bkd/base/log.h"
#include "bkd/base/ssh_url.h"
#include "bkd/cmd.h"
#include "bkd/history/cataloguing.h"
#include "bkd/host/setup.h"
#include "bkd/repo/recover_text.h"

#define OBJECT_SIZE (128u << 20)
#define OBJECT_SIZE_FAR (32u << 20) // the first is under way sooner, and less is left to be sent at the end
#define PIECE_SIZE_BYTES (16u << 20)

int cmd_init(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_setup_ struct setup s = { 0 };
    int r = setup_load(ctx, cli_args_value(args, 0), &s, err);
    if (r == 0)
        r = setup_load_writing(&s, err);
    if (r < 0)
        return r;
    struct format_repository info = {
        .created_ns = io_realtime_ns(ctx->io) / 1000000000u * 1000000000u, .encrypted = s.policy.encrypted,
        .piece_size = PIECE_SIZE_BYTES, .object_size = ssh_url_is(s.policy.repository.url) ? OBJECT_SIZE_FAR : OBJECT_SIZE,
    };
    io_random(ctx->io, info.id, sizeof info.id);
    struct store *store = NULL;
    r = setup_open_store(&s, true, &store, err);
    if (r == 0)
        r = repository_create(ctx->io, store, &info, (const char *)s.signing_key.data, s.signing_key.len, recover_script, recover_text, err);
    store_close(store);
    if (r == ERROR_EXISTS)
        return error_set(err, ERROR_FAILED, "there is a repository at '%s' already; several policies of this host may share it, so go on with `bkd backup %s`",
                         s.policy.repository.url, s.policy.name);
    if (r < 0)
        return error_prefix(err, "policy %s", s.policy.name);
    cataloguing_schedule(&s);
    if (!s.policy.encrypted)
        log_warn("repository '%s' is not encrypted: whoever can read it can read the backups", s.policy.repository.url);
    if (ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_str(line, "policy", s.policy.name);
        json_add_str(line, "repository", s.policy.repository.url);
        json_add_hex(line, "repository_id", info.id, sizeof info.id);
        json_add_bool(line, "encrypted", info.encrypted);
        return json_line_print(&line, stdout, err);
    }
    if (ctx->verbosity >= 0)
        printf("repository made at %s; next: bkd backup %s\n", s.policy.repository.url, s.policy.name);
    return 0;
}
