#include "bkd/policy/policy_trust.h"

#include <errno.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/shell.h"

struct file {
    const char *path, *noun, *does; // as in policy_trust_check_file
};

static int check_place(const struct io *io, const char *path, const struct file *file, struct error *err)
{
    struct statx st;
    int r = io_stat(io, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &st, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *word = shell_word(path);
    if (st.stx_uid != 0 && st.stx_uid != geteuid())
        return error_set(err, ERROR_USAGE, "%s '%s' %s, but '%s' belongs to another user (%u); correct it with `chown %s %s`", file->noun, file->path, file->does, path,
                         st.stx_uid, geteuid() == 0 ? "root" : "$USER", word);
    bool sticky = S_ISDIR(st.stx_mode) && (st.stx_mode & S_ISVTX) != 0;
    if ((st.stx_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky)
        return error_set(err, ERROR_USAGE, "%s '%s' %s, but others can write to '%s'; correct it with `chmod go-w %s`", file->noun, file->path, file->does, path, word);
    return 0;
}

int policy_trust_check_file(const struct io *io, const char *file, const char *noun, const char *does, struct error *err)
{
    _cleanup_free_ char *path = realpath(file, NULL);
    if (path == NULL)
        return error_set_errno(err, errno, "%s '%s'", noun, file);
    for (;;) {
        int r = check_place(io, path, &(struct file){ file, noun, does }, err);
        char *slash = strrchr(path, '/');
        if (r < 0 || slash[1] == '\0')
            return r;
        slash[slash == path] = '\0'; // the root keeps its own
    }
}

int policy_trust_check(const struct io *io, const struct policy *policy, struct error *err)
{
    return policy_names_commands(policy) ? policy_trust_check_file(io, policy->file, "policy", "names commands to run", err) : 0;
}
