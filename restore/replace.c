#include "restore/replace.h"

#include <errno.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <sys/sysmacros.h>

#include "restore/prune.h"

// A free name is taken at one moment. Where the file system can neither refuse a taken name when renaming nor make hard links (exfat and others
// through FUSE), an empty file made exclusively holds the name for the moment between. A crash there leaves it empty beside the part.
static int take_name(const struct io *io, int dirfd, const char *part, const char *name, struct error *err)
{
    int fd = -1;
    struct statx st;
    struct error ignored;
    int r = io_rename_new(io, dirfd, part, dirfd, name, err);
    bool unable = r < 0 && (err->os_errno == EPERM || err->os_errno == EOPNOTSUPP || err->os_errno == ENOSYS);
    if (!unable || io_stat(io, dirfd, part, AT_SYMLINK_NOFOLLOW, &st, &ignored) < 0 || S_ISDIR(st.stx_mode))
        return r;
    r = io_open(io, dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &fd, err);
    io_close_quietly(io, &fd);
    if (r < 0)
        return r;
    r = io_rename_over(io, dirfd, part, dirfd, name, err);
    if (r < 0)
        (void)io->unlinkat(io, dirfd, name, 0); // the failure is what gets reported
    return r;
}

static int check_is(const struct io *io, int dirfd, const char *name, const struct target_id *id, bool *ret_is_dir, struct error *err)
{
    struct statx st;
    int r = io_stat(io, dirfd, name, AT_SYMLINK_NOFOLLOW, &st, err);
    if (r < 0)
        return r;
    struct target_id now = { makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_ino };
    *ret_is_dir = S_ISDIR(st.stx_mode);
    return target_id_equal(&now, id) ? 0 : error_set(err, ERROR_FAILED, "it was replaced by somebody during the restore");
}

static int prune_old(const struct io *io, int dirfd, const char *name, const struct target_id *all_but, bool count_only, struct error *err)
{
    struct prune prune = { .io = io, .spared = all_but, .n_spared = 1, .count_only = count_only };
    int r = prune_name(&prune, dirfd, name) ? 0 : error_set(err, ERROR_EXISTS, "the directory in the way cannot be removed: %s", buf_str(&prune.why));
    prune_done(&prune);
    return r;
}

static int remove_old(const struct io *io, int dirfd, const char *name, bool is_dir, const struct target_id *all_but,
                      struct error *err)
{
    if (io->unlinkat(io, dirfd, name, is_dir ? AT_REMOVEDIR : 0) == 0)
        return 0;
    if (!is_dir || (errno != ENOTEMPTY && errno != EEXIST))
        return error_set_errno(err, errno, "remove what stood there");
    if (all_but == NULL)
        return error_set(err, ERROR_EXISTS, "a directory that is not empty is in the way (--delete removes it)");
    return prune_old(io, dirfd, name, all_but, false, err);
}

// Where two names cannot be exchanged at one moment.
static int replace_in_steps(const struct io *io, int dirfd, const char *part, const char *name, const struct target_id *old,
                            const struct target_id *all_but, struct error *err)
{
    bool is_dir = false;
    struct statx st;
    int r = check_is(io, dirfd, name, old, &is_dir, err);
    if (r < 0)
        return r;
    if (io_stat(io, dirfd, part, AT_SYMLINK_NOFOLLOW, &st, err) < 0)
        return err->code;
    if (!is_dir && !S_ISDIR(st.stx_mode))
        return io_rename_over(io, dirfd, part, dirfd, name, err);
    r = remove_old(io, dirfd, name, is_dir, all_but, err);
    return r < 0 ? r : take_name(io, dirfd, part, name, err);
}

static int undo(const struct io *io, int dirfd, const char *part, const char *name, struct error *err)
{
    if (io->renameat2(io, dirfd, part, dirfd, name, RENAME_EXCHANGE) < 0) {
        struct error why = *err;
        return error_set(err, ERROR_FAILED, "%.500s; what stood there is now '%s'", why.text, part);
    }
    return err->code;
}

int replace_name(const struct io *io, int dirfd, const char *part, const char *name, const struct target_id *old,
                 const struct target_id *all_but, struct error *err)
{
    bool is_dir = false;
    if (old == NULL)
        return take_name(io, dirfd, part, name, err);
    if (all_but != NULL && prune_old(io, dirfd, name, all_but, true, err) < 0) // before anything of it is gone
        return err->code;
    if (io->renameat2(io, dirfd, part, dirfd, name, RENAME_EXCHANGE) < 0) {
        if (errno == ENOENT) // gone meanwhile
            return take_name(io, dirfd, part, name, err);
        if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP && errno != EXDEV)
            return error_set_errno(err, errno, "replace it");
        return replace_in_steps(io, dirfd, part, name, old, all_but, err);
    }
    int r = check_is(io, dirfd, part, old, &is_dir, err);
    if (r == 0)
        r = remove_old(io, dirfd, part, is_dir, all_but, err);
    return r < 0 ? undo(io, dirfd, part, name, err) : 0;
}

void replace_discard(const struct io *io, int dirfd, const char *part)
{
    struct prune prune = { .io = io };
    (void)prune_name(&prune, dirfd, part); // what cannot go stays aside, and its name says what it is
    prune_done(&prune);
}
