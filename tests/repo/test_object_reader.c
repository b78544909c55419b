// Ranges of objects, encrypted and not: any range, the cache and its threads, keys, damage to every part of a stored file.
#include "tests/repo/made.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "bkd/base/work.h"
#include "bkd/repo/object_reader.h"
#include "bkd/repo/stored.h"

enum { PLAIN = 300000, FRAME = 40000 };

struct fixture {
    bool encrypted;
    struct store *store;
    struct age_identity identities[3]; // the third is a stranger's
    struct buf plain, stored;
    struct format_ref ref[2];
    struct format_refs refs;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->encrypted = *state != NULL;
    f->store = store_memory_new();
    struct age_recipient recipients[2];
    for (int i = 0; i < 3; i++)
        age_identity_new(io_real(), &f->identities[i]);
    recipients[0] = f->identities[0].recipient;
    recipients[1] = f->identities[1].recipient;
    made_bytes(1, PLAIN, &f->plain);
    made_stored(f->plain.data, PLAIN, FRAME, recipients, f->encrypted ? 2 : 0, &f->stored);
    made_put(f->store, 5, &f->stored, f->encrypted, &f->ref[0]);
    // A second object whose seek table is longer than what is read at first: 5000 frames.
    _cleanup_buf_ struct buf many = { 0 }, stored = { 0 };
    made_bytes(2, 50000, &many);
    made_stored(many.data, many.len, 10, recipients, f->encrypted ? 2 : 0, &stored);
    made_put(f->store, 9, &stored, f->encrypted, &f->ref[1]);
    f->refs = (struct format_refs){ .refs = f->ref, .n = 2 };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    buf_done(&f->plain);
    buf_done(&f->stored);
    free(f);
    return 0;
}

static struct object_reader *reader_of(struct fixture *f, const struct age_identity *identities, size_t n, size_t cache_bytes)
{
    struct object_reader *r = NULL;
    struct error err;
    OK(object_reader_new(io_real(), f->store, &f->refs, f->encrypted, identities, n, cache_bytes, &r, &err));
    return r;
}

static void check_range(struct fixture *f, struct object_reader *r, uint64_t offset, uint64_t n)
{
    struct error err;
    uint8_t *data = malloc(n);
    struct place place = { 5, offset, n };
    OK(object_reader_read(r, &place, data, &err));
    assert_memory_equal(data, f->plain.data + offset, n);
    free(data);
}

static void test_ranges(void **state)
{
    struct fixture *f = *state;
    struct object_reader *r = reader_of(f, f->identities, 2, 100000);
    check_range(f, r, 0, PLAIN);
    check_range(f, r, 0, 1);
    check_range(f, r, PLAIN - 1, 1);
    check_range(f, r, FRAME - 1, 2);
    check_range(f, r, FRAME, FRAME);
    uint64_t seed = 7;
    for (int i = 0; i < 300; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t offset = (seed >> 33) % PLAIN;
        check_range(f, r, offset, 1 + (seed >> 13) % (PLAIN - offset));
    }
    uint8_t zeros[100];
    memset(zeros, 1, sizeof zeros);
    struct error err;
    OK(object_reader_read(r, &(struct place){ 0, 0, 100 }, zeros, &err));
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeros[i], 0);
    object_reader_free(r);
}

// A frame into the caller's memory: decoded there, or copied where it is at hand; only as a whole.
static void test_frame_into(void **state)
{
    struct fixture *f = *state;
    struct object_reader *r = reader_of(f, f->identities, 2, 100000);
    struct object_reader_stats before, after;
    struct object_frame frame;
    struct error err;
    uint8_t *data = malloc(FRAME);
    OK(object_reader_frame_into(r, 5, 2, data, FRAME, &err));
    assert_memory_equal(data, f->plain.data + 2 * FRAME, FRAME);
    OK(object_reader_frame(r, 5, 3, &frame, &err));
    object_reader_release(r, &frame);
    object_reader_stats(r, &before);
    OK(object_reader_frame_into(r, 5, 3, data, FRAME, &err));
    object_reader_stats(r, &after);
    assert_memory_equal(data, f->plain.data + 3 * FRAME, FRAME);
    assert_true(after.decoded_bytes == before.decoded_bytes);
    assert_int_equal(object_reader_frame_into(r, 5, 1, data, FRAME - 1, &err), ERROR_INTEGRITY);
    assert_int_equal(object_reader_frame_into(r, 5, 99, data, FRAME, &err), ERROR_INTEGRITY);
    free(data);
    object_reader_free(r);
}

