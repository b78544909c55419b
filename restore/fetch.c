#include "restore/fetch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { EMPTY_BATCH = 64, PAIRED_MIN = 1 << 20 };

#define ARENA_SIZE (FETCH_BYTES_MAX + FETCH_BYTES_MAX / APPLY_DIRECT_MIN * APPLY_DIRECT_ALIGN) // with a gap before each piece that is aligned

struct piece {
    struct fetch *window;
    struct apply_file *file;
    uint64_t offset;
    uint32_t index, length;
    uint8_t sha256[32];
    uint8_t *data;            // in the arena; NULL = straight from the frame
    enum { UNJUDGED, EQUAL, OTHER } verdict; // compared already, with others of its frame
    _Atomic uint32_t missing; // bytes
    atomic_bool failed;
};

// A part of a piece that lies in one frame.
struct use {
    uint32_t object, frame;
    uint32_t in_frame, length;
    uint32_t piece, in_piece;
    bool whole_frame;
};

struct task {
    struct fetch *window;
    size_t first, n;
};

struct fetch_pairing {
    pthread_mutex_t lock;
    pthread_cond_t written;
    struct piece *waiting;
};

struct fetch {
    struct apply *apply;
    struct fetch_pairing *pairing;
    size_t paired; // pieces that will be paired and are not written; under the pairing's lock
    void *memory;
    uint8_t *arena; // in it, at APPLY_DIRECT_ALIGN
    size_t arena_used;
    uint64_t bytes; // of all pieces
    struct apply_file **files, **empty;
    size_t n_files, n_empty, files_cap, empty_cap;
    struct piece *pieces;
    size_t n_pieces, pieces_cap;
    struct use *uses;
    size_t n_uses, uses_cap;
    struct task *tasks;
    size_t n_tasks, tasks_cap;
    bool started;
    struct { // the frame located last: neighbours lie in it too
        uint32_t object, frame, size;
        uint64_t offset;
    } near;
};

// Room for one more item of a growable array.
#define GROW(items, n, cap) \
    do { \
        if ((n) == (cap)) { \
            (cap) = (cap) == 0 ? 256 : 2 * (cap); \
            (items) = xrealloc((items), (cap) * sizeof *(items)); \
        } \
    } while (0)

static uintptr_t aligned(uintptr_t n) { return (n + APPLY_DIRECT_ALIGN - 1) & ~(uintptr_t)(APPLY_DIRECT_ALIGN - 1); }

struct fetch_pairing *fetch_pairing_new(void)
{
    struct fetch_pairing *p = xcalloc(1, sizeof *p);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->written, NULL);
    return p;
}

