// The event loop: times, signals, descriptors and directories reach their callbacks, and a callback may free what is waited for, itself included.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/base/loop.h"

#define NS_PER_MS UINT64_C(1000000)

struct seen {
    struct loop *loop;
    struct loop_source *source, *other;
    int count;
    char names[256];
};

static int setup(void **state)
{
    struct seen *s = xcalloc(1, sizeof *s);
    struct error err;
    assert_int_equal(loop_new(&s->loop, &err), 0);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct seen *s = *state;
    loop_free(s->loop);
    free(s);
    return 0;
}

static void run(struct seen *s)
{
    struct error err;
    assert_int_equal(loop_run(s->loop, &err), 0);
}

static void stop(void *arg)
{
    struct seen *s = arg;
    s->count++;
    loop_stop(s->loop);
}

static void must_not_happen(void *arg)
{
    (void)arg;
    fail_msg("this must not be called");
}

static void test_times(void **state)
{
    struct seen *s = *state;
    struct error err;
    struct loop_source *first = NULL, *never = NULL;
    assert_int_equal(loop_add_timer(s->loop, LOOP_WALL, stop, s, &first, &err), 0);
    assert_int_equal(loop_add_timer(s->loop, LOOP_MONOTONIC, must_not_happen, s, &never, &err), 0);
    loop_set_delay(never, 0);
    loop_set_time(never, UINT64_MAX); // taken back
    loop_set_time(first, 1);          // long ago: at once
    run(s);
    assert_int_equal(s->count, 1);
}

static void again(void *arg)
{
    struct seen *s = arg;
    if (++s->count < 3)
        loop_set_delay(s->source, 5 * NS_PER_MS);
    else
        loop_stop(s->loop);
}

static void test_time_is_set_anew(void **state)
{
    struct seen *s = *state;
    struct error err;
    assert_int_equal(loop_add_timer(s->loop, LOOP_MONOTONIC, again, s, &s->source, &err), 0);
    loop_set_delay(s->source, 0);
    uint64_t before = io_monotonic_ns(io_real());
    run(s);
    assert_int_equal(s->count, 3);
    assert_true(io_monotonic_ns(io_real()) - before >= 10 * NS_PER_MS);
}

static void test_signal(void **state)
{
    struct seen *s = *state;
    struct error err;
    assert_int_equal(loop_add_signal(s->loop, SIGUSR1, stop, s, &err), 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0); // blocked: it waits for the loop
    run(s);
    assert_int_equal(s->count, 1);
}

static void free_both(void *arg, uint32_t events)
{
    struct seen *s = arg;
    assert_true((events & EPOLLIN) != 0);
    s->count++;
    loop_source_free(s->source);
    loop_source_free(s->other);
    loop_stop(s->loop);
}

static void test_callback_frees_itself_and_the_other(void **state)
{
    struct seen *s = *state;
    struct error err;
    int a[2], b[2];
    assert_true(pipe(a) == 0 && pipe(b) == 0 && write(a[1], "x", 1) == 1 && write(b[1], "x", 1) == 1);
    assert_int_equal(loop_add_fd(s->loop, a[0], EPOLLIN, free_both, s, &s->source, &err), 0);
    assert_int_equal(loop_add_fd(s->loop, b[0], EPOLLIN, free_both, s, &s->other, &err), 0);
    run(s);
    assert_int_equal(s->count, 1); // the other one was ready as well
    for (int i = 0; i < 2; i++)
        assert_true(close(a[i]) == 0 && close(b[i]) == 0);
}

static void note_name(void *arg, const char *name)
{
    struct seen *s = arg;
    strncat(s->names, name, sizeof s->names - strlen(s->names) - 2);
    strcat(s->names, " ");
    if (strstr(s->names, "last") != NULL)
        loop_stop(s->loop);
}

static void test_directory(void **state)
{
    struct seen *s = *state;
    struct error err;
    char dir[] = "/tmp/bkd-loop-XXXXXX";
    assert_non_null(mkdtemp(dir));
    assert_int_equal(loop_add_directory(s->loop, "/nowhere/at/all", note_name, s, NULL, &err), ERROR_NOT_FOUND);
    assert_int_equal(loop_add_directory(s->loop, dir, note_name, s, NULL, &err), 0);
    _cleanup_free_ char *one = xasprintf("%s/one.part", dir), *last = xasprintf("%s/last", dir);
    assert_int_equal(close(open(one, O_CREAT | O_WRONLY, 0600)), 0);
    assert_int_equal(rename(one, last), 0); // as an editor does
    run(s);
    assert_non_null(strstr(s->names, "one.part"));
    assert_int_equal(fs_remove_tree(io_real(), AT_FDCWD, dir, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_times, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time_is_set_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_callback_frees_itself_and_the_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_directory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
