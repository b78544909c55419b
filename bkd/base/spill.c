#include "bkd/base/spill.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/buf.h"
#include "bkd/base/bytes.h"

enum { RUN_WINDOW = 65536 };

// One sorted run: records as 4-byte length and bytes, in [offset, end) of the scratch file, or the last run, still in memory.
struct run {
    uint64_t start, offset, end;
    struct buf window;
    size_t at;
    const uint8_t *record; // the head of the run, NULL when exhausted
    size_t record_len;
};

struct spill {
    const struct io *io;
    int dirfd;
    spill_compare_fn *compare;
    size_t memory_bytes;
    struct buf records; // of the run being collected
    size_t *places;     // record starts in `records`
    size_t n_places, cap_places;
    uint64_t count;
    int fd;
    uint64_t file_size;
    struct run *runs;
    size_t n_runs;
    size_t next_in_memory;
    bool only_memory;
    size_t last; // run whose head was given out, or SIZE_MAX
};

struct spill *spill_new(const struct io *io, int dirfd, spill_compare_fn *compare, size_t memory_bytes)
{
    struct spill *s = xcalloc(1, sizeof *s);
    *s = (struct spill){ .io = io, .dirfd = dirfd, .compare = compare, .memory_bytes = memory_bytes, .fd = -1, .last = SIZE_MAX };
    return s;
}

void spill_free(struct spill *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n_runs; i++)
        buf_done(&s->runs[i].window);
    io_close_quietly(s->io, &s->fd);
    buf_done(&s->records);
    free(s->places);
    free(s->runs);
    free(s);
}

void free_spillp(struct spill **s) { spill_free(*s); }
uint64_t spill_count(const struct spill *s) { return s->count; }

static int open_scratch(struct spill *s, struct error *err)
{
    uint8_t noise[8];
    char name[32] = "spill-";
    io_random(s->io, noise, sizeof noise);
    format_hex(name + strlen(name), noise, sizeof noise);
    int r = io_open(s->io, s->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &s->fd, err);
    return r < 0 ? r : io_unlink(s->io, s->dirfd, name, 0, err);
}

static int compare_places(const void *a, const void *b, void *arg)
{
    const struct spill *s = arg;
    size_t pa = *(const size_t *)a, pb = *(const size_t *)b;
    const uint8_t *ra = s->records.data + pa, *rb = s->records.data + pb;
    int c = s->compare(ra + 4, get_u32le(ra), rb + 4, get_u32le(rb));
    return c != 0 ? c : pa < pb ? -1 : pa > pb; // places grow with the order of adding: keeps the sort stable
}

static void sort_memory(struct spill *s)
{
    if (s->n_places > 1)
        qsort_r(s->places, s->n_places, sizeof *s->places, compare_places, s);
}

// Writes the collected records, sorted, behind the earlier runs.
static int write_run(struct spill *s, struct error *err)
{
    if (s->fd < 0) {
        int r = open_scratch(s, err);
        if (r < 0)
            return r;
    }
    sort_memory(s);
    _cleanup_buf_ struct buf out = { 0 };
    uint64_t at = s->file_size;
    for (size_t i = 0; i < s->n_places; i++) {
        const uint8_t *record = s->records.data + s->places[i];
        buf_add(&out, record, 4 + get_u32le(record));
        if (out.len < 16 * RUN_WINDOW && i + 1 < s->n_places)
            continue;
        int r = io_pwrite_all(s->io, s->fd, out.data, out.len, at, "scratch file", err);
        if (r < 0)
            return r;
        at += out.len;
        buf_reset(&out);
    }
    s->runs = xrealloc(s->runs, (s->n_runs + 1) * sizeof *s->runs);
    s->runs[s->n_runs++] = (struct run){ .start = s->file_size, .end = at };
    s->file_size = at;
    buf_reset(&s->records);
    s->n_places = 0;
    return 0;
}

