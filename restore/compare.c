#include "restore/compare.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"

enum { CHUNK = 1 << 20, ZEROS = 256 << 10 };

enum state { UNKNOWN, GOOD, BAD };

struct object_state {
    enum state state;
    uint64_t whole_bytes; // hashed as whole files so far because of recipes in this object
};

struct compare {
    struct store *store;
    const struct format_refs *refs;
    bool encrypted;
    struct timing *timing;
    pthread_mutex_t lock;
    struct object_state *objects; // beside refs->refs
};

struct compare *compare_new(struct store *store, const struct format_refs *refs, bool encrypted, struct timing *timing)
{
    struct compare *c = xcalloc(1, sizeof *c);
    c->store = store;
    c->refs = refs;
    c->encrypted = encrypted;
    c->timing = timing;
    pthread_mutex_init(&c->lock, NULL);
    c->objects = xcalloc(refs->n + 1, sizeof *c->objects);
    return c;
}

void compare_free(struct compare *c)
{
    if (c == NULL)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c->objects);
    free(c);
}

static int hash_stored(struct compare *c, const char *name, uint64_t size, uint8_t ret_sha256[CRYPTO_SHA256_SIZE], struct error *err)
{
    _cleanup_free_ char *chunk = xmalloc(CHUNK);
    _cleanup_crypto_sha256_ struct crypto_sha256 hash;
    crypto_sha256_init(&hash);
    for (uint64_t at = 0; at < size;) {
        size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
        uint64_t since = timing_now(c->timing);
        int r = c->store->ops->get(c->store, name, at, chunk, n, err);
        if (r < 0)
            return r;
        since = timing_add(c->timing, TIMING_FETCH, since, n);
        crypto_sha256_update(&hash, chunk, n);
        (void)timing_add(c->timing, TIMING_COMPARE, since, n);
        at += n;
    }
    crypto_sha256_final(&hash, ret_sha256);
    return 0;
}

static int check_object(struct compare *c, const struct format_ref *ref, struct error *err)
{
    _cleanup_free_ char *name = format_object_name(ref->sha256, c->encrypted);
    uint8_t sha256[CRYPTO_SHA256_SIZE];
    uint64_t size = 0;
    int r = c->store->ops->size(c->store, name, &size, err);
    if (r == 0 && size != ref->stored_size)
        r = error_set(err, ERROR_INTEGRITY, "stored size is %llu instead of %llu", (unsigned long long)size,
                      (unsigned long long)ref->stored_size);
    if (r == 0)
        r = hash_stored(c, name, ref->stored_size, sha256, err);
    if (r == 0 && memcmp(sha256, ref->sha256, sizeof sha256) != 0)
        r = error_set(err, ERROR_INTEGRITY, "the stored bytes do not have the SHA-256 of the file's name");
    return r < 0 ? error_prefix(err, "'%s'", name) : 0;
}

static int find_object(struct compare *c, uint32_t object, size_t *ret_index, struct error *err)
{
    const struct format_ref *ref = format_refs_find(c->refs, object);
    if (ref == NULL)
        return error_set(err, ERROR_INTEGRITY, "object %u is not among the snapshot's refs", object);
    *ret_index = (size_t)(ref - c->refs->refs);
    return 0;
}

static int object_locked(struct compare *c, size_t index, struct error *err)
{
    struct object_state *state = &c->objects[index];
    if (state->state == GOOD)
        return 0;
    if (state->state == BAD)
        return error_set(err, ERROR_INTEGRITY, "object %u is not what the refs say", c->refs->refs[index].object);
    int r = check_object(c, &c->refs->refs[index], err);
    if (r == 0)
        state->state = GOOD;
    else if (r == ERROR_INTEGRITY)
        state->state = BAD;
    return r;
}

int compare_object(struct compare *c, uint32_t object, struct error *err)
{
    size_t index = 0;
    int r = find_object(c, object, &index, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&c->lock);
    r = object_locked(c, index, err);
    pthread_mutex_unlock(&c->lock);
    return r;
}