// What was looked into ahead stays, whatever else is read once and used up meanwhile.
static void test_used_up_frames_go_first(void **state)
{
    struct fixture *f = *state;
    struct object_reader *r = reader_of(f, f->identities, 2, 2 * FRAME);
    struct object_reader_stats before, after;
    struct object_frame frame;
    struct error err;
    OK(object_reader_frame(r, 5, 6, &frame, &err));
    object_reader_release(r, &frame);
    for (uint32_t i = 1; i < 6; i++) {
        OK(object_reader_frame(r, 5, i, &frame, &err));
        object_reader_use_up(r, &frame);
    }
    object_reader_stats(r, &before);
    OK(object_reader_frame(r, 5, 6, &frame, &err));
    assert_memory_equal(frame.data, f->plain.data + 6 * FRAME, FRAME);
    object_reader_release(r, &frame);
    object_reader_stats(r, &after);
    assert_true(after.decoded_bytes == before.decoded_bytes);
    object_reader_free(r);
}

// A store that hands a byte over wrong: at the read `at` (counted from 1), once, or at every read from there on.
struct flipping {
    struct store store;
    struct store *real;
    unsigned reads, at;
    bool always;
};

static int flipping_get(struct store *s, const char *name, uint64_t offset, void *data, size_t n, struct error *err)
{
    struct flipping *f = (struct flipping *)s;
    int r = f->real->ops->get(f->real, name, offset, data, n, err);
    f->reads++;
    if (r == 0 && (f->reads == f->at || (f->always && f->reads > f->at)))
        ((uint8_t *)data)[n / 2] ^= 4;
    return r;
}

static int flipping_size(struct store *s, const char *name, uint64_t *ret_size, struct error *err)
{
    struct flipping *f = (struct flipping *)s;
    return f->real->ops->size(f->real, name, ret_size, err);
}

enum reading { NEAR, FAR, PARTS };

static int read_flipped(struct fixture *f, enum reading how, unsigned at, bool always, unsigned *ret_reads)
{
    static const struct store_ops ops = { .get = flipping_get, .size = flipping_size };
    struct flipping flipping = { .store = { .ops = &ops, .far = how == FAR, .url = (char[]){ "flipping" } }, .real = f->store, .at = at, .always = always };
    struct object_reader *r = NULL;
    struct error err;
    enum { SOME = 2 * FRAME + 100 };
    uint8_t *data = malloc(SOME);
    OK(object_reader_new(io_real(), &flipping.store, &f->refs, f->encrypted, f->identities, 2, 1000000, &r, &err));
    if (how == PARTS)
        object_reader_want_parts(r);
    int result = object_reader_read(r, &(struct place){ 5, 0, SOME }, data, &err);
    if (result == 0)
        assert_memory_equal(data, f->plain.data, SOME);
    else if (strstr(err.text, "objects/") == NULL)
        fail_msg("no object is named: %s", err.text);
    object_reader_free(r);
    free(data);
    *ret_reads = flipping.reads;
    return result;
}

// Row N-11: a bit that was flipped once is healed by reading again, wherever it was; one that always comes so names the object.
static void test_flipped(void **state)
{
    struct fixture *f = *state;
    unsigned reads, ignored;
    for (enum reading how = NEAR; how <= PARTS; how++) {
        assert_int_equal(read_flipped(f, how, 0, false, &reads), 0);
        for (unsigned at = 1; at <= reads; at++)
            assert_int_equal(read_flipped(f, how, at, false, &ignored), 0);
        assert_int_equal(read_flipped(f, how, 1, true, &ignored), ERROR_INTEGRITY);
        assert_int_equal(read_flipped(f, how, reads, true, &ignored), ERROR_INTEGRITY);
    }
}

static void test_long_table(void **state)
{
    struct fixture *f = *state;
    struct object_reader *r = reader_of(f, f->identities + 1, 1, 1000);
    _cleanup_buf_ struct buf many = { 0 };
    made_bytes(2, 50000, &many);
    struct error err;
    for (uint64_t at = 0; at + 25 < many.len; at += 1237) {
        uint8_t data[25];
        OK(object_reader_read(r, &(struct place){ 9, at, 25 }, data, &err));
        assert_memory_equal(data, many.data + at, 25);
    }
    object_reader_free(r);
}

