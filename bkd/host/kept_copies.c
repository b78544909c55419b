#include "bkd/host/kept_copies.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/policy/policy.h"

enum { FEW = 8 }; // so many are synced one by one: a whole file system may take minutes on a busy disk, which is not for an edit while the daemon works

struct kept_copy {
    char *aside, *path;
};

char *kept_copies_path(const char *state_dir, const char *policy) { return xasprintf("%s/accepted/%s.yaml", state_dir, policy); }

void kept_copies_begin(const struct io *io, const char *state_dir, struct kept_copies *ret_copies)
{
    *ret_copies = (struct kept_copies){ .io = io, .dir = xasprintf("%s/accepted", state_dir) };
}

static bool is_kept(const struct io *io, const char *path, const struct buf *text)
{
    _cleanup_buf_ struct buf kept = { 0 };
    struct error ignored; // then it is made anew
    return fs_read_file(io, AT_FDCWD, path, POLICY_FILE_MAX, &kept, &ignored) == 0 && kept.len == text->len && memcmp(kept.data, text->data, text->len) == 0;
}

static int write_copy(struct kept_copies *copies, const char *path, const struct buf *text, struct error *err)
{
    struct kept_copy copy = { 0 };
    int r = copies->count > 0 ? 0 : fs_make_dirs(copies->io, AT_FDCWD, copies->dir, 0700, err);
    if (r == 0)
        r = fs_write_aside(copies->io, AT_FDCWD, path, 0600, text->data, text->len, copies->count < FEW, &copy.aside, err);
    if (r < 0)
        return r;
    copy.path = xstrdup(path);
    copies->waiting = xrealloc(copies->waiting, (copies->count + 1) * sizeof *copies->waiting);
    copies->waiting[copies->count++] = copy;
    return 0;
}

void kept_copies_add(struct kept_copies *copies, const char *policy, const char *file, const char *path)
{
    _cleanup_buf_ struct buf text = { 0 };
    struct error err;
    int r = fs_read_file(copies->io, AT_FDCWD, file, POLICY_FILE_MAX, &text, &err);
    if (r == 0 && !is_kept(copies->io, path, &text))
        r = write_copy(copies, path, &text, &err);
    if (r < 0)
        log_warn("policy %s: no copy of it is kept for the case that its file gets mistakes: %s", policy, err.text);
}

// ---- all together ----------------------------------------------------------------------------------------------------------

static int name_all(const struct kept_copies *copies, int dir_fd, struct error *err)
{
    int r = copies->count <= FEW ? 0 : io_syncfs(copies->io, dir_fd, copies->dir, err);
    for (size_t i = 0; r == 0 && i < copies->count; i++)
        r = io_rename_over(copies->io, AT_FDCWD, copies->waiting[i].aside, AT_FDCWD, copies->waiting[i].path, err);
    return r < 0 ? r : io_fsync(copies->io, dir_fd, copies->dir, err);
}

void kept_copies_end(struct kept_copies *copies)
{
    struct error err;
    int dir_fd = -1, r = 0;
    if (copies->count > 0)
        r = io_open(copies->io, AT_FDCWD, copies->dir, O_RDONLY | O_DIRECTORY, 0, &dir_fd, &err);
    if (r == 0 && copies->count > 0)
        r = name_all(copies, dir_fd, &err);
    if (r < 0)
        log_warn("policies that are new have no copy for the case that their files get mistakes: %s", err.text);
    io_close_quietly(copies->io, &dir_fd);
    for (size_t i = 0; i < copies->count; i++) {
        if (r < 0)
            (void)copies->io->unlinkat(copies->io, AT_FDCWD, copies->waiting[i].aside, 0); // those that have their names are gone
        free(copies->waiting[i].aside);
        free(copies->waiting[i].path);
    }
    free(copies->waiting);
    free(copies->dir);
    *copies = (struct kept_copies){ 0 };
}
