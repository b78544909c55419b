#include "restore/compare.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/base/file_hash.h"

enum { ZEROS = 256 << 10 };

bool compare_bytes(struct timing *timing, const void *data, size_t n, const uint8_t sha256[CRYPTO_SHA256_SIZE])
{
    uint64_t since = timing_now(timing);
    uint8_t digest[CRYPTO_SHA256_SIZE];
    crypto_sha256(data, n, digest);
    (void)timing_add(timing, TIMING_COMPARE, since, n);
    return memcmp(digest, sha256, sizeof digest) == 0;
}

void compare_each(struct timing *timing, struct compare_item *items, size_t count)
{
    uint64_t since = timing_now(timing), bytes = 0;
    struct file_hash_message messages[COMPARE_EACH_MAX];
    assert(count <= COMPARE_EACH_MAX);
    for (size_t i = 0; i < count; i++) {
        messages[i] = (struct file_hash_message){ .data = items[i].data, .n = items[i].n };
        bytes += items[i].n;
    }
    file_hash_each(messages, count);
    (void)timing_add(timing, TIMING_COMPARE, since, bytes);
    for (size_t i = 0; i < count; i++)
        items[i].equal = memcmp(messages[i].digest, items[i].sha256, sizeof messages[i].digest) == 0;
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
