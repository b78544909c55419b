// Damage is what it says it is, and undone to the byte.
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
#include "bkd/dr/sabotage.h"

enum { SIZE = 700001 }; // more than one block, and no round number

struct place {
    char dir[32], path[64];
    uint8_t *whole;
};

static int set_up(void **state)
{
    static const char template[] = "/tmp/bkd-sabotage-XXXXXX";
    struct place *p = xcalloc(1, sizeof *p);
    struct error err;
    memcpy(p->dir, template, sizeof template);
    assert_non_null(mkdtemp(p->dir));
    (void)snprintf(p->path, sizeof p->path, "%s/object", p->dir);
    p->whole = xmalloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        p->whole[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(fs_create_file(io_real(), AT_FDCWD, p->path, 0400, p->whole, SIZE, &err), 0);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    struct error err;
    assert_int_equal(fs_remove_tree(io_real(), AT_FDCWD, p->dir, &err), 0);
    free(p->whole);
    free(p);
    return 0;
}

static void read_it(const struct place *p, struct buf *ret_data)
{
    struct error err;
    assert_int_equal(fs_read_file(io_real(), AT_FDCWD, p->path, SIZE + 1, ret_data, &err), 0);
}

static void put_back(const struct place *p)
{
    _cleanup_buf_ struct buf now = { 0 };
    struct error err;
    assert_int_equal(sabotage_undo(io_real(), p->path, &err), 0);
    read_it(p, &now);
    assert_int_equal(now.len, SIZE);
    assert_memory_equal(now.data, p->whole, SIZE);
}

static void test_flip(void **state)
{
    _cleanup_buf_ struct buf now = { 0 };
    const struct place *p = *state;
    struct error err;
    unsigned bits = 0;
    assert_int_equal(sabotage_do(io_real(), SABOTAGE_FLIP, p->path, &err), 0);
    read_it(p, &now);
    assert_int_equal(now.len, SIZE);
    for (size_t i = 0; i < SIZE; i++)
        bits += (unsigned)__builtin_popcount((unsigned)(now.data[i] ^ p->whole[i]));
    assert_int_equal(bits, 1);
    put_back(p);
}

static void test_cut(void **state)
{
    _cleanup_buf_ struct buf now = { 0 };
    const struct place *p = *state;
    struct error err;
    assert_int_equal(sabotage_do(io_real(), SABOTAGE_CUT, p->path, &err), 0);
    read_it(p, &now);
    assert_int_equal(now.len, SIZE * 60 / 100);
    assert_memory_equal(now.data, p->whole, now.len);
    put_back(p);
}

static void test_remove(void **state)
{
    const struct place *p = *state;
    struct error err;
    assert_int_equal(sabotage_do(io_real(), SABOTAGE_REMOVE, p->path, &err), 0);
    assert_int_equal(access(p->path, F_OK), -1);
    put_back(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_flip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_remove, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
