// bkd policy show.
#include <stdlib.h>
#include <string.h>

#include "bkd/cmd.h"
#include "bkd/policy/schema.h"
#include "bkd/policy/units.h"

#define SHOW_DEPTH 3 // maps within maps

// Maps that a key stands in.
static unsigned depth_of(const struct schema_key *key)
{
    unsigned depth = 0;
    for (const char *dot = key->name; (dot = strchr(dot, '.')) != NULL; dot++)
        depth++;
    return depth;
}

static void add_list(const struct policy_list *list, struct buf *ret_text)
{
    buf_add_char(ret_text, '[');
    for (size_t i = 0; i < list->count; i++) {
        buf_add_str(ret_text, i ? ", " : "");
        context_add_quoted(list->items[i], ret_text);
    }
    buf_add_char(ret_text, ']');
}

static void add_sources(const struct policy *policy, struct buf *ret_text);
static void add_value(const struct schema_key *key, const void *base, struct buf *ret_text);

static void add_commands(const struct policy_commands *commands, struct buf *ret_text)
{
    char timeout[UNITS_TEXT_MAX];
    for (size_t i = 0; i < commands->count; i++) {
        const struct policy_command *c = &commands->items[i];
        units_format_duration(timeout, c->timeout_s);
        buf_add_str(ret_text, "\n    - command: ");
        add_list(&c->argv, ret_text);
        if (c->name[0]) {
            buf_add_str(ret_text, "\n      name: ");
            context_add_quoted(c->name, ret_text);
        }
        buf_addf(ret_text, "\n      timeout: %s", timeout);
    }
    if (commands->count == 0)
        buf_add_str(ret_text, "[]");
}

// Has the check something else there than the key's default?
static bool is_given(const struct schema_key *key, const struct policy_check *check, struct buf *ret_value)
{
    if (schema_owner(key) != SCHEMA_OF_CHECK)
        return false;
    add_value(key, check, ret_value);
    const char *said = key->type == SCHEMA_TEXT ? *(char *const *)((const char *)check + key->offset) : buf_str(ret_value);
    return strcmp(said, key->default_text != NULL ? key->default_text : "[]") != 0;
}

static void add_checks(const struct policy_verification *verify, struct buf *ret_text)
{
    size_t count;
    const struct schema_key *keys = schema_keys(&count);
    for (size_t i = 0; i < verify->check_count; i++)
        for (size_t k = 0; k < count; k++) {
            _cleanup_buf_ struct buf value = { 0 };
            if (is_given(&keys[k], &verify->checks[i], &value))
                buf_addf(ret_text, "\n    %s %s: %s", strcmp(keys[k].name, "verify.checks.type") == 0 ? "-" : " ", schema_leaf(&keys[k]), buf_str(&value));
        }
    if (verify->check_count == 0)
        buf_add_str(ret_text, "[]");
}

// A place on a server is a map, whose keys follow.
static void add_store(const struct policy_store *store, struct buf *ret_text)
{
    if (!policy_store_is_remote(store))
        context_add_quoted(store->url, ret_text);
}

// The keys of a copy that mean something for it: those of a server, or of a directory.
static bool is_copy_key(const struct schema_key *key, const struct policy_store *store)
{
    bool ssh = strncmp(key->name, "offsite.ssh", strlen("offsite.ssh")) == 0;
    return strncmp(key->name, "offsite.", strlen("offsite.")) == 0 && (policy_store_is_remote(store) ? strcmp(key->name, "offsite.removable") != 0 : !ssh);
}

static void add_stores(const struct policy_stores *stores, struct buf *ret_text)
{
    size_t count;
    const struct schema_key *keys = schema_keys(&count);
    for (size_t i = 0; i < stores->count; i++)
        for (size_t k = 0; k < count; k++) {
            if (!is_copy_key(&keys[k], &stores->items[i]))
                continue;
            _cleanup_buf_ struct buf value = { 0 };
            add_value(&keys[k], &stores->items[i], &value);
            bool first = strcmp(keys[k].name, "offsite.url") == 0;
            buf_addf(ret_text, "\n  %s %*s%s:%s%s", first ? "-" : " ", (int)(2 * depth_of(&keys[k]) - 2), "", schema_leaf(&keys[k]), value.len ? " " : "", buf_str(&value));
        }
    if (stores->count == 0)
        buf_add_str(ret_text, "[]");
}

