#include "bkd/host/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/stat.h>
#include <pwd.h>
#include <unistd.h>

int privileges_join_owner(const struct io *io, const char *state_dir, bool *ret_joined, struct error *err)
{
    struct statx st;
    *ret_joined = false;
    if (geteuid() != 0)
        return 0;
    int r = io_stat(io, AT_FDCWD, state_dir, 0, &st, err);
    if (r == ERROR_NOT_FOUND || (r == 0 && st.stx_uid == 0))
        return 0;
    if (r < 0)
        return r;
    bool may_read = capng_have_capability(CAPNG_PERMITTED, CAP_DAC_READ_SEARCH) != 0; // a container may not have it
    capng_clear(CAPNG_SELECT_CAPS);
    if (may_read)
        (void)capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE, CAP_DAC_READ_SEARCH);
    capng_flags_t groups = getpwuid(st.stx_uid) != NULL ? CAPNG_INIT_SUPP_GRP : CAPNG_DROP_SUPP_GRP; // whom nobody knows is in none
    errno = 0;
    if (capng_change_id((int)st.stx_uid, (int)st.stx_gid, groups) != 0)
        return error_set_errno(err, errno != 0 ? errno : EPERM, "become user %u, whose state directory '%s' is", st.stx_uid, state_dir);
    if (may_read && capng_update(CAPNG_ADD, CAPNG_AMBIENT, CAP_DAC_READ_SEARCH) == 0)
        (void)capng_apply(CAPNG_SELECT_AMBIENT); // without it the runs it starts read what the user may
    *ret_joined = true;
    return 0;
}
