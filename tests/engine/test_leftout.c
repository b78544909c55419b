// Directories that something was left out of: collected in the order of a walk, found again in path order, more than memory holds.
#include "tests/codec/scratch.h"

#include <fcntl.h>

#include "bkd/engine/leftout.h"

static bool has(struct leftout *l, const char *dir)
{
    struct error err;
    bool found;
    scratch_ok(leftout_has(l, dir, strlen(dir), &found, &err), &err);
    return found;
}

static void test_parents(void **state)
{
    (void)state;
    struct error err;
    struct scratch scratch = scratch_new();
    int fd = open(scratch.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct leftout *l = leftout_new(io_real(), fd);
    static const char *const paths[] = { "/a/b/1", "/a/b/2", "/a/b.x/1", "/a/z", "/top", "/stream!/x" };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        scratch_ok(leftout_add(l, paths[i], &err), &err);
    scratch_ok(leftout_sort(l, &err), &err);
    assert_true(has(l, "/"));
    assert_true(has(l, "/a"));
    assert_true(has(l, "/a/b"));
    assert_false(has(l, "/a/b/1"));
    assert_true(has(l, "/a/b.x"));
    assert_false(has(l, "/a/c"));
    assert_false(has(l, "/b"));
    assert_true(has(l, "/stream!"));
    assert_false(has(l, "/t"));
    leftout_free(l);
    (void)close(fd);
    scratch_done(&scratch);
}

static void test_many(void **state)
{
    (void)state;
    struct error err;
    struct scratch scratch = scratch_new();
    int fd = open(scratch.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct leftout *l = leftout_new(io_real(), fd);
    char path[200];
    for (int i = 0; i < 60000; i += 3)
        for (int k = 0; k < 2; k++) {
            (void)snprintf(path, sizeof path, "/srv/%0100d/%05d/entry-%d", 0, i, k);
            scratch_ok(leftout_add(l, path, &err), &err);
        }
    scratch_ok(leftout_sort(l, &err), &err);
    for (int i = 0; i < 60000; i++) {
        (void)snprintf(path, sizeof path, "/srv/%0100d/%05d", 0, i);
        assert_int_equal(has(l, path), i % 3 == 0);
    }
    leftout_free(l);
    (void)close(fd);
    scratch_done(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_parents), cmocka_unit_test(test_many) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