static const char *word_for_none(const struct schema_key *key) { return key->choices == NULL ? "none" : key->choices; }

// `base`: the policy, or the source for keys of sources.
static void add_value(const struct schema_key *key, const void *base, struct buf *ret_text)
{
    const void *at = (const char *)base + key->offset;
    switch (key->type) {
    case SCHEMA_SOURCES: add_sources(base, ret_text); break;
    case SCHEMA_COMMANDS: add_commands(at, ret_text); break;
    case SCHEMA_STORE: add_store(at, ret_text); break;
    case SCHEMA_STORES: add_stores(at, ret_text); break;
    case SCHEMA_CHECKS: add_checks(&((const struct policy *)base)->verify, ret_text); break;
    case SCHEMA_PATH:
    case SCHEMA_URL:
    case SCHEMA_TEXT: context_add_quoted(*(char *const *)at, ret_text); break;
    case SCHEMA_PATTERNS:
    case SCHEMA_NAMES:
    case SCHEMA_ENV:
    case SCHEMA_ARGV:
    case SCHEMA_SCHEDULE:
    case SCHEMA_POLICIES:
    case SCHEMA_PATHS:
    case SCHEMA_RECIPIENTS: add_list(at, ret_text); break;
    case SCHEMA_MAP_OR_NONE: buf_add_str(ret_text, *(const bool *)at ? "" : word_for_none(key)); break;
    case SCHEMA_MAP: break;
    default: schema_get(key, base, ret_text);
    }
}

// What each source says; where it says nothing, what the top level says holds.
static bool is_said(const struct schema_key *key, const struct policy_source *source)
{
    bool is_kind = strcmp(key->name, "sources.path") == 0 || strcmp(key->name, "sources.stream") == 0;
    return schema_owner(key) == SCHEMA_OF_SOURCE && source->key_lines[schema_index(key)] != 0 && !is_kind;
}

static void add_said(const struct policy_source *source, struct buf *ret_text)
{
    size_t count;
    const struct schema_key *keys = schema_keys(&count);
    for (size_t k = 0; k < count; k++) {
        if (!is_said(&keys[k], source))
            continue;
        _cleanup_buf_ struct buf value = { 0 };
        add_value(&keys[k], source, &value);
        buf_addf(ret_text, "\n    %s%s:%s%s", schema_is_below(&keys[k], "sources") ? "" : "  ", schema_leaf(&keys[k]), value.len ? " " : "", buf_str(&value));
    }
}

static void add_sources(const struct policy *policy, struct buf *ret_text)
{
    for (size_t i = 0; i < policy->source_count; i++) {
        buf_add_str(ret_text, "\n  - path: ");
        context_add_quoted(policy->sources[i].path, ret_text);
        add_said(&policy->sources[i], ret_text);
    }
    for (size_t i = 0; i < policy->stream_count; i++) {
        buf_add_str(ret_text, "\n  - stream:");
        add_said(&policy->streams[i], ret_text);
    }
}

// Keys of sources stand in their list; with "encryption: none" its other keys mean nothing, and neither do those of a server where there is none.
static bool is_shown(const struct schema_key *key, const struct policy *policy)
{
    if (schema_is_below(key, "encryption"))
        return policy->encrypted;
    if (schema_is_below(key, "guard"))
        return policy->guard;
    if (strncmp(key->name, "repository.", strlen("repository.")) == 0)
        return policy_store_is_remote(&policy->repository);
    if (key->type == SCHEMA_SOURCES)
        return !policy_only_verifies(policy);
    return schema_owner(key) == SCHEMA_OF_POLICY;
}

// The struct that a key of the top level has its value in.
static const void *base_of(const struct schema_key *key, const struct policy *policy)
{
    return schema_owner(key) == SCHEMA_OF_STORE ? (const void *)&policy->repository : policy;
}

