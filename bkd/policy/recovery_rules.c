#include <stdio.h>
#include <string.h>

#include "bkd/base/nearest.h"
#include "bkd/policy/recovery_graph.h"
#include "bkd/policy/recovery_read.h"
#include "bkd/policy/recovery_schema.h"

// The plan, and where its parts stand.
struct rules {
    const struct recovery *plan;
    struct policy_errors *errors;
};
#define REPORT(r, node, hint, ...) policy_errors_add((r)->errors, (node)->line, (node)->column, (node)->width, hint, __VA_ARGS__)

// The value of a key of a map, or NULL.
static const struct policy_node *value_of(const struct policy_node *map, const char *key)
{
    for (size_t i = 0; map != NULL && map->kind == POLICY_NODE_MAP && i + 1 < map->count; i += 2)
        if (map->items[i]->kind == POLICY_NODE_TEXT && strcmp(map->items[i]->text, key) == 0)
            return map->items[i + 1];
    return NULL;
}

static const struct policy_node *item_of(const struct policy_node *list, size_t i) { return list != NULL && list->kind == POLICY_NODE_LIST && i < list->count ? list->items[i] : NULL; }

// ---- names

typedef const char *name_fn(const struct recovery *plan, size_t i);
static const char *role_name(const struct recovery *plan, size_t i) { return i < plan->role_count ? plan->roles[i].name : NULL; }
static const char *host_name(const struct recovery *plan, size_t i) { return i < plan->host_count ? plan->hosts[i].name : NULL; }
static const char *system_name(const struct recovery *plan, size_t i) { return i < plan->system_count ? plan->systems[i].name : NULL; }
static const char *step_name(const struct recovery *plan, size_t i) { return i < plan->step_count ? plan->steps[i].id : NULL; }

struct kind {
    const char *noun, *list, *key;
    name_fn *name;
    size_t count;
};

static void check_names(const struct rules *r, const struct policy_node *root, const struct kind *kind)
{
    for (size_t i = 0; i < kind->count; i++) {
        const char *name = kind->name(r->plan, i);
        const struct policy_node *node = value_of(item_of(value_of(root, kind->list), i), kind->key);
        if (name == NULL || node == NULL)
            continue; // reported already
        if (!policy_is_name(name, strlen(name)))
            REPORT(r, node, NULL, "'%.60s' is no name: letters, digits, '-', '_' and '.' (not first), at most %u", name, POLICY_NAME_MAX);
        for (size_t k = 0; k < i; k++)
            if (kind->name(r->plan, k) != NULL && strcmp(kind->name(r->plan, k), name) == 0)
                REPORT(r, node, NULL, "there is another %s '%.60s'", kind->noun, name);
    }
}

static void check_word(const struct rules *r, const struct policy_node *node, const struct kind *kind, const char *word)
{
    struct nearest nearest = nearest_to(word);
    for (size_t i = 0; i < kind->count; i++) {
        const char *name = kind->name(r->plan, i);
        if (name != NULL && strcmp(name, word) == 0)
            return;
        if (name != NULL)
            nearest_offer(&nearest, name);
    }
    _cleanup_free_ char *hint = nearest.best == NULL ? xasprintf("name it below '%s'", kind->list) : xasprintf("did you mean '%s'?", nearest.best);
    REPORT(r, node, hint, "there is no %s '%.60s'", kind->noun, word);
}

// What a key of `map`, a word or a list of them, refers to.
static void check_reference(const struct rules *r, const struct policy_node *map, const char *key, const struct kind *kind)
{
    const struct policy_node *node = value_of(map, key);
    if (node != NULL && node->kind == POLICY_NODE_TEXT && node->text[0] != '\0')
        check_word(r, node, kind, node->text);
    for (size_t i = 0; node != NULL && node->kind == POLICY_NODE_LIST && i < node->count; i++)
        if (node->items[i]->kind == POLICY_NODE_TEXT)
            check_word(r, node->items[i], kind, node->items[i]->text);
}

// ---- values

// A date of the calendar: YYYY-MM-DD.
static bool is_date(const char *text)
{
    static const unsigned days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    unsigned year, month, day;
    char rest;
    if (strlen(text) != 10 || sscanf(text, "%4u-%2u-%2u%c", &year, &month, &day, &rest) != 3 || month < 1 || month > 12 || day < 1)
        return false;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return day <= days[month - 1] + (month == 2 && leap);
}

// What would be an option of ssh, or two arguments, is no address.
static bool is_address(const char *text)
{
    for (const unsigned char *s = (const unsigned char *)text; *s; s++)
        if (*s <= ' ' || *s == 0x7f)
            return false;
    return text[0] != '-' && text[0] != '\0' && (strstr(text, "://") == NULL || strncmp(text, "ssh://", 6) == 0);
}

static void check_target(const struct rules *r, const struct recovery_system *system, size_t index, const struct policy_node *map, const struct kind *hosts)
{
    const struct recovery_target *target = &system->targets[index];
    const struct policy_node *scenario = value_of(map, "scenario"), *host = value_of(map, "host"), *path = value_of(map, "path");
    if (scenario == NULL || value_of(map, "to") == NULL || target->scenario == NULL)
        return; // reported already
    check_reference(r, map, "host", hosts);
    if (!policy_is_name(target->scenario, strlen(target->scenario)))
        REPORT(r, scenario, NULL, "'%.60s' is no name of a scenario: letters, digits, '-', '_' and '.'", target->scenario);
    if (recovery_find_target(system, target->scenario) != target)
        REPORT(r, scenario, NULL, "there is another target for '%.60s'", target->scenario);
    if (target->to == RECOVERY_DIRECTORY && path == NULL)
        REPORT(r, map, NULL, "'path' is missing: which directory?");
    if (target->to != RECOVERY_DIRECTORY && path != NULL)
        REPORT(r, path, "write 'to: directory'", "'path' means something for a directory only");
    if (target->to == RECOVERY_SCRATCH && host != NULL)
        REPORT(r, host, NULL, "scratch space is on this host");
}

