#include "bkd/planning.h"

#include <string.h>

int planning_load(const struct cmd_context *ctx, const char *plan, struct recovery *ret_plan, struct error *err)
{
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    if (strchr(plan, '/') == NULL && !policy_is_name(plan, strlen(plan)))
        return error_set(err, ERROR_USAGE, "'%s' is no name of a plan; give a name, or a path with a slash", plan);
    _cleanup_free_ char *path = planning_path(ctx, plan);
    int r = recovery_load(ctx->io, path, ret_plan, &errors, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_USAGE, "there is no plan '%s': write %s, or give --config-dir", plan, path);
    cmd_print_policy_errors(ctx, &errors);
    return r;
}

char *planning_path(const struct cmd_context *ctx, const char *plan)
{
    return strchr(plan, '/') != NULL ? xstrdup(plan) : xasprintf("%s/plans/%s.yaml", ctx->config_dir, plan);
}
