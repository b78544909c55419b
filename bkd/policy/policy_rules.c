#include "bkd/policy/policy_rules.h"

#include <string.h>

#include "bkd/base/pattern.h"

// Is `path` the directory `dir` or something in it? Both are normalised.
static bool lies_in(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    if (strcmp(dir, "/") == 0)
        return true;
    return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

// The value of a key of a map; NULL when it is not there.
static const struct policy_node *value_of(const struct policy_node *map, const char *key)
{
    for (size_t i = 0; map->kind == POLICY_NODE_MAP && i < map->count; i += 2)
        if (map->items[i]->kind == POLICY_NODE_TEXT && strcmp(map->items[i]->text, key) == 0)
            return map->items[i + 1];
    return NULL;
}

// The node of a source's path: of a map, the value of "path".
static const struct policy_node *path_place(const struct policy_places *places, size_t index)
{
    const struct policy_node *item = places->sources->items[index], *path = value_of(item, "path");
    return path ? path : item;
}

#define REPORT(errors, node, hint, ...) policy_errors_add(errors, (node)->line, (node)->column, (node)->width, hint, __VA_ARGS__)

static void check_pair(const struct policy *policy, const struct policy_places *places, size_t first, size_t second, struct policy_errors *errors)
{
    const char *a = policy->sources[first].path, *b = policy->sources[second].path;
    const struct policy_node *place = path_place(places, second);
    unsigned line = path_place(places, first)->line;
    if (strcmp(a, b) == 0)
        REPORT(errors, place, NULL, "source '%s' is given twice, first on line %u", b, line);
    else if (lies_in(b, a))
        REPORT(errors, place, NULL, "source '%s' lies in source '%s' of line %u", b, a, line);
    else if (lies_in(a, b))
        REPORT(errors, place, NULL, "source '%s' contains source '%s' of line %u", b, a, line);
}

// Do the patterns keep the scan from ever reaching this directory? As the scan does, from the top down.
static bool is_excluded(const struct policy *policy, const struct policy_source *source, const char *directory)
{
    struct error err;
    _cleanup_pattern_set_ struct pattern_set *set = NULL;
    if (policy_source_patterns(policy, source, &set, &err) < 0)
        return false;
    const char *relative = directory + strlen(source->path);
    relative += *relative == '/';
    for (const char *end = relative; *end;) {
        end += strcspn(end, "/");
        _cleanup_free_ char *part = xstrndup(relative, (size_t)(end - relative));
        if (pattern_set_match(set, part, true, NULL))
            return true;
        end += *end == '/';
    }
    return false;
}

// A repository must not back itself up. what: "repository", "copy".
static void check_store(const struct policy *policy, const struct policy_places *places, size_t index, const struct policy_store *store,
                        const struct policy_node *store_place, const char *what, struct policy_errors *errors)
{
    const struct policy_source *source = &policy->sources[index];
    const struct policy_node *place = path_place(places, index);
    if (!store->url || policy_store_is_remote(store))
        return;
    if (strcmp(source->path, store->url) != 0 && lies_in(store->url, source->path)) {
        if (!is_excluded(policy, source, store->url))
            REPORT(errors, store_place, "exclude it there, or move it", "the %s lies in source '%s' of line %u", what, source->path, place->line);
    } else if (lies_in(source->path, store->url)) {
        REPORT(errors, place, NULL, "source '%s' lies in the %s '%s'", source->path, what, store->url);
    }
}

static void check_copy(const struct policy *policy, const struct policy_places *places, size_t index, struct policy_errors *errors)
{
    const struct policy_store *copy = &policy->offsite.items[index];
    const struct policy_node *place = places->offsite->items[index];
    if (!copy->url)
        return;
    if (policy->repository.url && strcmp(copy->url, policy->repository.url) == 0)
        REPORT(errors, place, NULL, "this copy is the repository itself");
    else if (policy->repository.url && lies_in(copy->url, policy->repository.url))
        REPORT(errors, place, NULL, "this copy lies in the repository '%s'", policy->repository.url);
    else if (policy->repository.url && lies_in(policy->repository.url, copy->url))
        REPORT(errors, place, NULL, "the repository '%s' lies in this copy", policy->repository.url);
    for (size_t i = 0; i < index; i++)
        if (policy->offsite.items[i].url && strcmp(copy->url, policy->offsite.items[i].url) == 0)
            REPORT(errors, place, NULL, "this copy is given twice, first on line %u", places->offsite->items[i]->line);
    if (copy->removable && policy_store_is_remote(copy))
        REPORT(errors, place, NULL, "'removable' is only for directories");
    for (size_t i = 0; i < policy->source_count; i++)
        if (policy->sources[i].path)
            check_store(policy, places, i, copy, place, "copy", errors);
}

// Each way of making a snapshot has keys of its own; what another one would need is a mistake, not ignored.
static void check_snapshot(const struct policy *policy, const struct policy_places *places, size_t index, struct policy_errors *errors)
{
    static const struct {
        const char *key;
        enum policy_snapshot_type type;
        const char *type_name;
        bool needed;
    } rules[] = {
        { "size", POLICY_SNAPSHOT_LVM, "lvm", false },
        { "place", POLICY_SNAPSHOT_BTRFS, "btrfs", false },
        { "path", POLICY_SNAPSHOT_COMMAND, "command", false },
        { "create", POLICY_SNAPSHOT_COMMAND, "command", true },
        { "release", POLICY_SNAPSHOT_COMMAND, "command", true },
    };
    const struct policy_node *snapshot = value_of(places->sources->items[index], "snapshot");
    if (!policy->sources[index].snapshot.wanted || !value_of(snapshot, "type"))
        return;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const struct policy_node *value = value_of(snapshot, rules[i].key);
        bool fits = policy->sources[index].snapshot.type == rules[i].type;
        if (value && !fits)
            REPORT(errors, value, NULL, "'%s' is only for 'type: %s'", rules[i].key, rules[i].type_name);
        if (!value && fits && rules[i].needed)
            REPORT(errors, snapshot, NULL, "'%s' is missing: 'type: %s' needs it", rules[i].key, rules[i].type_name);
    }
}

