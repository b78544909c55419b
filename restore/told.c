#include "restore/told.h"

#include <string.h>

#include "bkd/repo/manifest.h"

enum { SPILL_MEMORY = 1 << 20 };

static int compare_told(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return manifest_path_compare((const char *)a + 1, a_len - 2, (const char *)b + 1, b_len - 2);
}

void told_init(struct told *t, const struct io *io, int scratch_dirfd)
{
    *t = (struct told){ .records = spill_new(io, scratch_dirfd, compare_told, SPILL_MEMORY) };
}

void told_done(struct told *t)
{
    spill_free(t->records);
    buf_done(&t->next);
    *t = (struct told){ 0 };
}

void told_add(struct told *t, enum told_kind kind, const char *path)
{
    _cleanup_buf_ struct buf record = { 0 };
    struct error ignored; // said when the records are asked for
    buf_add_char(&record, (char)kind);
    buf_add(&record, path, strlen(path) + 1);
    if (spill_add(t->records, record.data, record.len, &ignored) < 0)
        t->failed = true;
}

static int next_record(struct told *t, struct error *err)
{
    const void *record;
    size_t n;
    int r = spill_next(t->records, &record, &n, err);
    buf_reset(&t->next);
    if (r == 0 && record != NULL)
        buf_add(&t->next, record, n);
    return r;
}

int told_rewind(struct told *t, struct error *err)
{
    if (t->failed)
        return error_set(err, ERROR_FAILED, "what was told could not be kept in a scratch file");
    int r = spill_sort(t->records, err);
    return r < 0 ? r : next_record(t, err);
}

int told_ask(struct told *t, const char *path, enum told_kind *ret_kind, struct error *err)
{
    size_t n = strlen(path);
    int r = 0, c = -1;
    *ret_kind = TOLD_NOTHING;
    while (r == 0 && t->next.len > 0 && (c = manifest_path_compare(t->next.data + 1, t->next.len - 2, path, n)) <= 0) {
        if (c == 0 && t->next.data[0] > *ret_kind)
            *ret_kind = t->next.data[0];
        r = next_record(t, err);
    }
    return r;
}
