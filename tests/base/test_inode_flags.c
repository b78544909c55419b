// Inode flags: which are kept, when they are set, and their letters, compared with what chattr and lsattr say where the file system has them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bkd/base/inode_flags.h"

static void test_letters(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = { 0 };
    inode_flags_letters(&text, FS_IMMUTABLE_FL | FS_NODUMP_FL | FS_NOATIME_FL);
    assert_string_equal(buf_str(&text), "Adi");
    buf_reset(&text);
    inode_flags_letters(&text, INODE_FLAGS_KEPT);
    assert_string_equal(buf_str(&text), "aAcCdDFijmPsStTux");
    buf_reset(&text);
    inode_flags_letters(&text, FS_APPEND_FL | FS_EXTENT_FL);
    assert_string_equal(buf_str(&text), "a0x80000");
}

static void test_sets_are_apart(void **state)
{
    (void)state;
    assert_int_equal(INODE_FLAGS_BIRTH & INODE_FLAGS_LATE, 0);
    assert_int_equal(INODE_FLAGS_PLAIN & (INODE_FLAGS_BIRTH | INODE_FLAGS_LATE), 0);
    assert_int_equal(INODE_FLAGS_KEPT & (FS_EXTENT_FL | FS_INDEX_FL | FS_ENCRYPT_FL | FS_VERITY_FL), 0);
}

static void test_as_lsattr_says(void **state)
{
    (void)state;
    char path[] = "/tmp/bkd-flags-XXXXXX", command[80], said[64] = "";
    int fd = mkstemp(path), flags = FS_NODUMP_FL;
    assert_true(fd >= 0);
    (void)snprintf(command, sizeof command, "lsattr %s 2>/dev/null", path);
    bool held = ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
    FILE *lsattr = held ? popen(command, "r") : NULL;
    bool told = lsattr != NULL && fscanf(lsattr, "%63s", said) == 1;
    if (lsattr != NULL)
        (void)pclose(lsattr);
    (void)close(fd);
    (void)unlink(path);
    if (!told)
        skip();
    _cleanup_buf_ struct buf text = { 0 };
    inode_flags_letters(&text, (uint32_t)flags);
    assert_non_null(strstr(said, buf_str(&text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_letters), cmocka_unit_test(test_sets_are_apart), cmocka_unit_test(test_as_lsattr_says) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
