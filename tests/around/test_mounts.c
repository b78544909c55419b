// Which mount a path lies on, from lines as the kernel writes them.
#include "tests/codec/scratch.h"

#include <stdlib.h>
#include <unistd.h>

#include "bkd/around/mounts.h"

static const char lines[] = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
                            "30 22 253:0 / /srv rw,relatime shared:5 master:1 - xfs /dev/mapper/vg-srv rw,attr2\n"
                            "31 30 0:44 /x /srv/erp\\040data rw - ext4 /dev/mapper/vg-erp rw\n"
                            "32 22 0:45 / /srv rw,relatime - zfs tank/srv rw,xattr\n"
                            "33 22 0:46 / /tmp rw -\n"
                            "garbage\n";

static char *write_lines(void)
{
    char *path = xstrdup("/tmp/bkd-mounts-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, lines, sizeof lines - 1) == sizeof lines - 1);
    assert_int_equal(close(fd), 0);
    return path;
}

static void check(const char *file, const char *path, const char *place, const char *root, const char *type, const char *device)
{
    _cleanup_mount_ struct mount m = { 0 };
    struct error err;
    assert_int_equal(mounts_find(io_real(), file, path, &m, &err), 0);
    assert_string_equal(m.place, place);
    assert_string_equal(m.root, root);
    assert_string_equal(m.type, type);
    assert_string_equal(m.device, device);
}

static void test_find(void **state)
{
    (void)state;
    _cleanup_free_ char *file = write_lines();
    check(file, "/", "/", "/", "ext4", "/dev/sda1");
    check(file, "/srvx", "/", "/", "ext4", "/dev/sda1");
    check(file, "/srv", "/srv", "/", "zfs", "tank/srv"); // the later one covers
    check(file, "/srv/a", "/srv", "/", "zfs", "tank/srv");
    check(file, "/srv/erp data/a", "/srv/erp data", "/x", "ext4", "/dev/mapper/vg-erp");
    check(file, "/tmp/a", "/", "/", "ext4", "/dev/sda1"); // a damaged line is none
    (void)unlink(file);
    check(MOUNTS_FILE, "/proc", "/proc", "/", "proc", "proc");
}

static void test_below(void **state)
{
    (void)state;
    assert_string_equal(mounts_below("/a/b", "/a"), "/b");
    assert_string_equal(mounts_below("/a", "/a"), "");
    assert_string_equal(mounts_below("/a", "/"), "/a");
    assert_string_equal(mounts_below("/", "/"), "");
    assert_null(mounts_below("/ab", "/a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_find), cmocka_unit_test(test_below) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
