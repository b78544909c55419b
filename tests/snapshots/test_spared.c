// What a rollback leaves alone: patterns that match one path whatever its name, and looking for names without following links.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/base/pattern.h"
#include "bkd/snapshots/spared.h"

static void pattern_matches_its_path_only(void **state)
{
    static const char *const paths[] = { "/a/b", "/a/*", "/a/?", "/a/[x]", "/a/b\\", "/a/\\/c", "/!a", "/#a", "/a/ends ", "/a/**/b", "/a/new\nline", "/a/\xff" };
    enum { N = sizeof paths / sizeof *paths };
    (void)state;
    for (size_t i = 0; i < N; i++) {
        _cleanup_pattern_set_ struct pattern_set *set = NULL;
        char *pattern = spared_pattern(paths[i]);
        struct error err;
        assert_int_equal(pattern_set_new((const char *const[]){ pattern }, 1, &set, &err), 0);
        for (size_t k = 0; k < N; k++)
            assert_int_equal(pattern_set_match(set, paths[k] + 1, false, NULL), i == k);
        free(pattern);
    }
}

static void what_is_there_is_not_behind_a_link(void **state)
{
    char dir[] = "/tmp/bkd-spared-XXXXXX", path[64];
    struct spared s;
    struct error err;
    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(spared_init(&s, io_real(), &err), 0);
    (void)snprintf(path, sizeof path, "%s/link", dir);
    assert_int_equal(symlink("/", path), 0);
    assert_true(spared_is_there(&s, path));
    (void)snprintf(path, sizeof path, "%s/link/etc", dir);
    assert_false(spared_is_there(&s, path));
    (void)snprintf(path, sizeof path, "%s/none", dir);
    assert_false(spared_is_there(&s, path));
    (void)snprintf(path, sizeof path, "%s/none/x", dir);
    assert_false(spared_is_there(&s, path));
    spared_done(&s);
    assert_int_equal(fs_remove_tree(io_real(), AT_FDCWD, dir, &err), 0);
}

static void a_directory_stands_for_what_it_holds(void **state)
{
    struct spared s;
    struct error err;
    char path[32];
    (void)state;
    assert_int_equal(spared_init(&s, io_real(), &err), 0);
    assert_int_equal(spared_add(&s, "/a/b", true, &err), 0);
    assert_int_equal(spared_add(&s, "/a/b/c", true, &err), 0);
    assert_int_equal(s.n, 1);
    assert_true(spared_has(&s, "/a/b/d"));
    assert_false(spared_has(&s, "/a/bc"));
    assert_false(spared_has(&s, "/a"));
    for (unsigned i = 1; i < SPARED_MAX; i++) {
        (void)snprintf(path, sizeof path, "/b/%04u", i);
        assert_int_equal(spared_add(&s, path, false, &err), 0);
    }
    assert_int_equal(spared_add(&s, "/c", false, &err), ERROR_FAILED);
    assert_int_equal(s.n, SPARED_MAX);
    spared_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pattern_matches_its_path_only),
        cmocka_unit_test(what_is_there_is_not_behind_a_link),
        cmocka_unit_test(a_directory_stands_for_what_it_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
