// bkd config check, bkd config show.
#include <string.h>

#include "bkd/cmd.h"
#include "bkd/policy/config_schema.h"

int cmd_config_check(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_config_ struct config config = { 0 };
    (void)args;
    int r = context_load_config(ctx, &config, err);
    if (r < 0)
        return r;
    if (!ctx->json) {
        (void)printf("%s: %s\n", config.file, config.exists ? "ok" : "there is none, so the defaults hold: only the log tells what happens");
        return 0;
    }
    struct json *line = json_line_new("config");
    json_add_str(line, "file", config.file);
    json_add_bool(line, "exists", config.exists);
    json_add_bool(line, "ok", true);
    return json_line_print(&line, stdout, err);
}

// ---- show --------------------------------------------------------------------------------------------------------------

// One struct of the configuration, shown key by key: the host's, a channel or a route.
struct shown {
    const struct config *config;
    enum config_owner owner;
    const void *base;
};

static const char *text_at(const struct schema_key *key, const void *base)
{
    const char *text = *(char *const *)((const char *)base + key->offset);
    return text ? text : "";
}

// What is not said and has no default is not shown; neither are the keys that the type of a channel does not have.
static bool is_shown(const struct schema_key *key, const struct shown *s)
{
    const struct config_notify *notify = &s->config->notify;
    if (config_schema_owner(key) != s->owner)
        return false;
    if (s->owner == CONFIG_OF_CHANNEL && !config_schema_fits(key, (enum config_channel_type)((const struct config_channel *)s->base)->type))
        return false;
    if (strncmp(key->name, "notify.digest", 13) == 0)
        return notify->digest.to.count > 0;
    if (strcmp(key->name, "metrics") == 0)
        return s->config->metrics.textfile != NULL || s->config->metrics.listen[0] != '\0';
    if (strncmp(key->name, "notify.routes.escalate", 22) == 0)
        return ((const struct config_route *)s->base)->escalate.to.count > 0;
    switch (key->type) {
    case SCHEMA_TEXT:
    case SCHEMA_ZONE:
    case SCHEMA_PATH: return text_at(key, s->base)[0] != '\0';
    case SCHEMA_WORDS:
    case SCHEMA_ARGV: return ((const struct policy_list *)((const char *)s->base + key->offset))->count > 0;
    default: return true;
    }
}

// The structs in the list of a key of type SCHEMA_MAPS.
static struct shown item_at(const struct schema_key *key, const struct config *config, size_t index)
{
    if (strcmp(key->name, "notify.channels") == 0)
        return (struct shown){ config, CONFIG_OF_CHANNEL, index < config->notify.channel_count ? &config->notify.channels[index] : NULL };
    return (struct shown){ config, CONFIG_OF_ROUTE, index < config->notify.route_count ? &config->notify.routes[index] : NULL };
}

static unsigned depth_of(const struct schema_key *key)
{
    unsigned depth = 0;
    for (const char *dot = key->name; (dot = strchr(dot, '.')) != NULL; dot++)
        depth++;
    return depth;
}

static void add_value(const struct schema_key *key, const void *base, struct buf *ret_text)
{
    const struct policy_list *list = (const struct policy_list *)((const char *)base + key->offset);
    switch (key->type) {
    case SCHEMA_MAP:
    case SCHEMA_MAPS: break;
    case SCHEMA_TEXT:
    case SCHEMA_ZONE:
    case SCHEMA_PATH: context_add_quoted(text_at(key, base), ret_text); break;
    case SCHEMA_WORDS:
    case SCHEMA_ARGV:
        for (size_t i = 0; i < list->count; i++) {
            buf_add_str(ret_text, i ? ", " : "[");
            context_add_quoted(list->items[i], ret_text);
        }
        buf_add_char(ret_text, ']');
        break;
    default: schema_get(key, base, ret_text);
    }
}

static void show_line(const struct schema_key *key, const struct shown *s, const char *lead, struct buf *ret_text)
{
    size_t start = ret_text->len;
    _cleanup_buf_ struct buf value = { 0 };
    add_value(key, s->base, &value);
    buf_addf(ret_text, "%s%s:%s%s", lead, schema_leaf(key), value.len ? " " : "", buf_str(&value));
    size_t width = ret_text->len - start;
    unsigned line = s->owner == CONFIG_OF_HOST ? s->config->key_lines[config_schema_index(key)] : 0;
    if (s->owner == CONFIG_OF_HOST && (line || key->type != SCHEMA_MAP)) {
        buf_addf(ret_text, "%*s# ", (int)(width < 39 ? 40 - width : 1), "");
        if (line)
            buf_addf(ret_text, "line %u", line);
        else
            buf_add_str(ret_text, "default");
    }
    buf_add_char(ret_text, '\n');
}

