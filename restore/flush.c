#include "restore/flush.h"

#include <pthread.h>
#include <stdlib.h>

#include "bkd/base/buf.h"
#include "bkd/base/work.h"

enum { FILE_BYTES = 4096 }; // what a file costs beside its content

struct flush {
    const struct io *io;
    int fd;
    const char *name;
    atomic_bool *stop;
    struct work_pool *pool; // of one thread
    struct error failure;   // ends the thread, and is its own until then
    pthread_mutex_t lock;
    pthread_cond_t more;
    uint64_t waiting_bytes;
    bool ending;
};

static bool await_step(struct flush *f)
{
    pthread_mutex_lock(&f->lock);
    while (!f->ending && f->waiting_bytes < FLUSH_STEP)
        pthread_cond_wait(&f->more, &f->lock);
    f->waiting_bytes = 0;
    bool more = !f->ending;
    pthread_mutex_unlock(&f->lock);
    return more;
}

static void sync_again(void *job, unsigned worker)
{
    struct flush *f = job;
    struct error err;
    (void)worker;
    while (await_step(f))
        if (io_syncfs(f->io, f->fd, f->name, &err) < 0) {
            f->failure = err;
            atomic_store(f->stop, true);
            return;
        }
}

struct flush *flush_new(const struct io *io, int fd, const char *name, atomic_bool *stop)
{
    struct flush *f = xcalloc(1, sizeof *f);
    f->io = io;
    f->fd = fd;
    f->name = name;
    f->stop = stop;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->more, NULL);
    f->pool = work_new(1);
    work_submit(f->pool, sync_again, f);
    return f;
}

void flush_written(struct flush *f, uint64_t files, uint64_t bytes)
{
    if (f == NULL)
        return;
    pthread_mutex_lock(&f->lock);
    f->waiting_bytes += bytes + files * FILE_BYTES;
    if (f->waiting_bytes >= FLUSH_STEP)
        pthread_cond_signal(&f->more);
    pthread_mutex_unlock(&f->lock);
}

int flush_end(struct flush *f, struct error *err)
{
    if (f == NULL)
        return 0;
    pthread_mutex_lock(&f->lock);
    f->ending = true;
    pthread_cond_signal(&f->more);
    pthread_mutex_unlock(&f->lock);
    work_free(f->pool);
    int r = f->failure.code;
    if (r < 0)
        *err = f->failure;
    pthread_cond_destroy(&f->more);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return r;
}
