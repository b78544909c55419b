#include "bkd/policy/schema_read.h"

#include <stdlib.h>
#include <string.h>

const char *schema_kind_name(const struct policy_node *node)
{
    return node->kind == POLICY_NODE_LIST ? "a list" : node->kind == POLICY_NODE_MAP ? "a map" : "text";
}

bool schema_is_nothing(const struct policy_node *node)
{
    const char *text = node->kind == POLICY_NODE_TEXT && node->plain ? node->text : "x";
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0 || strcmp(text, "Null") == 0 || strcmp(text, "NULL") == 0;
}

void schema_report_form(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node)
{
    if (schema_is_nothing(node))
        SCHEMA_REPORT(r, node, NULL, "'%s' has no value; it must be %s", schema_leaf(key), key->form);
    else if (node->kind == POLICY_NODE_TEXT)
        SCHEMA_REPORT(r, node, NULL, "'%s' must be %s, not '%.60s'", schema_leaf(key), key->form, node->text);
    else
        SCHEMA_REPORT(r, node, NULL, "'%s' must be %s, not %s", schema_leaf(key), key->form, schema_kind_name(node));
}

static const char *boolean_hint(const char *text)
{
    static const char *const truths[] = { "yes", "Yes", "YES", "on", "On", "ON", "True", "TRUE", "y", "Y", "1" };
    static const char *const lies[] = { "no", "No", "NO", "off", "Off", "OFF", "False", "FALSE", "n", "N", "0" };
    for (size_t i = 0; i < sizeof truths / sizeof *truths; i++) {
        if (strcmp(text, truths[i]) == 0)
            return "did you mean 'true'?";
        if (strcmp(text, lies[i]) == 0)
            return "did you mean 'false'?";
    }
    return NULL;
}

void schema_read_map_or_none(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    bool may_be_none = key->type == SCHEMA_MAP_OR_NONE;
    struct error ignored; // the form says it all
    if (node->kind == POLICY_NODE_MAP) {
        if (may_be_none)
            *(bool *)((char *)base + key->offset) = true;
        schema_read_map(r, node, key->name, base);
    } else if (!may_be_none || node->kind != POLICY_NODE_TEXT || schema_set(key, node->text, base, &ignored) < 0) {
        schema_report_form(r, key, node);
    }
}

void schema_read_scalar(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    struct error err;
    if (node->kind != POLICY_NODE_TEXT || schema_is_nothing(node)) {
        schema_report_form(r, key, node);
        return;
    }
    bool wants_plain = key->type == SCHEMA_BOOL || key->type == SCHEMA_NUMBER;
    if (wants_plain && !node->plain)
        SCHEMA_REPORT(r, node, NULL, "'%s' must be %s, without quotes", schema_leaf(key), key->form);
    else if (schema_set(key, node->text, base, &err) < 0)
        SCHEMA_REPORT(r, node, key->type == SCHEMA_BOOL ? boolean_hint(node->text) : NULL, "%s", err.text);
}

void schema_list_add(struct policy_list *list, const char *text, unsigned line)
{
    list->items = xrealloc(list->items, (list->count + 2) * sizeof *list->items);
    list->lines = xrealloc(list->lines, (list->count + 1) * sizeof *list->lines);
    list->lines[list->count] = line;
    list->items[list->count++] = xstrdup(text);
    list->items[list->count] = NULL;
}

bool schema_check_count(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, size_t max)
{
    if (node->count > max)
        SCHEMA_REPORT(r, node, NULL, "'%s' has %zu items, at most %zu are allowed", schema_leaf(key), node->count, max);
    return node->count <= max;
}

void schema_read_argv(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    struct policy_list *list = (struct policy_list *)((char *)base + key->offset);
    if (node->kind == POLICY_NODE_TEXT && !schema_is_nothing(node))
        SCHEMA_REPORT(r, node, "for a shell name it: [sh, -c, \"...\"]", "'%s' must be %s, each an item, not text", schema_leaf(key), key->form);
    else if (node->kind != POLICY_NODE_LIST)
        schema_report_form(r, key, node);
    else if (node->count == 0)
        SCHEMA_REPORT(r, node, NULL, "'%s' is empty; it must be %s", schema_leaf(key), key->form);
    if (node->kind != POLICY_NODE_LIST || !schema_check_count(r, key, node, POLICY_ARGUMENTS_MAX))
        return;
    for (size_t i = 0; i < node->count; i++) {
        const struct policy_node *item = node->items[i];
        if (!item->spoiled && item->kind != POLICY_NODE_TEXT)
            SCHEMA_REPORT(r, item, NULL, "an argument must be text, not %s", schema_kind_name(item));
        else if (!item->spoiled && i == 0 && item->text[0] != '/' && (item->text[0] == '\0' || strchr(item->text, '/')))
            SCHEMA_REPORT(r, item, NULL, "'%.60s' is no program: give an absolute path, or a name without a slash", item->text);
        else if (!item->spoiled)
            schema_list_add(list, item->text, item->line);
    }
}

