#include "bkd/policy/policy_read.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/pattern.h"
#include "bkd/base/ssh_url.h"
#include "bkd/policy/policy_checks.h"
#include "bkd/policy/policy_rules.h"
#include "bkd/policy/schema.h"
#include "bkd/policy/schema_read.h"
#include "bkd/policy/schema_times.h"

// What a schema_reader of this module reads.
struct reading {
    struct policy *policy;
    struct policy_places places;
};

static struct reading *reading(struct schema_reader *r) { return r->arg; }

// Defaults are written in the table as they would be in a file.
static void set_defaults(enum schema_owner owner, void *base)
{
    size_t count;
    struct error err;
    const struct schema_key *keys = schema_keys(&count);
    for (size_t i = 0; i < count; i++)
        if (schema_owner(&keys[i]) == owner && keys[i].default_text && keys[i].type != SCHEMA_RECIPIENTS && schema_set(&keys[i], keys[i].default_text, base, &err) < 0)
            abort(); // the table contradicts itself
}

// ---- paths, patterns, recipients ---------------------------------------------------------------------------------------

char *policy_normalise(const char *path)
{
    struct buf out = { 0 };
    for (const char *s = path; *s;) {
        size_t len = strcspn(s, "/");
        if (len == 2 && s[0] == '.' && s[1] == '.') {
            buf_done(&out);
            return NULL;
        }
        if (len > 0 && !(len == 1 && s[0] == '.')) {
            buf_add_char(&out, '/');
            buf_add(&out, s, len);
        }
        s += len + (s[len] == '/');
    }
    if (out.len == 0)
        buf_add_char(&out, '/');
    return buf_take_str(&out);
}

static void read_path_at(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, char **at)
{
    if (node->kind != POLICY_NODE_TEXT || node->text[0] != '/') {
        if (node->kind == POLICY_NODE_TEXT && node->text[0] == '~' && !schema_is_nothing(node))
            SCHEMA_REPORT(r, node, "'~' is not expanded", "'%s' must be %s, not '%.60s'", schema_leaf(key), key->form, node->text);
        else
            schema_report_form(r, key, node);
        return;
    }
    char *path = policy_normalise(node->text);
    if (!path) {
        SCHEMA_REPORT(r, node, NULL, "'%s' must be %s without '..'", schema_leaf(key), key->form);
        return;
    }
    free(*at);
    *at = path;
}

static void read_path(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    read_path_at(r, key, node, (char **)((char *)base + key->offset));
}

static void read_paths(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    struct policy_list *list = (struct policy_list *)((char *)base + key->offset);
    if (node->kind != POLICY_NODE_LIST) {
        schema_report_form(r, key, node);
        return;
    }
    if (!schema_check_count(r, key, node, POLICY_PATTERNS_MAX))
        return;
    for (size_t i = 0; i < node->count; i++) {
        _cleanup_free_ char *path = NULL;
        if (!node->items[i]->spoiled)
            read_path_at(r, key, node->items[i], &path);
        if (path)
            schema_list_add(list, path, node->items[i]->line);
    }
}

static void read_url(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, char **at)
{
    _cleanup_ssh_url_ struct ssh_url url = { 0 };
    struct error err;
    if (node->kind != POLICY_NODE_TEXT || !strstr(node->text, "://")) {
        read_path_at(r, key, node, at);
    } else if (!ssh_url_is(node->text)) {
        SCHEMA_REPORT(r, node, NULL, "'%s' must be %s, not '%.60s'", schema_leaf(key), key->form, node->text);
    } else if (ssh_url_parse(node->text, &url, &err) < 0) {
        SCHEMA_REPORT(r, node, NULL, "%s", err.text);
    } else {
        free(*at);
        *at = xstrdup(node->text);
    }
}

static int check_name(const char *text, struct error *err)
{
    bool is_name = text[0] != '\0' && !strchr(text, '/') && strcmp(text, ".") != 0 && strcmp(text, "..") != 0 && strlen(text) <= 255;
    return is_name ? 0 : error_set(err, ERROR_USAGE, "'%.60s' is not the name of a file: no path, 1 to 255 bytes", text);
}

static int check_variable(const char *text, struct error *err)
{
    size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    bool is_variable = n > 0 && text[n] == '=' && !(text[0] >= '0' && text[0] <= '9');
    return is_variable ? 0 : error_set(err, ERROR_USAGE, "'%.60s' is not a variable: write \"NAME=value\"", text);
}

