#include "bkd/repo/stored.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/crypto.h"
#include "bkd/base/log.h"
#include "bkd/repo/at_hand.h"

enum { TAG = CRYPTO_BLOCKHASH_TAG_SIZE, CHUNK = 16 * STORED_BLOCK };

struct file {
    char *name;
    pthread_mutex_t opening; // held while the whole file is read
    atomic_bool damaged;     // it was read, and was not what the refs say
    uint8_t *tags;           // one for each block; NULL = not authenticated. This and below: under stored.lock
    size_t tags_size;
    struct file *next_kept;
    uint8_t *begin;   // of a file far away: its authenticated beginning; set once, then read only
};

struct stored {
    const struct io *io;
    struct store *store;
    const struct format_ref *refs;
    size_t n;
    bool encrypted;
    bool accepts_damaged;
    bool wants_parts;
    uint8_t key[CRYPTO_BLOCKHASH_KEY_SIZE];
    struct at_hand *at_hand; // NULL: reading ahead is worth nothing
    pthread_mutex_t lock;
    struct file **files; // beside refs; NULL until asked for
    struct file *kept_first, *kept_last; // those with tags, oldest first
    size_t kept_bytes;
    _Atomic uint64_t hashed_bytes, hash_ns, read_bytes, read_ns;
};

struct stored *stored_new(const struct io *io, struct store *store, const struct format_refs *refs, bool encrypted)
{
    struct stored *s = xcalloc(1, sizeof *s);
    s->io = io;
    s->store = store;
    s->refs = refs->refs;
    s->n = refs->n;
    s->encrypted = encrypted;
    s->files = xcalloc(refs->n + 1, sizeof *s->files);
    if (store->far && encrypted && store->ops->get_parts != NULL)
        s->at_hand = at_hand_new(store, STORED_AT_HAND_MAX);
    io_random(io, s->key, sizeof s->key);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void stored_free(struct stored *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n; i++) {
        struct file *f = s->files[i];
        if (f == NULL)
            continue;
        pthread_mutex_destroy(&f->opening);
        free(f->tags);
        free(f->begin);
        free(f->name);
        free(f);
    }
    at_hand_free(s->at_hand);
    free(s->files);
    pthread_mutex_destroy(&s->lock);
    explicit_bzero(s->key, sizeof s->key);
    free(s);
}

static struct file *file_of(struct stored *s, size_t index)
{
    pthread_mutex_lock(&s->lock);
    struct file *f = s->files[index];
    if (f == NULL) {
        f = s->files[index] = xcalloc(1, sizeof *f);
        f->name = format_object_name(s->refs[index].sha256, s->encrypted);
        pthread_mutex_init(&f->opening, NULL);
    }
    pthread_mutex_unlock(&s->lock);
    return f;
}

void stored_accept_damaged(struct stored *s) { s->accepts_damaged = true; }

void stored_want_parts(struct stored *s) { s->wants_parts = true; }

const char *stored_name(struct stored *s, size_t index) { return file_of(s, index)->name; }

static size_t tags_size(const struct stored *s, size_t index)
{
    return (size_t)((s->refs[index].stored_size + STORED_BLOCK - 1) / STORED_BLOCK) * TAG;
}

// Only of files whose opening is all that is authenticated: others are read whole.
static bool take_at_hand(struct stored *s, size_t index, uint64_t offset, void *data, size_t n)
{
    return s->at_hand != NULL && at_hand_take(s->at_hand, index, offset, data, n);
}

static int get(struct stored *s, const struct file *f, uint64_t offset, void *data, size_t n, struct error *err)
{
    uint64_t since = io_monotonic_ns(s->io);
    int r = s->store->ops->get(s->store, f->name, offset, data, n, err);
    s->read_ns += io_monotonic_ns(s->io) - since;
    if (r == 0)
        s->read_bytes += n;
    return r;
}

static void hash_blocks(struct crypto_blockhash *h, const uint8_t *data, size_t n, uint8_t *ret_tags)
{
    for (size_t at = 0; at < n; at += STORED_BLOCK, ret_tags += TAG)
        crypto_blockhash_run(h, data + at, n - at < STORED_BLOCK ? n - at : STORED_BLOCK, ret_tags);
}

