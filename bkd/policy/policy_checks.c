#include "bkd/policy/policy_checks.h"

#include <ctype.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

static void set_defaults(struct policy_check *check)
{
    size_t count;
    struct error err;
    const struct schema_key *keys = schema_keys(&count);
    for (size_t i = 0; i < count; i++)
        if (schema_owner(&keys[i]) == SCHEMA_OF_CHECK && keys[i].default_text && schema_set(&keys[i], keys[i].default_text, check, &err) < 0)
            abort(); // the table contradicts itself
}

// What each type must have, and what it may have besides: names of keys.
static const struct {
    const char *name, *needs, *may;
} types[] = {
    [POLICY_CHECK_COMMAND] = { "command", "run", "user" },
    [POLICY_CHECK_FILE] = { "file", "file", "sha256 min_size max_size pattern" },
    [POLICY_CHECK_SQLITE] = { "sqlite", "file", "query expect" },
    [POLICY_CHECK_POSTGRES] = { "postgres", "", "directory dump database query expect user" },
    [POLICY_CHECK_HTTP] = { "http", "run url", "status pattern user" },
    [POLICY_CHECK_MTREE] = { "mtree", "file", "user" },
};

static const struct policy_node *value_of(const struct policy_node *map, const char *name)
{
    for (size_t i = 0; i + 1 < map->count; i += 2)
        if (map->items[i]->kind == POLICY_NODE_TEXT && strcmp(map->items[i]->text, name) == 0)
            return map->items[i + 1];
    return NULL;
}

static void check_keys(struct schema_reader *r, const struct policy_node *item, const struct policy_check *check)
{
    const char *needs = types[check->type].needs, *may = types[check->type].may;
    for (size_t i = 0; i + 1 < item->count; i += 2) {
        const struct policy_node *name = item->items[i];
        if (name->kind != POLICY_NODE_TEXT || schema_has_word("type name timeout", name->text) || schema_has_word(needs, name->text) || schema_has_word(may, name->text))
            continue;
        if (schema_find("verify.checks", name->text) != NULL)
            SCHEMA_REPORT(r, name, NULL, "a check of type %s has no '%s'", types[check->type].name, name->text);
    }
    for (const char *at = needs; *at != '\0'; at += strcspn(at, " "), at += strspn(at, " ")) {
        _cleanup_free_ char *word = xstrndup(at, strcspn(at, " "));
        if (r->complete && value_of(item, word) == NULL)
            SCHEMA_REPORT(r, item, NULL, "a check of type %s needs '%s'", types[check->type].name, word);
    }
}

static bool is_hash(const char *text)
{
    size_t n = 0;
    while (isxdigit((unsigned char)text[n]))
        n++;
    return n == 64 && text[n] == '\0';
}

static bool is_expression(const char *text)
{
    regex_t expression;
    if (regcomp(&expression, text, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    regfree(&expression);
    return true;
}

static void check_values(struct schema_reader *r, const struct policy_node *item, const struct policy_check *check)
{
    const struct policy_node *at;
    if ((at = value_of(item, "sha256")) != NULL && !is_hash(check->sha256))
        SCHEMA_REPORT(r, at, NULL, "'sha256' must be 64 hexadecimal digits");
    if ((at = value_of(item, "pattern")) != NULL && !is_expression(check->pattern))
        SCHEMA_REPORT(r, at, NULL, "'%.60s' is no extended regular expression", check->pattern);
    if ((at = value_of(item, "url")) != NULL && strncmp(check->url, "http://", 7) != 0 && strncmp(check->url, "https://", 8) != 0)
        SCHEMA_REPORT(r, at, NULL, "'url' must be an address http://… or https://…, not '%.60s'", check->url);
    if (check->type == POLICY_CHECK_MTREE && (at = value_of(item, "file")) != NULL && check->file[0] != '/')
        SCHEMA_REPORT(r, at, NULL, "the 'file' of a check of type mtree must be an absolute path: the specification on this host");
    if (check->type == POLICY_CHECK_POSTGRES && r->complete && (check->directory[0] == '\0') == (check->dump[0] == '\0'))
        SCHEMA_REPORT(r, item, NULL, "a check of type postgres needs either 'directory' or 'dump'");
    if (check->expect[0] != '\0' && check->query[0] == '\0')
        SCHEMA_REPORT(r, value_of(item, "expect"), NULL, "'expect' without 'query': there is no answer to compare with");
}

static void read_check(struct schema_reader *r, const struct policy_node *item, struct policy_check *check)
{
    set_defaults(check);
    if (item->spoiled)
        return;
    if (item->kind != POLICY_NODE_MAP) {
        SCHEMA_REPORT(r, item, "write {type: command, run: [...]}", "a check must be a map with 'type', not %s", schema_kind_name(item));
        return;
    }
    size_t before = r->errors->count;
    schema_read_map(r, item, "verify.checks", check);
    if (r->errors->count > before) // without a sound type nothing can be said of the rest
        return;
    check_keys(r, item, check);
    check_values(r, item, check);
}

void policy_checks_read(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, struct policy_check **ret_checks, size_t *ret_count)
{
    if (node->kind != POLICY_NODE_LIST) {
        schema_report_form(r, key, node);
        return;
    }
    if (!schema_check_count(r, key, node, POLICY_CHECKS_MAX))
        return;
    *ret_checks = xcalloc(node->count + 1, sizeof **ret_checks);
    *ret_count = node->count;
    for (size_t i = 0; i < node->count; i++)
        read_check(r, node->items[i], &(*ret_checks)[i]);
}

static void check_done(struct policy_check *c)
{
    char *const texts[] = { c->name, c->user, c->file, c->sha256, c->pattern, c->query, c->expect, c->directory, c->dump, c->database, c->url };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    policy_list_done(&c->run);
}

void policy_checks_done(struct policy_check *checks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_done(&checks[i]);
    free(checks);
}
