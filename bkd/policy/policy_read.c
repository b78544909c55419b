#include "bkd/policy/policy_read.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/pattern.h"
#include "bkd/base/ssh_url.h"
#include "bkd/policy/policy_rules.h"
#include "bkd/policy/schema.h"

struct reader {
    struct policy *policy;
    struct policy_errors *errors;
    bool complete;
    struct policy_places places;
};

#define REPORT(r, node, hint, ...) policy_errors_add((r)->errors, (node)->line, (node)->column, (node)->width, hint, __VA_ARGS__)

static void read_map(struct reader *r, const struct policy_node *node, const char *parent, void *base);

static const char *kind_name(const struct policy_node *node)
{
    return node->kind == POLICY_NODE_LIST ? "a list" : node->kind == POLICY_NODE_MAP ? "a map" : "text";
}

// "key:" with nothing behind it, or YAML's words for it.
static bool is_nothing(const struct policy_node *node)
{
    const char *text = node->kind == POLICY_NODE_TEXT && node->plain ? node->text : "x";
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0 || strcmp(text, "Null") == 0 || strcmp(text, "NULL") == 0;
}

static void report_form(struct reader *r, const struct schema_key *key, const struct policy_node *node)
{
    if (is_nothing(node))
        REPORT(r, node, NULL, "'%s' has no value; it must be %s", schema_leaf(key), key->form);
    else if (node->kind == POLICY_NODE_TEXT)
        REPORT(r, node, NULL, "'%s' must be %s, not '%.60s'", schema_leaf(key), key->form, node->text);
    else
        REPORT(r, node, NULL, "'%s' must be %s, not %s", schema_leaf(key), key->form, kind_name(node));
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

static void read_scalar(struct reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    struct error err;
    if (node->kind != POLICY_NODE_TEXT || is_nothing(node)) {
        report_form(r, key, node);
        return;
    }
    bool wants_plain = key->type == SCHEMA_BOOL || key->type == SCHEMA_NUMBER;
    if (wants_plain && !node->plain)
        REPORT(r, node, NULL, "'%s' must be %s, without quotes", schema_leaf(key), key->form);
    else if (schema_set(key, node->text, base, &err) < 0)
        REPORT(r, node, key->type == SCHEMA_BOOL ? boolean_hint(node->text) : NULL, "%s", err.text);
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

static void read_path_at(struct reader *r, const struct schema_key *key, const struct policy_node *node, char **at)
{
    if (node->kind != POLICY_NODE_TEXT || node->text[0] != '/') {
        if (node->kind == POLICY_NODE_TEXT && node->text[0] == '~' && !is_nothing(node))
            REPORT(r, node, "'~' is not expanded", "'%s' must be %s, not '%.60s'", schema_leaf(key), key->form, node->text);
        else
            report_form(r, key, node);
        return;
    }
    char *path = policy_normalise(node->text);
    if (!path) {
        REPORT(r, node, NULL, "'%s' must be %s without '..'", schema_leaf(key), key->form);
        return;
    }
    free(*at);
    *at = path;
}

static void read_path(struct reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    read_path_at(r, key, node, (char **)((char *)base + key->offset));
}

static void read_url(struct reader *r, const struct schema_key *key, const struct policy_node *node, char **at)
{
    _cleanup_ssh_url_ struct ssh_url url = { 0 };
    struct error err;
    if (node->kind != POLICY_NODE_TEXT || !strstr(node->text, "://")) {
        read_path_at(r, key, node, at);
    } else if (!ssh_url_is(node->text)) {
        REPORT(r, node, NULL, "'%s' must be %s, not '%.60s'", schema_leaf(key), key->form, node->text);
    } else if (ssh_url_parse(node->text, &url, &err) < 0) {
        REPORT(r, node, NULL, "%s", err.text);
    } else {
        free(*at);
        *at = xstrdup(node->text);
    }
}

static void list_add(struct policy_list *list, const char *text, unsigned line)
{
    list->items = xrealloc(list->items, (list->count + 2) * sizeof *list->items);
    list->lines = xrealloc(list->lines, (list->count + 1) * sizeof *list->lines);
    list->lines[list->count] = line;
    list->items[list->count++] = xstrdup(text);
    list->items[list->count] = NULL;
}

static bool check_count(struct reader *r, const struct schema_key *key, const struct policy_node *node, size_t max)
{
    if (node->count > max)
        REPORT(r, node, NULL, "'%s' has %zu items, at most %zu are allowed", schema_leaf(key), node->count, max);
    return node->count <= max;
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

static void read_list(struct reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    struct policy_list *list = (struct policy_list *)((char *)base + key->offset);
    static const char *const nouns[] = { [SCHEMA_PATTERNS] = "pattern", [SCHEMA_NAMES] = "name", [SCHEMA_ENV] = "variable" };
    static const size_t limits[] = { [SCHEMA_PATTERNS] = POLICY_PATTERNS_MAX, [SCHEMA_NAMES] = POLICY_MARKERS_MAX, [SCHEMA_ENV] = POLICY_ARGUMENTS_MAX };
    struct error err;
    if (key->type == SCHEMA_PATTERNS && base == r->policy)
        r->places.exclude = node;
    if (node->kind != POLICY_NODE_LIST) {
        _cleanup_free_ char *hint = node->kind == POLICY_NODE_TEXT && !is_nothing(node) ? xasprintf("write [\"%.60s\"]", node->text) : NULL;
        REPORT(r, node, hint, "'%s' must be %s, not %s", schema_leaf(key), key->form, is_nothing(node) ? "empty" : kind_name(node));
        return;
    }
    if (!check_count(r, key, node, limits[key->type]))
        return;
    for (size_t i = 0; i < node->count; i++) {
        const struct policy_node *item = node->items[i];
        if (item->spoiled)
            continue;
        if (item->kind != POLICY_NODE_TEXT)
            REPORT(r, item, NULL, "a %s must be text in quotes, not %s", nouns[key->type], kind_name(item));
        else if (check_item(key->type, item->text, &err) < 0)
            REPORT(r, item, NULL, "%s", err.text);
        else
            list_add(list, item->text, item->line);
    }
}

// The shape of an age X25519 recipient: "age1" and 58 characters of Bech32 (BIP 173). The checksum is tested when it is used.
static bool is_recipient_shape(const char *text)
{
    return strlen(text) == 62 && strspn(text + 4, "qpzry9x8gf2tvdw0s3jn54khce6mua7l") == 58;
}

static void read_recipient(struct reader *r, const struct policy_node *item, struct policy_list *list)
{
    if (item->spoiled)
        return;
    if (item->kind != POLICY_NODE_TEXT || is_nothing(item) || item->text[0] == '\0') {
        REPORT(r, item, NULL, "a recipient must be a file or an age recipient");
        return;
    }
    if (strncmp(item->text, "AGE-SECRET-KEY-", 15) == 0) {
        REPORT(r, item, "remove it, and make a new one", "this is a secret identity; whoever read this file can read the backups");
        return;
    }
    if (policy_is_recipient(item->text) && !is_recipient_shape(item->text)) {
        REPORT(r, item, NULL, "'%.70s' is not a whole age recipient (62 characters, lower case)", item->text);
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], item->text) == 0) {
            REPORT(r, item, NULL, "'%.70s' is given twice", item->text);
            return;
        }
    }
    list_add(list, item->text, item->line);
}

