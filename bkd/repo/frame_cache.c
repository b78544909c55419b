#include "bkd/repo/frame_cache.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "bkd/base/buf.h"

#define BUCKETS 1024u

struct frame_cache {
    pthread_mutex_t lock;
    pthread_cond_t loaded;
    size_t limit, bytes;
    struct frame_cache_entry *buckets[BUCKETS];
    struct frame_cache_entry *newest, *oldest; // those without users
};

struct frame_cache *frame_cache_new(size_t limit_bytes)
{
    struct frame_cache *c = xcalloc(1, sizeof *c);
    c->limit = limit_bytes;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->loaded, NULL);
    return c;
}

static struct frame_cache_entry **bucket_of(struct frame_cache *c, uint32_t object, uint32_t frame)
{
    return &c->buckets[(object * 2654435761u + frame) % BUCKETS];
}

static void unlink_unused(struct frame_cache *c, struct frame_cache_entry *e)
{
    *(e->newer == NULL ? &c->newest : &e->newer->older) = e->older;
    *(e->older == NULL ? &c->oldest : &e->older->newer) = e->newer;
    e->newer = e->older = NULL;
}

static void link_newest(struct frame_cache *c, struct frame_cache_entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest == NULL ? &c->oldest : &c->newest->newer) = e;
    c->newest = e;
}

static void link_oldest(struct frame_cache *c, struct frame_cache_entry *e)
{
    e->older = NULL;
    e->newer = c->oldest;
    *(c->oldest == NULL ? &c->newest : &c->oldest->older) = e;
    c->oldest = e;
}

static void drop(struct frame_cache *c, struct frame_cache_entry *e)
{
    struct frame_cache_entry **p = bucket_of(c, e->object, e->frame);
    while (*p != e)
        p = &(*p)->bucket_next;
    *p = e->bucket_next;
    if (e->data != NULL)
        c->bytes -= e->size;
    free(e->data);
    free(e);
}

static void shrink(struct frame_cache *c)
{
    while (c->bytes > c->limit && c->oldest != NULL) {
        struct frame_cache_entry *e = c->oldest;
        unlink_unused(c, e);
        drop(c, e);
    }
}

void frame_cache_free(struct frame_cache *c)
{
    if (c == NULL)
        return;
    c->limit = 0;
    shrink(c);
    assert(c->bytes == 0);
    pthread_cond_destroy(&c->loaded);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static struct frame_cache_entry *find(struct frame_cache *c, uint32_t object, uint32_t frame)
{
    struct frame_cache_entry *e = *bucket_of(c, object, frame);
    while (e != NULL && (e->object != object || e->frame != frame))
        e = e->bucket_next;
    return e;
}

static void use(struct frame_cache *c, struct frame_cache_entry *e)
{
    if (e->users++ == 0 && e->data != NULL)
        unlink_unused(c, e);
}

struct frame_cache_entry *frame_cache_take(struct frame_cache *c, uint32_t object, uint32_t frame, bool *ret_must_load)
{
    pthread_mutex_lock(&c->lock);
    struct frame_cache_entry *e;
    // An entry without data is being loaded by another thread; if that fails, it is gone when this one looks again.
    while ((e = find(c, object, frame)) != NULL && e->data == NULL)
        pthread_cond_wait(&c->loaded, &c->lock);
    *ret_must_load = e == NULL;
    if (e == NULL) {
        e = xcalloc(1, sizeof *e);
        e->object = object;
        e->frame = frame;
        struct frame_cache_entry **bucket = bucket_of(c, object, frame);
        e->bucket_next = *bucket;
        *bucket = e;
    }
    use(c, e);
    pthread_mutex_unlock(&c->lock);
    return e;
}

struct frame_cache_entry *frame_cache_find(struct frame_cache *c, uint32_t object, uint32_t frame)
{
    pthread_mutex_lock(&c->lock);
    struct frame_cache_entry *e = find(c, object, frame);
    if (e != NULL && e->data == NULL)
        e = NULL;
    if (e != NULL)
        use(c, e);
    pthread_mutex_unlock(&c->lock);
    return e;
}

void frame_cache_filled(struct frame_cache *c, struct frame_cache_entry *entry, uint8_t *data, uint32_t size)
{
    pthread_mutex_lock(&c->lock);
    entry->data = data;
    entry->size = size;
    c->bytes += size;
    shrink(c);
    pthread_cond_broadcast(&c->loaded);
    pthread_mutex_unlock(&c->lock);
}

void frame_cache_failed(struct frame_cache *c, struct frame_cache_entry *entry)
{
    pthread_mutex_lock(&c->lock);
    drop(c, entry);
    pthread_cond_broadcast(&c->loaded);
    pthread_mutex_unlock(&c->lock);
}

void frame_cache_release(struct frame_cache *c, struct frame_cache_entry *entry, bool used_up)
{
    pthread_mutex_lock(&c->lock);
    assert(entry->users > 0);
    if (--entry->users == 0) {
        (used_up ? link_oldest : link_newest)(c, entry);
        shrink(c);
    }
    pthread_mutex_unlock(&c->lock);
}