static int check_item(enum schema_type type, const char *text, struct error *err)
{
    return type == SCHEMA_PATTERNS ? pattern_check(text, err) : type == SCHEMA_ENV ? check_variable(text, err) : check_name(text, err);
}

static void read_list(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    struct policy_list *list = (struct policy_list *)((char *)base + key->offset);
    static const char *const nouns[] = { [SCHEMA_PATTERNS] = "pattern", [SCHEMA_NAMES] = "name", [SCHEMA_ENV] = "variable" };
    static const size_t limits[] = { [SCHEMA_PATTERNS] = POLICY_PATTERNS_MAX, [SCHEMA_NAMES] = POLICY_MARKERS_MAX, [SCHEMA_ENV] = POLICY_ARGUMENTS_MAX };
    struct error err;
    if (key->type == SCHEMA_PATTERNS && base == reading(r)->policy)
        reading(r)->places.exclude = node;
    if (node->kind != POLICY_NODE_LIST) {
        _cleanup_free_ char *hint = node->kind == POLICY_NODE_TEXT && !schema_is_nothing(node) ? xasprintf("write [\"%.60s\"]", node->text) : NULL;
        SCHEMA_REPORT(r, node, hint, "'%s' must be %s, not %s", schema_leaf(key), key->form, schema_is_nothing(node) ? "empty" : schema_kind_name(node));
        return;
    }
    if (!schema_check_count(r, key, node, limits[key->type]))
        return;
    for (size_t i = 0; i < node->count; i++) {
        const struct policy_node *item = node->items[i];
        if (item->spoiled)
            continue;
        if (item->kind != POLICY_NODE_TEXT)
            SCHEMA_REPORT(r, item, NULL, "a %s must be text in quotes, not %s", nouns[key->type], schema_kind_name(item));
        else if (check_item(key->type, item->text, &err) < 0)
            SCHEMA_REPORT(r, item, NULL, "%s", err.text);
        else
            schema_list_add(list, item->text, item->line);
    }
}

// The shape of an age X25519 recipient: "age1" and 58 characters of Bech32 (BIP 173). The checksum is tested when it is used.
static bool is_recipient_shape(const char *text)
{
    return strlen(text) == 62 && strspn(text + 4, "qpzry9x8gf2tvdw0s3jn54khce6mua7l") == 58;
}

static void read_recipient(struct schema_reader *r, const struct policy_node *item, struct policy_list *list)
{
    if (item->spoiled)
        return;
    if (item->kind != POLICY_NODE_TEXT || schema_is_nothing(item) || item->text[0] == '\0') {
        SCHEMA_REPORT(r, item, NULL, "a recipient must be a file or an age recipient");
        return;
    }
    if (strncmp(item->text, "AGE-SECRET-KEY-", 15) == 0) {
        SCHEMA_REPORT(r, item, "remove it, and make a new one", "this is a secret identity; whoever read this file can read the backups");
        return;
    }
    if (policy_is_recipient(item->text) && !is_recipient_shape(item->text)) {
        SCHEMA_REPORT(r, item, NULL, "'%.70s' is not a whole age recipient (62 characters, lower case)", item->text);
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], item->text) == 0) {
            SCHEMA_REPORT(r, item, NULL, "'%.70s' is given twice", item->text);
            return;
        }
    }
    schema_list_add(list, item->text, item->line);
}

static void read_recipients(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    struct policy_list *list = (struct policy_list *)((char *)base + key->offset);
    reading(r)->places.recipients = node;
    if (node->kind == POLICY_NODE_MAP || schema_is_nothing(node) || (node->kind == POLICY_NODE_LIST && node->count == 0)) {
        if (node->kind == POLICY_NODE_LIST)
            SCHEMA_REPORT(r, node, "'encryption: none' stores without encryption", "'%s' is empty", schema_leaf(key));
        else
            schema_report_form(r, key, node);
    } else if (node->kind == POLICY_NODE_TEXT) {
        read_recipient(r, node, list);
    } else if (schema_check_count(r, key, node, POLICY_RECIPIENTS_MAX)) {
        for (size_t i = 0; i < node->count; i++)
            read_recipient(r, node->items[i], list);
    }
}

// ---- commands ----------------------------------------------------------------------------------------------------------

