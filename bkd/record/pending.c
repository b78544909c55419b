#include "bkd/record/pending.h"

#include <linux/stat.h>
#include <string.h>
#include <time.h>

#include "bkd/base/fs.h"
#include "bkd/base/log.h"

#define PENDING_MAX (64u << 20) // bytes; a run takes about one KiB
enum { LOCK_TRIES = 600 };      // of 50 ms: longer than a writer waits for the catalogue

// Others hold the lock while they append a line, or while one takes them all in.
static int lock(int fd, const char *path, struct error *err)
{
    for (int i = 0; !fs_try_lock(fd); i++) {
        if (i == LOCK_TRIES)
            return error_set(err, ERROR_BUSY, "'%s' is locked by another process", path);
        (void)nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
    }
    return 0;
}

static bool is_still_there(const struct io *io, int fd, const char *path)
{
    struct statx mine, named;
    struct error ignored;
    return io_stat(io, fd, "", AT_EMPTY_PATH, &mine, &ignored) == 0 && io_stat(io, AT_FDCWD, path, 0, &named, &ignored) == 0 && mine.stx_ino == named.stx_ino &&
           mine.stx_dev_major == named.stx_dev_major && mine.stx_dev_minor == named.stx_dev_minor;
}

// Opened and locked, and still the file of that name: who takes the lines in removes it.
static int open_locked(const struct io *io, const char *path, int flags, int *ret_fd, struct error *err)
{
    for (;;) {
        int fd = -1;
        int r = io_open(io, AT_FDCWD, path, flags | O_NOFOLLOW, 0600, &fd, err);
        if (r == 0)
            r = lock(fd, path, err);
        if (r == 0 && is_still_there(io, fd, path)) {
            *ret_fd = fd;
            return 0;
        }
        io_close_quietly(io, &fd);
        if (r < 0)
            return r;
    }
}

int pending_add(const struct io *io, const char *state_dir, const struct run_facts *facts, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/catalogue.pending", state_dir);
    _cleanup_buf_ struct buf line = { 0 };
    int fd = -1;
    buf_add_char(&line, '\n'); // ends what a full disk may have cut off before
    run_facts_format(facts, &line);
    int r = fs_make_dirs(io, AT_FDCWD, state_dir, 0700, err);
    if (r == 0)
        r = open_locked(io, path, O_RDWR | O_CREAT | O_APPEND, &fd, err);
    if (r == 0)
        r = io_write_all(io, fd, line.data, line.len, path, err);
    if (r == 0)
        r = io_fsync(io, fd, path, err);
    if (r == 0)
        r = fs_sync_parent(io, AT_FDCWD, path, err);
    io_close_quietly(io, &fd);
    return r;
}

static int take_line(struct catalogue *c, const char *line, size_t n, uint64_t *runs, struct error *err)
{
    _cleanup_run_facts_ struct run_facts facts = { 0 };
    int64_t id = 0;
    struct error why;
    if (n == 0)
        return 0;
    if (run_facts_parse(line, n, &facts, &why) < 0) {
        log_warn("a line of catalogue.pending is left out: %s", why.text);
        return 0;
    }
    ++*runs;
    return run_facts_save(c, &facts, &id, err);
}

static int take_lines(struct catalogue *c, const char *text, uint64_t *runs, struct error *err)
{
    int r = 0;
    for (const char *at = text; r == 0 && *at != '\0';) {
        size_t n = strcspn(at, "\n");
        r = take_line(c, at, n, runs, err);
        at += n + (at[n] == '\n');
    }
    return r;
}

static int take_file(struct catalogue *c, const char *path, uint64_t *ret_runs, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    int r = fs_read_file(c->io, AT_FDCWD, path, PENDING_MAX, &text, err);
    if (r == 0)
        r = catalogue_begin(c, err);
    if (r == 0)
        r = catalogue_end(c, take_lines(c, buf_str(&text), ret_runs, err), err);
    return r < 0 ? r : io_unlink(c->io, AT_FDCWD, path, 0, err);
}

int pending_take_in(struct catalogue *c, const char *state_dir, uint64_t *ret_runs, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/catalogue.pending", state_dir);
    struct error missing;
    int fd = -1;
    *ret_runs = 0;
    int r = open_locked(c->io, path, O_RDWR, &fd, &missing);
    if (r == ERROR_NOT_FOUND)
        return 0;
    if (r < 0) {
        *err = missing;
        return r;
    }
    r = take_file(c, path, ret_runs, err);
    io_close_quietly(c->io, &fd);
    return r;
}