static void show_items(const struct schema_key *list, const struct config *config, struct buf *ret_text)
{
    const struct schema_table *table = config_schema();
    for (size_t i = 0; item_at(list, config, i).base != NULL; i++) {
        struct shown item = item_at(list, config, i);
        bool first = true;
        for (size_t k = 0; k < table->count; k++) {
            if (!is_shown(&table->keys[k], &item))
                continue;
            _cleanup_free_ char *lead = xasprintf("    %s %*s", first ? "-" : " ", (int)(2 * depth_of(&table->keys[k]) - 4), "");
            show_line(&table->keys[k], &item, lead, ret_text);
            first = false;
        }
    }
}

static void show_text(const struct config *config, struct buf *ret_text)
{
    const struct schema_table *table = config_schema();
    struct shown host = { config, CONFIG_OF_HOST, config };
    buf_addf(ret_text, "# configuration %s%s\n", config->file, config->exists ? "" : " (there is none)");
    for (size_t k = 0; k < table->count; k++) {
        const struct schema_key *key = &table->keys[k];
        bool empty = key->type == SCHEMA_MAPS && item_at(key, config, 0).base == NULL;
        if (!is_shown(key, &host) || empty)
            continue;
        _cleanup_free_ char *lead = xasprintf("%*s", (int)(2 * depth_of(key)), "");
        show_line(key, &host, lead, ret_text);
        if (key->type == SCHEMA_MAPS)
            show_items(key, config, ret_text);
    }
}

static void json_add_value(struct json *object, const struct schema_key *key, const void *base)
{
    const struct policy_list *list = (const struct policy_list *)((const char *)base + key->offset);
    _cleanup_buf_ struct buf text = { 0 };
    if (key->type == SCHEMA_WORDS || key->type == SCHEMA_ARGV) {
        struct json *array = json_add_array(object, schema_leaf(key));
        for (size_t i = 0; i < list->count; i++)
            json_append_str(array, list->items[i]);
    } else if (key->type == SCHEMA_NUMBER) {
        json_add_u64(object, schema_leaf(key), *(const uint64_t *)((const char *)base + key->offset));
    } else if (key->type == SCHEMA_TEXT || key->type == SCHEMA_PATH) {
        json_add_str(object, schema_leaf(key), text_at(key, base));
    } else {
        schema_get(key, base, &text);
        json_add_str(object, schema_leaf(key), buf_str(&text));
    }
}

#define SHOW_DEPTH 4 // maps within maps

// `depth` is that of the keys of *s.
static void show_json(struct json *object, const struct shown *s, unsigned depth)
{
    const struct schema_table *table = config_schema();
    struct json *parents[SHOW_DEPTH + 1] = { 0 };
    parents[depth] = object;
    for (size_t k = 0; k < table->count; k++) {
        const struct schema_key *key = &table->keys[k];
        unsigned at = depth_of(key);
        if (!is_shown(key, s))
            continue;
        if (key->type == SCHEMA_MAPS) {
            struct json *array = json_add_array(parents[at], schema_leaf(key));
            for (size_t i = 0; item_at(key, s->config, i).base != NULL; i++) {
                struct shown item = item_at(key, s->config, i);
                show_json(json_append_object(array), &item, at + 1);
            }
        } else if (key->type == SCHEMA_MAP) {
            parents[at + 1] = json_add_object(parents[at], schema_leaf(key));
        } else {
            json_add_value(parents[at], key, s->base);
        }
    }
}

int cmd_config_show(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_config_ struct config config = { 0 };
    _cleanup_buf_ struct buf text = { 0 };
    (void)args;
    int r = context_load_config(ctx, &config, err);
    if (r < 0)
        return r;
    if (ctx->json) {
        struct shown host = { &config, CONFIG_OF_HOST, &config };
        struct json *line = json_line_new("config");
        json_add_str(line, "file", config.file);
        json_add_bool(line, "exists", config.exists);
        show_json(json_add_object(line, "values"), &host, 0);
        return json_line_print(&line, stdout, err);
    }
    show_text(&config, &text);
    if (fputs(buf_str(&text), stdout) == EOF || fflush(stdout) != 0)
        return error_set(err, ERROR_FAILED, "cannot write to standard output");
    return 0;
}
