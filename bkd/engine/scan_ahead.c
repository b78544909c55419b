#include "bkd/engine/scan_ahead.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPEN_MAX_DIRS = 96,
    READY_ENTRIES = 16384, // looked at and not taken, at most (about)
    READY_PARTS = 256,
};

struct scan_ahead {
    const struct io *io;
    const struct scan_options *options;
    struct scan_eyes eyes; // of the walk's own thread
    pthread_mutex_t lock;  // protects all below, but not what a part under way works on
    pthread_cond_t has_work, has_result;
    struct scan_part *head;
    struct scan_dir top; // above the root
    struct scan_dir *newest, *oldest; // open directories
    size_t n_open;
    size_t ready_parts, ready_entries; // under way or done, not taken yet
    unsigned idle;
    bool resting; // enough is ready
    bool waiting; // the walk is, for the head
    bool ending;
    unsigned n_helpers;
    pthread_t *helpers;
};

// ---- open directories, most recently used first

static void unlist(struct scan_ahead *a, struct scan_dir *dir)
{
    *(dir->newer == NULL ? &a->newest : &dir->newer->older) = dir->older;
    *(dir->older == NULL ? &a->oldest : &dir->older->newer) = dir->newer;
    dir->newer = dir->older = NULL;
    a->n_open--;
}

static void close_dir(struct scan_ahead *a, struct scan_dir *dir)
{
    if (dir == &a->top || dir->fd < 0)
        return;
    unlist(a, dir);
    io_close_quietly(a->io, &dir->fd);
}

static void list_open(struct scan_ahead *a, struct scan_dir *dir)
{
    dir->older = a->newest;
    *(a->newest == NULL ? &a->oldest : &a->newest->newer) = dir;
    a->newest = dir;
    a->n_open++;
    for (struct scan_dir *d = a->oldest, *newer; a->n_open > OPEN_MAX_DIRS && d != NULL; d = newer) {
        newer = d->newer;
        if (d->busy == 0 && d != dir)
            close_dir(a, d);
    }
}

// Opens a directory that was given up, and those above it, from the nearest one that is open.
static bool open_again(struct scan_ahead *a, struct scan_dir *dir)
{
    size_t depth = 0, i;
    for (struct scan_dir *d = dir; d != &a->top && d->fd < 0; d = d->parent)
        depth++;
    struct scan_dir **way = xcalloc(depth, sizeof *way);
    i = depth;
    for (struct scan_dir *d = dir; i > 0; d = d->parent)
        way[--i] = d;
    for (; i < depth; i++) {
        way[i]->fd = scan_dir_open_again(a->io, way[i]->parent->fd, way[i]);
        if (way[i]->fd < 0)
            break;
        list_open(a, way[i]);
    }
    free(way);
    return i == depth;
}

// Keeps the directory's descriptor open until it is let go; false when the directory cannot be found again.
static bool hold(struct scan_ahead *a, struct scan_dir *dir)
{
    bool there = dir == &a->top || dir->fd >= 0 || open_again(a, dir);
    dir->busy += there;
    return there;
}

// One part that needed the descriptor is through with it.
static void let_go(struct scan_ahead *a, struct scan_dir *dir, bool was_held)
{
    dir->busy -= was_held;
    if (--dir->pending == 0)
        close_dir(a, dir);
}

// ---- parts

static struct scan_part *new_part(struct scan_dir *dir, bool is_first)
{
    struct scan_part *part = xcalloc(1, sizeof *part);
    part->dir = dir;
    part->is_first = is_first;
    dir->refs++;
    dir->pending++;
    return part;
}

static void unref(struct scan_ahead *a, struct scan_dir *dir)
{
    while (dir != &a->top && --dir->refs == 0) {
        struct scan_dir *parent = dir->parent;
        close_dir(a, dir);
        spill_free(dir->names);
        free(dir->name);
        free(dir);
        dir = parent;
    }
}

