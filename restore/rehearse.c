#include "restore/rehearse.h"

#include <linux/stat.h>

#include "bkd/base/dirchain.h"

static void look_at(const struct io *io, struct dirchain *chain, const struct manifest_entry *e, const char *below, struct report *report)
{
    int dirfd;
    const char *name;
    struct statx st;
    struct error ignored; // what cannot be reached does not exist yet, or its directory's name is what is taken
    if (dirchain_parent(chain, below, &dirfd, &name, &ignored) < 0 || io_stat(io, dirfd, name, AT_SYMLINK_NOFOLLOW, &st, &ignored) < 0)
        return;
    if (e->type == MANIFEST_DIR && S_ISDIR(st.stx_mode))
        report->existing_dirs++;
    else if (e->type != MANIFEST_SOCKET)
        report_problem(report, REPORT_EXISTS, buf_str(&e->path), "");
}

int rehearse_run(const struct io *io, struct plan *plan, const char *target, unsigned strip, struct report *report, struct error *err)
{
    _cleanup_dirchain_ struct dirchain chain = { .root_fd = -1 };
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    struct error ignored;
    if (dirchain_init(&chain, io, target, &ignored) < 0)
        return 0;
    int r = plan_rewind(plan, err);
    while (r == 0 && (r = plan_next(plan, &e, &role, &later, err)) == 0 && e != NULL) {
        const char *below = plan_strip(buf_str(&e->path), strip);
        bool left_out = report->streams > 0 && e->path.data[0] != '/';
        if (below != NULL && !left_out)
            look_at(io, &chain, e, below, report);
    }
    return r;
}
