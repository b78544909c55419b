// Snapshots of the logical volume that a source's file system is on, mounted read-only.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/around/view.h"
#include "bkd/base/fs.h"
#include "bkd/base/shell.h"

#define FIELDS "vg_name,lv_name,pool_lv"

static bool exists(const struct view_system *system, const struct view *v)
{
    struct error ignored; // lvs says no more than that
    return view_run(system, v, NULL, &ignored, "lvs", "--noheadings", "-o", "lv_name", v->made, NULL) == 0;
}

// "  vg,lv,pool": the pool is empty for volumes that are not thin.
static int ask_volume(const struct view_system *system, const struct mount *m, struct view *v, struct error *err)
{
    _cleanup_buf_ struct buf said = { 0 };
    int r = view_run(system, v, &said, err, "lvs", "--noheadings", "--separator", ",", "-o", FIELDS, m->device, NULL);
    if (r == ERROR_NOT_FOUND) // there is no lvs
        return r;
    if (r < 0)
        return error_prefix(err, "it is on %s '%s', which is no logical volume; correct `snapshot` in the policy", m->type, m->device);
    _cleanup_free_ char *line = view_last_line(&said);
    char *lv = strchr(line, ','), *pool = lv == NULL ? NULL : strchr(lv + 1, ',');
    if (pool == NULL)
        return error_set(err, ERROR_FAILED, "`lvs` says '%s' of '%s', which is not understood", line, m->device);
    *lv++ = *pool++ = '\0';
    v->origin = xasprintf("%s/%s", line, lv);
    v->made = xasprintf("%s/%s", line, v->name);
    v->is_thin = pool[0] != '\0';
    return 0;
}

static int plan(const struct view_system *system, const struct policy_snapshot *policy, struct view *v, struct error *err)
{
    (void)policy;
    _cleanup_mount_ struct mount m = { 0 };
    int r = mounts_find(system->io, system->mounts_file, v->source, &m, err);
    if (r == 0)
        r = ask_volume(system, &m, v, err);
    if (r < 0)
        return r;
    v->filesystem = xstrdup(m.type);
    v->below = xasprintf("%s%s", strcmp(m.root, "/") == 0 ? "" : m.root, mounts_below(v->source, m.place));
    _cleanup_free_ char *word = shell_word(v->made);
    if (exists(system, v))
        return error_set(err, ERROR_EXISTS, "volume '%s' is there already, and no run of this policy left it; remove it with `lvremove %s`", v->made, word);
    return 0;
}

static int make_volume(const struct view_system *system, const struct policy_snapshot *policy, const struct view *v, struct error *err)
{
    if (v->is_thin)
        return view_run(system, v, NULL, err, "lvcreate", "--snapshot", "--setactivationskip", "n", "--name", v->name, v->origin, NULL);
    if (policy->size_bytes == 0)
        return view_run(system, v, NULL, err, "lvcreate", "--snapshot", "--extents", "10%ORIGIN", "--name", v->name, v->origin, NULL);
    _cleanup_free_ char *size = xasprintf("%" PRIu64 "b", policy->size_bytes);
    return view_run(system, v, NULL, err, "lvcreate", "--snapshot", "--size", size, "--name", v->name, v->origin, NULL);
}

static int make(const struct view_system *system, const struct policy_snapshot *policy, const struct env *env, struct view *v, struct error *err)
{
    (void)env;
    _cleanup_free_ char *device = xasprintf("/dev/%s", v->made);
    // The snapshot can be written to, so that its journal is replayed; xfs refuses two file systems of one UUID unless it is told.
    const char *options = strcmp(v->filesystem, "xfs") == 0 ? "ro,nosuid,nodev,noexec,nouuid" : "ro,nosuid,nodev,noexec";
    int r = make_volume(system, policy, v, err);
    if (r == 0)
        r = fs_make_dirs(system->io, AT_FDCWD, v->mount, 0700, err);
    if (r == 0)
        r = view_run(system, v, NULL, err, "mount", "-t", v->filesystem, "-o", options, device, v->mount, NULL);
    if (r == 0)
        v->path = xasprintf("%s%s", v->mount, v->below);
    return r;
}

static int unmount(const struct view_system *system, const struct view *v, struct error *err)
{
    _cleanup_mount_ struct mount m = { 0 };
    int r = mounts_find(system->io, system->mounts_file, v->mount, &m, err);
    if (r == 0 && strcmp(m.place, v->mount) == 0)
        r = view_run(system, v, NULL, err, "umount", v->mount, NULL);
    if (r == 0 && rmdir(v->mount) < 0 && errno != ENOENT)
        r = error_set_errno(err, errno, "remove directory '%s'", v->mount);
    return r;
}

static int release(const struct view_system *system, const struct env *env, const struct view *v, struct error *err)
{
    (void)env;
    int r = unmount(system, v, err);
    return r < 0 || !exists(system, v) ? r : view_run(system, v, NULL, err, "lvremove", "--force", "--yes", v->made, NULL);
}

const struct view_kind view_lvm = { plan, make, release };