// ---- authentication

static int read_whole(struct stored *s, const struct file *f, const struct format_ref *ref, uint8_t *tags,
                      uint8_t ret_sha256[CRYPTO_SHA256_SIZE], struct error *err)
{
    _cleanup_free_ char *chunk = xmalloc_at_page(CHUNK);
    _cleanup_crypto_sha256_ struct crypto_sha256 whole = { 0 };
    _cleanup_crypto_blockhash_ struct crypto_blockhash blocks = { 0 };
    crypto_sha256_init(&whole);
    crypto_blockhash_init(&blocks, s->key);
    for (uint64_t at = 0; at < ref->stored_size;) {
        size_t n = ref->stored_size - at < CHUNK ? (size_t)(ref->stored_size - at) : CHUNK;
        int r = get(s, f, at, chunk, n, err);
        if (r < 0)
            return r;
        uint64_t since = io_monotonic_ns(s->io);
        crypto_sha256_update(&whole, chunk, n);
        hash_blocks(&blocks, (uint8_t *)chunk, n, tags + at / STORED_BLOCK * TAG);
        s->hash_ns += io_monotonic_ns(s->io) - since;
        s->hashed_bytes += n;
        at += n;
    }
    crypto_sha256_final(&whole, ret_sha256);
    return 0;
}

static int authenticate(struct stored *s, const struct file *f, const struct format_ref *ref, uint8_t *tags, struct error *err)
{
    uint8_t sha256[CRYPTO_SHA256_SIZE];
    uint64_t size = 0;
    int r = s->store->ops->size(s->store, f->name, &size, err);
    if (r == 0 && size != ref->stored_size)
        return error_set(err, ERROR_INTEGRITY, "stored size is %llu instead of %llu", (unsigned long long)size,
                         (unsigned long long)ref->stored_size);
    if (r == 0)
        r = read_whole(s, f, ref, tags, sha256, err);
    if (r == 0 && memcmp(sha256, ref->sha256, sizeof sha256) != 0)
        r = error_set(err, ERROR_INTEGRITY, "the stored bytes do not have the SHA-256 of the file's name");
    return r;
}

// A file far away, or one that little is wanted of, is not read whole for a few of its bytes. Its first ones are an age header, whose SHA-256 the refs
// say; so the key in it is the one that the host made, which nobody who merely keeps the store knows, and the tag of each chunk of age vouches for the
// rest (doc/FORMAT.md section 4).
static bool goes_by_opening(const struct stored *s, size_t index)
{
    return (s->store->far || s->wants_parts) && s->encrypted && s->refs[index].opening_size > 0;
}

static int read_opening(struct stored *s, size_t index, const struct file *f, uint8_t *opening, struct error *err)
{
    const struct format_ref *ref = &s->refs[index];
    uint8_t sha256[CRYPTO_SHA256_SIZE];
    int r = take_at_hand(s, index, 0, opening, ref->opening_size) ? 0 : get(s, f, 0, opening, ref->opening_size, err);
    if (r < 0)
        return r;
    crypto_sha256(opening, ref->opening_size, sha256);
    return memcmp(sha256, ref->opening_sha256, sizeof sha256) == 0 ? 0 : error_set(err, ERROR_INTEGRITY, "its header does not have the SHA-256 of the refs");
}

static int authenticate_opening(struct stored *s, size_t index, struct file *f, struct error *err)
{
    uint8_t *opening = xmalloc(s->refs[index].opening_size);
    int r = read_opening(s, index, f, opening, err);
    if (r == ERROR_INTEGRITY) {
        stored_forget(s, index);
        r = read_opening(s, index, f, opening, err);
        if (r == 0)
            stored_tell_healed(s, index);
    }
    if (r < 0) {
        free(opening);
        return r;
    }
    f->begin = opening;
    return 0;
}

// A disk that fails to read one place of a file may well give the others.
static bool is_damage(const struct stored *s, int code)
{
    return code == ERROR_INTEGRITY || (s->accepts_damaged && code == ERROR_FAILED);
}