// "valid keys are 'a', 'b'": for a key that resembles none.
static char *list_keys(const struct schema_table *table, const char *parent)
{
    struct buf text = { 0 };
    const struct schema_key *keys = table->keys;
    for (size_t i = 0; i < table->count; i++)
        if (schema_is_below(&keys[i], parent))
            buf_addf(&text, "%s'%s'", text.len ? ", " : "valid keys are ", schema_leaf(&keys[i]));
    return buf_take_str(&text);
}

static void report_unknown(struct schema_reader *r, const struct policy_node *name, const char *parent)
{
    const struct schema_key *nearest = schema_table_nearest(r->table, parent, name->text);
    _cleanup_free_ char *hint = NULL;
    if (nearest && schema_is_below(nearest, parent)) {
        hint = xasprintf("did you mean '%s'?", schema_leaf(nearest));
    } else if (nearest) {
        const char *dot = strrchr(nearest->name, '.');
        hint = dot ? xasprintf("'%s' stands below '%.*s'", dot + 1, (int)(dot - nearest->name), nearest->name) :
                     xasprintf("'%s' stands at the top level", nearest->name);
    } else {
        hint = list_keys(r->table, parent);
    }
    SCHEMA_REPORT(r, name, hint, "unknown key '%.60s'", name->text);
}

static void report_missing(struct schema_reader *r, const struct policy_node *node, const char *parent, const unsigned *seen)
{
    const struct schema_key *keys = r->table->keys;
    for (size_t i = 0; i < r->table->count; i++)
        if (keys[i].required && schema_is_below(&keys[i], parent) && !seen[i])
            SCHEMA_REPORT(r, node, NULL, "'%s' is missing: %s", schema_leaf(&keys[i]), keys[i].form);
}

void schema_read_map(struct schema_reader *r, const struct policy_node *node, const char *parent, void *base)
{
    unsigned seen[POLICY_KEYS_MAX] = { 0 }; // line of each key
    for (size_t i = 0; i < node->count; i += 2) {
        const struct policy_node *name = node->items[i];
        const struct schema_key *key = name->kind == POLICY_NODE_TEXT ? schema_table_find(r->table, parent, name->text) : NULL;
        if (name->spoiled)
            continue;
        if (name->kind != POLICY_NODE_TEXT) {
            SCHEMA_REPORT(r, name, NULL, "a key must be a word, not %s", schema_kind_name(name));
        } else if (!key) {
            report_unknown(r, name, parent);
        } else if (seen[key - r->table->keys]) {
            SCHEMA_REPORT(r, name, NULL, "'%s' is given twice, first on line %u", schema_leaf(key), seen[key - r->table->keys]);
        } else {
            seen[key - r->table->keys] = name->line;
            r->read(r, key, node->items[i + 1], base);
        }
    }
    if (r->complete)
        report_missing(r, node, parent, seen);
}

static void read_word(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, struct policy_list *list)
{
    if (node->spoiled)
        return;
    if (node->kind != POLICY_NODE_TEXT || schema_is_nothing(node) || strchr(node->text, '\n'))
        schema_report_form(r, key, node);
    else
        schema_list_add(list, node->text, node->line);
}

void schema_read_words(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base, size_t min, size_t max)
{
    struct policy_list *list = (struct policy_list *)((char *)base + key->offset);
    if (node->kind != POLICY_NODE_LIST) {
        read_word(r, key, node, list);
        return;
    }
    if (node->count < min)
        SCHEMA_REPORT(r, node, NULL, "'%s' is empty; it must be %s", schema_leaf(key), key->form);
    for (size_t i = 0; schema_check_count(r, key, node, max) && i < node->count; i++)
        read_word(r, key, node->items[i], list);
}

void schema_read_path(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    char **at = (char **)((char *)base + key->offset);
    char *path = node->kind == POLICY_NODE_TEXT && node->text[0] == '/' ? policy_normalise(node->text) : NULL;
    if (path == NULL) {
        schema_report_form(r, key, node);
        return;
    }
    free(*at);
    *at = path;
}
