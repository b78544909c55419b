#include <string.h>

#include "bkd/repo/manifest.h"

#define WINDOW (256u << 10)

void manifest_reader_init(struct manifest_reader *r, const struct io *io, int fd, const char *name, uint64_t offset, uint64_t end)
{
    *r = (struct manifest_reader){ .io = io, .fd = fd, .name = name, .offset = offset, .end = end, .line_offset = offset };
    manifest_entry_reset(&r->entry);
}

void manifest_reader_done(struct manifest_reader *r)
{
    buf_done(&r->window);
    buf_done(&r->previous_path);
    manifest_entry_done(&r->entry);
}

// Moves what is left to the front and reads on; the window grows only for a line longer than it.
static int fill(struct manifest_reader *r, struct error *err)
{
    size_t left = r->window.len - r->at;
    if (left > MANIFEST_LINE_MAX)
        return error_set(err, ERROR_FORMAT, "'%s' offset %llu: a line longer than %u bytes", r->name,
                         (unsigned long long)(r->offset - left), MANIFEST_LINE_MAX);
    if (r->at > 0)
        memmove(r->window.data, r->window.data + r->at, left);
    r->window.len = left;
    r->at = 0;
    size_t want = r->end - r->offset < WINDOW ? (size_t)(r->end - r->offset) : WINDOW;
    buf_reserve(&r->window, want);
    size_t got = 0;
    int e = io_pread_full(r->io, r->fd, r->window.data + left, want, r->offset, r->name, &got, err);
    if (e < 0)
        return e;
    if (got < want)
        return error_set(err, ERROR_FORMAT, "'%s' ends at %llu, before the %llu bytes it should have", r->name,
                         (unsigned long long)(r->offset + got), (unsigned long long)r->end);
    (void)buf_extend(&r->window, got);
    r->offset += got;
    return 0;
}

// The next line, or NULL at the end.
static int next_line(struct manifest_reader *r, struct error *err)
{
    size_t searched = 0;
    for (;;) {
        size_t left = r->window.len - r->at;
        const char *start = (const char *)r->window.data + r->at;
        const char *lf = left > searched ? memchr(start + searched, '\n', left - searched) : NULL;
        if (lf != NULL) {
            r->line = start;
            r->line_len = (size_t)(lf - start);
            r->line_offset = r->offset - left;
            r->at += r->line_len + 1;
            return 0;
        }
        if (r->offset == r->end) {
            r->line = NULL;
            return left == 0 ? 0 : error_set(err, ERROR_FORMAT, "'%s' ends in the middle of a line", r->name);
        }
        searched = left;
        int e = fill(r, err);
        if (e < 0)
            return e;
    }
}

// Names what is refused: the line's first word, as it is written there.
static int refused(const struct manifest_reader *r, struct error *err)
{
    enum { SHOWN = 200 };
    size_t n = 0;
    while (n < r->line_len && n < SHOWN && r->line[n] != ' ')
        n++;
    return error_prefix(err, "'%s' offset %llu, entry '%.*s'", r->name, (unsigned long long)r->line_offset, (int)n, r->line);
}

static void exchange_paths(struct manifest_reader *r)
{
    struct buf path = r->entry.path;
    r->entry.path = r->previous_path;
    r->previous_path = path;
}

bool manifest_reader_skip(struct manifest_reader *r)
{
    if (r->line == NULL)
        return false;
    exchange_paths(r);
    r->line = NULL;
    return true;
}

int manifest_reader_next(struct manifest_reader *r, const struct manifest_entry **ret_entry, struct error *err)
{
    r->line = NULL;
    int e = next_line(r, err);
    if (e < 0)
        return e;
    if (r->line == NULL) {
        *ret_entry = NULL;
        return 0;
    }
    // The entry's path becomes the previous one, its memory serves the next.
    exchange_paths(r);
    e = manifest_parse(r->line, r->line_len, &r->entry, err);
    if (e < 0)
        return refused(r, err);
    const struct buf *now = &r->entry.path, *before = &r->previous_path;
    if (before->len > 0 && manifest_path_compare(before->data, before->len, now->data, now->len) >= 0)
        return error_set(err, ERROR_FORMAT, "'%s' offset %llu: path '%.200s' is not in order", r->name,
                         (unsigned long long)r->line_offset, buf_str(now));
    *ret_entry = &r->entry;
    return 0;
}
