#include "bkd/snapshots/spared.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/repo/manifest.h"

int spared_init(struct spared *s, const struct io *io, struct error *err)
{
    *s = (struct spared){ 0 };
    return dirchain_init(&s->chain, io, "/", err);
}

void spared_done(struct spared *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->paths[i].path);
        free(s->paths[i].pattern);
    }
    free(s->paths);
    if (s->chain.io != NULL)
        dirchain_done(&s->chain);
    *s = (struct spared){ 0 };
}

bool spared_is_there(struct spared *s, const char *path)
{
    struct statx st;
    struct error why;
    int dirfd;
    const char *name;
    int r = dirchain_parent(&s->chain, path, &dirfd, &name, &why);
    if (r == 0)
        r = io_stat(s->chain.io, dirfd, name, AT_SYMLINK_NOFOLLOW, &st, &why);
    return r == 0 || (why.os_errno != ENOENT && why.os_errno != ENOTDIR && why.os_errno != ELOOP); // who may not look cannot rule it out
}

char *spared_pattern(const char *path)
{
    _cleanup_buf_ struct buf pattern = { 0 };
    size_t n = strlen(path);
    for (size_t i = 0; i < n; i++) {
        if (strchr("\\*?[ ", path[i]) != NULL)
            buf_add_char(&pattern, '\\');
        buf_add_char(&pattern, path[i]);
    }
    return xstrdup(buf_str(&pattern));
}

bool spared_has(const struct spared *s, const char *path)
{
    for (size_t i = 0; i < s->n; i++)
        if (manifest_path_below(path, strlen(path), s->paths[i].path, strlen(s->paths[i].path)))
            return true;
    return false;
}

int spared_add(struct spared *s, const char *path, bool is_stored, struct error *err)
{
    const char *last = s->n == 0 ? NULL : s->paths[s->n - 1].path;
    if (last != NULL && manifest_path_below(path, strlen(path), last, strlen(last)))
        return 0;
    if (s->n == SPARED_MAX)
        return error_set(err, ERROR_FAILED,
                         "more than %u entries from '%s' on are left out by the policy today, or cannot be read, so what is there now cannot be saved: name the PATHs that "
                         "matter, or give --no-backup to put those back, too, without saving what is there",
                         (unsigned)SPARED_MAX, s->paths[0].path);
    s->paths = xrealloc(s->paths, (s->n + 1) * sizeof *s->paths);
    s->paths[s->n++] = (struct spared_path){ .path = xstrdup(path), .pattern = spared_pattern(path), .is_stored = is_stored };
    return 0;
}
