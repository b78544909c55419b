// Mail by SMTP.
#include "bkd/notify/notifier.h"

#include "bkd/notify/mail.h"
#include "bkd/notify/secret.h"
#include "bkd/notify/transfer.h"

static int send_mail(const struct notifier_context *ctx, const struct config_channel *channel, const struct message *message, struct buf *ret_note, struct error *err)
{
    _cleanup_keyfile_ struct buf password = { 0 };
    _cleanup_buf_ struct buf domain = { 0 }, text = { 0 };
    size_t refused = 0;
    bool login = channel->password[0] != '\0';
    int r = login ? secret_read_line(ctx->io, ctx->config_dir, channel->password, &password, err) : 0;
    if (r < 0)
        return error_prefix(err, "the password");
    mail_add_domain(message->host, 200, &domain);
    _cleanup_free_ char *own = xasprintf("bkd@%s", buf_str(&domain));
    const char *from = channel->from[0] != '\0' ? channel->from : own, *const *to = (const char *const *)channel->to.items;
    mail_format(&(struct mail){ .from = from, .to = to, .to_count = channel->to.count, .message = message }, &text);
    struct transfer_mail mail = {
        .server = channel->server, .domain = buf_str(&domain), .user = login ? channel->user : NULL, .password = login ? buf_str(&password) : NULL, .from = from,
        .to = to, .to_count = channel->to.count, .text = text.data, .text_bytes = text.len, .timeout_ms = ctx->timeout_ms,
        .security = { .plain = channel->tls == CONFIG_TLS_NONE, .ca = channel->ca[0] != '\0' ? channel->ca : NULL },
    };
    r = transfer_mail(&mail, &refused, err);
    if (r == 0 && refused > 0)
        buf_addf(ret_note, "%zu of %zu recipients were refused by the mail server", refused, channel->to.count);
    return r;
}

static bool is_log(const struct config_channel *channel)
{
    (void)channel;
    return false;
}

const struct notifier notifier_email = { .send = send_mail, .is_log = is_log };
