// Snapshots of the ZFS dataset that holds a source; they can be read below .zfs without a mount.
#include <string.h>

#include "bkd/around/view.h"
#include "bkd/base/shell.h"

static bool exists(const struct view_system *system, const struct view *v)
{
    struct error ignored; // zfs says no more than that
    return view_run(system, v, NULL, &ignored, "zfs", "list", "-H", "-t", "snapshot", "-o", "name", v->made, NULL) == 0;
}

static int plan(const struct view_system *system, const struct policy_snapshot *policy, struct view *v, struct error *err)
{
    (void)policy;
    _cleanup_mount_ struct mount m = { 0 };
    int r = mounts_find(system->io, system->mounts_file, v->source, &m, err);
    if (r < 0)
        return r;
    if (strcmp(m.type, "zfs") != 0)
        return error_set(err, ERROR_FAILED, "it is on %s, not on zfs; correct `snapshot` in the policy", m.type);
    v->origin = xstrdup(m.device);
    v->made = xasprintf("%s@%s", m.device, v->name);
    v->below = xasprintf("%s/.zfs/snapshot/%s%s", strcmp(m.place, "/") == 0 ? "" : m.place, v->name, mounts_below(v->source, m.place));
    _cleanup_free_ char *word = shell_word(v->made);
    if (exists(system, v))
        return error_set(err, ERROR_EXISTS, "'%s' is there already, and no run of this policy left it; remove it with `zfs destroy %s`", v->made, word);
    return 0;
}

static int make(const struct view_system *system, const struct policy_snapshot *policy, const struct env *env, struct view *v, struct error *err)
{
    (void)policy;
    (void)env;
    int r = view_run(system, v, NULL, err, "zfs", "snapshot", v->made, NULL);
    if (r == 0)
        v->path = xstrdup(v->below);
    return r;
}

static int release(const struct view_system *system, const struct env *env, const struct view *v, struct error *err)
{
    (void)env;
    return exists(system, v) ? view_run(system, v, NULL, err, "zfs", "destroy", v->made, NULL) : 0;
}

const struct view_kind view_zfs = { plan, make, release };