static void free_part(struct scan_ahead *a, struct scan_part *part)
{
    unref(a, part->dir);
    free(part->found);
    buf_done(&part->text);
    free(part);
}

static void insert_behind(struct scan_part *before, struct scan_part *part)
{
    part->next = before->next;
    before->next = part;
}

bool scan_ahead_enters(const struct scan_found *found)
{
    return found->fate == SCAN_TAKEN && found->is_dir && found->verdict.reason == EXCLUDE_NOT;
}

static struct scan_part *new_below(struct scan_ahead *a, struct scan_dir *parent, const struct scan_part *part, const struct scan_found *found)
{
    struct scan_dir *dir = xcalloc(1, sizeof *dir);
    const char *name = buf_str(&part->text) + found->name;
    *dir = (struct scan_dir){ .parent = parent, .name = xstrdup(name), .is_parent = found->is_parent, .at_source = found->at_source, .source = found->source,
                              .source_len = found->source_len, .place = found->place, .fd = -1 };
    dir->path_len = parent == &a->top ? 0 : parent->path_len + 1 + strlen(name);
    if (found->at_source)
        dir->read_from = a->options->sources[found->source].read_from;
    parent->refs++;
    parent->pending++;
    return new_part(dir, true);
}

// Parts of the directories found, in the order of their names.
static void insert_below(struct scan_ahead *a, struct scan_part *part)
{
    struct scan_part *at = part;
    for (size_t i = 0; i < part->n; i++) {
        if (!scan_ahead_enters(&part->found[i]))
            continue;
        insert_behind(at, new_below(a, part->dir, part, &part->found[i]));
        at = at->next;
    }
}

static bool is_enough(const struct scan_ahead *a, size_t share)
{
    return a->ready_entries >= READY_ENTRIES / share || a->ready_parts >= READY_PARTS / share;
}

static struct scan_part *first_waiting(const struct scan_ahead *a)
{
    struct scan_part *part = a->resting ? NULL : a->head;
    while (part != NULL && part->state != SCAN_WAITING)
        part = part->next;
    return part;
}

static void *helper_main(void *arg);

// Signals are the main thread's business. Without a helper it is slower, no more.
static void start_helper(struct scan_ahead *a)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    a->n_helpers += pthread_create(&a->helpers[a->n_helpers], NULL, helper_main, a) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

// There may be something to do. Helpers are started as they are needed: a small tree, or a deep one, has work for few.
static void wake(struct scan_ahead *a)
{
    if (a->resting)
        return;
    if (a->idle > 0)
        pthread_cond_broadcast(&a->has_work);
    else if (a->n_helpers < a->options->helpers && first_waiting(a) != NULL)
        start_helper(a);
}

// Without the lock: opens and lists a directory.
static void list_first(struct scan_ahead *a, struct scan_eyes *eyes, struct scan_part *part)
{
    struct scan_dir *dir = part->dir, *parent = dir->parent;
    bool there = hold(a, parent);
    pthread_mutex_unlock(&a->lock);
    if (there)
        scan_dir_list(eyes, parent->fd, dir, part);
    else
        part->problem = "a directory above it was moved while it was read; what it holds was not read";
    pthread_mutex_lock(&a->lock);
    let_go(a, parent, there);
    if (dir->fd >= 0) {
        dir->busy = 1;
        list_open(a, dir);
    }
}