static void read_recipients(struct reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    struct policy_list *list = (struct policy_list *)((char *)base + key->offset);
    r->places.recipients = node;
    if (node->kind == POLICY_NODE_MAP || is_nothing(node) || (node->kind == POLICY_NODE_LIST && node->count == 0)) {
        if (node->kind == POLICY_NODE_LIST)
            REPORT(r, node, "'encryption: none' stores without encryption", "'%s' is empty", schema_leaf(key));
        else
            report_form(r, key, node);
    } else if (node->kind == POLICY_NODE_TEXT) {
        read_recipient(r, node, list);
    } else if (check_count(r, key, node, POLICY_RECIPIENTS_MAX)) {
        for (size_t i = 0; i < node->count; i++)
            read_recipient(r, node->items[i], list);
    }
}

// ---- commands ----------------------------------------------------------------------------------------------------------

static void read_argv(struct reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    struct policy_list *list = (struct policy_list *)((char *)base + key->offset);
    if (node->kind == POLICY_NODE_TEXT && !is_nothing(node))
        REPORT(r, node, "for a shell name it: [sh, -c, \"...\"]", "'%s' must be %s, each an item, not text", schema_leaf(key), key->form);
    else if (node->kind != POLICY_NODE_LIST)
        report_form(r, key, node);
    else if (node->count == 0)
        REPORT(r, node, NULL, "'%s' is empty; it must be %s", schema_leaf(key), key->form);
    if (node->kind != POLICY_NODE_LIST || !check_count(r, key, node, POLICY_ARGUMENTS_MAX))
        return;
    for (size_t i = 0; i < node->count; i++) {
        const struct policy_node *item = node->items[i];
        if (!item->spoiled && item->kind != POLICY_NODE_TEXT)
            REPORT(r, item, NULL, "an argument must be text, not %s", kind_name(item));
        else if (!item->spoiled && i == 0 && item->text[0] != '/' && (item->text[0] == '\0' || strchr(item->text, '/')))
            REPORT(r, item, NULL, "'%.60s' is no program: give an absolute path, or a name without a slash", item->text);
        else if (!item->spoiled)
            list_add(list, item->text, item->line);
    }
}