static void check_systems(const struct rules *r, const struct policy_node *list, const struct kind *systems, const struct kind *hosts)
{
    for (size_t i = 0; i < r->plan->system_count; i++) {
        const struct policy_node *map = item_of(list, i), *targets = value_of(map, "targets");
        check_reference(r, map, "after", systems);
        check_reference(r, map, "host", hosts);
        for (size_t k = 0; k < r->plan->systems[i].target_count; k++)
            check_target(r, &r->plan->systems[i], k, item_of(targets, k), hosts);
    }
}

static void check_fitting(const struct rules *r, const struct recovery_step *step, const struct policy_node *map, bool complete)
{
    const char *type = recovery_type_name(step->type);
    for (size_t i = 0; i + 1 < map->count; i += 2) {
        const struct policy_node *name = map->items[i];
        if (name->kind == POLICY_NODE_TEXT && recovery_schema_find("steps", name->text) != NULL && !recovery_schema_fits(name->text, step->type))
            REPORT(r, name, NULL, "a step of type %s has no '%s'", type, name->text);
    }
    for (const char *at = recovery_schema_needs(step->type); *at != '\0'; at += strcspn(at, " "), at += strspn(at, " ")) {
        _cleanup_free_ char *word = xstrndup(at, strcspn(at, " "));
        if (complete && value_of(map, word) == NULL)
            REPORT(r, map, NULL, "a step of type %s needs '%s'", type, word);
    }
}

static void check_step(const struct rules *r, const struct recovery_step *step, const struct policy_node *map, bool complete)
{
    const struct recovery_system *system = step->system == NULL ? NULL : recovery_find_system(r->plan, step->system);
    const struct policy_node *choices = value_of(map, "choices"), *host = value_of(map, "host");
    check_fitting(r, step, map, complete);
    if (step->type == RECOVERY_RESTORE && system != NULL && system->policy != NULL && system->policy[0] == '\0')
        REPORT(r, value_of(map, "system"), "give the system a 'policy'", "system '%.60s' has no policy to restore from", step->system);
    if (step->type == RECOVERY_DECISION && choices != NULL && step->choices.count < 2)
        REPORT(r, choices, NULL, "a decision has two choices at least");
    if (step->host != NULL && strcmp(step->host, "target") == 0 && system == NULL)
        REPORT(r, host, "give the step a 'system'", "'host: target' is where the step's system is restored to, and it has none");
}

static void check_steps(const struct rules *r, const struct policy_node *list, const struct kind kinds[4], bool complete)
{
    for (size_t i = 0; i < r->plan->step_count; i++) {
        const struct policy_node *map = item_of(list, i), *host = value_of(map, "host");
        if (map == NULL || map->kind != POLICY_NODE_MAP || value_of(map, "type") == NULL)
            continue; // reported already
        check_reference(r, map, "owner", &kinds[0]);
        if (host == NULL || host->kind != POLICY_NODE_TEXT || strcmp(host->text, "target") != 0)
            check_reference(r, map, "host", &kinds[1]);
        check_reference(r, map, "system", &kinds[2]);
        check_reference(r, map, "after", &kinds[3]);
        check_step(r, &r->plan->steps[i], map, complete);
    }
}

static void check_order(const struct rules *r)
{
    _cleanup_recovery_graph_ struct recovery_graph graph = { 0 };
    _cleanup_buf_ struct buf circle = { 0 };
    size_t step;
    for (size_t i = 0; i < r->plan->step_count; i++)
        if (r->plan->steps[i].id == NULL)
            return; // reported already
    recovery_graph_init(&graph, r->plan);
    if (recovery_graph_circle(&graph, r->plan, &circle, &step))
        policy_errors_add(r->errors, r->plan->steps[step].at.line, r->plan->steps[step].at.column, 1, "look at 'after' of these steps and of their systems",
                          "these steps wait for each other: %s", buf_str(&circle));
}

void recovery_rules_check(const struct recovery *plan, const struct policy_node *root, bool complete, struct policy_errors *errors)
{
    const struct rules r = { plan, errors };
    const struct policy_node *review = value_of(root, "review");
    const struct kind kinds[] = {
        { "role", "roles", "name", role_name, plan->role_count },
        { "host", "hosts", "name", host_name, plan->host_count },
        { "system", "systems", "name", system_name, plan->system_count },
        { "step", "steps", "id", step_name, plan->step_count },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        check_names(&r, root, &kinds[i]);
    for (size_t i = 0; i < plan->host_count; i++) {
        const struct policy_node *map = item_of(value_of(root, "hosts"), i), *address = value_of(map, "address");
        if (address != NULL && plan->hosts[i].address != NULL && !is_address(plan->hosts[i].address))
            REPORT(&r, address, NULL, "'address' must be HOST, USER@HOST or ssh://USER@HOST:PORT, not '%.80s'", plan->hosts[i].address);
        if (plan->hosts[i].name != NULL && strcmp(plan->hosts[i].name, "target") == 0)
            REPORT(&r, map, NULL, "no host can be called target: steps mean something else by it");
    }
    if (review != NULL && !is_date(plan->review))
        REPORT(&r, review, NULL, "'review' must be a date as 2027-05-01, not '%.40s'", plan->review);
    check_systems(&r, value_of(root, "systems"), &kinds[2], &kinds[1]);
    check_steps(&r, value_of(root, "steps"), kinds, complete);
    check_order(&r);
}