static void read_command(struct schema_reader *r, const struct policy_node *node, struct policy_command *command)
{
    set_defaults(SCHEMA_OF_COMMAND, command);
    if (node->spoiled)
        return;
    if (node->kind == POLICY_NODE_MAP)
        schema_read_map(r, node, "hooks.HOOK", command);
    else
        schema_read_argv(r, schema_find("hooks.HOOK", "command"), node, command);
}

// A list that begins with a word is one command; one that begins with a list or a map holds commands.
static void read_commands(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    struct policy_commands *commands = (struct policy_commands *)((char *)base + key->offset);
    bool several = node->kind == POLICY_NODE_LIST && (node->count == 0 || node->items[0]->kind != POLICY_NODE_TEXT);
    if (schema_is_nothing(node)) {
        schema_report_form(r, key, node);
        return;
    }
    if (several && !schema_check_count(r, key, node, POLICY_COMMANDS_MAX))
        return;
    commands->count = several ? node->count : 1;
    commands->items = xcalloc(commands->count + 1, sizeof *commands->items);
    for (size_t i = 0; i < commands->count; i++)
        read_command(r, several ? node->items[i] : node, &commands->items[i]);
}

// ---- maps --------------------------------------------------------------------------------------------------------------

static void read_source(struct schema_reader *r, const struct policy_node *item, struct policy_source *source)
{
    set_defaults(SCHEMA_OF_SOURCE, source);
    if (item->kind == POLICY_NODE_MAP)
        schema_read_map(r, item, "sources", source);
    else
        read_path(r, schema_find("sources", "path"), item, source);
}

static void read_sources(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node)
{
    struct policy *policy = reading(r)->policy;
    if (node->kind != POLICY_NODE_LIST) {
        schema_report_form(r, key, node);
        return;
    }
    if (node->count == 0)
        SCHEMA_REPORT(r, node, NULL, "'%s' is empty; there is nothing to back up", schema_leaf(key));
    if (!schema_check_count(r, key, node, POLICY_SOURCES_MAX))
        return;
    policy->sources = xcalloc(node->count ? node->count : 1, sizeof *policy->sources);
    policy->source_count = node->count;
    reading(r)->places.sources = node;
    for (size_t i = 0; i < node->count; i++)
        if (!node->items[i]->spoiled)
            read_source(r, node->items[i], &policy->sources[i]);
}

// `name`: the key whose table of keys holds, "repository" or "offsite".
static void read_store(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, const char *name, struct policy_store *store)
{
    set_defaults(SCHEMA_OF_STORE, store);
    if (node->spoiled)
        return;
    if (node->kind == POLICY_NODE_MAP)
        schema_read_map(r, node, name, store);
    else
        read_url(r, key, node, &store->url);
}

static void read_stores(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node)
{
    struct policy_stores *stores = &reading(r)->policy->offsite;
    const struct schema_key *url = schema_find("offsite", "url");
    if (node->kind != POLICY_NODE_LIST) {
        schema_report_form(r, key, node);
        return;
    }
    if (!schema_check_count(r, key, node, POLICY_COPIES_MAX))
        return;
    stores->items = xcalloc(node->count + 1, sizeof *stores->items);
    stores->count = node->count;
    reading(r)->places.offsite = node;
    for (size_t i = 0; i < node->count; i++)
        read_store(r, url, node->items[i], "offsite", &stores->items[i]);
}

// Where it is noted on which line a key stands; commands and checks keep no note.
static unsigned *key_lines(struct schema_reader *r, const struct schema_key *key, void *base)
{
    switch (schema_owner(key)) {
    case SCHEMA_OF_SOURCE: return ((struct policy_source *)base)->key_lines;
    case SCHEMA_OF_STORE: return base == &reading(r)->policy->repository ? reading(r)->policy->key_lines : NULL;
    case SCHEMA_OF_COMMAND:
    case SCHEMA_OF_CHECK: return NULL;
    default: return reading(r)->policy->key_lines;
    }
}