static void read_command(struct reader *r, const struct policy_node *node, struct policy_command *command)
{
    set_defaults(SCHEMA_OF_COMMAND, command);
    if (node->spoiled)
        return;
    if (node->kind == POLICY_NODE_MAP)
        read_map(r, node, "hooks.HOOK", command);
    else
        read_argv(r, schema_find("hooks.HOOK", "command"), node, command);
}

// A list that begins with a word is one command; one that begins with a list or a map holds commands.
static void read_commands(struct reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    struct policy_commands *commands = (struct policy_commands *)((char *)base + key->offset);
    bool several = node->kind == POLICY_NODE_LIST && (node->count == 0 || node->items[0]->kind != POLICY_NODE_TEXT);
    if (is_nothing(node)) {
        report_form(r, key, node);
        return;
    }
    if (several && !check_count(r, key, node, POLICY_COMMANDS_MAX))
        return;
    commands->count = several ? node->count : 1;
    commands->items = xcalloc(commands->count + 1, sizeof *commands->items);
    for (size_t i = 0; i < commands->count; i++)
        read_command(r, several ? node->items[i] : node, &commands->items[i]);
}

// ---- maps --------------------------------------------------------------------------------------------------------------

static void read_source(struct reader *r, const struct policy_node *item, struct policy_source *source)
{
    set_defaults(SCHEMA_OF_SOURCE, source);
    if (item->kind == POLICY_NODE_MAP)
        read_map(r, item, "sources", source);
    else
        read_path(r, schema_find("sources", "path"), item, source);
}

static void read_sources(struct reader *r, const struct schema_key *key, const struct policy_node *node)
{
    struct policy *policy = r->policy;
    if (node->kind != POLICY_NODE_LIST) {
        report_form(r, key, node);
        return;
    }
    if (node->count == 0)
        REPORT(r, node, NULL, "'%s' is empty; there is nothing to back up", schema_leaf(key));
    if (!check_count(r, key, node, POLICY_SOURCES_MAX))
        return;
    policy->sources = xcalloc(node->count ? node->count : 1, sizeof *policy->sources);
    policy->source_count = node->count;
    r->places.sources = node;
    for (size_t i = 0; i < node->count; i++)
        if (!node->items[i]->spoiled)
            read_source(r, node->items[i], &policy->sources[i]);
}

// `name`: the key whose table of keys holds, "repository" or "offsite".
static void read_store(struct reader *r, const struct schema_key *key, const struct policy_node *node, const char *name, struct policy_store *store)
{
    set_defaults(SCHEMA_OF_STORE, store);
    if (node->spoiled)
        return;
    if (node->kind == POLICY_NODE_MAP)
        read_map(r, node, name, store);
    else
        read_url(r, key, node, &store->url);
}

static void read_stores(struct reader *r, const struct schema_key *key, const struct policy_node *node)
{
    struct policy_stores *stores = &r->policy->offsite;
    const struct schema_key *url = schema_find("offsite", "url");
    if (node->kind != POLICY_NODE_LIST) {
        report_form(r, key, node);
        return;
    }
    if (!check_count(r, key, node, POLICY_COPIES_MAX))
        return;
    stores->items = xcalloc(node->count + 1, sizeof *stores->items);
    stores->count = node->count;
    r->places.offsite = node;
    for (size_t i = 0; i < node->count; i++)
        read_store(r, url, node->items[i], "offsite", &stores->items[i]);
}

static void read_map_or_none(struct reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    bool may_be_none = key->type == SCHEMA_MAP_OR_NONE, is_map = node->kind == POLICY_NODE_MAP;
    if (!is_map && !(may_be_none && node->kind == POLICY_NODE_TEXT && strcmp(node->text, "none") == 0)) {
        report_form(r, key, node);
        return;
    }
    if (may_be_none)
        *(bool *)((char *)base + key->offset) = is_map;
    if (is_map)
        read_map(r, node, key->name, base);
}

// Where it is noted on which line a key stands; commands keep no note.
static unsigned *key_lines(struct reader *r, const struct schema_key *key, void *base)
{
    switch (schema_owner(key)) {
    case SCHEMA_OF_SOURCE: return ((struct policy_source *)base)->key_lines;
    case SCHEMA_OF_STORE: return base == &r->policy->repository ? r->policy->key_lines : NULL;
    case SCHEMA_OF_COMMAND: return NULL;
    default: return r->policy->key_lines;
    }
}

