#include "bkd/policy/config_rules.h"

#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/nearest.h"
#include "bkd/policy/config_schema.h"

#define REPORT(errors, node, hint, ...) policy_errors_add(errors, (node)->line, (node)->column, (node)->width, hint, __VA_ARGS__)

// The value of a key of a map, or NULL.
static const struct policy_node *value_of(const struct policy_node *map, const char *key)
{
    for (size_t i = 0; map != NULL && map->kind == POLICY_NODE_MAP && i < map->count; i += 2)
        if (map->items[i]->kind == POLICY_NODE_TEXT && strcmp(map->items[i]->text, key) == 0)
            return map->items[i + 1];
    return NULL;
}

// ---- channels ----------------------------------------------------------------------------------------------------------

// Of a mail address: something, an at sign, something; nothing that would end a header or an address of SMTP.
static bool is_address(const char *text)
{
    const char *at = strrchr(text, '@');
    if (at == NULL || at == text || at[1] == '\0' || strlen(text) > 254)
        return false;
    for (const unsigned char *s = (const unsigned char *)text; *s; s++)
        if (*s <= ' ' || *s == 0x7f || strchr("<>,;:\\\"()[]", *s) != NULL)
            return false;
    return true;
}

static void check_addresses(const struct config_channel *channel, const struct policy_node *map, struct policy_errors *errors)
{
    const struct policy_node *to = value_of(map, "to"), *from = value_of(map, "from");
    for (size_t i = 0; i < channel->to.count; i++)
        if (!is_address(channel->to.items[i]))
            REPORT(errors, to->kind == POLICY_NODE_LIST && i < to->count ? to->items[i] : to, NULL, "'%.80s' is no mail address", channel->to.items[i]);
    if (channel->from[0] && !is_address(channel->from))
        REPORT(errors, from, NULL, "'%.80s' is no mail address", channel->from);
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == 0x7f)
            return true;
    return false;
}

static bool is_loopback(const char *server)
{
    const char *host = strstr(server, "://");
    host = host ? host + 3 : server;
    return strncmp(host, "localhost", 9) == 0 || strncmp(host, "127.", 4) == 0 || strncmp(host, "[::1]", 5) == 0;
}

static void check_email(const struct config_channel *channel, const struct policy_node *map, struct policy_errors *errors)
{
    const struct policy_node *server = value_of(map, "server");
    const char *scheme = strstr(channel->server, "://");
    if (server == NULL)
        REPORT(errors, map, NULL, "'server' is missing: HOST:PORT, smtp://HOST:PORT or smtps://HOST:PORT");
    else if (has_control(channel->server) || strchr(channel->server, '@') || (scheme && strncmp(channel->server, "smtp://", 7) != 0 && strncmp(channel->server, "smtps://", 8) != 0))
        REPORT(errors, server, NULL, "'server' must be HOST:PORT, smtp://HOST:PORT or smtps://HOST:PORT, not '%.80s'", channel->server);
    if (value_of(map, "to") == NULL)
        REPORT(errors, map, NULL, "'to' is missing: a mail address, or a list of them");
    check_addresses(channel, map, errors);
    if ((channel->user[0] != '\0') != (channel->password[0] != '\0'))
        REPORT(errors, map, NULL, "'user' and 'password' are given together or not at all");
    if (channel->password[0] && channel->tls == CONFIG_TLS_NONE && !is_loopback(channel->server))
        REPORT(errors, value_of(map, "tls"), "leave 'tls' out", "with 'tls: none' everybody on the way could read the password");
}

static void check_webhook(const struct config_channel *channel, const struct policy_node *map, struct policy_errors *errors)
{
    const struct policy_node *url = value_of(map, "url");
    if ((channel->url[0] != '\0') == (channel->url_file[0] != '\0')) {
        REPORT(errors, map, NULL, "a webhook has either 'url' or 'url_file'");
        return;
    }
    bool is_https = strncmp(channel->url, "https://", 8) == 0 && channel->url[8], is_http = strncmp(channel->url, "http://", 7) == 0 && channel->url[7];
    if (channel->url[0] && ((!is_https && !is_http) || has_control(channel->url)))
        REPORT(errors, url, NULL, "'url' must be an address https://…, not '%.80s'", channel->url);
    else if (is_http && channel->tls != CONFIG_TLS_NONE)
        REPORT(errors, url, "use https://, or say 'tls: none' for a server on this host or network", "everybody on the way could read and change what is sent");
}

static void check_fitting(const struct config_channel *channel, const struct policy_node *map, struct policy_errors *errors)
{
    _cleanup_buf_ struct buf type = { 0 };
    schema_get(config_schema_find("notify.channels", "type"), channel, &type);
    for (size_t i = 0; map->kind == POLICY_NODE_MAP && i < map->count; i += 2) {
        const struct policy_node *name = map->items[i];
        const struct schema_key *key = name->kind == POLICY_NODE_TEXT ? config_schema_find("notify.channels", name->text) : NULL;
        if (key != NULL && !config_schema_fits(key, (enum config_channel_type)channel->type))
            REPORT(errors, name, NULL, "'%s' means nothing for a channel of type %s", name->text, buf_str(&type));
    }
}

