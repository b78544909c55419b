#include "bkd/dr/sample.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/compare.h"

struct drawn {
    char *path;
    uint64_t size;
};

struct drawing {
    const struct io *io;
    uint64_t wanted, seen;
    struct drawn *items; // the reservoir
    struct drawn newest, largest;
    int64_t newest_s;
    uint32_t newest_ns;
    const struct policy_list *canaries;
    bool *is_there; // each canary
};

// Uniform in 0 … n - 1: what would make some numbers likelier is drawn again.
static uint64_t draw_below(const struct io *io, uint64_t n)
{
    uint64_t value, limit = UINT64_MAX - UINT64_MAX % n;
    do
        io_random(io, &value, sizeof value);
    while (value >= limit);
    return value % n;
}

static void replace(struct drawn *d, const struct manifest_entry *e)
{
    free(d->path);
    *d = (struct drawn){ .path = xstrdup(buf_str(&e->path)), .size = e->size };
}

// Reservoir sampling (Vitter's algorithm R): after n files each is in the reservoir with probability wanted / n.
static void offer(struct drawing *d, const struct manifest_entry *e)
{
    uint64_t place = d->seen < d->wanted ? d->seen : draw_below(d->io, d->seen + 1);
    d->seen++;
    if (place < d->wanted)
        replace(&d->items[place], e);
    bool newer = e->mtime_s > d->newest_s || (e->mtime_s == d->newest_s && e->mtime_ns > d->newest_ns);
    if (d->newest.path == NULL || newer) {
        replace(&d->newest, e);
        d->newest_s = e->mtime_s;
        d->newest_ns = e->mtime_ns;
    }
    if (d->largest.path == NULL || e->size > d->largest.size)
        replace(&d->largest, e);
    for (size_t i = 0; i < d->canaries->count; i++)
        d->is_there[i] = d->is_there[i] || strcmp(d->canaries->items[i], buf_str(&e->path)) == 0;
}

static void add_path(struct sample *s, const char *path)
{
    if (path != NULL)
        s->paths[s->n++] = xstrdup(path);
}

// The reservoir has them nearly in the order of the manifest.
static void shuffle(struct drawing *d)
{
    uint64_t n = d->wanted < d->seen ? d->wanted : d->seen;
    for (uint64_t i = n; i > 1; i--) {
        uint64_t k = draw_below(d->io, i);
        struct drawn swap = d->items[i - 1];
        d->items[i - 1] = d->items[k];
        d->items[k] = swap;
    }
}

static void drop_doubles(struct sample *s)
{
    size_t kept = 0;
    qsort(s->paths, s->n, sizeof *s->paths, compare_strings);
    for (size_t i = 0; i < s->n; i++)
        if (kept > 0 && strcmp(s->paths[kept - 1], s->paths[i]) == 0)
            free(s->paths[i]);
        else
            s->paths[kept++] = s->paths[i];
    s->n = kept;
}

static void collect(const struct drawing *d, uint64_t max_bytes, struct sample *ret_sample)
{
    struct sample s = { .files = d->seen };
    uint64_t bytes = 0;
    bool counts = true;
    s.paths = xcalloc(d->wanted + d->canaries->count + 2, sizeof *s.paths);
    for (uint64_t i = 0; i < d->wanted && i < d->seen; i++) {
        bool fits = max_bytes == 0 || (d->items[i].size <= max_bytes && bytes <= max_bytes - d->items[i].size);
        bytes += fits ? d->items[i].size : 0;
        counts = counts && fits;
        s.drawn += counts;
        add_path(&s, fits ? d->items[i].path : NULL);
    }
    add_path(&s, d->newest.path);
    add_path(&s, max_bytes == 0 || d->largest.size <= max_bytes ? d->largest.path : NULL);
    for (size_t i = 0; i < d->canaries->count; i++)
        add_path(&s, d->canaries->items[i]);
    drop_doubles(&s);
    *ret_sample = s;
}

static int check_canaries(const struct drawing *d, struct error *err)
{
    for (size_t i = 0; i < d->canaries->count; i++)
        if (!d->is_there[i])
            return error_set(err, ERROR_NOT_FOUND, "the canary '%s' is not in this snapshot", d->canaries->items[i]);
    return 0;
}

int sample_draw(const struct io *io, struct manifest_reader *reader, uint64_t wanted, uint64_t max_bytes, const struct policy_list *canaries,
                struct sample *ret_sample, struct error *err)
{
    struct drawing d = { .io = io, .wanted = wanted < SAMPLE_MAX ? wanted : SAMPLE_MAX, .canaries = canaries };
    const struct manifest_entry *e = NULL;
    int r;
    d.items = xcalloc(d.wanted + 1, sizeof *d.items);
    d.is_there = xcalloc(canaries->count + 1, sizeof *d.is_there);
    while ((r = manifest_reader_next(reader, &e, err)) == 0 && e != NULL)
        if (e->type == MANIFEST_FILE)
            offer(&d, e);
    if (r == 0)
        r = check_canaries(&d, err);
    shuffle(&d);
    if (r == 0)
        collect(&d, max_bytes, ret_sample);
    for (uint64_t i = 0; i < d.wanted; i++)
        free(d.items[i].path);
    free(d.items);
    free(d.is_there);
    free(d.newest.path);
    free(d.largest.path);
    return r;
}

void sample_done(struct sample *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->paths[i]);
    free(s->paths);
    *s = (struct sample){ 0 };
}
