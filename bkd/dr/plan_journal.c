#include "bkd/dr/plan_journal.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/fs.h"

#define JOURNAL_MAX (64u << 20)

static int end_torn_line(struct plan_journal *j, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    int r = fs_read_file(j->io, AT_FDCWD, j->path, JOURNAL_MAX, &text, err);
    if (r < 0 || text.len == 0 || buf_str(&text)[text.len - 1] == '\n')
        return r;
    return io_write_all(j->io, j->fd, "\n", 1, j->path, err);
}

int plan_journal_open(const struct io *io, const char *directory, struct plan_journal *ret_journal, struct error *err)
{
    struct plan_journal j = { .io = io, .path = xasprintf("%s/journal.jsonl", directory), .fd = -1, .lock_fd = -1 };
    _cleanup_free_ char *lock = xasprintf("%s/lock", directory);
    int r = fs_make_dirs(io, AT_FDCWD, directory, 0700, err);
    if (r == 0)
        r = fs_lock(io, AT_FDCWD, lock, &j.lock_fd, err);
    if (r == ERROR_BUSY)
        r = error_set(err, r, "this run is being carried out by another process; answer its questions with `bkd plan answer`");
    if (r == 0)
        r = io_open(io, AT_FDCWD, j.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600, &j.fd, err);
    if (r == 0)
        r = end_torn_line(&j, err);
    if (r == 0)
        r = fs_sync_parent(io, AT_FDCWD, j.path, err);
    pthread_mutex_init(&j.mutex, NULL);
    if (r == 0)
        *ret_journal = j;
    else
        plan_journal_close(&j);
    return r;
}

void plan_journal_close(struct plan_journal *j)
{
    if (j->path == NULL)
        return; // was never opened
    io_close_quietly(j->io, &j->fd);
    io_close_quietly(j->io, &j->lock_fd);
    pthread_mutex_destroy(&j->mutex);
    free(j->path);
    *j = (struct plan_journal){ .fd = -1, .lock_fd = -1 };
}

int plan_journal_write(struct plan_journal *j, struct json **line, bool sync, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    json_format(*line, &text);
    buf_add_char(&text, '\n');
    json_free(line);
    pthread_mutex_lock(&j->mutex);
    int r = io_write_all(j->io, j->fd, text.data, text.len, j->path, err);
    if (r == 0 && sync)
        r = io_fsync(j->io, j->fd, j->path, err);
    pthread_mutex_unlock(&j->mutex);
    return r;
}

int plan_journal_read(const struct io *io, const char *directory, plan_journal_visit_fn *visit, void *arg, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_free_ char *path = xasprintf("%s/journal.jsonl", directory);
    struct error ignored; // a torn line says nothing
    int r = fs_read_file(io, AT_FDCWD, path, JOURNAL_MAX, &text, err);
    if (r < 0)
        return r;
    for (const char *at = buf_str(&text); *at != '\0';) {
        size_t n = strcspn(at, "\n");
        _cleanup_json_ struct json *line = NULL;
        if (n > 0 && json_parse(at, n, &line, &ignored) == 0)
            visit(arg, line);
        at += n + (at[n] == '\n');
    }
    return 0;
}

bool plan_journal_is_alive(const struct io *io, const char *directory)
{
    _cleanup_free_ char *path = xasprintf("%s/lock", directory);
    struct error ignored;
    int fd = -1;
    bool is_alive = io_open(io, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0, &fd, &ignored) == 0 && fs_is_locked(fd);
    io_close_quietly(io, &fd);
    return is_alive;
}