int spill_add(struct spill *s, const void *record, size_t n, struct error *err)
{
    if (n > SPILL_RECORD_MAX)
        return error_set(err, ERROR_FORMAT, "a record of %zu bytes is too large to sort", n);
    if (s->n_places > 0 && s->records.len + s->n_places * sizeof *s->places + n > s->memory_bytes) {
        int r = write_run(s, err);
        if (r < 0)
            return r;
    }
    if (s->n_places == s->cap_places) {
        s->cap_places = s->cap_places == 0 ? 256 : 2 * s->cap_places;
        s->places = xrealloc(s->places, s->cap_places * sizeof *s->places);
    }
    s->places[s->n_places++] = s->records.len;
    put_u32le(buf_extend(&s->records, 4), (uint32_t)n);
    buf_add(&s->records, record, n);
    s->count++;
    return 0;
}

// Makes the next record of a run its head.
static int advance(struct spill *s, struct run *run, struct error *err)
{
    size_t left = run->window.len - run->at;
    size_t need = left < 4 ? 4 : 4 + (size_t)get_u32le(run->window.data + run->at);
    run->record = NULL;
    while (left < need) {
        if (run->offset == run->end)
            return left == 0 ? 0 : error_set(err, ERROR_INTEGRITY, "a scratch file was cut short");
        memmove(run->window.data, run->window.data + run->at, left);
        run->window.len = left;
        run->at = 0;
        size_t want = need > RUN_WINDOW ? need : RUN_WINDOW;
        want = run->end - run->offset < want ? (size_t)(run->end - run->offset) : want;
        size_t got = 0;
        buf_reserve(&run->window, want);
        int r = io_pread_full(s->io, s->fd, run->window.data + left, want, run->offset, "scratch file", &got, err);
        if (r < 0)
            return r;
        if (got != want)
            return error_set(err, ERROR_INTEGRITY, "a scratch file was cut short");
        (void)buf_extend(&run->window, got);
        run->offset += got;
        left += got;
        need = left < 4 ? 4 : 4 + (size_t)get_u32le(run->window.data);
    }
    run->record_len = need - 4;
    run->record = run->window.data + run->at + 4;
    run->at += need;
    return 0;
}

int spill_sort(struct spill *s, struct error *err)
{
    s->next_in_memory = 0;
    s->last = SIZE_MAX;
    if (s->n_runs == 0) {
        sort_memory(s);
        s->only_memory = true;
        return 0;
    }
    if (s->n_places > 0) {
        int r = write_run(s, err);
        if (r < 0)
            return r;
    }
    buf_done(&s->records);
    free(s->places);
    s->places = NULL;
    s->cap_places = 0;
    for (size_t i = 0; i < s->n_runs; i++) {
        struct run *run = &s->runs[i];
        run->offset = run->start;
        run->window.len = run->at = 0;
        buf_reserve(&run->window, RUN_WINDOW);
        int r = advance(s, run, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static size_t smallest_run(const struct spill *s)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < s->n_runs; i++) {
        const struct run *run = &s->runs[i];
        if (run->record == NULL)
            continue;
        if (best == SIZE_MAX || s->compare(run->record, run->record_len, s->runs[best].record, s->runs[best].record_len) < 0)
            best = i;
    }
    return best;
}

int spill_next(struct spill *s, const void **ret_record, size_t *ret_len, struct error *err)
{
    if (s->only_memory) {
        bool end = s->next_in_memory == s->n_places;
        const uint8_t *record = end ? NULL : s->records.data + s->places[s->next_in_memory++];
        *ret_record = end ? NULL : record + 4;
        *ret_len = end ? 0 : get_u32le(record);
        return 0;
    }
    if (s->last != SIZE_MAX) {
        int r = advance(s, &s->runs[s->last], err);
        if (r < 0)
            return r;
    }
    s->last = smallest_run(s);
    *ret_record = s->last == SIZE_MAX ? NULL : s->runs[s->last].record;
    *ret_len = s->last == SIZE_MAX ? 0 : s->runs[s->last].record_len;
    return 0;
}