static void test_locate_and_frames(void **state)
{
    struct fixture *f = *state;
    struct object_reader *r = reader_of(f, f->identities, 1, 3 * FRAME);
    struct error err;
    uint32_t frame, size;
    uint64_t offset;
    OK(object_reader_locate(r, 5, 2 * FRAME + 7, &frame, &offset, &size, &err));
    assert_int_equal(frame, 2);
    assert_int_equal(offset, 2 * FRAME);
    assert_int_equal(size, FRAME);
    OK(object_reader_locate(r, 5, PLAIN - 1, &frame, &offset, &size, &err));
    assert_int_equal(size, PLAIN - offset);
    assert_int_equal(object_reader_locate(r, 5, PLAIN, &frame, &offset, &size, &err), ERROR_INTEGRITY);
    assert_int_equal(object_reader_locate(r, 6, 0, &frame, &offset, &size, &err), ERROR_INTEGRITY);
    struct object_frame a, b;
    assert_int_equal(object_reader_frame(r, 5, 8, &a, &err), ERROR_INTEGRITY);
    OK(object_reader_frame(r, 5, 1, &a, &err));
    OK(object_reader_frame(r, 5, 1, &b, &err));
    assert_ptr_equal(a.data, b.data);
    assert_int_equal(a.size, FRAME);
    assert_memory_equal(a.data, f->plain.data + FRAME, FRAME);
    object_reader_release(r, &a);
    // b is still in use: it stays while others push everything else out.
    for (uint32_t i = 2; i < 7; i++) {
        OK(object_reader_frame(r, 5, i, &a, &err));
        object_reader_release(r, &a);
    }
    assert_memory_equal(b.data, f->plain.data + FRAME, FRAME);
    object_reader_release(r, &b);
    object_reader_release(r, &b); // twice is harmless
    object_reader_free(r);
}

static void test_cache_is_bounded_and_reused(void **state)
{
    struct fixture *f = *state;
    struct object_reader *r = reader_of(f, f->identities, 1, 2 * FRAME);
    struct object_reader_stats stats;
    check_range(f, r, 0, 2 * FRAME);
    check_range(f, r, 0, 2 * FRAME);
    object_reader_stats(r, &stats);
    assert_int_equal(stats.decoded_bytes, 2 * FRAME); // the second time from the cache
    check_range(f, r, 2 * FRAME, FRAME); // pushes out frame 0
    check_range(f, r, FRAME, FRAME);
    object_reader_stats(r, &stats);
    assert_int_equal(stats.decoded_bytes, 3 * FRAME);
    check_range(f, r, 0, FRAME);
    object_reader_stats(r, &stats);
    assert_int_equal(stats.decoded_bytes, 4 * FRAME);
    assert_int_equal(stats.hashed_bytes, f->stored.len); // authenticated once
    object_reader_free(r);
}

// Reads 100 bytes out of the middle of 4 MiB.
static void read_little(struct fixture *f, bool parts, uint64_t *ret_stored, struct object_reader_stats *ret_stats)
{
    _cleanup_buf_ struct buf plain = { 0 }, stored = { 0 };
    made_bytes(3, 4 << 20, &plain);
    made_stored(plain.data, plain.len, 65536, &f->identities[0].recipient, f->encrypted ? 1 : 0, &stored);
    struct format_ref ref;
    made_put(f->store, 1, &stored, f->encrypted, &ref);
    f->refs = (struct format_refs){ .refs = &ref, .n = 1 };
    struct object_reader *r = reader_of(f, f->identities, 1, 1 << 20);
    if (parts)
        object_reader_want_parts(r);
    uint8_t data[100];
    struct error err;
    OK(object_reader_read(r, &(struct place){ 1, 2 << 20, 100 }, data, &err));
    assert_memory_equal(data, plain.data + (2 << 20), 100);
    *ret_stored = stored.len;
    object_reader_stats(r, ret_stats);
    object_reader_free(r);
}

// An object is read whole once, to be authenticated; after that a range needs little of it: the head, the tail and the chunks around it.
static void test_fetches_only_what_is_needed(void **state)
{
    struct fixture *f = *state;
    uint64_t stored;
    struct object_reader_stats stats;
    read_little(f, false, &stored, &stats);
    assert_int_equal(stats.hashed_bytes, stored);
    assert_true(stats.fetched_bytes - stored <= (f->encrypted ? STORED_BLOCK + 3 * STORED_BLOCK + 4 * STORED_BLOCK : 5 * STORED_BLOCK));
}

// Who wants little has no encrypted object read whole; of a plain one nothing else authenticates a part.
static void test_parts_are_fetched_alone(void **state)
{
    struct fixture *f = *state;
    uint64_t stored;
    struct object_reader_stats stats;
    read_little(f, true, &stored, &stats);
    assert_int_equal(stats.hashed_bytes, f->encrypted ? 0 : stored);
    assert_true(stats.fetched_bytes - stats.hashed_bytes <= 8 * STORED_BLOCK);
}

