#include "restore/stream_entries.h"

#include <linux/stat.h>
#include <string.h>

// Asked by inode: "/", "//" and "/mnt/.." are one directory.
static bool is_root_directory(const struct io *io, const char *target)
{
    struct statx root, st;
    struct error ignored; // what does not exist yet is not the root
    return io_stat(io, AT_FDCWD, "/", 0, &root, &ignored) == 0 && io_stat(io, AT_FDCWD, target, 0, &st, &ignored) == 0 && st.stx_ino == root.stx_ino &&
           st.stx_dev_major == root.stx_dev_major && st.stx_dev_minor == root.stx_dev_minor;
}

static bool takes_their_place(const struct manifest_entry *e, unsigned strip)
{
    const char *below = plan_strip(buf_str(&e->path), strip);
    return e->path.data[0] == '/' && below != NULL && manifest_path_below(below, strlen(below), STREAM_ENTRIES_DIR, strlen(STREAM_ENTRIES_DIR));
}

static bool are_named(const struct selection *selection)
{
    size_t n = 0;
    const char *const *bounds = selection == NULL ? NULL : selection_bounds(selection, &n);
    for (size_t i = 0; i < n; i++)
        if (bounds[i][0] != '/')
            return true;
    return false;
}

int stream_entries_check(struct plan *plan, const char *target, unsigned strip, bool *ret_leave, struct error *err)
{
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    *ret_leave = false;
    if (plan->totals.streams == 0)
        return 0;
    if (!are_named(plan->selection) && is_root_directory(plan->io, target)) {
        *ret_leave = true;
        return 0;
    }
    int r = plan_rewind(plan, err);
    while (r == 0 && (r = plan_next(plan, &e, &role, &later, err)) == 0 && e != NULL)
        if (takes_their_place(e, strip))
            return error_set(err, ERROR_USAGE, "'%s' would stand in the target where the streams go, '" STREAM_ENTRIES_DIR "'; nothing was restored. Restore them apart: "
                             "name PATHs, such as " STREAM_ENTRIES_DIR "/", buf_str(&e->path));
    return r;
}
