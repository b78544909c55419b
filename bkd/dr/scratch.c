#include "bkd/dr/scratch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/base/userns.h"
#include "bkd/dr/clear.h"

#define PREFIX "bkd-verify-"
#define LOCK "lock"
enum { NAME_BYTES = 12 };

struct sweep {
    const struct io *io;
    const char *place;
    int userns_fd;
    uint64_t removed;
};

struct clearing {
    const struct io *io;
    const char *path;
};

static int clear(void *arg, void *result, struct error *err)
{
    const struct clearing *c = arg;
    (void)result;
    return clear_tree(c->io, c->path, err);
}

// Its files may belong to numbers that only the namespace knows.
static int clear_within(const struct io *io, int userns_fd, const char *path, struct error *err)
{
    return userns_call(userns_fd, clear, &(struct clearing){ io, path }, NULL, 0, NULL, err);
}

// The lock of a directory that is being removed by another process goes with it; one that cannot be taken belongs to the living.
static int sweep_one(void *arg, const char *name, unsigned char type, struct error *err)
{
    struct sweep *s = arg;
    struct error ignored; // it is somebody else's, or will be tried again by the next
    int lock_fd = -1;
    (void)type;
    (void)err;
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
        return 0;
    _cleanup_free_ char *path = xasprintf("%s/%s", s->place, name), *lock = xasprintf("%s/" LOCK, path);
    struct statx st;
    if (io_stat(s->io, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &st, &ignored) < 0 || !S_ISDIR(st.stx_mode) || st.stx_uid != geteuid())
        return 0;
    if (fs_lock(s->io, AT_FDCWD, lock, &lock_fd, &ignored) < 0)
        return 0;
    if (clear_within(s->io, s->userns_fd, path, &ignored) == 0)
        s->removed++;
    io_close_quietly(s->io, &lock_fd);
    return 0;
}

int scratch_make(const struct io *io, const char *place, struct scratch *ret_scratch, struct error *err)
{
    struct scratch s = { .io = io, .lock_fd = -1 };
    struct sweep sweep = { .io = io, .place = place };
    _cleanup_buf_ struct buf name = { 0 };
    uint8_t random[NAME_BYTES];
    s.userns_fd = sweep.userns_fd = userns_open(io);
    int r = fs_list_dir(io, AT_FDCWD, place, sweep_one, &sweep, err);
    if (r < 0) {
        scratch_done(&s);
        return r == ERROR_NOT_FOUND ? error_set(err, ERROR_FAILED, "there is no directory '%s' for scratch space: make it, or name another with verify.scratch", place)
                                    : error_prefix(err, "scratch space");
    }
    io_random(io, random, sizeof random);
    buf_add_hex(&name, random, sizeof random);
    s.path = xasprintf("%s/" PREFIX "%s", strcmp(place, "/") == 0 ? "" : place, buf_str(&name));
    s.tree = xasprintf("%s/tree", s.path);
    s.removed = sweep.removed;
    _cleanup_free_ char *lock = xasprintf("%s/" LOCK, s.path);
    r = io_mkdir(io, AT_FDCWD, s.path, 0711, err);
    if (r == 0 && chmod(s.path, 0711) < 0) // the mask may have taken the x away
        r = error_set(err, ERROR_FAILED, "scratch space '%s' cannot be opened for checks", s.path);
    if (r == 0)
        r = fs_lock(io, AT_FDCWD, lock, &s.lock_fd, err);
    if (r < 0) {
        scratch_done(&s);
        return error_prefix(err, "scratch space");
    }
    *ret_scratch = s;
    return 0;
}

int scratch_copy(const struct scratch *s, const char *name, const struct buf *content, char **io_path, struct error *err)
{
    if (s->userns_fd == 0)
        return 0;
    free(*io_path);
    *io_path = xasprintf("%s/%s", s->path, name);
    return fs_replace_file(s->io, AT_FDCWD, *io_path, 0600, content->data, content->len, err);
}

int scratch_remove(struct scratch *s, struct error *err)
{
    int r = s->path == NULL ? 0 : clear_within(s->io, s->userns_fd, s->path, err);
    if (s->path != NULL)
        io_close_quietly(s->io, &s->lock_fd);
    userns_close(s->io, &s->userns_fd);
    free(s->path);
    free(s->tree);
    s->path = s->tree = NULL;
    return r < 0 ? error_prefix(err, "scratch space stays behind") : 0;
}

void scratch_done(struct scratch *s)
{
    struct error err;
    if (scratch_remove(s, &err) < 0)
        log_warn("%s", err.text);
}