static void show_key(const struct schema_key *key, const struct policy *policy, struct buf *ret_text)
{
    _cleanup_buf_ struct buf value = { 0 };
    unsigned line = policy->key_lines[schema_index(key)];
    add_value(key, base_of(key, policy), &value);
    const char *rest = strchr(buf_str(&value), '\n'); // the items of a list follow the key's line
    size_t head = rest ? (size_t)(rest - buf_str(&value)) : value.len;
    size_t start = ret_text->len;
    buf_addf(ret_text, "%*s%s:%s%.*s", (int)(2 * depth_of(key)), "", schema_leaf(key), head ? " " : "", (int)head, buf_str(&value));
    size_t width = ret_text->len - start;
    if (key->type != SCHEMA_MAP || line) {
        buf_addf(ret_text, "%*s# ", (int)(width < 39 ? 40 - width : 1), "");
        if (line)
            buf_addf(ret_text, "line %u", line);
        else
            buf_add_str(ret_text, "default");
    }
    buf_addf(ret_text, "%s\n", rest ? rest : "");
}

static void show_text(const struct policy *policy, struct buf *ret_text)
{
    size_t count;
    const struct schema_key *keys = schema_keys(&count);
    buf_addf(ret_text, "# policy %s\n", policy->name);
    for (size_t i = 0; i < count; i++)
        if (is_shown(&keys[i], policy))
            show_key(&keys[i], policy, ret_text);
}

static void json_add_list(struct json *object, const char *key, const struct policy_list *list)
{
    struct json *array = json_add_array(object, key);
    for (size_t i = 0; i < list->count; i++)
        json_append_str(array, list->items[i]);
}

static void json_add_commands(struct json *object, const char *key, const struct policy_commands *commands)
{
    struct json *array = json_add_array(object, key);
    for (size_t i = 0; i < commands->count; i++) {
        struct json *command = json_append_object(array);
        char timeout[UNITS_TEXT_MAX];
        units_format_duration(timeout, commands->items[i].timeout_s);
        json_add_list(command, "command", &commands->items[i].argv);
        json_add_str(command, "name", commands->items[i].name[0] ? commands->items[i].name : NULL);
        json_add_str(command, "timeout", timeout);
    }
}

static void json_add_sources(struct json *object, const struct policy *policy);

static void json_add_value(struct json *object, const struct schema_key *key, const void *base);

static void json_add_stores(struct json *object, const struct policy_stores *stores)
{
    size_t count;
    const struct schema_key *keys = schema_keys(&count);
    struct json *array = json_add_array(object, "offsite");
    for (size_t i = 0; i < stores->count; i++) {
        struct json *parents[SHOW_DEPTH + 1] = { NULL, json_append_object(array) };
        for (size_t k = 0; k < count; k++) {
            unsigned depth = depth_of(&keys[k]);
            if (!is_copy_key(&keys[k], &stores->items[i]))
                continue;
            if (keys[k].type == SCHEMA_MAP)
                parents[depth + 1] = json_add_object(parents[depth], schema_leaf(&keys[k]));
            else
                json_add_value(parents[depth], &keys[k], &stores->items[i]);
        }
    }
}

static void json_add_checks(struct json *object, const struct policy_verification *verify)
{
    size_t count;
    const struct schema_key *keys = schema_keys(&count);
    struct json *array = json_add_array(object, "checks");
    for (size_t i = 0; i < verify->check_count; i++) {
        struct json *check = json_append_object(array);
        for (size_t k = 0; k < count; k++) {
            _cleanup_buf_ struct buf value = { 0 };
            if (is_given(&keys[k], &verify->checks[i], &value))
                json_add_value(check, &keys[k], &verify->checks[i]);
        }
    }
}

