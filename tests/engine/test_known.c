// Known content: found when it is there, never at a place that may not be referred to, and lost rather than wrong.
#include "tests/codec/scratch.h"

#include <fcntl.h>

#include "bkd/base/crypto.h"
#include "bkd/engine/known.h"

static const uint8_t key[SEALED_KEY_SIZE] = { 9 };
static const uint8_t head1[32] = { 1 }, head2[32] = { 2 }, head3[32] = { 3 };

struct place_dir {
    struct scratch scratch;
    int dirfd;
    uint32_t gone; // an object that cannot be used any more
};

static int setup(void **state)
{
    struct place_dir *p = xcalloc(1, sizeof *p);
    p->scratch = scratch_new();
    p->dirfd = open(p->scratch.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place_dir *p = *state;
    (void)close(p->dirfd);
    scratch_done(&p->scratch);
    free(p);
    return 0;
}

static bool usable(void *arg, uint32_t object)
{
    const struct place_dir *p = arg;
    return object != p->gone;
}

static struct known *open_known(struct place_dir *p, const uint8_t *head)
{
    struct error err;
    struct known *k = NULL;
    scratch_ok(known_open(io_real(), p->dirfd, head, key, usable, p, &k, &err), &err);
    return k;
}

static void hash_of(uint8_t sha256[32], unsigned i) { crypto_sha256(&i, sizeof i, sha256); }

static void add(struct known *k, enum known_kind kind, unsigned i, uint32_t object)
{
    struct error err;
    uint8_t sha256[32];
    hash_of(sha256, i);
    scratch_ok(known_add(k, kind, sha256, &(struct place){ object, UINT64_C(5000000000) + i, i + 1 }, &err), &err);
}

// 0: not found; else the object, after the rest of the place was compared.
static uint32_t find(struct known *k, enum known_kind kind, unsigned i)
{
    uint8_t sha256[32];
    struct place place = { 77, 77, 77 };
    hash_of(sha256, i);
    if (!known_find(k, kind, sha256, &place)) {
        assert_true(place.object == 77 && place.length == 77); // untouched
        return 0;
    }
    assert_int_equal(place.offset, UINT64_C(5000000000) + i);
    assert_int_equal(place.length, i + 1);
    return place.object;
}

static void save(struct known *k, const uint8_t *head)
{
    struct error err;
    scratch_ok(known_save(k, head, &err), &err);
    known_free(k);
}

static void test_empty(void **state)
{
    struct known *k = open_known(*state, NULL);
    assert_int_equal(find(k, KNOWN_WHOLE, 1), 0);
    save(k, head1);
    k = open_known(*state, head1);
    assert_int_equal(find(k, KNOWN_WHOLE, 1), 0);
    known_free(k);
    known_free(NULL);
}

static void test_find_in_this_run(void **state)
{
    struct known *k = open_known(*state, NULL);
    add(k, KNOWN_WHOLE, 1, 5);
    assert_int_equal(find(k, KNOWN_WHOLE, 1), 5);
    assert_int_equal(find(k, KNOWN_VERSION, 1), 0); // kinds are apart
    assert_int_equal(find(k, KNOWN_XATTR, 1), 0);
    add(k, KNOWN_XATTR, 1, 6);
    add(k, KNOWN_HEAD, 1, 7);
    add(k, KNOWN_VERSION, 1, 8);
    assert_int_equal(find(k, KNOWN_WHOLE, 1), 5); // one does not drive the other out
    assert_int_equal(find(k, KNOWN_XATTR, 1), 6);
    assert_int_equal(find(k, KNOWN_HEAD, 1), 7);
    assert_int_equal(find(k, KNOWN_VERSION, 1), 8);
    known_free(k);
}

// Nothing of an earlier run is lost, whatever its number, and three generations merge.
static void test_generations(void **state)
{
    struct place_dir *p = *state;
    enum { N = 100000 }; // beyond the table of recent additions
    struct known *k = open_known(p, NULL);
    for (unsigned i = 0; i < N; i += 2)
        add(k, KNOWN_WHOLE, i, 3);
    save(k, head1);
    k = open_known(p, head1);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(find(k, KNOWN_WHOLE, i), i % 2 == 0 ? 3 : 0);
    for (unsigned i = 1; i < N; i += 4)
        add(k, KNOWN_WHOLE, i, 4);
    for (unsigned i = 0; i < N; i += 1000)
        add(k, KNOWN_HEAD, i, 4);
    save(k, head2);
    k = open_known(p, head2);
    save(k, head3); // nothing new
    k = open_known(p, head3);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(find(k, KNOWN_WHOLE, i), i % 2 == 0 ? 3 : i % 4 == 1 ? 4 : 0);
    assert_int_equal(find(k, KNOWN_HEAD, 7000), 4);
    assert_int_equal(find(k, KNOWN_HEAD, 7001), 0);
    known_free(k);
    scratch_run("test $(ls '%s' | wc -l) = 1", p->scratch.dir); // earlier ones are gone
}

// On top of another snapshot than the one it was saved for, nothing is known.
static void test_bound_to_its_head(void **state)
{
    struct place_dir *p = *state;
    struct known *k = open_known(p, NULL);
    add(k, KNOWN_WHOLE, 1, 5);
    save(k, head1);
    k = open_known(p, head2);
    assert_int_equal(find(k, KNOWN_WHOLE, 1), 0);
    known_free(k);
    k = open_known(p, NULL);
    assert_int_equal(find(k, KNOWN_WHOLE, 1), 0);
    known_free(k);
    // A run that never saved leaves what was known.
    k = open_known(p, head1);
    add(k, KNOWN_WHOLE, 2, 9);
    known_free(k);
    k = open_known(p, head1);
    assert_int_equal(find(k, KNOWN_WHOLE, 1), 5);
    assert_int_equal(find(k, KNOWN_WHOLE, 2), 0);
    known_free(k);
}

// The same content in two objects: the usable one is found, whichever it is; unusable entries are dropped when saving.
static void test_unusable_objects(void **state)
{
    struct place_dir *p = *state;
    for (uint32_t gone = 5; gone <= 7; gone++) {
        p->gone = 0;
        struct known *k = open_known(p, NULL);
        for (uint32_t object = 5; object <= 7; object++)
            for (unsigned i = 0; i < 50; i++)
                add(k, KNOWN_WHOLE, i, object);
        add(k, KNOWN_WHOLE, 100, gone);
        save(k, head1);
        p->gone = gone;
        k = open_known(p, head1);
        for (unsigned i = 0; i < 50; i++) {
            uint32_t object = find(k, KNOWN_WHOLE, i);
            assert_in_range(object, 5, 7);
            assert_int_not_equal(object, gone);
        }
        assert_int_equal(find(k, KNOWN_WHOLE, 100), 0);
        add(k, KNOWN_WHOLE, 200, 8);
        save(k, head2);
        p->gone = 0; // were they there still, they would be found now
        k = open_known(p, head2);
        assert_int_equal(find(k, KNOWN_WHOLE, 100), 0);
        assert_int_equal(find(k, KNOWN_WHOLE, 200), 8);
        known_free(k);
    }
}

static void test_damaged_file_is_empty(void **state)
{
    struct place_dir *p = *state;
    struct known *k = open_known(p, NULL);
    for (unsigned i = 0; i < 10; i++)
        add(k, KNOWN_WHOLE, i, 3);
    save(k, head1);
    int fd = openat(p->dirfd, "known-0100000000000000", O_RDWR | O_CLOEXEC);
    uint8_t byte;
    for (off_t at = 0; pread(fd, &byte, 1, at) == 1; at++) {
        uint8_t bad = byte ^ 1;
        assert_int_equal(pwrite(fd, &bad, 1, at), 1);
        k = open_known(p, head1);
        for (unsigned i = 0; i < 10; i++)
            assert_int_equal(find(k, KNOWN_WHOLE, i), 0);
        known_free(k);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    assert_int_equal(ftruncate(fd, 53 * 5), 0);
    assert_int_equal(close(fd), 0);
    // It goes on from empty.
    k = open_known(p, head1);
    add(k, KNOWN_WHOLE, 50, 4);
    save(k, head2);
    k = open_known(p, head2);
    assert_int_equal(find(k, KNOWN_WHOLE, 50), 4);
    assert_int_equal(find(k, KNOWN_WHOLE, 1), 0);
    known_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_find_in_this_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_generations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bound_to_its_head, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unusable_objects, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_file_is_empty, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
