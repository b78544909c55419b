// Proofs that a place keeps what was sent: one that lies in any of the ways there are is found out, and how each object was proved is told.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "bkd/base/crypto.h"
#include "bkd/repo/proof.h"

#define OK(call) do { if ((call) != 0) fail_msg("%s: %s", #call, err.text); } while (0)

// A far place that keeps its own idea of what was sent.
struct liar {
    struct store store;
    const uint8_t *data;
    size_t n;
    bool hashes;      // offers to hash
    bool lies;        // its hash is of something else
    uint64_t wrong_from, wrong_to; // bytes that are others
    unsigned wrong_times; // how often; 0 = always
    uint64_t read;    // bytes that were asked for
};

static int get(struct store *s, const char *name, uint64_t offset, void *data, size_t n, struct error *err)
{
    struct liar *l = (struct liar *)s;
    if (offset + n > l->n)
        return error_set(err, ERROR_INTEGRITY, "'%s' ends before", name);
    memcpy(data, l->data + offset, n);
    bool wrong = offset < l->wrong_to && offset + n > l->wrong_from;
    for (size_t i = 0; wrong && i < n; i++)
        if (offset + i >= l->wrong_from && offset + i < l->wrong_to)
            ((uint8_t *)data)[i] ^= 1;
    if (wrong && l->wrong_times > 0 && --l->wrong_times == 0)
        l->wrong_from = l->wrong_to = 0;
    l->read += n;
    return 0;
}

static int hash(struct store *s, const char *name, uint64_t size, uint8_t ret_sha256[32], bool *ret_offered, struct error *err)
{
    struct liar *l = (struct liar *)s;
    (void)name, (void)size, (void)err;
    crypto_sha256(l->data, l->lies ? l->n - 1 : l->n, ret_sha256);
    *ret_offered = l->hashes;
    return 0;
}

static const struct store_ops ops = { .get = get, .hash = hash };

struct sent {
    uint8_t *data;
    size_t n;
    uint8_t sha256[32];
    int fd;
    struct liar liar;
};

static void make(struct sent *s, size_t n)
{
    *s = (struct sent){ .data = xmalloc(n), .n = n, .fd = memfd_create("sent", 0) };
    for (size_t i = 0; i < n; i++)
        s->data[i] = (uint8_t)(i * 2654435761u >> 13);
    crypto_sha256(s->data, n, s->sha256);
    assert_int_equal(write(s->fd, s->data, n), n);
    s->liar = (struct liar){ .store = { .ops = &ops, .far = true }, .data = s->data, .n = n };
}

static void done(struct sent *s)
{
    close(s->fd);
    free(s->data);
}

static int prove(struct sent *s, enum proof_reading reading, enum proof_way *ret_way)
{
    struct error err;
    s->liar.read = 0;
    return proof_sent(io_real(), &s->liar.store, "objects/ab/abcd", s->fd, s->n, s->sha256, reading, ret_way, &err);
}

static void test_server_hashes(void **state)
{
    struct sent s;
    enum proof_way way;
    (void)state;
    make(&s, 5 << 20);
    s.liar.hashes = true;
    assert_int_equal(prove(&s, PROOF_NONE, &way), 0);
    assert_int_equal(way, PROOF_BY_SERVER);
    assert_int_equal(s.liar.read, 0);
    s.liar.lies = true;
    assert_int_equal(prove(&s, PROOF_NONE, &way), ERROR_INTEGRITY);
    done(&s);
}

static void test_reading(void **state)
{
    struct sent s;
    enum proof_way way;
    (void)state;
    make(&s, 5 << 20);
    assert_int_equal(prove(&s, PROOF_FULL, &way), 0);
    assert_int_equal(way, PROOF_BY_READING);
    assert_int_equal(s.liar.read, 5 << 20);
    assert_int_equal(prove(&s, PROOF_SAMPLE, &way), 0);
    assert_int_equal(way, PROOF_BY_RANGES);
    assert_in_range(s.liar.read, 1, 1 << 20);
    assert_int_equal(prove(&s, PROOF_NONE, &way), 0);
    assert_int_equal(way, PROOF_BY_SIZE);
    assert_int_equal(s.liar.read, 0);
    s.liar.wrong_from = 3000000; // one byte: only a full reading is sure to see it
    s.liar.wrong_to = 3000001;
    assert_int_equal(prove(&s, PROOF_FULL, &way), ERROR_INTEGRITY);
    s.liar.wrong_times = 1; // a bit that was flipped on the way: reading again heals it
    assert_int_equal(prove(&s, PROOF_FULL, &way), 0);
    assert_int_equal(s.liar.read, 2 * (5 << 20));
    done(&s);
}

// Zeros from somewhere to the end, as of a server that stored less and says the size it was told.
static void test_less_stored(void **state)
{
    struct sent s;
    enum proof_way way;
    (void)state;
    make(&s, 5 << 20);
    s.liar.wrong_from = (5 << 20) - 1;
    s.liar.wrong_to = UINT64_MAX;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(prove(&s, PROOF_SAMPLE, &way), ERROR_INTEGRITY);
    done(&s);
}

static void test_small(void **state)
{
    static const size_t sizes[] = { 1, 100, 65535, 65536, 65537, 1 << 20 };
    struct sent s;
    enum proof_way way;
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        make(&s, sizes[i]);
        assert_int_equal(prove(&s, PROOF_SAMPLE, &way), 0);
        assert_int_equal(way, PROOF_BY_READING);
        s.liar.wrong_to = 1;
        assert_int_equal(prove(&s, PROOF_SAMPLE, &way), ERROR_INTEGRITY);
        done(&s);
    }
}

static void test_no_hash_at_all(void **state)
{
    struct error err;
    uint8_t sha256[32];
    bool offered = true;
    struct store *memory = store_memory_new();
    (void)state;
    OK(store_hash(memory, "x", 1, sha256, &offered, &err));
    assert_false(offered);
    store_close(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_hashes), cmocka_unit_test(test_reading), cmocka_unit_test(test_less_stored), cmocka_unit_test(test_small),
        cmocka_unit_test(test_no_hash_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
