#include "bkd/store/sftp_server_make.h"

#include <errno.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS_MAX = 1024 }; // unfinished files of one session

// ---- parts of this session

// Also for those that ended badly: what is noted is removed at the session's end.
static void note_part(struct sftp_server *s, const char *name)
{
    s->parts = xrealloc(s->parts, (s->n_parts + 1) * sizeof *s->parts);
    s->parts[s->n_parts++] = xstrdup(name);
}

// s->n_parts: it is none.
static size_t find_part(const struct sftp_server *s, const char *path)
{
    _cleanup_free_ char *name = grow_dir_name(s->dir, path);
    size_t i = 0;
    while (i < s->n_parts && (name == NULL || strcmp(s->parts[i], name) != 0))
        i++;
    return i;
}

static int publish(struct sftp_server *s, size_t part, const char *path)
{
    int r = grow_dir_publish(s->dir, s->parts[part], path);
    if (r == 0) {
        free(s->parts[part]);
        s->parts[part] = s->parts[--s->n_parts];
    }
    return r;
}

void sftp_server_make_drop(struct sftp_server *s)
{
    for (size_t i = 0; i < s->n_parts; i++) {
        (void)grow_dir_drop_part(s->dir, s->parts[i]); // what stays takes space, nothing else
        free(s->parts[i]);
    }
    free(s->parts);
    s->parts = NULL;
    s->n_parts = 0;
}

// ---- opening

// CREAT makes a new file whether the client says EXCL or not, and of a new one there is nothing to truncate. What is there can be opened only when it is a part.
static bool is_overwriting(const struct sftp_server *s, const char *name, uint32_t flags)
{
    struct statx st;
    bool part = grow_dir_is_part(name);
    if ((flags & SFTP_OPEN_APPEND) != 0)
        return true;
    if ((flags & SFTP_OPEN_CREAT) == 0)
        return !part || (flags & SFTP_OPEN_TRUNC) != 0;
    return (!part || (flags & SFTP_OPEN_EXCL) == 0) && grow_dir_stat(s->dir, name, &st) == 0;
}

// Where what will have the name is written: a name that nobody else comes upon.
static char *part_of(const struct sftp_server *s, const char *name)
{
    uint8_t noise[8];
    char hex[2 * sizeof noise + 1];
    io_random(s->io, noise, sizeof noise);
    format_hex(hex, noise, sizeof noise);
    return xasprintf("%s" GROW_DIR_PART "%s", name, hex);
}

void sftp_server_make_open(struct sftp_server *s, struct buf *out, uint32_t id, const char *path, uint32_t flags)
{
    bool make = (flags & SFTP_OPEN_CREAT) != 0;
    int fd = -1;
    _cleanup_free_ char *name = grow_dir_name(s->dir, path);
    if (name == NULL || is_overwriting(s, name, flags)) {
        sftp_server_answer_refused(s, out, id, "open for overwriting", path);
        return;
    }
    if (make && s->n_parts == PARTS_MAX) {
        sftp_server_answer_status(out, id, SFTP_FAILURE, "too many unfinished files");
        return;
    }
    _cleanup_free_ char *part = grow_dir_is_part(name) ? xstrdup(name) : part_of(s, name);
    int r = make ? grow_dir_create(s->dir, part, &fd) : grow_dir_write(s->dir, part, &fd);
    if (r == -EPERM) {
        sftp_server_answer_refused(s, out, id, "open for writing", path);
        return;
    }
    if (r < 0) {
        sftp_server_answer_result(out, id, r);
        return;
    }
    if (make)
        note_part(s, part);
    struct sftp_server_handle *h = sftp_server_answer_handle(s, out, id, HANDLE_WRITE, fd);
    if (h != NULL && strcmp(part, name) != 0) {
        h->part = TAKE(part);
        h->final = TAKE(name);
    }
}

// ---- names

int sftp_server_make_end(struct sftp_server *s, struct sftp_server_handle *h)
{
    _cleanup_free_ char *part = TAKE(h->part), *final = TAKE(h->final);
    sftp_server_answer_handle_done(h); // first: nobody writes to what is published
    if (final == NULL)
        return 0;
    size_t i = find_part(s, part);
    return i == s->n_parts ? -ENOENT : publish(s, i, final);
}

void sftp_server_make_rename(struct sftp_server *s, struct buf *out, uint32_t id, const char *from, const char *to)
{
    size_t i = find_part(s, from);
    if (i == s->n_parts) {
        sftp_server_answer_refused(s, out, id, "rename", from);
        return;
    }
    int r = publish(s, i, to);
    if (r == -EPERM)
        sftp_server_answer_refused(s, out, id, "rename to", to);
    else
        sftp_server_answer_result(out, id, r);
}
