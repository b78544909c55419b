#include "bkd/base/work.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "bkd/base/buf.h"

struct item {
    struct item *next;        // in the order of submission
    struct item *next_waiting; // among those no worker has taken yet
    work_fn *run;
    void *job;
    bool done;
};

struct worker {
    struct work_pool *pool;
    pthread_t thread;
    unsigned number;
};

struct work_pool {
    pthread_mutex_t lock;
    pthread_cond_t has_work;
    pthread_cond_t has_result;
    struct item *oldest, *newest;
    struct item *waiting, *waiting_last;
    size_t count;
    bool ending;
    struct profile *profile;
    const struct io *io;
    enum profile_stage stage;
    unsigned threads;
    struct worker workers[];
};

static struct item *take_waiting(struct work_pool *pool)
{
    struct item *item = pool->waiting;
    pool->waiting = item->next_waiting;
    if (pool->waiting == NULL)
        pool->waiting_last = NULL;
    return item;
}

// With the lock held: until there is a job to take, or never will be.
static void wait_for_work(struct work_pool *pool)
{
    if (pool->waiting != NULL || pool->ending)
        return;
    uint64_t since = pool->profile == NULL ? 0 : io_monotonic_ns(pool->io);
    while (pool->waiting == NULL && !pool->ending)
        pthread_cond_wait(&pool->has_work, &pool->lock);
    if (pool->profile != NULL && since != 0)
        profile_add(pool->profile, pool->stage, PROFILE_STARVED, io_monotonic_ns(pool->io) - since);
}

static void *worker_main(void *arg)
{
    struct worker *me = arg;
    struct work_pool *pool = me->pool;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        wait_for_work(pool);
        if (pool->waiting == NULL)
            break;
        struct item *item = take_waiting(pool);
        pthread_mutex_unlock(&pool->lock);
        item->run(item->job, me->number);
        pthread_mutex_lock(&pool->lock);
        item->done = true;
        if (item == pool->oldest)
            pthread_cond_signal(&pool->has_result);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

// Signals are the main thread's business.
static void start_worker(struct worker *w)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

struct work_pool *work_new(unsigned threads)
{
    threads = threads == 0 ? 1 : threads;
    struct work_pool *pool = xcalloc(1, sizeof *pool + threads * sizeof pool->workers[0]);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->has_work, NULL);
    pthread_cond_init(&pool->has_result, NULL);
    pool->threads = threads;
    for (unsigned i = 0; i < threads; i++) {
        pool->workers[i] = (struct worker){ .pool = pool, .number = i };
        start_worker(&pool->workers[i]);
    }
    return pool;
}

void work_free(struct work_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->has_work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->threads; i++)
        pthread_join(pool->workers[i].thread, NULL);
    while (pool->oldest != NULL) {
        struct item *item = pool->oldest;
        pool->oldest = item->next;
        free(item);
    }
    pthread_cond_destroy(&pool->has_result);
    pthread_cond_destroy(&pool->has_work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

unsigned work_threads(const struct work_pool *pool) { return pool->threads; }

void work_profile(struct work_pool *pool, struct profile *profile, const struct io *io, enum profile_stage stage)
{
    pthread_mutex_lock(&pool->lock);
    pool->profile = profile;
    pool->io = io;
    pool->stage = stage;
    pthread_mutex_unlock(&pool->lock);
    profile_threads(profile, stage, pool->threads);
}

void work_submit(struct work_pool *pool, work_fn *run, void *job)
{
    struct item *item = xcalloc(1, sizeof *item);
    item->run = run;
    item->job = job;
    pthread_mutex_lock(&pool->lock);
    if (pool->newest != NULL)
        pool->newest->next = item;
    else
        pool->oldest = item;
    pool->newest = item;
    if (pool->waiting_last != NULL)
        pool->waiting_last->next_waiting = item;
    else
        pool->waiting = item;
    pool->waiting_last = item;
    pool->count++;
    pthread_cond_signal(&pool->has_work);
    pthread_mutex_unlock(&pool->lock);
}

// `count`, `oldest` and `newest` change in the submitting thread only.
size_t work_count(const struct work_pool *pool) { return pool->count; }

static void *take_result(struct work_pool *pool)
{
    struct item *item = pool->oldest;
    pool->oldest = item->next;
    if (pool->oldest == NULL)
        pool->newest = NULL;
    pool->count--;
    void *job = item->job;
    free(item);
    return job;
}

void *work_next(struct work_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->oldest != NULL && !pool->oldest->done)
        pthread_cond_wait(&pool->has_result, &pool->lock);
    void *job = pool->oldest == NULL ? NULL : take_result(pool);
    pthread_mutex_unlock(&pool->lock);
    return job;
}

void *work_try_next(struct work_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    void *job = pool->oldest != NULL && pool->oldest->done ? take_result(pool) : NULL;
    pthread_mutex_unlock(&pool->lock);
    return job;
}

unsigned work_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : (unsigned)n;
}
