// An unmounted disk is not a deletion: sources that became empty or lie elsewhere end the run, unless it is said to be meant.
#include "tests/codec/scratch.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "bkd/engine/guard.h"

static const uint8_t key[SEALED_KEY_SIZE] = { 5 };

struct place_dir {
    struct scratch scratch;
    int dirfd;
    char *odd, *other;
    struct scan_source sources[2];
    uint64_t now[2], before[2], excluded[2];
};

static int setup(void **state)
{
    struct place_dir *p = xcalloc(1, sizeof *p);
    p->scratch = scratch_new();
    p->dirfd = open(p->scratch.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    p->odd = xasprintf("%s/a name\nwith %%", p->scratch.dir);
    p->other = xasprintf("%s/a", p->scratch.dir); // the first one's name begins with it
    assert_int_equal(mkdir(p->odd, 0755), 0);
    assert_int_equal(mkdir(p->other, 0755), 0);
    p->sources[0].path = p->odd;
    p->sources[1].path = p->other;
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place_dir *p = *state;
    (void)close(p->dirfd);
    scratch_done(&p->scratch);
    free(p->odd);
    free(p->other);
    free(p);
    return 0;
}

static int run_guard(struct place_dir *p, bool accept, bool remember, struct error *err)
{
    struct guard g;
    struct select_counts counts = { .source_entries = p->now, .previous_source_entries = p->before, .source_excluded = p->excluded };
    int r = guard_begin(&g, io_real(), p->dirfd, key, p->sources, 2, accept, err);
    if (r == 0)
        r = guard_check(&g, &counts, err);
    if (r == 0 && remember)
        r = guard_remember(&g, err);
    guard_done(&g);
    return r;
}

static void test_empty_sources(void **state)
{
    struct place_dir *p = *state;
    struct error err;
    static const struct {
        uint64_t before, now;
        bool alarm;
    } cases[] = { { 0, 0, false }, { 0, 1, false }, { 0, 5, false }, { 1, 1, false }, { 1, 0, false }, { 2, 1, true }, { 1000, 1, true }, { 1000, 0, true }, { 1000, 2, false } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t source = 0; source < 2; source++) {
            p->before[0] = p->before[1] = p->now[0] = p->now[1] = 7;
            p->before[source] = cases[i].before;
            p->now[source] = cases[i].now;
            int r = run_guard(p, false, true, &err);
            assert_int_equal(r, cases[i].alarm ? ERROR_FAILED : 0);
            if (cases[i].alarm) {
                assert_non_null(strstr(err.text, p->sources[source].path));
                assert_non_null(strstr(err.text, "--accept-source-change"));
                scratch_ok(run_guard(p, true, false, &err), &err);
                p->excluded[source] = 1; // it is not empty: rules leave out what it holds
                scratch_ok(run_guard(p, false, false, &err), &err);
                p->excluded[source] = 0;
            }
        }
}

static void test_missing(void **state)
{
    struct place_dir *p = *state;
    struct error err;
    assert_int_equal(rmdir(p->other), 0);
    assert_int_equal(run_guard(p, false, true, &err), ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, p->other));
    assert_int_equal(run_guard(p, true, true, &err), ERROR_NOT_FOUND);
}

static void test_other_file_system(void **state)
{
    struct place_dir *p = *state;
    struct error err;
    p->now[0] = p->now[1] = 5;
    scratch_ok(run_guard(p, false, true, &err), &err);
    if (mount("none", p->odd, "tmpfs", 0, NULL) != 0)
        skip();
    struct scan_filesystem fs;
    int asked = scan_filesystem(io_real(), p->odd, &fs, &err);
    int refused = run_guard(p, false, true, &err);
    struct error ignored;
    int accepted = run_guard(p, true, false, &ignored), again = run_guard(p, false, true, &ignored);
    int for_good = run_guard(p, true, true, &ignored), then = run_guard(p, false, true, &ignored);
    assert_int_equal(umount(p->odd), 0);
    assert_int_equal(asked, 0);
    assert_int_equal(fs.type, 0x01021994); // TMPFS_MAGIC of statfs(2)
    assert_int_equal(fs.id, 0);
    assert_int_equal(refused, ERROR_FAILED);
    assert_non_null(strstr(err.text, "another file system"));
    assert_int_equal(accepted, 0);
    assert_int_equal(again, ERROR_FAILED); // what was not remembered is asked again
    assert_int_equal(for_good, 0);
    assert_int_equal(then, 0);
    assert_int_equal(run_guard(p, false, true, &err), ERROR_FAILED); // and the way back as well
}

// What was remembered is lost or damaged: nothing to compare with, no false alarm.
static void test_memory_lost(void **state)
{
    struct place_dir *p = *state;
    struct error err;
    p->now[0] = p->now[1] = 5;
    scratch_ok(run_guard(p, false, true, &err), &err);
    scratch_run("cd '%s' && sed -i 's/ [0-9]/ 9/' sources", p->scratch.dir);
    scratch_ok(run_guard(p, false, true, &err), &err);
    scratch_run("rm '%s/sources'", p->scratch.dir);
    scratch_ok(run_guard(p, false, true, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_empty_sources, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_file_system, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_lost, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