void fetch_pairing_free(struct fetch_pairing *p)
{
    if (p == NULL)
        return;
    pthread_cond_destroy(&p->written);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

int fetch_new(struct apply *apply, struct fetch_pairing *pairing, struct fetch **ret_fetch, struct error *err)
{
    void *memory = NULL;
    int r = io_alloc(apply->io, ARENA_SIZE + APPLY_DIRECT_ALIGN, "the restore's window", &memory, err);
    if (r < 0)
        return r;
    struct fetch *w = xcalloc(1, sizeof *w);
    w->apply = apply;
    w->pairing = pairing;
    w->memory = memory;
    w->arena = (uint8_t *)memory + aligned((uintptr_t)memory) - (uintptr_t)memory;
    *ret_fetch = w;
    return 0;
}

void fetch_reset(struct fetch *w)
{
    for (size_t i = 0; i < w->n_files; i++)
        apply_file_free(w->files[i]);
    w->n_files = w->n_empty = w->n_pieces = w->n_uses = w->n_tasks = w->arena_used = 0;
    w->bytes = 0;
    w->started = false;
}

void fetch_free(struct fetch *w)
{
    if (w == NULL)
        return;
    fetch_reset(w);
    free(w->memory);
    free(w->files);
    free(w->empty);
    free(w->pieces);
    free(w->uses);
    free(w->tasks);
    free(w);
}

bool fetch_room(const struct fetch *w, uint32_t length)
{
    return w->n_files < FETCH_FILES_MAX && w->n_uses < FETCH_USES_MAX && w->bytes + length <= FETCH_BYTES_MAX;
}

bool fetch_is_started(const struct fetch *w) { return w->started; }

static unsigned planner(const struct fetch *w) { return w->apply->n_workers - 1; }

void fetch_add_empty(struct fetch *w, struct apply_file *f)
{
    GROW(w->empty, w->n_empty, w->empty_cap);
    w->empty[w->n_empty++] = f;
}

void fetch_own(struct fetch *w, struct apply_file *f)
{
    GROW(w->files, w->n_files, w->files_cap);
    w->files[w->n_files++] = f;
}

static int locate(struct fetch *w, uint32_t object, uint64_t offset, struct error *err)
{
    if (w->near.object == object && w->near.size > 0 && offset >= w->near.offset && offset - w->near.offset < w->near.size)
        return 0;
    uint32_t frame = 0, size = 0;
    uint64_t start = 0;
    int r = object_reader_locate(w->apply->reader, object, offset, &frame, &start, &size, err);
    if (r < 0)
        return r;
    if (offset < start || offset - start >= size)
        return error_set(err, ERROR_INTEGRITY, "object %u has no byte %llu", object, (unsigned long long)offset);
    w->near.object = object;
    w->near.frame = frame;
    w->near.size = size;
    w->near.offset = start;
    return 0;
}

// Cuts a range at frame bounds.
static int add_range(struct fetch *w, uint32_t piece, uint32_t in_piece, const struct place *range, struct error *err)
{
    uint64_t offset = range->offset;
    uint32_t left = (uint32_t)range->length;
    while (left > 0) {
        int r = locate(w, range->object, offset, err);
        if (r < 0)
            return r;
        uint32_t in_frame = (uint32_t)(offset - w->near.offset);
        uint32_t n = w->near.size - in_frame < left ? w->near.size - in_frame : left;
        GROW(w->uses, w->n_uses, w->uses_cap);
        w->uses[w->n_uses++] = (struct use){
            .object = range->object,
            .frame = w->near.frame,
            .in_frame = in_frame,
            .length = n,
            .piece = piece,
            .in_piece = in_piece,
            .whole_frame = n == w->near.size,
        };
        offset += n;
        in_piece += n;
        left -= n;
    }
    return 0;
}

static int add_ranges(struct fetch *w, uint32_t piece, const struct place *ranges, size_t n_ranges, uint32_t *ret_stored, struct error *err)
{
    uint32_t at = 0, stored = 0;
    for (size_t i = 0; i < n_ranges; i++) {
        if (ranges[i].object != 0) {
            int r = add_range(w, piece, at, &ranges[i], err);
            if (r < 0)
                return r;
            stored += (uint32_t)ranges[i].length;
        }
        at += (uint32_t)ranges[i].length;
    }
    *ret_stored = stored;
    return 0;
}

// ---- whole pieces

static bool is_paired(const struct piece *p) { return p->data != NULL && p->length >= PAIRED_MIN; }

static void write_piece(unsigned worker, struct piece *p, const uint8_t *data, bool equal)
{
    apply_piece(p->window->apply, worker, p->file, p->index, p->offset, data, p->length, equal);
}

static void compare_and_write(unsigned worker, struct piece *p, const uint8_t *data)
{
    bool equal = p->verdict == UNJUDGED ? compare_bytes(p->window->apply->timing, data, p->length, p->sha256) : p->verdict == EQUAL;
    write_piece(worker, p, data, equal);
}

// Its window may be gone afterwards.
static void end_paired(struct piece *p)
{
    struct fetch_pairing *pairing = p->window->pairing;
    pthread_mutex_lock(&pairing->lock);
    p->window->paired--;
    pthread_cond_broadcast(&pairing->written);
    pthread_mutex_unlock(&pairing->lock);
}

static void write_pair(unsigned worker, struct piece *first, struct piece *second)
{
    struct compare_item items[] = { { .data = first->data, .n = first->length, .sha256 = first->sha256 },
                                    { .data = second->data, .n = second->length, .sha256 = second->sha256 } };
    compare_each(first->window->apply->timing, items, 2);
    write_piece(worker, first, first->data, items[0].equal);
    end_paired(first);
    write_piece(worker, second, second->data, items[1].equal);
    end_paired(second);
}

// The piece that waited, which is the caller's now; NULL: this one waits.
static struct piece *find_second(struct piece *p)
{
    struct fetch_pairing *pairing = p->window->pairing;
    pthread_mutex_lock(&pairing->lock);
    struct piece *other = pairing->waiting;
    pairing->waiting = other == NULL ? p : NULL;
    pthread_mutex_unlock(&pairing->lock);
    return other;
}

static void complete_piece(unsigned worker, struct piece *p, const uint8_t *data)
{
    bool paired = is_paired(p), wanted = !atomic_load(&p->failed) && apply_wants(p->window->apply, p->file);
    if (wanted && paired) {
        struct piece *other = find_second(p);
        if (other != NULL)
            write_pair(worker, other, p);
        return;
    }
    if (wanted)
        compare_and_write(worker, p, data);
    else
        apply_piece_over(p->window->apply, worker, p->file);
    if (paired)
        end_paired(p);
}

// No piece of the window waits any longer, nor is anybody writing one.
static void finish_paired(struct fetch *w)
{
    struct fetch_pairing *pairing = w->pairing;
    pthread_mutex_lock(&pairing->lock);
    struct piece *alone = pairing->waiting != NULL && pairing->waiting->window == w ? TAKE(pairing->waiting) : NULL;
    pthread_mutex_unlock(&pairing->lock);
    if (alone != NULL) {
        compare_and_write(planner(w), alone, alone->data);
        end_paired(alone);
    }
    pthread_mutex_lock(&pairing->lock);
    while (w->paired > 0)
        pthread_cond_wait(&pairing->written, &pairing->lock);
    pthread_mutex_unlock(&pairing->lock);
}

// ---- what is wanted

static void clear_zero_ranges(uint8_t *data, const struct place *ranges, size_t n_ranges)
{
    for (size_t i = 0; i < n_ranges; i++) {
        if (ranges[i].object == 0)
            memset(data, 0, ranges[i].length);
        data += ranges[i].length;
    }
}

// At APPLY_DIRECT_ALIGN where that is of use, which leaves gaps.
static uint8_t *give_room(struct fetch *w, uint32_t length)
{
    if (length >= APPLY_DIRECT_MIN)
        w->arena_used = aligned(w->arena_used);
    uint8_t *room = w->arena + w->arena_used;
    w->arena_used += length;
    return room;
}

void fetch_add_piece(struct fetch *w, struct apply_file *f, uint32_t index, uint64_t offset, uint32_t length, const uint8_t sha256[32],
                     const struct place *ranges, size_t n_ranges, bool keep)
{
    size_t first_use = w->n_uses;
    uint32_t stored = 0;
    struct error err;
    object_reader_expect_ends(w->apply->reader, ranges, n_ranges);
    if (add_ranges(w, (uint32_t)w->n_pieces, ranges, n_ranges, &stored, &err) < 0) {
        w->n_uses = first_use;
        apply_lose(w->apply, f, &err);
        apply_piece_over(w->apply, planner(w), f);
        return;
    }
    GROW(w->pieces, w->n_pieces, w->pieces_cap);
    struct piece *p = &w->pieces[w->n_pieces++];
    *p = (struct piece){ .window = w, .file = f, .offset = offset, .index = index, .length = length };
    w->bytes += length;
    memcpy(p->sha256, sha256, sizeof p->sha256);
    atomic_init(&p->missing, stored);
    atomic_init(&p->failed, false);
    bool straight = !keep && stored == length && w->n_uses - first_use == 1;
    if (!straight) {
        p->data = give_room(w, length);
        clear_zero_ranges(p->data, ranges, n_ranges);
    }
    if (stored == 0) {
        compare_and_write(planner(w), p, p->data);
        return;
    }
    w->paired += is_paired(p); // the window is not started yet: nobody else looks
}

static int compare_uses(const void *a, const void *b)
{
    const struct use *x = a, *y = b;
    if (x->object != y->object)
        return x->object < y->object ? -1 : 1;
    if (x->frame != y->frame)
        return x->frame < y->frame ? -1 : 1;
    return x->in_frame < y->in_frame ? -1 : x->in_frame > y->in_frame;
}

// data: the use's bytes, in a frame or at their place in the piece; NULL: they cannot be had.
static void give_use(struct fetch *w, unsigned worker, const struct use *u, const uint8_t *data)
{
    struct piece *p = &w->pieces[u->piece];
    if (data == NULL)
        atomic_store(&p->failed, true);
    else if (p->data != NULL && data != p->data + u->in_piece)
        memcpy(p->data + u->in_piece, data, u->length);
    if (atomic_fetch_sub(&p->missing, u->length) == u->length)
        complete_piece(worker, p, p->data != NULL ? p->data : data);
}

// A frame that is needed for one thing only is decoded to its place.
static void run_whole_frame(struct fetch *w, unsigned worker, const struct use *u)
{
    struct error err;
    struct piece *p = &w->pieces[u->piece];
    uint8_t *to = p->data + u->in_piece;
    bool stopped = atomic_load(&w->apply->stop);
    int r = stopped ? ERROR_FAILED : object_reader_frame_into(w->apply->reader, u->object, u->frame, to, u->length, &err);
    if (r < 0 && !stopped)
        apply_lose(w->apply, p->file, &err);
    give_use(w, worker, u, r == 0 ? to : NULL);
}

// Where a window ends in an object, the next one may go on in the same frame.
static bool is_last_of_object(const struct fetch *w, const struct task *t)
{
    size_t next = t->first + t->n;
    return next == w->n_uses || w->uses[next].object != w->uses[t->first].object;
}

static bool is_in_frame(const struct object_frame *frame, const struct use *u)
{
    return frame->size >= u->length && u->in_frame <= frame->size - u->length;
}

// Is the use all of a piece that is written straight from the frame, and its file still wanted?
static bool is_small_whole(const struct fetch *w, const struct use *u)
{
    const struct piece *p = &w->pieces[u->piece];
    return p->data == NULL && p->length == u->length && p->length < PAIRED_MIN && apply_wants(w->apply, p->file);
}

static void judge(struct fetch *w, struct compare_item *items, struct piece **pieces, size_t n)
{
    compare_each(w->apply->timing, items, n);
    for (size_t i = 0; i < n; i++)
        pieces[i]->verdict = items[i].equal ? EQUAL : OTHER;
}

// Compares the small pieces of a frame with each other's help, before they are written one by one.
static void judge_small(struct fetch *w, const struct use *uses, size_t n_uses, const struct object_frame *frame)
{
    struct compare_item items[COMPARE_EACH_MAX];
    struct piece *pieces[COMPARE_EACH_MAX];
    size_t n = 0;
    for (size_t i = 0; i < n_uses; i++) {
        if (!is_in_frame(frame, &uses[i]) || !is_small_whole(w, &uses[i]))
            continue;
        struct piece *p = pieces[n] = &w->pieces[uses[i].piece];
        items[n++] = (struct compare_item){ .data = frame->data + uses[i].in_frame, .n = p->length, .sha256 = p->sha256 };
        if (n == COMPARE_EACH_MAX) {
            judge(w, items, pieces, n);
            n = 0;
        }
    }
    judge(w, items, pieces, n);
}

// One frame: decoded once, given to all that need a part of it.
static void run_frame(void *job, unsigned worker)
{
    struct task *t = job;
    struct fetch *w = t->window;
    struct apply *a = w->apply;
    const struct use *uses = w->uses + t->first;
    struct object_frame frame = { 0 };
    struct error err;
    bool stopped = atomic_load(&a->stop);
    if (t->n == 1 && uses[0].whole_frame && w->pieces[uses[0].piece].data != NULL) {
        run_whole_frame(w, worker, &uses[0]);
        return;
    }
    int r = stopped ? ERROR_FAILED : object_reader_frame(a->reader, uses[0].object, uses[0].frame, &frame, &err);
    if (r == 0)
        judge_small(w, uses, t->n, &frame);
    for (size_t i = 0; i < t->n; i++) {
        bool good = r == 0 && is_in_frame(&frame, &uses[i]);
        if (r == 0 && !good)
            (void)error_set(&err, ERROR_INTEGRITY, "object %u: frame %u is shorter than its table says", uses[i].object, uses[i].frame);
        if (!good && !stopped)
            apply_lose(a, w->pieces[uses[i].piece].file, &err);
        give_use(w, worker, &uses[i], good ? frame.data + uses[i].in_frame : NULL);
    }
    if (r == 0)
        (is_last_of_object(w, t) ? object_reader_release : object_reader_use_up)(a->reader, &frame);
}

static void run_empty(void *job, unsigned worker)
{
    struct task *t = job;
    for (size_t i = 0; i < t->n; i++)
        apply_empty(t->window->apply, worker, t->window->empty[t->first + i]);
}

static void add_task(struct fetch *w, size_t first, size_t n)
{
    GROW(w->tasks, w->n_tasks, w->tasks_cap);
    w->tasks[w->n_tasks++] = (struct task){ .window = w, .first = first, .n = n };
}

void fetch_start(struct fetch *w, struct work_pool *pool)
{
    w->started = true;
    if (w->n_uses > 0)
        qsort(w->uses, w->n_uses, sizeof *w->uses, compare_uses);
    for (size_t i = 0, first = 0; i < w->n_uses; i++) {
        bool last = i + 1 == w->n_uses || w->uses[i + 1].object != w->uses[i].object || w->uses[i + 1].frame != w->uses[i].frame;
        if (last) {
            add_task(w, first, i + 1 - first);
            first = i + 1;
        }
    }
    size_t n_frames = w->n_tasks;
    for (size_t i = 0; i < w->n_empty; i += EMPTY_BATCH)
        add_task(w, i, w->n_empty - i < EMPTY_BATCH ? w->n_empty - i : EMPTY_BATCH);
    for (size_t i = 0; i < w->n_tasks; i++)
        work_submit(pool, i < n_frames ? run_frame : run_empty, &w->tasks[i]);
}

void fetch_finish(struct fetch *w, struct work_pool *pool)
{
    for (size_t i = 0; i < w->n_tasks; i++)
        (void)work_next(pool);
    finish_paired(w);
    for (size_t i = 0; i < w->n_pieces; i++)
        if (w->pieces[i].file != NULL && w->pieces[i].file->whole != NULL)
            compare_whole_settle(w->pieces[i].file->whole);
}

struct apply_file *const *fetch_files(const struct fetch *w, size_t *ret_n)
{
    *ret_n = w->n_files;
    return w->files;
}

uint64_t fetch_bytes(const struct fetch *w) { return w->bytes; }
