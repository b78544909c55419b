// Versions over snapshots: what is one version, in which order they come, and what a snapshot that was not searched does to them.
#include "tests/restore/fixture.h"

#include <fcntl.h>
#include <unistd.h>

#include "restore/finder.h"

static const char *const patterns[] = { "x", "/d/*" };

// The night's tree: x and /d/y of these sizes; 0 = not there.
static void night(struct fixture *f, unsigned x, unsigned y, const char *link)
{
    fixture_line(f, "/ d mode=0755 uid=0 gid=0 mtime=1.000000000");
    fixture_line(f, "/d d mode=0755 uid=0 gid=0 mtime=1.000000000");
    if (link != NULL)
        fixture_line(f, "/d/l l mode=0777 uid=0 gid=0 mtime=1.000000000 target=%s", link);
    if (y > 0)
        fixture_file(f, "/d/y", 0644, "123456789", y);
    if (x > 0)
        fixture_file(f, "/x", 0644, "123456789", x);
    fixture_commit(f);
}

// All versions as "path first-last*snapshots"; night `left_out` is passed over as if it could not be read.
static void expect_versions(struct fixture *f, uint64_t left_out, const char *wanted)
{
    struct error err = { 0 };
    _cleanup_repository_ struct repository *repository = fixture_open(f);
    _cleanup_pattern_set_ struct pattern_set *names = NULL;
    _cleanup_selection_ struct selection *selection = NULL;
    _cleanup_buf_ struct buf seen = { 0 };
    struct selection_options options = { .include = patterns, .n_include = 2 };
    struct finder finder;
    struct finder_version v;
    bool more = true;
    int scratch = open(f->dir, O_RDONLY | O_DIRECTORY);
    assert_int_equal(pattern_set_new(patterns, 2, &names, &err), 0);
    assert_int_equal(selection_new(&options, &selection, &err), 0);
    finder_init(&finder, io_real(), scratch, names, selection);
    for (size_t i = 0; i < repository->n_heads; i++) {
        _cleanup_snapshot_ struct snapshot snapshot = { 0 };
        finder.ordinal++;
        if (repository->heads[i].number == left_out)
            continue;
        assert_int_equal(snapshot_open(repository, &repository->heads[i], NULL, 0, &snapshot, &err), 0);
        assert_int_equal(finder_add(&finder, &snapshot, &err), 0);
    }
    assert_int_equal(finder_sort(&finder, &err), 0);
    while (finder_next(&finder, &v, &more, &err) == 0 && more)
        buf_addf(&seen, " %s %d-%d*%d", v.path, (int)v.first, (int)v.last, (int)v.snapshots);
    assert_string_equal(buf_str(&seen), wanted);
    finder_done(&finder);
    close(scratch);
}

static void test_versions(void **state)
{
    struct fixture f;
    (void)state;
    fixture_init(&f, false);
    night(&f, 3, 1, "a");
    night(&f, 3, 0, "a");
    night(&f, 3, 1, "b");
    night(&f, 4, 1, "b");
    night(&f, 3, 1, NULL);
    // Gone for a night ends a version, though the same comes back; so does another content between.
    expect_versions(&f, 0, " /d/l 3-4*2 /d/l 1-2*2 /d/y 3-5*3 /d/y 1-1*1 /x 5-5*1 /x 4-4*1 /x 1-3*3");
    // What was between is not known.
    expect_versions(&f, 2, " /d/l 3-4*2 /d/l 1-1*1 /d/y 3-5*3 /d/y 1-1*1 /x 5-5*1 /x 4-4*1 /x 3-3*1 /x 1-1*1");
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_versions) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