static void read_value(struct reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    if (node->spoiled)
        return;
    unsigned *lines = key_lines(r, key, base);
    if (lines)
        lines[schema_index(key)] = node->line;
    switch (key->type) {
    case SCHEMA_PATH: read_path(r, key, node, base); break;
    case SCHEMA_URL: read_url(r, key, node, (char **)((char *)base + key->offset)); break;
    case SCHEMA_STORE:
        r->places.repository = node;
        read_store(r, key, node, key->name, &r->policy->repository);
        break;
    case SCHEMA_STORES: read_stores(r, key, node); break;
    case SCHEMA_PATTERNS:
    case SCHEMA_NAMES:
    case SCHEMA_ENV: read_list(r, key, node, base); break;
    case SCHEMA_ARGV: read_argv(r, key, node, base); break;
    case SCHEMA_COMMANDS: read_commands(r, key, node, base); break;
    case SCHEMA_RECIPIENTS: read_recipients(r, key, node, base); break;
    case SCHEMA_SOURCES: read_sources(r, key, node); break;
    case SCHEMA_MAP:
    case SCHEMA_MAP_OR_NONE: read_map_or_none(r, key, node, base); break;
    default: read_scalar(r, key, node, base);
    }
}

// "valid keys are 'a', 'b'": for a key that resembles none.
static char *list_keys(const char *parent)
{
    struct buf text = { 0 };
    size_t count;
    const struct schema_key *keys = schema_keys(&count);
    for (size_t i = 0; i < count; i++)
        if (schema_is_below(&keys[i], parent))
            buf_addf(&text, "%s'%s'", text.len ? ", " : "valid keys are ", schema_leaf(&keys[i]));
    return buf_take_str(&text);
}

static void report_unknown(struct reader *r, const struct policy_node *name, const char *parent)
{
    const struct schema_key *nearest = schema_nearest(parent, name->text);
    _cleanup_free_ char *hint = NULL;
    if (nearest && schema_is_below(nearest, parent)) {
        hint = xasprintf("did you mean '%s'?", schema_leaf(nearest));
    } else if (nearest) {
        const char *dot = strrchr(nearest->name, '.');
        hint = dot ? xasprintf("'%s' stands below '%.*s'", dot + 1, (int)(dot - nearest->name), nearest->name) :
                     xasprintf("'%s' stands at the top level", nearest->name);
    } else {
        hint = list_keys(parent);
    }
    REPORT(r, name, hint, "unknown key '%.60s'", name->text);
}

static void report_missing(struct reader *r, const struct policy_node *node, const char *parent, const unsigned *seen)
{
    size_t count;
    const struct schema_key *keys = schema_keys(&count);
    for (size_t i = 0; i < count; i++)
        if (keys[i].required && schema_is_below(&keys[i], parent) && !seen[i])
            REPORT(r, node, NULL, "'%s' is missing: %s", schema_leaf(&keys[i]), keys[i].form);
}

static void read_map(struct reader *r, const struct policy_node *node, const char *parent, void *base)
{
    unsigned seen[POLICY_KEYS_MAX] = { 0 }; // line of each key
    for (size_t i = 0; i < node->count; i += 2) {
        const struct policy_node *name = node->items[i];
        const struct schema_key *key = name->kind == POLICY_NODE_TEXT ? schema_find(parent, name->text) : NULL;
        if (name->spoiled)
            continue;
        if (name->kind != POLICY_NODE_TEXT) {
            REPORT(r, name, NULL, "a key must be a word, not %s", kind_name(name));
        } else if (!key) {
            report_unknown(r, name, parent);
        } else if (seen[schema_index(key)]) {
            REPORT(r, name, NULL, "'%s' is given twice, first on line %u", schema_leaf(key), seen[schema_index(key)]);
        } else {
            seen[schema_index(key)] = name->line;
            read_value(r, key, node->items[i + 1], base);
        }
    }
    if (r->complete)
        report_missing(r, node, parent, seen);
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

void policy_read(const struct policy_node *root, bool complete, struct policy *policy, struct policy_errors *errors)
{
    struct reader r = { .policy = policy, .errors = errors, .complete = complete, .places = { .complete = complete } };
    const struct schema_key *recipients = schema_find("encryption", "recipients");
    set_defaults(SCHEMA_OF_POLICY, policy);
    policy->encrypted = true;
    if (root->kind != POLICY_NODE_MAP) {
        if (!root->spoiled)
            REPORT(&r, root, NULL, "a policy is a map of keys such as 'sources:', not %s", kind_name(root));
        return;
    }
    read_map(&r, root, "", policy);
    if (policy->encrypted && !r.places.recipients)
        list_add(&policy->recipients, recipients->default_text, 0);
    policy_rules_check(policy, &r.places, errors);
    if (errors->count == 0)
        part_streams(policy);
}