// The oldest go, but never the newest.
static void forget_oldest(struct stored *s)
{
    while (s->kept_bytes > STORED_TAGS_MAX && s->kept_first != s->kept_last) {
        struct file *f = s->kept_first;
        s->kept_first = f->next_kept;
        s->kept_bytes -= f->tags_size;
        free(f->tags);
        f->tags = NULL;
    }
}

static void keep(struct stored *s, struct file *f, uint8_t *tags, size_t n)
{
    pthread_mutex_lock(&s->lock);
    f->tags = tags;
    f->tags_size = n;
    f->next_kept = NULL;
    *(s->kept_last == NULL ? &s->kept_first : &s->kept_last->next_kept) = f;
    s->kept_last = f;
    s->kept_bytes += n;
    forget_oldest(s);
    pthread_mutex_unlock(&s->lock);
}

static bool has_tags(struct stored *s, const struct file *f)
{
    pthread_mutex_lock(&s->lock);
    bool has = f->tags != NULL;
    pthread_mutex_unlock(&s->lock);
    return has;
}

static int open_by_opening(struct stored *s, size_t index, struct file *f, struct error *err)
{
    return f->begin != NULL ? 0 : authenticate_opening(s, index, f, err);
}

static int open_whole(struct stored *s, size_t index, struct file *f, struct error *err)
{
    size_t n = tags_size(s, index);
    uint8_t *tags = xmalloc(n + 1);
    int r = authenticate(s, f, &s->refs[index], tags, err);
    if (r == ERROR_INTEGRITY) {
        stored_forget(s, index);
        r = authenticate(s, f, &s->refs[index], tags, err);
        if (r == 0)
            stored_tell_healed(s, index);
    }
    if (r == 0)
        keep(s, f, tags, n);
    else
        free(tags);
    return r;
}

static int open_locked(struct stored *s, size_t index, struct file *f, struct error *err)
{
    if (has_tags(s, f) || (f->damaged && s->accepts_damaged))
        return 0;
    if (f->damaged)
        return error_set(err, ERROR_INTEGRITY, "it is not what the refs say");
    int r = goes_by_opening(s, index) ? open_by_opening(s, index, f, err) : open_whole(s, index, f, err);
    if (r == 0)
        return 0;
    f->damaged = is_damage(s, r);
    if (!f->damaged || !s->accepts_damaged)
        return r;
    log_warn("'%s' is damaged: %s; only what can be compared with a recorded SHA-256 is taken from it", f->name, err->text);
    return 0;
}

int stored_open(struct stored *s, size_t index, struct error *err)
{
    struct file *f = file_of(s, index);
    pthread_mutex_lock(&f->opening);
    int r = open_locked(s, index, f, err);
    pthread_mutex_unlock(&f->opening);
    return r;
}

// ---- reading

bool stored_is_authentic(struct stored *s, size_t index) { return !file_of(s, index)->damaged; }

// The tags of blocks [first, first + n), copied, since the file may be forgotten meanwhile. *ret_has false: it is damaged and accepted.
static int take_tags(struct stored *s, size_t index, struct file *f, uint64_t first, size_t n, uint8_t *ret_tags, bool *ret_has,
                     struct error *err)
{
    for (;;) {
        pthread_mutex_lock(&s->lock);
        *ret_has = f->tags != NULL;
        if (*ret_has)
            memcpy(ret_tags, f->tags + first * TAG, n * TAG);
        pthread_mutex_unlock(&s->lock);
        if (*ret_has)
            return 0;
        int r = stored_open(s, index, err);
        if (r < 0 || f->damaged)
            return r;
    }
}

static int compare_blocks(struct stored *s, size_t index, struct file *f, uint64_t first, const uint8_t *data, size_t n, struct error *err)
{
    size_t blocks = (n + STORED_BLOCK - 1) / STORED_BLOCK;
    _cleanup_free_ char *tags = xmalloc(2 * blocks * TAG + 1);
    uint8_t *good = (uint8_t *)tags, *found = good + blocks * TAG;
    bool has;
    int r = take_tags(s, index, f, first, blocks, good, &has, err);
    if (r < 0 || !has)
        return r;
    _cleanup_crypto_blockhash_ struct crypto_blockhash h = { 0 };
    crypto_blockhash_init(&h, s->key);
    hash_blocks(&h, data, n, found);
    return memcmp(good, found, blocks * TAG) == 0
               ? 0
               : error_set(err, ERROR_INTEGRITY, "its bytes changed after they were compared with their SHA-256");
}