static void json_add_value(struct json *object, const struct schema_key *key, const void *base)
{
    const void *at = (const char *)base + key->offset;
    _cleanup_buf_ struct buf text = { 0 };
    switch (key->type) {
    case SCHEMA_SOURCES: json_add_sources(object, base); return;
    case SCHEMA_COMMANDS: json_add_commands(object, schema_leaf(key), at); return;
    case SCHEMA_STORES: json_add_stores(object, at); return;
    case SCHEMA_CHECKS: json_add_checks(object, &((const struct policy *)base)->verify); return;
    case SCHEMA_STORE: json_add_str(object, schema_leaf(key), ((const struct policy_store *)at)->url); return;
    case SCHEMA_PATH:
    case SCHEMA_URL: json_add_str(object, schema_leaf(key), *(char *const *)at); return;
    case SCHEMA_PATTERNS:
    case SCHEMA_NAMES:
    case SCHEMA_ENV:
    case SCHEMA_ARGV:
    case SCHEMA_SCHEDULE:
    case SCHEMA_POLICIES:
    case SCHEMA_PATHS:
    case SCHEMA_RECIPIENTS: json_add_list(object, schema_leaf(key), at); return;
    case SCHEMA_BOOL: json_add_bool(object, schema_leaf(key), *(const bool *)at); return;
    case SCHEMA_NUMBER: json_add_u64(object, schema_leaf(key), *(const uint64_t *)at); return;
    case SCHEMA_MAP_OR_NONE: json_add_str(object, schema_leaf(key), word_for_none(key)); return;
    default:
        schema_get(key, base, &text);
        json_add_str(object, schema_leaf(key), buf_str(&text));
    }
}

static void json_add_said(struct json *object, const struct policy_source *source)
{
    size_t count;
    const struct schema_key *keys = schema_keys(&count);
    struct json *parent = object;
    for (size_t k = 0; k < count; k++) {
        if (!is_said(&keys[k], source))
            continue;
        if (schema_is_below(&keys[k], "sources"))
            parent = object;
        if (keys[k].type == SCHEMA_MAP_OR_NONE && source->snapshot.wanted)
            parent = json_add_object(object, schema_leaf(&keys[k]));
        else
            json_add_value(parent, &keys[k], source);
    }
}

static void json_add_sources(struct json *object, const struct policy *policy)
{
    struct json *array = json_add_array(object, "sources");
    for (size_t i = 0; i < policy->source_count; i++) {
        struct json *source = json_append_object(array);
        json_add_str(source, "path", policy->sources[i].path);
        json_add_said(source, &policy->sources[i]);
    }
    for (size_t i = 0; i < policy->stream_count; i++)
        json_add_said(json_add_object(json_append_object(array), "stream"), &policy->streams[i]);
}

static bool is_map(const struct schema_key *key, const struct policy *policy)
{
    return key->type == SCHEMA_MAP || (key->type == SCHEMA_MAP_OR_NONE && *(const bool *)((const char *)policy + key->offset)) ||
           (key->type == SCHEMA_STORE && policy_store_is_remote(&policy->repository));
}

static struct json *show_json(const struct policy *policy)
{
    size_t count;
    const struct schema_key *keys = schema_keys(&count);
    struct json *line = json_line_new("policy");
    json_add_str(line, "name", policy->name);
    json_add_str(line, "file", policy->file);
    struct json *parents[SHOW_DEPTH + 1] = { json_add_object(line, "values") }, *lines = json_add_object(line, "lines");
    for (size_t i = 0; i < count; i++) {
        const struct schema_key *key = &keys[i];
        unsigned set_at = policy->key_lines[i];
        if (!is_shown(key, policy))
            continue;
        if (set_at)
            json_add_u64(lines, key->name, set_at);
        else
            json_add_null(lines, key->name);
        unsigned depth = depth_of(key);
        if (is_map(key, policy))
            parents[depth + 1] = json_add_object(parents[depth], schema_leaf(key));
        else
            json_add_value(parents[depth], key, base_of(key, policy));
    }
    return line;
}

int cmd_policy_show(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_policy_ struct policy policy = { 0 };
    _cleanup_buf_ struct buf text = { 0 };
    int rc = context_load_policy(ctx, args->values[0], &policy, err);
    if (rc < 0)
        return rc;
    if (ctx->json) {
        struct json *line = show_json(&policy);
        return json_line_print(&line, stdout, err);
    }
    show_text(&policy, &text);
    if (fputs(buf_str(&text), stdout) == EOF || fflush(stdout) != 0)
        return error_set(err, ERROR_FAILED, "cannot write to standard output");
    return 0;
}
