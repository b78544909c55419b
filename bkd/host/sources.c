#include "bkd/host/sources.h"

#include <stdlib.h>

#include "bkd/policy/schema.h"

// What a source says itself holds instead of what the policy says for all.
static const struct policy_list *markers_of(const struct policy *policy, const struct policy_source *source)
{
    return policy_source_line(source, "exclude_if_present") != 0 ? &source->exclude_if_present : &policy->exclude_if_present;
}

static void fill_rules(const struct policy *policy, const struct policy_source *source, struct exclude_rules *rules)
{
    const struct policy_list *markers = markers_of(policy, source);
    bool own_size = policy_source_line(source, "exclude_larger_than") != 0, own_nodump = policy_source_line(source, "exclude_nodump") != 0;
    rules->markers = (const char *const *)markers->items;
    rules->n_markers = markers->count;
    rules->larger_than_bytes = own_size ? source->exclude_larger_than_bytes : policy->exclude_larger_than_bytes;
    rules->nodump = own_nodump ? source->exclude_nodump : policy->exclude_nodump;
}
_Static_assert(POLICY_MARKERS_MAX <= EXCLUDE_MARKERS_MAX, "the scan notes markers in a word");

int sources_compile(const struct policy *policy, struct sources *ret_sources, struct error *err)
{
    struct sources s = { .count = policy->source_count };
    s.list = xcalloc(s.count, sizeof *s.list);
    s.rules = xcalloc(s.count, sizeof *s.rules);
    for (size_t i = 0; i < s.count; i++) {
        const struct policy_source *source = &policy->sources[i];
        struct pattern_set *patterns = NULL;
        if (policy_source_patterns(policy, source, &patterns, err) < 0) {
            sources_done(&s);
            return error_prefix(err, "source '%s'", source->path);
        }
        s.rules[i].patterns = patterns;
        fill_rules(policy, source, &s.rules[i]);
        s.list[i] = (struct scan_source){ .path = source->path, .exclude = &s.rules[i] };
    }
    *ret_sources = s;
    return 0;
}

void sources_done(struct sources *s)
{
    for (size_t i = 0; s->rules != NULL && i < s->count; i++) {
        struct pattern_set *patterns = (struct pattern_set *)s->rules[i].patterns; // ours; the rules only look
        pattern_set_free(&patterns);
    }
    free(s->rules);
    free(s->list);
    *s = (struct sources){ 0 };
}

static struct source_rule list_rule(const char *key, const struct policy_list *list, size_t rule)
{
    return (struct source_rule){ key, list->items[rule], list->lines[rule] };
}

static struct source_rule value_rule(const struct policy *policy, const struct policy_source *source, const char *key)
{
    unsigned own = source == NULL ? 0 : policy_source_line(source, key);
    return (struct source_rule){ key, "", own != 0 ? own : policy->key_lines[schema_index(schema_find("", key))] };
}

struct source_rule sources_rule(const struct policy *policy, size_t index, struct exclude_verdict verdict)
{
    const struct policy_source *source = &policy->sources[index];
    switch (verdict.reason) {
    case EXCLUDE_PATTERN:
        return verdict.rule < policy->exclude.count ? list_rule("exclude", &policy->exclude, verdict.rule)
                                                    : list_rule("exclude", &source->exclude, verdict.rule - policy->exclude.count);
    case EXCLUDE_MARKER: return list_rule("exclude_if_present", markers_of(policy, source), verdict.rule);
    case EXCLUDE_SIZE: return value_rule(policy, source, "exclude_larger_than");
    case EXCLUDE_NODUMP: return value_rule(policy, source, "exclude_nodump");
    case EXCLUDE_FILESYSTEM: return value_rule(policy, NULL, "one_filesystem");
    default: return (struct source_rule){ "", "", 0 };
    }
}