// What was authenticated stands in the place of what the store says now.
static int read_by_opening(struct stored *s, size_t index, struct file *f, uint64_t offset, size_t n, uint8_t *space, size_t *ret_skip, struct error *err)
{
    uint32_t opening = s->refs[index].opening_size;
    int r = stored_open(s, index, err);
    if (r == 0 && !take_at_hand(s, index, offset, space, n))
        r = get(s, f, offset, space, n, err);
    if (r < 0)
        return r;
    if (f->begin != NULL && offset < opening)
        memcpy(space, f->begin + offset, opening - offset < n ? (size_t)(opening - offset) : n);
    *ret_skip = 0;
    return 0;
}

int stored_read(struct stored *s, size_t index, uint64_t offset, size_t n, uint8_t *space, size_t *ret_skip, struct error *err)
{
    const struct format_ref *ref = &s->refs[index];
    if (offset > ref->stored_size || n > ref->stored_size - offset)
        return error_set(err, ERROR_INTEGRITY, "bytes beyond its end are asked for");
    struct file *f = file_of(s, index);
    if (goes_by_opening(s, index) && !f->damaged)
        return read_by_opening(s, index, f, offset, n, space, ret_skip, err);
    uint64_t first = offset / STORED_BLOCK, start = first * STORED_BLOCK;
    uint64_t end = (offset + n + STORED_BLOCK - 1) / STORED_BLOCK * STORED_BLOCK;
    bool as_it_is = s->accepts_damaged && f->damaged;
    if (as_it_is)
        start = offset, end = offset + n; // neighbours that cannot be read do no harm
    else if (end > ref->stored_size)
        end = ref->stored_size;
    int r = get(s, f, start, space, (size_t)(end - start), err);
    if (r == 0 && !as_it_is)
        r = compare_blocks(s, index, f, first, space, (size_t)(end - start), err);
    if (r == 0)
        *ret_skip = (size_t)(offset - start);
    return r;
}

// ---- asked for anew

void stored_forget(struct stored *s, size_t index)
{
    if (s->at_hand != NULL)
        at_hand_forget(s->at_hand, index);
    store_forget(s->store, file_of(s, index)->name);
}

void stored_tell_healed(struct stored *s, size_t index)
{
    log_warn("'%s' in %s was read with other bytes the first time, and is right: the server's memory, this host's or what lies between is failing",
             file_of(s, index)->name, s->store->url);
}

// ---- before it is asked for

bool stored_is_worth_expecting(const struct stored *s) { return s->at_hand != NULL; }

void stored_expect(struct stored *s, const struct stored_part *parts, size_t n)
{
    struct at_hand_part *wanted = xcalloc(n + 1, sizeof *wanted);
    size_t m = 0;
    uint64_t since = io_monotonic_ns(s->io), bytes;
    for (size_t i = 0; i < n; i++) {
        uint64_t size = s->refs[parts[i].index].stored_size;
        if (!goes_by_opening(s, parts[i].index) || parts[i].offset > size || parts[i].n > size - parts[i].offset)
            continue;
        wanted[m++] = (struct at_hand_part){ .index = parts[i].index, .name = file_of(s, parts[i].index)->name, .offset = parts[i].offset, .n = parts[i].n };
    }
    at_hand_fetch(s->at_hand, wanted, m, &bytes);
    s->read_ns += io_monotonic_ns(s->io) - since;
    s->read_bytes += bytes;
    free(wanted);
}

void stored_stats(const struct stored *s, struct stored_stats *ret_stats)
{
    *ret_stats = (struct stored_stats){
        .hashed_bytes = s->hashed_bytes, .hash_ns = s->hash_ns, .read_bytes = s->read_bytes, .read_ns = s->read_ns
    };
}
