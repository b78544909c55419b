// A directory that can only grow, below the protocol: locks between processes that write and one that publishes, in every order.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bkd/base/fs.h"
#include "bkd/store/grow_dir.h"

struct place {
    char dir[32];
    struct grow_dir grow;
};

static int setup(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    strcpy(p->dir, "/tmp/bkd-grow-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    assert_int_equal(grow_dir_open(&p->grow, io_real(), p->dir), 0);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    struct error err;
    grow_dir_close(&p->grow);
    assert_int_equal(fs_remove_tree(io_real(), AT_FDCWD, p->dir, &err), 0);
    free(p);
    return 0;
}

static void test_root(void **state)
{
    struct place *p = *state;
    struct grow_dir other;
    _cleanup_free_ char *link = xasprintf("%s/link", p->dir), *file = xasprintf("%s/file", p->dir);
    assert_int_equal(symlink(p->dir, link), 0);
    assert_int_equal(grow_dir_open(&other, io_real(), link), 0); // the administrator's own link is fine
    assert_string_equal(other.path, p->dir);
    grow_dir_close(&other);
    assert_int_equal(grow_dir_open(&other, io_real(), "/nowhere/at/all"), -ENOENT);
    int fd = open(file, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(grow_dir_open(&other, io_real(), file), -ENOTDIR);
}

static void test_names_of_parts(void **state)
{
    (void)state;
    assert_true(grow_dir_is_part("a/b.part-1"));
    assert_true(grow_dir_is_part("b.part-"));
    assert_false(grow_dir_is_part("a.part-1/b"));
    assert_true(grow_dir_is_part("a/b.part"));
    assert_false(grow_dir_is_part("b.parts"));
    assert_false(grow_dir_is_part(".part"));
    assert_false(grow_dir_is_part("b.part/c"));
    assert_false(grow_dir_is_part(""));
}

static void test_publish_waits_for_writers(void **state)
{
    struct place *p = *state;
    int one, two;
    assert_int_equal(grow_dir_create(&p->grow, "f.part-1", &one), 0);
    assert_int_equal(grow_dir_create(&p->grow, "f.part-1", &two), -EEXIST);
    assert_int_equal(grow_dir_write(&p->grow, "f.part-1", &two), 0);
    assert_int_equal(grow_dir_publish(&p->grow, "f.part-1", "f"), -EBUSY);
    close(one);
    assert_int_equal(grow_dir_publish(&p->grow, "f.part-1", "f"), -EBUSY);
    close(two);
    assert_int_equal(grow_dir_publish(&p->grow, "f.part-1", "f"), 0);
    assert_int_equal(grow_dir_publish(&p->grow, "f.part-1", "f"), -ENOENT);
    assert_int_equal(grow_dir_write(&p->grow, "f.part-1", &two), -ENOENT);
    assert_int_equal(grow_dir_write(&p->grow, "f", &two), -EPERM);
    assert_int_equal(grow_dir_create(&p->grow, "g.part-1", &one), 0);
    close(one);
    assert_int_equal(grow_dir_publish(&p->grow, "g.part-1", "f"), -EEXIST);
    assert_int_equal(grow_dir_publish(&p->grow, "g.part-1", "/"), -EPERM);
    assert_int_equal(grow_dir_drop_part(&p->grow, "g.part-1"), 0);
    assert_int_equal(grow_dir_drop_part(&p->grow, "f"), -EPERM);
}

// Writes into parts as fast as they come, until told to stop by the pipe's end: what a second session does.
static void write_into_parts(struct place *p, int until)
{
    char byte;
    while (read(until, &byte, 1) < 0) {
        int fd;
        for (unsigned i = 0; i < 2; i++) {
            if (grow_dir_write(&p->grow, i == 0 ? "race.part-1" : "race.part-2", &fd) < 0)
                continue;
            (void)!pwrite(fd, "late", 4, 0);
            close(fd);
        }
    }
    _exit(0);
}

// Whatever a second process writes, from the moment a file is published on nothing of it changes.
static void test_race(void **state)
{
    struct place *p = *state;
    int until[2];
    unsigned published = 0;
    assert_int_equal(pipe2(until, O_NONBLOCK), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(until[1]);
        write_into_parts(p, until[0]);
    }
    close(until[0]);
    for (unsigned i = 0; i < 4000; i++) {
        _cleanup_free_ char *name = xasprintf("published-%u", i), *path = xasprintf("%s/%s", p->dir, name);
        const char *part = i % 2 == 0 ? "race.part-1" : "race.part-2";
        struct stat before, after;
        int fd, r;
        assert_int_equal(grow_dir_create(&p->grow, part, &fd), 0);
        assert_int_equal(pwrite(fd, "content", 7, 0), 7);
        close(fd);
        do
            r = grow_dir_publish(&p->grow, part, name);
        while (r == -EBUSY);
        assert_int_equal(r, 0);
        assert_int_equal(stat(path, &before), 0);
        char first[8] = "", second[8] = "";
        fd = open(path, O_RDONLY);
        assert_int_equal(pread(fd, first, 7, 0), 7);
        (void)usleep(i % 16 == 0 ? 1000 : 0);
        assert_int_equal(pread(fd, second, 7, 0), 7);
        close(fd);
        assert_int_equal(stat(path, &after), 0);
        assert_string_equal(first, second);
        assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
        assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
        published++;
    }
    close(until[1]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(published, 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_root, setup, teardown),
        cmocka_unit_test(test_names_of_parts),
        cmocka_unit_test_setup_teardown(test_publish_waits_for_writers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_race, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
