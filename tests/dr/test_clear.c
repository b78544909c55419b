// Trees that `rm -r` finds hard.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/buf.h"
#include "bkd/dr/clear.h"

static char *make_place(void)
{
    char *path = xstrdup("/tmp/bkd-clear-XXXXXX");
    assert_non_null(mkdtemp(path));
    return path;
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static void must(int r) { assert_int_equal(r, 0); }

static void test_what_is_missing(void **state)
{
    struct error err;
    (void)state;
    assert_int_equal(clear_tree(io_real(), "/tmp/bkd-clear-is-not-there", &err), 0);
}

// Deeper than there may be open files, and than a path may be long.
static void test_depth(void **state)
{
    _cleanup_free_ char *place = make_place();
    struct error err;
    int fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)state;
    for (int i = 0; i < 3000; i++) {
        must(mkdirat(fd, "down", 0755));
        int next = openat(fd, "down", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        (void)close(fd);
        fd = next;
    }
    (void)close(fd);
    assert_int_equal(clear_tree(io_real(), place, &err), 0);
    assert_false(exists(place));
}

static void test_closed_doors_and_links(void **state)
{
    _cleanup_free_ char *place = make_place(), *outside = make_place();
    struct error err;
    (void)state;
    _cleanup_free_ char *dir = xasprintf("%s/closed", place), *file = xasprintf("%s/closed/file", place), *link = xasprintf("%s/link", place),
                        *kept = xasprintf("%s/kept", outside);
    must(mkdir(dir, 0700));
    (void)close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0));
    must(chmod(dir, 0));
    must(symlink(outside, link));
    (void)close(open(kept, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(clear_tree(io_real(), place, &err), 0);
    assert_false(exists(place));
    assert_true(exists(kept)); // a link is removed, not followed
    assert_int_equal(clear_tree(io_real(), outside, &err), 0);
}

// Files that may not be changed: only where this file system and user can make such.
static void test_immutable(void **state)
{
    _cleanup_free_ char *place = make_place();
    _cleanup_free_ char *file = xasprintf("%s/fixed", place), *command = xasprintf("chattr +i %s 2>/dev/null", file);
    struct error err;
    (void)state;
    (void)close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    bool made = system(command) == 0;
    assert_int_equal(clear_tree(io_real(), place, &err), 0);
    assert_false(exists(place));
    if (!made)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_missing),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_closed_doors_and_links),
        cmocka_unit_test(test_immutable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
