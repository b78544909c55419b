// What drills asked for: open until it is closed, once; a line cut off by a crash does no harm.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/dr/improvements.h"

static char dir[] = "/tmp/bkd-improve-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int tear_down(void **state)
{
    struct error err;
    (void)state;
    return fs_remove_tree(io_real(), AT_FDCWD, dir, &err);
}

static int add(const char *text, const char *due)
{
    struct error err;
    uint64_t id = 0;
    int r = improvements_add(io_real(), dir, &(struct improvement_wanted){ .drill = "20261126-0931-4f2a9c", .text = text, .owner = "王芳", .due = due }, &id, &err);
    return r < 0 ? r : (int)id;
}

static void tear_last_line(void)
{
    _cleanup_free_ char *path = xasprintf("%s/drills/improvements.jsonl", dir);
    FILE *journal = fopen(path, "ae");
    assert_non_null(journal);
    (void)fputs("{\"type\":\"closed\",\"id\":1", journal);
    (void)fclose(journal);
}

static void test_life(void **state)
{
    _cleanup_improvements_ struct improvements all = { 0 };
    struct error err;
    (void)state;
    assert_int_equal(add("钥匙放进保险柜", "2026-12-31"), 1);
    assert_int_equal(add("a faster line", "2027-02-29"), ERROR_USAGE); // there is no such day
    assert_int_equal(add("a faster line", "tomorrow"), ERROR_USAGE);
    tear_last_line();
    assert_int_equal(add("a faster line", "2027-02-28"), 2);
    assert_int_equal(improvements_close(io_real(), dir, 2, "root", "200 Mbit/s", &err), 0);
    assert_int_equal(improvements_close(io_real(), dir, 2, "root", NULL, &err), ERROR_NOT_FOUND);
    assert_int_equal(improvements_close(io_real(), dir, 3, "root", NULL, &err), ERROR_NOT_FOUND);
    assert_int_equal(improvements_load(io_real(), dir, &all, &err), 0);
    assert_int_equal(all.n, 2);
    assert_string_equal(all.items[0].text, "钥匙放进保险柜");
    assert_null(all.items[0].closed);
    assert_string_equal(all.items[1].note, "200 Mbit/s");
}

static void test_overdue(void **state)
{
    char due[] = "2026-11-26", day[] = "2026-11-27T00:00:00Z";
    struct improvement i = { .due = due };
    const uint64_t midnight = UINT64_C(1795737600) * 1000000000; // the first moment after that day: date -u -d 2026-11-27 +%s
    (void)state;
    assert_false(improvements_is_overdue(&i, midnight - 1));
    assert_true(improvements_is_overdue(&i, midnight));
    i.closed = day;
    assert_false(improvements_is_overdue(&i, midnight));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_life), cmocka_unit_test(test_overdue) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