static void read_value(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    if (node->spoiled)
        return;
    unsigned *lines = key_lines(r, key, base);
    if (lines)
        lines[schema_index(key)] = node->line;
    if (strcmp(key->name, "window") == 0)
        reading(r)->places.window = node;
    if (strcmp(key->name, "retry") == 0)
        reading(r)->places.retry = node;
    if (strcmp(key->name, "verify") == 0)
        reading(r)->places.verify = node;
    switch (key->type) {
    case SCHEMA_PATH: read_path(r, key, node, base); break;
    case SCHEMA_URL: read_url(r, key, node, (char **)((char *)base + key->offset)); break;
    case SCHEMA_STORE:
        reading(r)->places.repository = node;
        read_store(r, key, node, key->name, &reading(r)->policy->repository);
        break;
    case SCHEMA_STORES: read_stores(r, key, node); break;
    case SCHEMA_PATTERNS:
    case SCHEMA_NAMES:
    case SCHEMA_ENV: read_list(r, key, node, base); break;
    case SCHEMA_ARGV: schema_read_argv(r, key, node, base); break;
    case SCHEMA_SCHEDULE: schema_times_read_schedule(r, key, node, base); break;
    case SCHEMA_POLICIES:
        reading(r)->places.after = node;
        schema_times_read_policies(r, key, node, base);
        break;
    case SCHEMA_CHECKS: policy_checks_read(r, key, node, &reading(r)->policy->verify.checks, &reading(r)->policy->verify.check_count); break;
    case SCHEMA_PATHS: read_paths(r, key, node, base); break;
    case SCHEMA_COMMANDS: read_commands(r, key, node, base); break;
    case SCHEMA_RECIPIENTS: read_recipients(r, key, node, base); break;
    case SCHEMA_SOURCES: read_sources(r, key, node); break;
    case SCHEMA_MAP:
    case SCHEMA_MAP_OR_NONE: schema_read_map_or_none(r, key, node, base); break;
    default: schema_read_scalar(r, key, node, base);
    }
}

static int compare_streams(const void *a, const void *b)
{
    const struct policy_source *x = a, *y = b;
    return strcmp(x->stream.name, y->stream.name);
}

// Of a policy without mistakes: a source is one or the other.
static void part_streams(struct policy *policy)
{
    size_t paths = 0;
    policy->streams = xcalloc(policy->source_count + 1, sizeof *policy->streams);
    for (size_t i = 0; i < policy->source_count; i++) {
        if (policy->sources[i].path)
            policy->sources[paths++] = policy->sources[i];
        else
            policy->streams[policy->stream_count++] = policy->sources[i];
    }
    policy->source_count = paths;
    qsort(policy->streams, policy->stream_count, sizeof *policy->streams, compare_streams);
}

static const struct policy_node *name_in(const struct policy_node *map, const char *key)
{
    for (size_t i = 0; i < map->count; i += 2)
        if (map->items[i]->kind == POLICY_NODE_TEXT && strcmp(map->items[i]->text, key) == 0)
            return map->items[i];
    return NULL;
}

// A host that only verifies what another one stores backs up nothing.
static void check_purpose(struct schema_reader *r, const struct policy_node *root)
{
    const struct schema_key *sources = schema_find("", "sources");
    const struct policy_node *schedule = name_in(root, "schedule");
    if (!r->complete || name_in(root, sources->name))
        return;
    if (!name_in(root, "verify"))
        SCHEMA_REPORT(r, root, NULL, "'%s' is missing: %s", sources->name, sources->form);
    else if (schedule)
        SCHEMA_REPORT(r, schedule, "say it below 'verify'", "there are no 'sources' that could be backed up by a schedule");
}

void policy_read(const struct policy_node *root, bool complete, struct policy *policy, struct policy_errors *errors)
{
    struct reading held = { .policy = policy, .places = { .complete = complete } };
    struct schema_reader r = { .table = schema_of_policies(), .errors = errors, .complete = complete, .read = read_value, .arg = &held };
    const struct schema_key *recipients = schema_find("encryption", "recipients");
    set_defaults(SCHEMA_OF_POLICY, policy);
    policy->encrypted = true;
    if (root->kind != POLICY_NODE_MAP) {
        if (!root->spoiled)
            SCHEMA_REPORT(&r, root, NULL, "a policy is a map of keys such as 'sources:', not %s", schema_kind_name(root));
        return;
    }
    check_purpose(&r, root);
    schema_read_map(&r, root, "", policy);
    if (policy->encrypted && !held.places.recipients)
        schema_list_add(&policy->recipients, recipients->default_text, 0);
    policy_rules_check(policy, &held.places, errors);
    if (errors->count == 0)
        part_streams(policy);
}
