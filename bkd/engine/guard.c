#include "bkd/engine/guard.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/repo/manifest.h"

enum { REMEMBERED_MAX = 4 << 20 };

// Finds the remembered line "PATH TYPE ID" of a source.
static bool find_remembered(const struct buf *text, const char *path, struct scan_filesystem *ret_fs)
{
    _cleanup_buf_ struct buf wanted = { 0 };
    manifest_escape(&wanted, path, strlen(path));
    buf_add_char(&wanted, ' ');
    struct cursor c = cursor_of(text->data, text->len);
    const char *line;
    size_t n;
    while (cursor_line(&c, &line, &n)) {
        if (n <= wanted.len || memcmp(line, wanted.data, wanted.len) != 0)
            continue;
        const char *type = line + wanted.len, *space = memchr(type, ' ', n - wanted.len);
        return space != NULL && parse_u64(type, (size_t)(space - type), UINT64_MAX, &ret_fs->type) &&
               parse_u64(space + 1, n - (size_t)(space + 1 - line), UINT64_MAX, &ret_fs->id);
    }
    return false;
}

int guard_begin(struct guard *g, const struct io *io, int state_dirfd, const uint8_t key[SEALED_KEY_SIZE], const struct scan_source *sources,
                size_t n_sources, bool accept, struct error *err)
{
    *g = (struct guard){ .io = io, .dirfd = state_dirfd, .sources = sources, .n_sources = n_sources, .accept = accept };
    memcpy(g->key, key, sizeof g->key);
    g->now = xcalloc(n_sources, sizeof *g->now);
    _cleanup_buf_ struct buf text = { 0 };
    struct error ignored; // nothing remembered: nothing to compare with
    (void)!sealed_read(io, state_dirfd, "sources", key, REMEMBERED_MAX, &text, &ignored);
    for (size_t i = 0; i < n_sources; i++) {
        struct scan_filesystem then;
        int r = scan_filesystem(io, sources[i].path, &g->now[i], err);
        if (r == ERROR_NOT_FOUND)
            return error_set(err, ERROR_NOT_FOUND, "source '%s' does not exist; mount it, or correct `sources` in the policy", sources[i].path);
        if (r < 0)
            return r;
        if (!accept && find_remembered(&text, sources[i].path, &then) && (then.type != g->now[i].type || then.id != g->now[i].id))
            return error_set(err, ERROR_FAILED,
                             "source '%s' lies on another file system than at the last backup: is its disk mounted? Nothing was stored. When it is meant to, "
                             "run once with --accept-source-change",
                             sources[i].path);
    }
    return 0;
}

int guard_check(const struct guard *g, const struct select_counts *counts, struct error *err)
{
    for (size_t i = 0; i < g->n_sources && !g->accept; i++) {
        uint64_t before = counts->previous_source_entries[i];
        // Where rules left something out, something is there: the rules have changed, no disk is missing.
        if (counts->source_entries[i] <= 1 && before > 1 && counts->source_excluded[i] == 0)
            return error_set(err, ERROR_FAILED,
                             "source '%s' is empty, but had %llu entries at the last backup: is its disk mounted? Nothing was stored. When it is meant to be "
                             "empty, run once with --accept-source-change",
                             g->sources[i].path, (unsigned long long)before);
    }
    return 0;
}

int guard_remember(const struct guard *g, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    for (size_t i = 0; i < g->n_sources; i++) {
        manifest_escape(&text, g->sources[i].path, strlen(g->sources[i].path));
        buf_addf(&text, " %llu %llu\n", (unsigned long long)g->now[i].type, (unsigned long long)g->now[i].id);
    }
    return sealed_write(g->io, g->dirfd, "sources", g->key, text.data, text.len, err);
}

void guard_done(struct guard *g)
{
    free(g->now);
    g->now = NULL;
}
