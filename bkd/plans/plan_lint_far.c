#include "bkd/plans/plan_lint_far.h"

#include "bkd/dr/check.h"
#include "bkd/proof/verifying.h"

// The first host that the system is restored on, other than this one; NULL = in no scenario.
static const struct recovery_host *find_far_host(const struct recovery *plan, const struct recovery_system *system)
{
    const struct recovery_host *host = recovery_find_destination(plan, system, NULL).host;
    for (size_t i = 0; i < system->target_count && host == NULL; i++)
        host = recovery_find_destination(plan, system, system->targets[i].scenario).host;
    return host;
}

static void lint_restore(const struct recovery_step *step, const struct policy *policy, const struct recovery_host *host, struct policy_errors *errors)
{
    const struct policy_store *place;
    struct error err;
    if (verifying_find_place(policy, step->from, &place, &err) < 0)
        policy_errors_add(errors, step->at.line, step->at.column, 1, "correct 'from'", "step '%s': %s", step->id, err.text);
    else if (!policy_store_is_remote(place))
        policy_errors_add(errors, step->at.line, step->at.column, 1, "restore from a copy on a server: name it in 'from'",
                          "step '%s': host '%s' cannot read '%s', a directory of this one", step->id, host->name, place->url);
}

static void lint_checks(const struct recovery_step *step, const struct policy *policy, const struct recovery_host *host, struct policy_errors *errors)
{
    bool own = step->check_count > 0;
    const struct policy_check *checks = own ? step->checks : policy->verify.checks;
    size_t n = own ? step->check_count : policy->verify.check_count;
    for (size_t i = 0; i < n; i++) {
        if (checks[i].type == POLICY_CHECK_COMMAND)
            continue;
        policy_errors_add(errors, step->at.line, step->at.column, 1, "list checks of type command for the step; the others belong into the policy, for `bkd verify`",
                          "step '%s': a check of type %s works on this host only, and its system is restored on host '%s'", step->id, check_type_name(checks[i].type), host->name);
        return;
    }
}

void plan_lint_far(const struct context *ctx, const struct recovery *plan, struct policy_errors *errors)
{
    for (size_t i = 0; i < plan->step_count; i++) {
        const struct recovery_step *step = &plan->steps[i];
        const struct recovery_system *system = recovery_find_system(plan, step->system);
        const struct recovery_host *host = system == NULL ? NULL : find_far_host(plan, system);
        _cleanup_policy_ struct policy policy = { 0 };
        _cleanup_policy_errors_ struct policy_errors ignored = { 0 }; // `bkd policy check` tells
        struct error err;
        if (host == NULL || system->policy[0] == '\0' || (step->type != RECOVERY_RESTORE && step->type != RECOVERY_CHECK))
            continue;
        _cleanup_free_ char *path = context_policy_path(ctx, system->policy);
        if (policy_load(ctx->io, path, &policy, &ignored, &err) < 0)
            continue;
        if (step->type == RECOVERY_RESTORE)
            lint_restore(step, &policy, host, errors);
        else
            lint_checks(step, &policy, host, errors);
    }
}
