#include "bkd/around/mounts.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/fs.h"

enum { FILE_MAX = 16 << 20, FIELD_ROOT = 3, FIELD_PLACE = 4 };

void mount_done(struct mount *m)
{
    free(m->place);
    free(m->root);
    free(m->type);
    free(m->device);
    *m = (struct mount){ 0 };
}

const char *mounts_below(const char *path, const char *dir)
{
    size_t n = strcmp(dir, "/") == 0 ? 0 : strlen(dir);
    if (strncmp(path, dir, n) != 0 || (path[n] != '/' && path[n] != '\0'))
        return NULL;
    return strcmp(path + n, "/") == 0 ? "" : path + n;
}

// Space, tab, newline and backslash stand as \ooo.
static char *unescape(const char *text, size_t n)
{
    char *out = xmalloc(n + 1), *to = out;
    for (size_t i = 0; i < n; i++) {
        bool octal = text[i] == '\\' && i + 3 < n;
        *to++ = octal ? (char)((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 | (text[i + 3] - '0')) : text[i];
        i += octal ? 3 : 0;
    }
    *to = '\0';
    return out;
}

// "36 35 98:0 /root /place options optional… - type device super-options"
static bool parse_line(const char *line, size_t n, struct mount *ret_mount)
{
    struct mount m = { 0 };
    int field = 0, behind = -1;
    for (size_t at = 0; at < n; field++) {
        const char *space = memchr(line + at, ' ', n - at);
        size_t len = space != NULL ? (size_t)(space - line) - at : n - at;
        if (field == FIELD_ROOT)
            m.root = unescape(line + at, len);
        else if (field == FIELD_PLACE)
            m.place = unescape(line + at, len);
        else if (behind < 0 && field > FIELD_PLACE && len == 1 && line[at] == '-')
            behind = field;
        else if (behind > 0 && field == behind + 1)
            m.type = unescape(line + at, len);
        else if (behind > 0 && field == behind + 2)
            m.device = unescape(line + at, len);
        at += len + 1;
    }
    if (m.device == NULL) {
        mount_done(&m);
        return false;
    }
    *ret_mount = m;
    return true;
}

int mounts_find(const struct io *io, const char *file, const char *path, struct mount *ret_mount, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_mount_ struct mount best = { 0 };
    int r = fs_read_file(io, AT_FDCWD, file, FILE_MAX, &text, err);
    if (r < 0)
        return r;
    struct cursor c = cursor_of(text.data, text.len);
    const char *line;
    size_t n;
    while (cursor_line(&c, &line, &n)) {
        _cleanup_mount_ struct mount m = { 0 };
        if (!parse_line(line, n, &m) || mounts_below(path, m.place) == NULL || (best.place != NULL && strlen(m.place) < strlen(best.place)))
            continue;
        struct mount old = best;
        best = m;
        m = old;
    }
    if (best.place == NULL)
        return error_set(err, ERROR_NOT_FOUND, "no file system is mounted for '%s'", path);
    *ret_mount = best;
    best = (struct mount){ 0 };
    return 0;
}