int compare_recipe(struct compare *c, uint32_t object, uint64_t size, bool *ret_whole, struct error *err)
{
    size_t index = 0;
    int r = find_object(c, object, &index, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&c->lock);
    struct object_state *state = &c->objects[index];
    // What was spent on whole files counts: never more than twice the best that could have been done.
    bool whole = state->state != GOOD && state->whole_bytes + size <= c->refs->refs[index].stored_size;
    if (whole)
        state->whole_bytes += size;
    else
        r = object_locked(c, index, err);
    pthread_mutex_unlock(&c->lock);
    if (r == 0)
        *ret_whole = whole;
    return r;
}

bool compare_bytes(struct timing *timing, const void *data, size_t n, const uint8_t sha256[CRYPTO_SHA256_SIZE])
{
    uint64_t since = timing_now(timing);
    uint8_t digest[CRYPTO_SHA256_SIZE];
    crypto_sha256(data, n, digest);
    (void)timing_add(timing, TIMING_COMPARE, since, n);
    return memcmp(digest, sha256, sizeof digest) == 0;
}

struct piece {
    const void *data;
    uint32_t length;
    bool ready;
};

struct compare_whole {
    struct timing *timing;
    pthread_mutex_t lock;
    struct crypto_sha256 hash;
    bool busy; // somebody is hashing
    pthread_cond_t idle;
    uint32_t next, n;
    struct piece pieces[];
};

struct compare_whole *compare_whole_new(struct timing *timing, uint32_t n_pieces)
{
    struct compare_whole *w = xcalloc(1, sizeof *w + n_pieces * sizeof w->pieces[0]);
    w->timing = timing;
    w->n = n_pieces;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->idle, NULL);
    crypto_sha256_init(&w->hash);
    return w;
}

void compare_whole_free(struct compare_whole *w)
{
    if (w == NULL)
        return;
    crypto_sha256_done(&w->hash);
    pthread_cond_destroy(&w->idle);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static void hash_piece(struct compare_whole *w, const struct piece *p)
{
    uint64_t since = timing_now(w->timing);
    if (p->data != NULL) {
        crypto_sha256_update(&w->hash, p->data, p->length);
    } else {
        static const uint8_t zeros[ZEROS];
        for (uint32_t left = p->length; left > 0;) {
            uint32_t n = left < ZEROS ? left : ZEROS;
            crypto_sha256_update(&w->hash, zeros, n);
            left -= n;
        }
    }
    (void)timing_add(w->timing, TIMING_COMPARE, since, p->length);
}

// Whoever finds the next piece ready and nobody at work goes on as far as pieces are ready.
void compare_whole_piece(struct compare_whole *w, uint32_t index, const void *data, uint32_t length)
{
    pthread_mutex_lock(&w->lock);
    w->pieces[index] = (struct piece){ .data = data, .length = length, .ready = true };
    if (!w->busy) {
        w->busy = true;
        while (w->next < w->n && w->pieces[w->next].ready) {
            struct piece p = w->pieces[w->next];
            pthread_mutex_unlock(&w->lock);
            hash_piece(w, &p);
            pthread_mutex_lock(&w->lock);
            w->next++;
        }
        w->busy = false;
        pthread_cond_broadcast(&w->idle);
    }
    pthread_mutex_unlock(&w->lock);
}

void compare_whole_settle(struct compare_whole *w)
{
    pthread_mutex_lock(&w->lock);
    while (w->busy)
        pthread_cond_wait(&w->idle, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

bool compare_whole_equal(struct compare_whole *w, const uint8_t sha256[CRYPTO_SHA256_SIZE])
{
    uint8_t digest[CRYPTO_SHA256_SIZE];
    if (w->next != w->n)
        return false;
    crypto_sha256_final(&w->hash, digest);
    return memcmp(digest, sha256, sizeof digest) == 0;
}
