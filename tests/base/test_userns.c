// Work in a user namespace: without one it happens right here; within, a file can be given to another owner, and results, errors and interruptions come back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/proc.h"
#include "bkd/base/userns.h"

struct seen {
    pid_t pid;
    uid_t owner, me;
};

static int give_away(void *arg, void *result, struct error *err)
{
    struct seen *seen = result;
    struct stat st;
    const char *path = arg;
    *seen = (struct seen){ .pid = getpid(), .me = geteuid() };
    if (path != NULL && (chown(path, 33, 33) < 0 || stat(path, &st) < 0))
        return error_set(err, ERROR_FAILED, "not given away");
    seen->owner = path == NULL ? 0 : st.st_uid;
    return 0;
}

static int refuse(void *arg, void *result, struct error *err)
{
    (void)arg, (void)result;
    return error_set(err, ERROR_NO_SPACE, "there is no room");
}

static void test_without(void **state)
{
    struct seen seen = { 0 };
    struct error err;
    (void)state;
    assert_int_equal(userns_call(0, give_away, NULL, &seen, sizeof seen, NULL, &err), 0);
    assert_int_equal(seen.pid, getpid());
    assert_int_equal(userns_call(0, refuse, NULL, NULL, 0, NULL, &err), ERROR_NO_SPACE);
    if (geteuid() == 0)
        assert_int_equal(userns_open(io_real()), 0); // root needs none
}

static void test_within(void **state)
{
    char path[] = "/tmp/bkd-test-userns-XXXXXX";
    struct seen seen = { 0 };
    struct stat st;
    struct error err;
    int userns_fd = userns_open(io_real());
    (void)state;
    if (userns_fd == 0)
        skip();
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(userns_call(userns_fd, give_away, path, &seen, sizeof seen, NULL, &err), 0);
    assert_int_not_equal(seen.pid, getpid());
    assert_int_equal(seen.owner, 33);
    assert_int_equal(seen.me, geteuid());
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_not_equal(st.st_uid, geteuid());
    assert_int_not_equal(st.st_uid, 33);
    assert_int_equal(userns_call(userns_fd, refuse, NULL, NULL, 0, NULL, &err), ERROR_NO_SPACE);
    assert_string_equal(err.text, "there is no room");

    _cleanup_proc_result_ struct proc_result result = { 0 };
    const char *const argv[] = { "stat", "-c", "%u", path, NULL }, *const env[] = { NULL };
    assert_int_equal(proc_run(io_real(), &(struct proc_options){ .argv = argv, .env = env, .userns_fd = userns_fd }, &result, &err), 0);
    assert_string_equal(buf_str(&result.output.tail), "33\n");
    close(fd);
    (void)unlink(path);
    userns_close(io_real(), &userns_fd);
    assert_int_equal(userns_fd, 0);
}

static int stall(void *arg, void *result, struct error *err)
{
    (void)arg, (void)result;
    for (;;)
        pause();
    return error_set(err, ERROR_FAILED, "never");
}

static bool at_once(void *arg)
{
    (void)arg;
    return true;
}

static void test_stopped(void **state)
{
    struct error err;
    int userns_fd = userns_open(io_real());
    (void)state;
    if (userns_fd == 0)
        skip();
    assert_int_equal(userns_call(userns_fd, stall, NULL, NULL, 0, at_once, &err), ERROR_FAILED);
    userns_close(io_real(), &userns_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_without), cmocka_unit_test(test_within), cmocka_unit_test(test_stopped) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