// A pattern with the source's own path in front would match nothing, and what it is meant to keep out would be stored.
static void check_patterns(const struct policy_node *list, const char *source, struct policy_errors *errors)
{
    for (size_t i = 0; list && list->kind == POLICY_NODE_LIST && i < list->count; i++) {
        const struct policy_node *item = list->items[i];
        const char *pattern = item->kind == POLICY_NODE_TEXT ? item->text : "";
        bool negated = pattern[0] == '!';
        const char *path = pattern + negated;
        if (strcmp(source, "/") == 0 || path[0] != '/' || !lies_in(path, source))
            continue;
        const char *rest = path + strlen(source);
        bool whole = rest[strspn(rest, "/")] == '\0';
        if (whole && !strchr(source + 1, '/')) // "/data/" in source /data cannot be said otherwise
            continue;
        _cleanup_free_ char *hint = !whole ? xasprintf("write '%s%s', or '%s' for what it says", negated ? "!" : "", rest, path + 1) : NULL;
        REPORT(errors, item, hint, "patterns are relative to the source, and this one begins with the path of source '%s'", source);
    }
}

static bool is_file_name(const char *name)
{
    for (const char *s = name; *s; s++)
        if (*s == '/' || (unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void check_stream_name(const struct policy *policy, const struct policy_places *places, size_t index, struct policy_errors *errors)
{
    const char *name = policy->sources[index].stream.name;
    const struct policy_node *place = value_of(value_of(places->sources->items[index], "stream"), "name");
    if (!is_file_name(name)) {
        REPORT(errors, place, NULL, "'%.60s' is not the name of a file", name);
        return;
    }
    for (size_t i = 0; i < index; i++) {
        const struct policy_node *stream = value_of(places->sources->items[i], "stream");
        if (policy->sources[i].stream.name && strcmp(policy->sources[i].stream.name, name) == 0)
            REPORT(errors, place, NULL, "stream '%.60s' is given twice, first on line %u", name, value_of(stream, "name")->line);
    }
}

// A source has a path, or it is a stream and nothing else.
static void check_kind(const struct policy *policy, const struct policy_places *places, size_t index, struct policy_errors *errors)
{
    const struct policy_node *item = places->sources->items[index], *stream = value_of(item, "stream");
    if (item->spoiled || item->kind != POLICY_NODE_MAP)
        return;
    for (size_t i = 0; stream && i < item->count; i += 2)
        if (item->items[i + 1] != stream && item->items[i]->kind == POLICY_NODE_TEXT)
            REPORT(errors, item->items[i], NULL, "'%.60s' cannot stand beside 'stream'", item->items[i]->text);
    if (places->complete && !stream && !value_of(item, "path"))
        REPORT(errors, item, NULL, "'path' is missing: an absolute path (or 'stream': a command)");
    if (policy->sources[index].stream.name)
        check_stream_name(policy, places, index, errors);
}

static void check_times(const struct policy *policy, const struct policy_places *places, struct policy_errors *errors)
{
    bool window_ends = policy->window.length_s > 0 || policy->window.until_minute != POLICY_NO_MINUTE;
    const struct policy_node *at_end = places->window ? value_of(places->window, "at_end") : NULL;
    if (at_end && policy->window.at_end != POLICY_WINDOW_FINISH && !window_ends)
        REPORT(errors, at_end, NULL, "this window never ends: give it a 'length' or 'until'");
    if (policy->retry.max_delay_s < policy->retry.delay_s && places->retry) {
        const struct policy_node *max_delay = value_of(places->retry, "max_delay");
        REPORT(errors, max_delay ? max_delay : places->retry, NULL, "'max_delay' is shorter than 'delay'");
    }
    for (size_t i = 0; i < policy->after.count && policy->name; i++)
        if (strcmp(policy->after.items[i], policy->name) == 0)
            REPORT(errors, places->after->kind == POLICY_NODE_LIST ? places->after->items[i] : places->after, NULL, "a policy cannot come after itself");
}

// Is it a word, the repository, or a copy that the policy has?
static bool is_place(const struct policy *policy, const char *from)
{
    bool found = strcmp(from, "auto") == 0 || strcmp(from, "repository") == 0 || strcmp(from, "offsite") == 0 || (policy->repository.url && strcmp(from, policy->repository.url) == 0);
    for (size_t i = 0; i < policy->offsite.count && !found; i++)
        found = policy->offsite.items[i].url && strcmp(from, policy->offsite.items[i].url) == 0;
    return found;
}

static void check_verification(const struct policy *policy, const struct policy_places *places, struct policy_errors *errors)
{
    const struct policy_verification *v = &policy->verify;
    const struct policy_node *from = places->verify ? value_of(places->verify, "from") : NULL, *scratch = places->verify ? value_of(places->verify, "scratch") : NULL;
    if (from && v->from && places->complete && !is_place(policy, v->from))
        REPORT(errors, from, "write auto, repository or offsite, or the address as it stands below 'offsite'", "'%.200s' is neither the repository nor a copy of this policy", v->from);
    if (from && v->from && places->complete && strcmp(v->from, "offsite") == 0 && policy->offsite.count == 0 && !places->offsite && policy->source_count > 0)
        REPORT(errors, from, "list one below 'offsite', or write repository", "there is no copy elsewhere to verify from");
    if (scratch && v->scratch && v->scratch[0] != '/')
        REPORT(errors, scratch, NULL, "'scratch' must be an absolute path");
}

void policy_rules_check(const struct policy *policy, const struct policy_places *places, struct policy_errors *errors)
{
    for (size_t i = 0; i < policy->source_count; i++) {
        check_kind(policy, places, i, errors);
        if (!policy->sources[i].path)
            continue;
        for (size_t j = 0; j < i; j++)
            if (policy->sources[j].path)
                check_pair(policy, places, j, i, errors);
        check_store(policy, places, i, &policy->repository, places->repository, "repository", errors);
        check_snapshot(policy, places, i, errors);
        check_patterns(value_of(places->sources->items[i], "exclude"), policy->sources[i].path, errors);
        check_patterns(places->exclude, policy->sources[i].path, errors);
    }
    for (size_t i = 0; i < policy->offsite.count; i++)
        check_copy(policy, places, i, errors);
    check_times(policy, places, errors);
    check_verification(policy, places, errors);
    if (places->recipients && policy->recipients.count == 1 && policy_is_recipient(policy->recipients.items[0]) && !policy->allow_single_recipient)
        REPORT(errors, places->recipients, "add one, or set 'allow_single_recipient: true'",
               "a single recipient: when its identity is lost, so is every backup");
}
