#include "bkd/policy/config.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/fs.h"
#include "bkd/policy/config_read.h"
#include "bkd/policy/policy_text.h"
#include "bkd/policy/policy_trust.h"
#include "bkd/policy/policy_yaml.h"

static void channel_done(struct config_channel *c)
{
    char *texts[] = { c->name, c->server, c->ca, c->user, c->password, c->from, c->url, c->url_file, c->headers };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    policy_list_done(&c->to);
    policy_list_done(&c->command);
}

static void route_done(struct config_route *r)
{
    policy_list_done(&r->policies);
    policy_list_done(&r->plans);
    policy_list_done(&r->to);
    policy_list_done(&r->escalate.to);
    free(r->quiet);
}

void config_done(struct config *config)
{
    for (size_t i = 0; i < config->notify.channel_count; i++)
        channel_done(&config->notify.channels[i]);
    for (size_t i = 0; i < config->notify.route_count; i++)
        route_done(&config->notify.routes[i]);
    free(config->notify.channels);
    free(config->notify.routes);
    free(config->notify.digest.at);
    policy_list_done(&config->notify.digest.to);
    free(config->metrics.textfile);
    free(config->metrics.listen);
    free(config->timezone);
    free(config->file);
    *config = (struct config){ 0 };
}

const struct config_channel *config_find_channel(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->notify.channel_count; i++)
        if (config->notify.channels[i].name != NULL && strcmp(config->notify.channels[i].name, name) == 0)
            return &config->notify.channels[i];
    return NULL;
}

bool config_parse_time(const char *text, size_t n, unsigned *ret_minute)
{
    bool is_time = n == 5 && text[2] == ':' && strspn(text, "0123456789") == 2 && strspn(text + 3, "0123456789") >= 2;
    unsigned hour = is_time ? (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0') : 24;
    unsigned minute = is_time ? (unsigned)(text[3] - '0') * 10 + (unsigned)(text[4] - '0') : 60;
    if (hour > 23 || minute > 59)
        return false;
    *ret_minute = hour * 60 + minute;
    return true;
}

bool config_parse_hours(const char *text, unsigned *ret_from, unsigned *ret_to)
{
    return strlen(text) == 11 && text[5] == '-' && config_parse_time(text, 5, ret_from) && config_parse_time(text + 6, 5, ret_to) && *ret_from != *ret_to;
}

// Takes *errors with file and text set.
static int parse_text(struct config *ret_config, struct policy_errors *errors, struct error *err)
{
    _cleanup_config_ struct config config = { 0 };
    _cleanup_policy_node_ struct policy_node *root = NULL;
    bool complete;
    errors->noun = "configuration";
    config.file = xstrdup(errors->file);
    config_set_defaults(&config);
    if (policy_text_check(errors)) {
        policy_yaml_parse(errors, &root, &complete);
        if (root)
            config_read(root, complete, &config, errors);
    }
    if (errors->count > 0) {
        policy_errors_sort(errors);
        return error_set(err, ERROR_USAGE, "configuration '%s' has %zu mistake%s", errors->file, errors->count, errors->count == 1 ? "" : "s");
    }
    *ret_config = config;
    config = (struct config){ 0 };
    return 0;
}

int config_parse(const char *path, const void *text, size_t n, struct config *ret_config, struct policy_errors *ret_errors, struct error *err)
{
    *ret_errors = (struct policy_errors){ .file = xstrdup(path) };
    if (n > POLICY_FILE_MAX)
        return error_set(err, ERROR_USAGE, "configuration '%s' has %zu bytes, at most %u are allowed", path, n, POLICY_FILE_MAX);
    buf_add(&ret_errors->text, text, n);
    return parse_text(ret_config, ret_errors, err);
}

int config_load(const struct io *io, const char *config_dir, struct config *ret_config, struct policy_errors *ret_errors, struct error *err)
{
    _cleanup_config_ struct config config = { 0 };
    *ret_errors = (struct policy_errors){ .file = xasprintf("%s/" CONFIG_FILE, config_dir) };
    int rc = fs_read_file(io, AT_FDCWD, ret_errors->file, POLICY_FILE_MAX, &ret_errors->text, err);
    bool exists = rc != ERROR_NOT_FOUND;
    if (rc < 0 && exists)
        return error_prefix(err, "configuration");
    rc = parse_text(&config, ret_errors, err);
    if (rc == 0 && config.notify.channel_count > 0)
        rc = policy_trust_check_file(io, config.file, "configuration", "says who is told and what is run", err);
    if (rc < 0)
        return rc;
    config.exists = exists;
    *ret_config = config;
    config = (struct config){ 0 };
    return 0;
}