static void check_channel(const struct config *config, size_t index, const struct policy_node *map, struct policy_errors *errors)
{
    const struct config_channel *channel = &config->notify.channels[index];
    const struct policy_node *name = value_of(map, "name");
    if (channel->name == NULL || value_of(map, "type") == NULL)
        return; // reported already
    if (!policy_is_name(channel->name, strlen(channel->name)))
        REPORT(errors, name, NULL, "'%.60s' is no name: letters, digits, '-', '_' and '.' (not first), at most %u", channel->name, POLICY_NAME_MAX);
    if (config_find_channel(config, channel->name) != channel)
        REPORT(errors, name, NULL, "there is another channel '%.60s'", channel->name);
    check_fitting(channel, map, errors);
    if (channel->type == CONFIG_EMAIL)
        check_email(channel, map, errors);
    if (channel->type == CONFIG_WEBHOOK)
        check_webhook(channel, map, errors);
    if (channel->type == CONFIG_COMMAND && value_of(map, "command") == NULL)
        REPORT(errors, map, NULL, "'command' is missing: a list of a program and its arguments");
}

// ---- routes ------------------------------------------------------------------------------------------------------------

// `node`: the value of `to`, in the form it was written.
static void check_names(const struct config *config, const struct policy_list *to, const struct policy_node *node, struct policy_errors *errors)
{
    for (size_t i = 0; i < to->count; i++) {
        if (config_find_channel(config, to->items[i]))
            continue;
        struct nearest nearest = nearest_to(to->items[i]);
        for (size_t k = 0; k < config->notify.channel_count; k++)
            if (config->notify.channels[k].name)
                nearest_offer(&nearest, config->notify.channels[k].name);
        _cleanup_free_ char *hint = nearest.best ? xasprintf("did you mean '%s'?", nearest.best) : NULL;
        const struct policy_node *place = node->kind == POLICY_NODE_LIST && i < node->count ? node->items[i] : node;
        REPORT(errors, place, hint, "there is no channel '%.60s'", to->items[i]);
    }
}

static void check_route(const struct config *config, const struct config_route *route, const struct policy_node *map, struct policy_errors *errors)
{
    const struct policy_node *to = value_of(map, "to"), *escalation = value_of(value_of(map, "escalate"), "to"), *quiet = value_of(map, "quiet");
    unsigned from, until;
    if (to)
        check_names(config, &route->to, to, errors);
    if (escalation)
        check_names(config, &route->escalate.to, escalation, errors);
    if (quiet && !config_parse_hours(route->quiet, &from, &until))
        REPORT(errors, quiet, NULL, "'quiet' must be times of day as \"22:00-07:00\", not '%.40s'", route->quiet);
}

static void check_digest(const struct config *config, const struct policy_node *map, struct policy_errors *errors)
{
    const struct policy_node *to = value_of(map, "to"), *at = value_of(map, "at");
    unsigned minute;
    if (to)
        check_names(config, &config->notify.digest.to, to, errors);
    if (at && !config_parse_time(config->notify.digest.at, strlen(config->notify.digest.at), &minute))
        REPORT(errors, at, NULL, "'at' must be a time of day as \"07:00\", not '%.40s'", config->notify.digest.at);
}

// ---- metrics -----------------------------------------------------------------------------------------------------------

static bool is_listen(const char *text)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;
    return colon != NULL && colon > text && !has_control(text) && parse_u64(colon + 1, strlen(colon + 1), 65535, &port);
}

static void check_metrics(const struct config *config, const struct policy_node *map, struct policy_errors *errors)
{
    const struct policy_node *listen = value_of(map, "listen");
    if (listen && !is_listen(config->metrics.listen))
        REPORT(errors, listen, NULL, "'listen' must be ADDRESS:PORT, such as 127.0.0.1:%u, not '%.60s'", CONFIG_LISTEN_PORT, config->metrics.listen);
}

void config_rules_check(const struct config *config, const struct policy_node *root, struct policy_errors *errors)
{
    const struct policy_node *notify = value_of(root, "notify"), *channels = value_of(notify, "channels"), *routes = value_of(notify, "routes");
    for (size_t i = 0; i < config->notify.channel_count; i++)
        check_channel(config, i, channels->items[i], errors);
    for (size_t i = 0; i < config->notify.route_count; i++)
        check_route(config, &config->notify.routes[i], routes->items[i], errors);
    check_digest(config, value_of(notify, "digest"), errors);
    check_metrics(config, value_of(root, "metrics"), errors);
}
