#include "bkd/policy/recovery_read.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/policy/policy_checks.h"
#include "bkd/policy/recovery_schema.h"
#include "bkd/policy/schema_read.h"
#include "bkd/policy/schema_times.h"

static void set_defaults(enum recovery_owner owner, void *base)
{
    struct error err;
    const struct schema_table *table = recovery_schema();
    for (size_t i = 0; i < table->count; i++)
        if (recovery_schema_owner(&table->keys[i]) == owner && table->keys[i].default_text && schema_set(&table->keys[i], table->keys[i].default_text, base, &err) < 0)
            abort(); // the table contradicts itself
}

// ---- lists of maps

// Makes room for n items, and says where the first and its successors stand.
static char *make_items(enum recovery_owner owner, void *base, size_t n, size_t *ret_size)
{
    struct recovery *plan = base;
    struct recovery_system *system = base;
    switch (owner) {
    case RECOVERY_OF_ROLE:
        plan->roles = xcalloc(n + 1, *ret_size = sizeof *plan->roles);
        plan->role_count = n;
        return (char *)plan->roles;
    case RECOVERY_OF_HOST:
        plan->hosts = xcalloc(n + 1, *ret_size = sizeof *plan->hosts);
        plan->host_count = n;
        return (char *)plan->hosts;
    case RECOVERY_OF_SYSTEM:
        plan->systems = xcalloc(n + 1, *ret_size = sizeof *plan->systems);
        plan->system_count = n;
        return (char *)plan->systems;
    case RECOVERY_OF_TARGET:
        system->targets = xcalloc(n + 1, *ret_size = sizeof *system->targets);
        system->target_count = n;
        return (char *)system->targets;
    default:
        plan->steps = xcalloc(n + 1, *ret_size = sizeof *plan->steps);
        plan->step_count = n;
        return (char *)plan->steps;
    }
}

static struct recovery_at *place_of(enum recovery_owner owner, void *item)
{
    switch (owner) {
    case RECOVERY_OF_ROLE: return &((struct recovery_role *)item)->at;
    case RECOVERY_OF_HOST: return &((struct recovery_host *)item)->at;
    case RECOVERY_OF_SYSTEM: return &((struct recovery_system *)item)->at;
    case RECOVERY_OF_TARGET: return &((struct recovery_target *)item)->at;
    default: return &((struct recovery_step *)item)->at;
    }
}

static void read_maps(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    enum recovery_owner owner = recovery_schema_owner_below(key->name);
    size_t size = 0;
    if (node->kind != POLICY_NODE_LIST || (key->min > 0 && node->count == 0)) {
        schema_report_form(r, key, node);
        return;
    }
    if (!schema_check_count(r, key, node, key->max))
        return;
    char *items = make_items(owner, base, node->count, &size);
    for (size_t i = 0; i < node->count; i++) {
        const struct policy_node *item = node->items[i];
        set_defaults(owner, items + i * size);
        *place_of(owner, items + i * size) = (struct recovery_at){ item->line, item->column };
        if (item->kind == POLICY_NODE_MAP)
            schema_read_map(r, item, key->name, items + i * size);
        else if (!item->spoiled)
            SCHEMA_REPORT(r, item, NULL, "an item of '%s' must be a map, not %s", schema_leaf(key), schema_kind_name(item));
    }
}

// ---- checks have the keys of policies

static void read_check_value(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    if (node->spoiled)
        return;
    if (key->type == SCHEMA_ARGV)
        schema_read_argv(r, key, node, base);
    else
        schema_read_scalar(r, key, node, base);
}

static void read_checks(struct schema_reader *r, const struct policy_node *node, struct recovery_step *step)
{
    struct schema_reader of_checks = { .table = schema_of_policies(), .errors = r->errors, .complete = r->complete, .read = read_check_value };
    policy_checks_read(&of_checks, schema_find("verify", "checks"), node, &step->checks, &step->check_count);
}

static void read_value(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    if (node->spoiled)
        return;
    switch (key->type) {
    case SCHEMA_PATH: schema_read_path(r, key, node, base); break;
    case SCHEMA_ARGV: schema_read_argv(r, key, node, base); break;
    case SCHEMA_WORDS: schema_read_words(r, key, node, base, 0, RECOVERY_WORDS_MAX); break;
    case SCHEMA_MAPS: read_maps(r, key, node, base); break;
    case SCHEMA_MAP_OR_NONE: schema_read_map_or_none(r, key, node, base); break;
    case SCHEMA_SCHEDULE: schema_times_read_schedule(r, key, node, base); break;
    case SCHEMA_CHECKS: read_checks(r, node, base); break;
    default: schema_read_scalar(r, key, node, base);
    }
}

void recovery_read(const struct policy_node *root, bool complete, struct recovery *plan, struct policy_errors *errors)
{
    struct schema_reader r = { .table = recovery_schema(), .errors = errors, .complete = complete, .read = read_value };
    set_defaults(RECOVERY_OF_PLAN, plan);
    if (root->kind != POLICY_NODE_MAP) {
        if (!root->spoiled)
            SCHEMA_REPORT(&r, root, NULL, "a plan is a map of keys such as 'steps:', not %s", schema_kind_name(root));
        return;
    }
    schema_read_map(&r, root, "", plan);
    if (plan->drill.schedule.count == 0)
        schema_list_add(&plan->drill.schedule, RECOVERY_DRILL_SCHEDULE, 0);
    recovery_rules_check(plan, root, complete, errors);
}
