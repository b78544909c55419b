#include "bkd/engine/leftout.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/base/spill.h"
#include "bkd/repo/manifest.h"

enum { MEMORY = 1 << 20 };

struct leftout {
    struct spill *dirs;
    struct buf last; // added last: most come from one directory in a row
    const void *head;
    size_t head_len;
    bool started;
};

struct leftout *leftout_new(const struct io *io, int scratch_fd)
{
    struct leftout *l = xcalloc(1, sizeof *l);
    l->dirs = spill_new(io, scratch_fd, manifest_path_compare, MEMORY);
    return l;
}

void leftout_free(struct leftout *l)
{
    if (l == NULL)
        return;
    spill_free(l->dirs);
    buf_done(&l->last);
    free(l);
}

int leftout_add(struct leftout *l, const char *path, struct error *err)
{
    size_t n = (size_t)(strrchr(path, '/') - path);
    if (n == 0)
        n = 1; // of the root
    if (l->last.len == n && memcmp(l->last.data, path, n) == 0)
        return 0;
    buf_reset(&l->last);
    buf_add(&l->last, path, n);
    return spill_add(l->dirs, path, n, err);
}

int leftout_sort(struct leftout *l, struct error *err) { return spill_sort(l->dirs, err); }

int leftout_has(struct leftout *l, const void *dir, size_t n, bool *ret_has, struct error *err)
{
    int r = 0, c = 1;
    if (!l->started)
        r = spill_next(l->dirs, &l->head, &l->head_len, err);
    l->started = true;
    while (r == 0 && l->head != NULL && (c = manifest_path_compare(l->head, l->head_len, dir, n)) < 0)
        r = spill_next(l->dirs, &l->head, &l->head_len, err);
    *ret_has = l->head != NULL && c == 0;
    return r;
}