// Works on the first part that waits. Called, and returns, with the lock held.
static void work_on(struct scan_ahead *a, struct scan_eyes *eyes, struct scan_part *part)
{
    struct scan_dir *dir = part->dir;
    bool held;
    part->state = SCAN_UNDER_WAY;
    a->ready_parts++;
    if (part->is_first && dir != &a->top)
        list_first(a, eyes, part);
    held = part->is_first && dir != &a->top ? dir->fd >= 0 : hold(a, dir);
    if (!held && !part->is_first) {
        part->problem = "it was moved while it was read; what it holds was not read to the end";
        spill_free(dir->names);
        dir->names = NULL;
    }
    pthread_mutex_unlock(&a->lock);
    scan_dir_take(dir, part);
    pthread_mutex_lock(&a->lock);
    a->ready_entries += part->n;
    if (!part->is_last)
        insert_behind(part, new_part(dir, false));
    a->resting = a->resting || is_enough(a, 1);
    if (!part->is_last)
        wake(a);
    size_t taken = part->n;
    pthread_mutex_unlock(&a->lock);
    scan_dir_look(eyes, dir, part);
    pthread_mutex_lock(&a->lock);
    a->ready_entries -= taken - part->n;
    insert_below(a, part);
    let_go(a, dir, held);
    part->state = SCAN_DONE;
    wake(a);
    if (a->waiting && part == a->head)
        pthread_cond_signal(&a->has_result);
}

static void *helper_main(void *arg)
{
    struct scan_ahead *a = arg;
    struct scan_eyes eyes;
    scan_eyes_init(&eyes, a->io, a->options);
    pthread_mutex_lock(&a->lock);
    while (!a->ending) {
        struct scan_part *part = first_waiting(a);
        if (part != NULL) {
            work_on(a, &eyes, part);
            continue;
        }
        a->idle++;
        pthread_cond_wait(&a->has_work, &a->lock);
        a->idle--;
    }
    pthread_mutex_unlock(&a->lock);
    scan_eyes_done(&eyes);
    return NULL;
}

// ---- for the walk

struct scan_ahead *scan_ahead_new(const struct io *io, const struct scan_options *options, struct error *err)
{
    struct scan_ahead *a = xcalloc(1, sizeof *a);
    *a = (struct scan_ahead){ .io = io, .options = options, .top = { .fd = AT_FDCWD, .is_parent = true } };
    a->top.names = spill_new(io, options->scratch_fd, NULL, 1024);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->has_work, NULL);
    pthread_cond_init(&a->has_result, NULL);
    scan_eyes_init(&a->eyes, io, options);
    a->helpers = xcalloc(options->helpers, sizeof *a->helpers);
    a->head = new_part(&a->top, true);
    if (spill_add(a->top.names, "/", 1, err) < 0 || spill_sort(a->top.names, err) < 0) {
        scan_ahead_free(a);
        return NULL;
    }
    return a;
}

void scan_ahead_free(struct scan_ahead *a)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    a->ending = true;
    pthread_cond_broadcast(&a->has_work);
    pthread_mutex_unlock(&a->lock);
    for (unsigned i = 0; i < a->n_helpers; i++)
        pthread_join(a->helpers[i], NULL);
    free(a->helpers);
    while (a->head != NULL) {
        struct scan_part *part = a->head;
        a->head = part->next;
        free_part(a, part);
    }
    spill_free(a->top.names);
    scan_eyes_done(&a->eyes);
    pthread_cond_destroy(&a->has_result);
    pthread_cond_destroy(&a->has_work);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

struct scan_part *scan_ahead_next(struct scan_ahead *a)
{
    pthread_mutex_lock(&a->lock);
    struct scan_part *part = a->head;
    if (part != NULL && part->state == SCAN_WAITING)
        work_on(a, &a->eyes, part);
    a->waiting = true;
    while (part != NULL && part->state != SCAN_DONE)
        pthread_cond_wait(&a->has_result, &a->lock);
    a->waiting = false;
    if (part != NULL) {
        a->head = part->next;
        a->ready_parts--;
        a->ready_entries -= part->n;
    }
    if (a->resting && !is_enough(a, 2)) {
        a->resting = false;
        wake(a);
    }
    pthread_mutex_unlock(&a->lock);
    return part;
}

void scan_ahead_drop(struct scan_ahead *a, struct scan_part *part)
{
    pthread_mutex_lock(&a->lock);
    free_part(a, part);
    pthread_mutex_unlock(&a->lock);
}
