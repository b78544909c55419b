// Snapshots of the btrfs subvolume that holds a source.
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>

#include "bkd/around/view.h"
#include "bkd/base/fs.h"
#include "bkd/base/shell.h"

#define SUBVOLUME_INODE 256 // of each subvolume's top directory (BTRFS_FIRST_FREE_OBJECTID)
#define DEFAULT_PLACE ".bkd-snapshots"

// The top directory of the subvolume that holds the source: upwards until the inode says so.
static int find_subvolume(const struct io *io, const char *source, char **ret_path, struct error *err)
{
    _cleanup_free_ char *path = xstrdup(source);
    for (;;) {
        struct statx st;
        int r = io_stat(io, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &st, err);
        if (r < 0)
            return r;
        if (st.stx_ino == SUBVOLUME_INODE && S_ISDIR(st.stx_mode))
            break;
        char *slash = strrchr(path, '/');
        if (slash[1] == '\0')
            return error_set(err, ERROR_FAILED, "'%s' lies in no btrfs subvolume", source);
        slash[slash == path] = '\0';
    }
    *ret_path = TAKE(path);
    return 0;
}

static int plan(const struct view_system *system, const struct policy_snapshot *policy, struct view *v, struct error *err)
{
    struct statfs fs;
    struct statx st;
    if (statfs(v->source, &fs) < 0)
        return error_set_errno(err, errno, "source '%s'", v->source);
    if (fs.f_type != BTRFS_SUPER_MAGIC)
        return error_set(err, ERROR_FAILED, "it is not on btrfs; correct `snapshot` in the policy");
    int r = find_subvolume(system->io, v->source, &v->origin, err);
    if (r < 0)
        return r;
    v->made = policy->place != NULL ? xasprintf("%s/%s", policy->place, v->name)
                                    : xasprintf("%s/" DEFAULT_PLACE "/%s", strcmp(v->origin, "/") == 0 ? "" : v->origin, v->name);
    r = io_stat(system->io, AT_FDCWD, v->made, AT_SYMLINK_NOFOLLOW, &st, err);
    if (r == ERROR_NOT_FOUND)
        return 0;
    _cleanup_free_ char *word = shell_word(v->made);
    return r < 0 ? r : error_set(err, ERROR_EXISTS, "'%s' is there already, and no run of this policy left it; remove it with `btrfs subvolume delete %s`", v->made, word);
}

static int make(const struct view_system *system, const struct policy_snapshot *policy, const struct env *env, struct view *v, struct error *err)
{
    (void)env;
    int r = 0;
    if (policy->place == NULL) {
        _cleanup_free_ char *place = xstrndup(v->made, (size_t)(strrchr(v->made, '/') - v->made));
        r = fs_make_dirs(system->io, AT_FDCWD, place, 0700, err);
    }
    if (r == 0)
        r = view_run(system, v, NULL, err, "btrfs", "subvolume", "snapshot", "-r", v->origin, v->made, NULL);
    if (r == 0)
        v->path = xasprintf("%s%s", v->made, mounts_below(v->source, v->origin));
    return r;
}

static int release(const struct view_system *system, const struct env *env, const struct view *v, struct error *err)
{
    (void)env;
    struct statx st;
    int r = io_stat(system->io, AT_FDCWD, v->made, AT_SYMLINK_NOFOLLOW, &st, err);
    if (r == ERROR_NOT_FOUND)
        return 0;
    return r < 0 ? r : view_run(system, v, NULL, err, "btrfs", "subvolume", "delete", v->made, NULL);
}

const struct view_kind view_btrfs = { plan, make, release };
