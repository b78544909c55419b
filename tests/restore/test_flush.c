// Syncs while a restore goes on: only when there is enough to sync, and what goes wrong in any of them is told at the end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "restore/flush.h"
#include "tests/support/fault_io.h"

// Tells of some bytes, waits until there were so many syncs, and ends it.
static int run(struct fault_io *f, uint64_t files, uint64_t bytes, long syncs, struct error *err)
{
    int fd = open(".", O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    atomic_bool stop = false;
    struct flush *flush = flush_new(fault_io(f), fd, "target", &stop);
    flush_written(flush, files, bytes);
    for (int i = 0; i < 20000 && fault_io_calls(f) < syncs; i++)
        usleep(1000);
    int r = flush_end(flush, err);
    assert_int_equal(atomic_load(&stop), r < 0);
    (void)close(fd);
    assert_int_equal(fault_io_calls(f), syncs);
    return r;
}

static void test_steps(void **state)
{
    (void)state;
    const struct fault_io_options options = { .mode = FAULT_NONE, .kinds = FAULT_SYNC };
    struct fault_io *few = fault_io_new(&options), *many = fault_io_new(&options), *small = fault_io_new(&options);
    struct error err = { 0 };
    assert_int_equal(run(few, 1, 1 << 20, 0, &err), 0);
    assert_int_equal(run(many, 1, FLUSH_STEP, 1, &err), 0);
    assert_int_equal(run(small, FLUSH_STEP / 4096, 0, 1, &err), 0); // files without content cost something too
    assert_int_equal(flush_end(NULL, &err), 0);
    fault_io_free(few);
    fault_io_free(many);
    fault_io_free(small);
}

// One failure is the end: whatever is told later, there is no second sync.
static void test_failure(void **state)
{
    (void)state;
    const struct fault_io_options options = { .mode = FAULT_ERROR, .kinds = FAULT_SYNC, .call = 1, .os_errno = EIO };
    struct fault_io *f = fault_io_new(&options);
    struct error err = { 0 };
    assert_int_equal(run(f, 1, 2 * FLUSH_STEP, 1, &err), ERROR_FAILED);
    assert_int_equal(err.os_errno, EIO);
    fault_io_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_steps), cmocka_unit_test(test_failure) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