struct many_threads {
    struct fixture *f;
    struct object_reader *r;
    unsigned seed;
    int wrong;
};

static void *read_at_random(void *arg)
{
    struct many_threads *t = arg;
    struct error err;
    uint8_t data[3000];
    uint64_t seed = t->seed;
    for (int i = 0; i < 2000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t offset = (seed >> 33) % (PLAIN - sizeof data);
        if (object_reader_read(t->r, &(struct place){ 5, offset, sizeof data }, data, &err) < 0 ||
            memcmp(data, t->f->plain.data + offset, sizeof data) != 0)
            t->wrong++;
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct fixture *f = *state;
    // Room for two frames of eight: threads keep pushing out what others want.
    for (size_t cache = 0; cache <= PLAIN; cache += PLAIN / 4) {
        struct object_reader *r = reader_of(f, f->identities, 1, cache);
        struct many_threads t[4];
        pthread_t threads[4];
        for (unsigned i = 0; i < 4; i++) {
            t[i] = (struct many_threads){ f, r, i + 1, 0 };
            assert_int_equal(pthread_create(&threads[i], NULL, read_at_random, &t[i]), 0);
        }
        for (unsigned i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(t[i].wrong, 0);
        }
        struct object_reader_stats stats;
        object_reader_stats(r, &stats);
        // With room for everything each frame is decoded once, whoever asks.
        if (cache >= PLAIN)
            assert_int_equal(stats.decoded_bytes, PLAIN);
        object_reader_free(r);
    }
}

static pid_t parent_of(const char *pid)
{
    char path[64];
    int parent = 0;
    (void)snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    FILE *f = fopen(path, "r");
    if (f != NULL) {
        if (fscanf(f, "%*d (%*[^)]) %*c %d", &parent) != 1)
            parent = 0;
        (void)fclose(f);
    }
    return parent;
}

// Processes that decode: children of our own child, which starts them.
static unsigned count_decoders(void)
{
    unsigned n = 0;
    DIR *proc = opendir("/proc");
    assert_non_null(proc);
    for (const struct dirent *e; (e = readdir(proc)) != NULL;) {
        char parent[24];
        (void)snprintf(parent, sizeof parent, "%d", (int)parent_of(e->d_name));
        n += e->d_name[0] >= '1' && e->d_name[0] <= '9' && parent_of(parent) == getpid();
    }
    assert_int_equal(closedir(proc), 0);
    return n;
}

// From a disk no more are started than can run, however many ask; they would only take memory.
static void test_decoders_are_bounded(void **state)
{
    enum { ASKING_MAX = 64 };
    struct fixture *f = *state;
    struct many_threads t[ASKING_MAX];
    pthread_t threads[ASKING_MAX];
    unsigned asking = 2 * work_processors() + 6 < ASKING_MAX ? 2 * work_processors() + 6 : ASKING_MAX;
    struct object_reader *r = reader_of(f, f->identities, 1, 0);
    for (unsigned i = 0; i < asking; i++) {
        t[i] = (struct many_threads){ f, r, i + 1, 0 };
        assert_int_equal(pthread_create(&threads[i], NULL, read_at_random, &t[i]), 0);
    }
    for (unsigned i = 0; i < asking; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(t[i].wrong, 0);
    }
    if (asking > work_processors() + 1)
        assert_in_range(count_decoders(), 1, work_processors() + 1);
    object_reader_free(r);
}

static void test_keys(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct object_reader *r = NULL;
    assert_int_equal(object_reader_new(io_real(), f->store, &f->refs, true, NULL, 0, 1000, &r, &err), ERROR_KEY);
    r = reader_of(f, f->identities + 2, 1, 1000);
    uint8_t data;
    assert_int_equal(object_reader_read(r, &(struct place){ 5, 0, 1 }, &data, &err), ERROR_KEY);
    assert_non_null(strstr(err.text, "object 5, objects/"));
    object_reader_free(r);
    // A stranger's identity beside the right one does no harm.
    r = reader_of(f, f->identities, 3, 1000);
    OK(object_reader_read(r, &(struct place){ 5, 0, 1 }, &data, &err));
    object_reader_free(r);
}

static void test_missing_object(void **state)
{
    struct fixture *f = *state;
    struct error err;
    f->ref[0].sha256[0] ^= 1;
    struct object_reader *r = reader_of(f, f->identities, 1, 1000);
    uint8_t data;
    assert_int_equal(object_reader_read(r, &(struct place){ 5, 0, 1 }, &data, &err), ERROR_INTEGRITY);
    assert_non_null(strstr(err.text, "object 5, objects/"));
    object_reader_free(r);
}

// Bits flipped all over the file, and the file cut off: never wrong bytes. Encrypted, never accepted at all, except in what no one reads.
static void test_damage(void **state)
{
    struct fixture *f = *state;
    struct error err;
    _cleanup_buf_ struct buf whole = { 0 };
    uint8_t *data = buf_extend(&whole, PLAIN);
    unsigned tried = 0, harmless = 0;
    for (size_t at = 0; at < f->stored.len; at += at < 240 || at + 160 > f->stored.len ? 7 : at < 600 || at + 400 > f->stored.len ? 31 : 19997) {
        for (int cut = 0; cut < 2; cut++) {
            _cleanup_buf_ struct buf bad = { 0 };
            buf_add(&bad, f->stored.data, cut != 0 ? at : f->stored.len);
            if (cut == 0)
                bad.data[at] ^= (uint8_t)(1 << at % 8);
            if (bad.len == 0)
                continue;
            // The refs still say what was stored.
            struct store *store = store_memory_new(), *good = f->store;
            struct format_refs refs = f->refs;
            struct format_ref ref = f->ref[0];
            _cleanup_free_ char *name = format_object_name(ref.sha256, f->encrypted);
            OK(store->ops->put(store, name, bad.data, bad.len, &err));
            f->refs = (struct format_refs){ .refs = &ref, .n = 1 };
            f->store = store;
            struct object_reader *r = reader_of(f, f->identities, 1, 1 << 20);
            err = (struct error){ 0 };
            int e = object_reader_read(r, &(struct place){ 5, 0, PLAIN }, data, &err);
            tried++;
            if (e == 0) {
                harmless++;
                assert_memory_equal(data, f->plain.data, PLAIN);
            } else {
                assert_true(e == ERROR_INTEGRITY || e == ERROR_KEY);
                assert_non_null(strstr(err.text, "objects/"));
                assert_true(f->encrypted || e == ERROR_INTEGRITY);
            }
            object_reader_free(r);
            store_close(store);
            f->store = good;
            f->refs = refs;
        }
    }
    print_message("%u damaged files, %u harmless\n", tried, harmless);
    // Without encryption a few bits (in the seek table's own magic, in a checksum flag) are not read.
    assert_true(f->encrypted ? harmless == 0 : harmless < 8);
}

// A plain object made to say anything: the table's numbers are checked before they are used.
static void test_hostile_tables(void **state)
{
    struct fixture *f = *state;
    struct error err;
    uint64_t seed = 99;
    for (int i = 0; i < 200; i++) { // each forks a decoder, which takes long under AddressSanitizer
        _cleanup_buf_ struct buf bad = { 0 };
        buf_add(&bad, f->stored.data, f->stored.len);
        for (int k = 0; k < 4; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            bad.data[bad.len - 1 - (seed >> 33) % 81] = (uint8_t)(seed >> 20);
        }
        struct store *store = store_memory_new(), *good = f->store;
        struct format_refs refs = f->refs;
        struct format_ref ref;
        made_put(store, 5, &bad, false, &ref);
        f->refs = (struct format_refs){ .refs = &ref, .n = 1 };
        f->store = store;
        struct object_reader *r = reader_of(f, NULL, 0, 1 << 20);
        uint8_t data[1000];
        for (uint64_t at = 0; at < PLAIN; at += 70001) {
            int e = object_reader_read(r, &(struct place){ 5, at, sizeof data }, data, &err);
            assert_true(e == 0 || e == ERROR_INTEGRITY);
        }
        object_reader_free(r);
        store_close(store);
        f->store = good;
        f->refs = refs;
    }
}

#define BOTH(test) \
    { #test " (plain)", test, setup, teardown, NULL }, { #test " (age)", test, setup, teardown, (void *)"age" }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_ranges),
        BOTH(test_long_table),
        BOTH(test_locate_and_frames),
        BOTH(test_frame_into),
        BOTH(test_used_up_frames_go_first),
        BOTH(test_cache_is_bounded_and_reused),
        BOTH(test_fetches_only_what_is_needed),
        BOTH(test_parts_are_fetched_alone),
        BOTH(test_threads),
        BOTH(test_decoders_are_bounded),
        BOTH(test_missing_object),
        BOTH(test_damage),
        BOTH(test_flipped),
        { "test_keys", test_keys, setup, teardown, (void *)"age" },
        { "test_hostile_tables", test_hostile_tables, setup, teardown, NULL },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
