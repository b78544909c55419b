#include "restore/collisions.h"

#include <string.h>

enum { SPILL_MEMORY = 4 << 20 };

// A record: 'd' for a directory, else '-'; the path below the target and the path in the snapshot, each with its NUL.
static const char *below_of(const void *record) { return (const char *)record + 1; }
static const char *path_of(const void *record) { return below_of(record) + strlen(below_of(record)) + 1; }

static int compare_records(const void *a, size_t a_len, const void *b, size_t b_len)
{
    (void)a_len, (void)b_len;
    return strcmp(below_of(a), below_of(b));
}

// What gets a name below the target. Streams keep their paths, and stream_entries_check has seen to them.
static const char *named_below(const struct manifest_entry *e, unsigned strip)
{
    return e->path.data[0] != '/' || e->type == MANIFEST_SOCKET ? NULL : plan_strip(buf_str(&e->path), strip);
}

// Below one directory names stay as different as they were.
static int come_from_one(struct plan *plan, unsigned strip, bool *ret_one, struct error *err)
{
    _cleanup_buf_ struct buf first = { 0 };
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    *ret_one = true;
    int r = plan_rewind(plan, err);
    while (r == 0 && *ret_one && (r = plan_next(plan, &e, &role, &later, err)) == 0 && e != NULL) {
        const char *below = named_below(e, strip);
        if (below == NULL)
            continue;
        size_t n = (size_t)(below - buf_str(&e->path));
        if (first.len == 0)
            buf_add(&first, e->path.data, n);
        *ret_one = first.len == n && memcmp(first.data, e->path.data, n) == 0;
    }
    return r;
}

static int collect(struct plan *plan, unsigned strip, struct spill *names, struct error *err)
{
    _cleanup_buf_ struct buf record = { 0 };
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    int r = plan_rewind(plan, err);
    while (r == 0 && (r = plan_next(plan, &e, &role, &later, err)) == 0 && e != NULL) {
        const char *below = named_below(e, strip);
        if (below == NULL)
            continue;
        buf_reset(&record);
        buf_add_char(&record, e->type == MANIFEST_DIR ? 'd' : '-');
        buf_add(&record, below, strlen(below) + 1);
        buf_add(&record, e->path.data, e->path.len);
        buf_add_char(&record, '\0');
        r = spill_add(names, record.data, record.len, err);
    }
    return r;
}

static bool collide(const void *a, const void *b)
{
    bool dirs = *(const char *)a == 'd' && *(const char *)b == 'd';
    return !dirs && strcmp(below_of(a), below_of(b)) == 0;
}

static int look_for_two(struct spill *names, struct error *err)
{
    _cleanup_buf_ struct buf last = { 0 };
    const void *record;
    size_t n;
    int r = spill_sort(names, err);
    while (r == 0 && (r = spill_next(names, &record, &n, err)) == 0 && record != NULL) {
        if (last.len > 0 && collide(last.data, record))
            return error_set(err, ERROR_USAGE,
                             "--strip-components would give '%.300s' and '%.300s' one name, '%.300s'; nothing was written. Strip fewer, or restore them "
                             "into different targets",
                             path_of(last.data), path_of(record), below_of(record));
        buf_reset(&last);
        buf_add(&last, record, n);
    }
    return r;
}

int collisions_check(struct plan *plan, unsigned strip, int scratch_dirfd, struct error *err)
{
    bool one = true;
    int r = strip == 0 ? 0 : come_from_one(plan, strip, &one, err);
    if (r < 0 || one)
        return r;
    _cleanup_spill_ struct spill *names = spill_new(plan->io, scratch_dirfd, compare_records, SPILL_MEMORY);
    r = collect(plan, strip, names, err);
    return r < 0 ? r : look_for_two(names, err);
}
