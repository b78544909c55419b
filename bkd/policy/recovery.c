#include "bkd/policy/recovery.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/base/fs.h"
#include "bkd/policy/policy_checks.h"
#include "bkd/policy/policy_text.h"
#include "bkd/policy/policy_trust.h"
#include "bkd/policy/policy_yaml.h"
#include "bkd/policy/recovery_read.h"

static void free_all(char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(texts[i]);
}
#define FREE_ALL(...) \
    do { \
        char *const texts[] = { __VA_ARGS__ }; \
        free_all(texts, sizeof texts / sizeof *texts); \
    } while (0)

static void system_done(struct recovery_system *s)
{
    for (size_t i = 0; i < s->target_count; i++)
        FREE_ALL(s->targets[i].scenario, s->targets[i].host, s->targets[i].path);
    free(s->targets);
    policy_list_done(&s->after);
    FREE_ALL(s->name, s->description, s->policy, s->host);
}

static void step_done(struct recovery_step *s)
{
    policy_list_done(&s->after);
    policy_list_done(&s->command);
    policy_list_done(&s->choices);
    policy_checks_done(s->checks, s->check_count);
    FREE_ALL(s->id, s->title, s->system, s->owner, s->from, s->snapshot, s->host, s->instruction, s->message);
}

void recovery_done(struct recovery *p)
{
    for (size_t i = 0; i < p->role_count; i++)
        FREE_ALL(p->roles[i].name, p->roles[i].holder, p->roles[i].deputy, p->roles[i].contact, p->roles[i].deputy_contact, p->roles[i].place);
    for (size_t i = 0; i < p->host_count; i++)
        FREE_ALL(p->hosts[i].name, p->hosts[i].address, p->hosts[i].ssh_identity, p->hosts[i].ssh_known_hosts);
    for (size_t i = 0; i < p->system_count; i++)
        system_done(&p->systems[i]);
    for (size_t i = 0; i < p->step_count; i++)
        step_done(&p->steps[i]);
    policy_list_done(&p->drill.schedule);
    free(p->roles);
    free(p->hosts);
    free(p->systems);
    free(p->steps);
    FREE_ALL(p->name, p->file, p->description, p->review, p->drill.timezone);
    *p = (struct recovery){ 0 };
}

// ---- finding: items whose name could not be read have none

#define FIND(items, count, member, wanted) \
    for (size_t i = 0; i < (count); i++) \
        if ((items)[i].member != NULL && strcmp((items)[i].member, wanted) == 0) \
            return &(items)[i]; \
    return NULL

const struct recovery_role *recovery_find_role(const struct recovery *plan, const char *name) { FIND(plan->roles, plan->role_count, name, name); }
const struct recovery_host *recovery_find_host(const struct recovery *plan, const char *name) { FIND(plan->hosts, plan->host_count, name, name); }
const struct recovery_system *recovery_find_system(const struct recovery *plan, const char *name) { FIND(plan->systems, plan->system_count, name, name); }
const struct recovery_step *recovery_find_step(const struct recovery *plan, const char *id) { FIND(plan->steps, plan->step_count, id, id); }

const struct recovery_target *recovery_find_target(const struct recovery_system *system, const char *scenario)
{
    if (scenario == NULL)
        return NULL;
    FIND(system->targets, system->target_count, scenario, scenario);
}

struct recovery_destination recovery_find_destination(const struct recovery *plan, const struct recovery_system *system, const char *scenario)
{
    const struct recovery_target *target = recovery_find_target(system, scenario);
    struct recovery_destination d = { .to = target == NULL ? RECOVERY_IN_PLACE : (enum recovery_place)target->to, .tree = "/" };
    bool at_home = target == NULL || (target->to == RECOVERY_IN_PLACE && target->host[0] == '\0');
    if (d.to == RECOVERY_SCRATCH)
        d.tree = NULL;
    else
        d.host = recovery_find_host(plan, at_home ? system->host : target->host);
    if (d.to == RECOVERY_DIRECTORY)
        d.tree = target->path;
    return d;
}

bool recovery_has_scenario(const struct recovery *plan, const char *scenario)
{
    for (size_t i = 0; i < plan->system_count; i++)
        if (recovery_find_target(&plan->systems[i], scenario) != NULL)
            return true;
    return false;
}

// ---- reading

static char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash == NULL ? path : slash + 1;
    size_t n = strlen(base);
    return xstrndup(base, n > 5 && strcmp(base + n - 5, ".yaml") == 0 ? n - 5 : n);
}

// Takes *errors with file and text set.
static int parse_text(struct recovery *ret_plan, struct policy_errors *errors, struct error *err)
{
    _cleanup_recovery_ struct recovery plan = { 0 };
    _cleanup_policy_node_ struct policy_node *root = NULL;
    uint8_t hash[CRYPTO_SHA256_SIZE];
    bool complete;
    errors->noun = "plan";
    plan.name = name_of(errors->file);
    plan.file = xstrdup(errors->file);
    crypto_sha256(errors->text.data, errors->text.len, hash);
    format_hex(plan.sha256, hash, sizeof hash);
    if (policy_text_check(errors)) {
        policy_yaml_parse(errors, &root, &complete);
        if (root != NULL)
            recovery_read(root, complete, &plan, errors);
        else if (complete)
            policy_errors_add(errors, 1, 1, 1, NULL, "the file is empty; a plan has at least 'steps'");
    }
    if (errors->count > 0) {
        policy_errors_sort(errors);
        return error_set(err, ERROR_USAGE, "plan '%s' has %zu mistake%s", errors->file, errors->count, errors->count == 1 ? "" : "s");
    }
    *ret_plan = plan;
    plan = (struct recovery){ 0 };
    return 0;
}

int recovery_parse(const char *path, const void *text, size_t n, struct recovery *ret_plan, struct policy_errors *ret_errors, struct error *err)
{
    *ret_errors = (struct policy_errors){ .file = xstrdup(path) };
    if (n > POLICY_FILE_MAX)
        return error_set(err, ERROR_USAGE, "plan '%s' has %zu bytes, at most %u are allowed", path, n, POLICY_FILE_MAX);
    buf_add(&ret_errors->text, text, n);
    return parse_text(ret_plan, ret_errors, err);
}

int recovery_load(const struct io *io, const char *path, struct recovery *ret_plan, struct policy_errors *ret_errors, struct error *err)
{
    *ret_errors = (struct policy_errors){ .file = xstrdup(path) };
    int r = fs_read_file(io, AT_FDCWD, path, POLICY_FILE_MAX, &ret_errors->text, err);
    if (r < 0)
        return error_prefix(err, "plan");
    r = parse_text(ret_plan, ret_errors, err);
    if (r == 0 && (r = policy_trust_check_file(io, path, "plan", "says what is run", err)) < 0)
        recovery_done(ret_plan);
    return r;
}
