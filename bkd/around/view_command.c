// Views made and released by commands of the policy: any way there is.
#include <stdlib.h>

#include "bkd/around/view.h"

static int plan(const struct view_system *system, const struct policy_snapshot *policy, struct view *v, struct error *err)
{
    (void)system;
    (void)err;
    size_t n = policy->release.count;
    v->release = xcalloc(n + 1, sizeof *v->release);
    for (size_t i = 0; i < n; i++)
        v->release[i] = xstrdup(policy->release.items[i]);
    return 0;
}

static int make(const struct view_system *system, const struct policy_snapshot *policy, const struct env *env, struct view *v, struct error *err)
{
    _cleanup_buf_ struct buf said = { 0 };
    int r = system->run(system, (const char *const *)policy->create.items, env, v->timeout_ms, &said, err);
    if (r == 0)
        v->path = policy->path != NULL ? xstrdup(policy->path) : view_last_line(&said);
    return r;
}

static int release(const struct view_system *system, const struct env *env, const struct view *v, struct error *err)
{
    return system->run(system, v->release, env, v->timeout_ms, NULL, err);
}

const struct view_kind view_command = { plan, make, release };
