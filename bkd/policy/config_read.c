#include "bkd/policy/config_read.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/policy/config_rules.h"
#include "bkd/policy/config_schema.h"
#include "bkd/policy/schema_read.h"

static void set_defaults_of(enum config_owner owner, void *base)
{
    struct error err;
    const struct schema_table *table = config_schema();
    for (size_t i = 0; i < table->count; i++)
        if (config_schema_owner(&table->keys[i]) == owner && table->keys[i].default_text && schema_set(&table->keys[i], table->keys[i].default_text, base, &err) < 0)
            abort(); // the table contradicts itself
}

void config_set_defaults(struct config *config)
{
    set_defaults_of(CONFIG_OF_HOST, config);
}

static void read_item(struct schema_reader *r, const struct schema_key *key, const struct policy_node *item, enum config_owner owner, void *base)
{
    set_defaults_of(owner, base);
    if (item->spoiled)
        return;
    if (item->kind == POLICY_NODE_MAP)
        schema_read_map(r, item, key->name, base);
    else
        SCHEMA_REPORT(r, item, NULL, "an item of '%s' must be a map, not %s", schema_leaf(key), schema_kind_name(item));
}

static void read_maps(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node)
{
    struct config_notify *notify = &((struct config *)r->arg)->notify;
    if (node->kind != POLICY_NODE_LIST) {
        schema_report_form(r, key, node);
        return;
    }
    if (!schema_check_count(r, key, node, key->max))
        return;
    bool channels = key == config_schema_find("notify", "channels");
    if (channels) {
        notify->channels = xcalloc(node->count + 1, sizeof *notify->channels);
        notify->channel_count = node->count;
    } else {
        notify->routes = xcalloc(node->count + 1, sizeof *notify->routes);
        notify->route_count = node->count;
    }
    for (size_t i = 0; i < node->count; i++)
        read_item(r, key, node->items[i], channels ? CONFIG_OF_CHANNEL : CONFIG_OF_ROUTE, channels ? (void *)&notify->channels[i] : &notify->routes[i]);
}

static void read_value(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    if (node->spoiled)
        return;
    if (config_schema_owner(key) == CONFIG_OF_HOST)
        ((struct config *)r->arg)->key_lines[config_schema_index(key)] = node->line;
    switch (key->type) {
    case SCHEMA_PATH: schema_read_path(r, key, node, base); break;
    case SCHEMA_ARGV: schema_read_argv(r, key, node, base); break;
    case SCHEMA_WORDS: schema_read_words(r, key, node, base, 1, CONFIG_WORDS_MAX); break;
    case SCHEMA_MAPS: read_maps(r, key, node); break;
    case SCHEMA_MAP:
        if (node->kind == POLICY_NODE_MAP)
            schema_read_map(r, node, key->name, base);
        else
            schema_report_form(r, key, node);
        break;
    default: schema_read_scalar(r, key, node, base);
    }
}

void config_read(const struct policy_node *root, bool complete, struct config *config, struct policy_errors *errors)
{
    struct schema_reader r = { .table = config_schema(), .errors = errors, .complete = complete, .read = read_value, .arg = config };
    if (root->kind != POLICY_NODE_MAP) {
        if (!root->spoiled)
            SCHEMA_REPORT(&r, root, NULL, "the configuration is a map of keys such as 'notify:', not %s", schema_kind_name(root));
        return;
    }
    schema_read_map(&r, root, "", config);
    config_rules_check(config, root, errors);
}
