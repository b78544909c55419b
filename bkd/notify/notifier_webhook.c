// A POST to a server: the message as JSON, or pings as Healthchecks.io and others take them (https://healthchecks.io/docs/http_api/).
#include "bkd/notify/notifier.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/notify/ping.h"
#include "bkd/notify/secret.h"
#include "bkd/notify/transfer.h"

#define HEADERS_MAX 32u

// Lines "Name: value"; empty ones and those that begin with '#' are passed over. Points into the text, whose line ends become NUL.
static int split_headers(struct buf *text, const char **ret_headers, size_t *ret_count, struct error *err)
{
    size_t count = 0;
    for (char *line = (char *)text->data; line != NULL && *line != '\0';) {
        size_t n = strcspn(line, "\n");
        char *next = line[n] == '\n' ? line + n + 1 : line + n;
        line[n] = '\0';
        if (n > 0 && line[n - 1] == '\r')
            line[n - 1] = '\0';
        if (line[0] != '\0' && line[0] != '#') {
            if (line[0] == ':' || line[0] == ' ' || strchr(line, ':') == NULL || count == HEADERS_MAX)
                return error_set(err, ERROR_KEY, "the file of 'headers' has lines \"Name: value\", at most %u", HEADERS_MAX);
            ret_headers[count++] = line;
        }
        line = next;
    }
    *ret_count = count;
    return 0;
}

static int find_url(const struct notifier_context *ctx, const struct config_channel *channel, struct buf *ret_url, struct error *err)
{
    if (channel->url_file[0] == '\0') {
        buf_add_str(ret_url, channel->url);
        return 0;
    }
    int r = secret_read_line(ctx->io, ctx->config_dir, channel->url_file, ret_url, err);
    if (r < 0)
        return error_prefix(err, "the address");
    bool is_url = strncmp(buf_str(ret_url), "https://", 8) == 0 || (channel->tls == CONFIG_TLS_NONE && strncmp(buf_str(ret_url), "http://", 7) == 0);
    return is_url ? 0 : error_set(err, ERROR_KEY, "the first line of '%s' is no address https://...", channel->url_file);
}

static void make_body(const struct config_channel *channel, const struct message *message, struct buf *ret_body)
{
    if (channel->format == CONFIG_FORMAT_JSON) {
        _cleanup_json_ struct json *json = message_json(message);
        json_format(json, ret_body);
        return;
    }
    message_late(message, ret_body);
    buf_addf(ret_body, "%s\n\n%s", message->subject, message->body);
}

static int send_post(const struct notifier_context *ctx, const struct config_channel *channel, const struct message *message, struct buf *ret_note, struct error *err)
{
    _cleanup_keyfile_ struct buf url = { 0 }, headers = { 0 }, target = { 0 };
    _cleanup_buf_ struct buf body = { 0 };
    const char *lines[HEADERS_MAX];
    struct transfer_post post = { .headers = lines, .timeout_ms = ctx->timeout_ms,
                                  .security = { .plain = channel->tls == CONFIG_TLS_NONE, .ca = channel->ca[0] != '\0' ? channel->ca : NULL } };
    bool is_json = channel->format == CONFIG_FORMAT_JSON;
    (void)ret_note;
    int r = find_url(ctx, channel, &url, err);
    if (r == 0 && channel->headers[0] != '\0')
        r = secret_read(ctx->io, ctx->config_dir, channel->headers, &headers, err);
    if (r == 0)
        r = split_headers(&headers, lines, &post.header_count, err);
    if (r < 0)
        return r;
    if (is_json)
        buf_add(&target, url.data, url.len);
    else
        ping_url(buf_str(&url), message, &target);
    make_body(channel, message, &body);
    post.url = buf_str(&target);
    post.type = is_json ? "application/json" : "text/plain; charset=utf-8";
    post.body = body.data;
    post.body_bytes = body.len;
    return transfer_post(&post, err);
}

// Each ping counts: it is what the other side waits for.
static bool is_log(const struct config_channel *channel)
{
    return channel->format == CONFIG_FORMAT_HEALTHCHECKS;
}

const struct notifier notifier_webhook = { .send = send_post, .is_log = is_log };
