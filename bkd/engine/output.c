#include "bkd/engine/output.h"

#include <string.h>

#include "bkd/base/bytes.h"

// The coarsest clock a kernel stamps files with on the systems at hand is 10 ms (HZ=100); whole-second file systems get two seconds (FAT).
#define GRAIN_NS 10000000ull
#define GRAIN_COARSE_NS 2000000000ull

int output_begin(struct output *o, const struct io *io, int state_dirfd, const uint8_t key[SEALED_KEY_SIZE], uint64_t scan_start_ns, struct journal *journal,
                 struct error *err)
{
    *o = (struct output){ .manifest = { .fd = -1 }, .stat = { .fd = -1 }, .journal = journal, .racy_from_ns = scan_start_ns };
    int r = sealed_begin(&o->manifest, io, state_dirfd, "manifest", key, err);
    return r < 0 ? r : sealed_begin(&o->stat, io, state_dirfd, "stat", key, err);
}

void output_done(struct output *o)
{
    sealed_abandon(&o->manifest);
    sealed_abandon(&o->stat);
    recipe_done(&o->index);
    versions_needs_done(&o->needs);
}

static bool is_racy(const struct output *o, const struct scan_stat *stat)
{
    if (stat->ctime_s < 0)
        return false;
    uint64_t changed_ns = (uint64_t)stat->ctime_s * 1000000000u + stat->ctime_ns;
    return changed_ns + (stat->ctime_ns == 0 ? GRAIN_COARSE_NS : GRAIN_NS) >= o->racy_from_ns;
}

static int add_index(struct output *o, const char *line, size_t n, struct error *err)
{
    if (o->manifest.size < o->next_index)
        return 0;
    _cleanup_buf_ struct buf path = { 0 };
    const char *space = memchr(line, ' ', n);
    if (space == NULL || !manifest_unescape(&path, line, (size_t)(space - line)))
        return error_set(err, ERROR_INTEGRITY, "a manifest line has no path");
    recipe_add_index(&o->index, o->manifest.size, buf_str(&path), path.len);
    o->next_index = (o->manifest.size / OUTPUT_INDEX_STEP + 1) * OUTPUT_INDEX_STEP;
    return 0;
}

// A regular file and its size, as the line tells.
static void count_file(struct output *o, const char *line, size_t n)
{
    const char *space = memchr(line, ' ', n), *end = line + n;
    if (space == NULL || end - space < 2 || space[1] != MANIFEST_FILE)
        return;
    o->files++;
    const char *size = memmem(space, (size_t)(end - space), " size=", 6);
    uint64_t bytes = 0;
    if (size != NULL && parse_u64(size + 6, strcspn(size + 6, " \n"), UINT64_MAX, &bytes))
        o->bytes += bytes;
}

static int add_line(struct output *o, const char *line, size_t n, const struct scan_stat *stat, bool racy, struct error *err)
{
    uint8_t record[PREVIOUS_STAT_SIZE];
    int r = add_index(o, line, n, err);
    if (r == 0)
        r = sealed_add(&o->manifest, line, n, err);
    if (r == 0)
        r = sealed_add(&o->manifest, "\n", 1, err);
    previous_put_stat(record, stat, racy);
    o->entries++;
    return r < 0 ? r : sealed_add(&o->stat, record, sizeof record, err);
}

int output_keep(struct output *o, const char *line, size_t n, const struct scan_stat *stat, struct error *err)
{
    count_file(o, line, n);
    return add_line(o, line, n, stat, false, err);
}

int output_entry(struct output *o, const struct manifest_entry *entry, const struct scan_stat *stat, struct buf *line, struct error *err)
{
    bool racy = is_racy(o, stat) || (entry->notes & MANIFEST_UNSTABLE) != 0;
    buf_reset(line);
    manifest_format(line, entry);
    line->len--; // without LF
    o->files += entry->type == MANIFEST_FILE;
    o->bytes += entry->type == MANIFEST_FILE ? entry->size : 0;
    int r = add_line(o, buf_str(line), line->len, stat, racy, err);
    if (r == 0 && entry->type == MANIFEST_FILE && entry->size > 0)
        r = journal_add_entry(o->journal, entry, stat, racy, buf_str(line), line->len, err);
    return r;
}

void output_need_place(struct output *o, const struct place *place)
{
    if (place->object != 0)
        versions_needs_add(&o->needs, place->object, place->length);
}

void output_need(struct output *o, const struct versions_needs *needs)
{
    for (size_t i = 0; i < needs->n; i++)
        versions_needs_add(&o->needs, needs->items[i].object, needs->items[i].used);
}
