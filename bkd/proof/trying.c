#include "bkd/proof/trying.h"

static void add_way(struct trial_request *request, const struct setup_access *access, int passphrase_fd)
{
    request->ssh_identity = access->identity;
    request->ssh_config = access->config;
    request->ssh_program = access->access.ssh_program;
    request->ssh_passphrase = passphrase_fd > 0 ? "/dev/stdin" : access->passphrase_file;
    request->stdin_fd = passphrase_fd;
    if (request->known_hosts == NULL)
        request->known_hosts = access->known_hosts;
}

int trying_run(const struct context *ctx, const struct policy_store *place, const struct trial_request *request, struct trial *ret_trial, struct error *err)
{
    _cleanup_setup_access_ struct setup_access access = { 0 };
    struct trial_request whole = *request;
    int passphrase_fd = 0, r = setup_ask_passphrase(ctx, place, &passphrase_fd, err);
    if (r < 0)
        return r;
    setup_access(ctx, place, &access);
    if (whole.repository == NULL)
        whole.repository = place->url;
    if (policy_store_is_remote(place))
        add_way(&whole, &access, passphrase_fd);
    r = trial_run(ctx->io, &whole, ret_trial, err);
    if (passphrase_fd > 0)
        io_close_quietly(ctx->io, &passphrase_fd);
    return r;
}
