// Files as a whole: durable replacement and exclusive creation, directories, trees, locks.
#include "tests/codec/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bkd/base/fs.h"

struct place {
    struct scratch scratch;
    int dirfd;
};

static int setup(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    p->scratch = scratch_new();
    p->dirfd = open(p->scratch.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    (void)close(p->dirfd);
    scratch_done(&p->scratch);
    free(p);
    return 0;
}

static void expect_content(const struct place *p, const char *name, const char *text)
{
    struct error err;
    _cleanup_buf_ struct buf data = { 0 };
    scratch_ok(fs_read_file(io_real(), p->dirfd, name, 1000, &data, &err), &err);
    assert_string_equal(buf_str(&data), text);
}

static void test_replace_and_create(void **state)
{
    struct place *p = *state;
    struct error err;
    struct stat st;
    scratch_ok(fs_replace_file(io_real(), p->dirfd, "a", 0640, "one", 3, &err), &err);
    expect_content(p, "a", "one");
    scratch_ok(fs_replace_file(io_real(), p->dirfd, "a", 0600, "other", 5, &err), &err);
    expect_content(p, "a", "other");
    assert_int_equal(fstatat(p->dirfd, "a", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(fs_create_file(io_real(), p->dirfd, "a", 0600, "third", 5, &err), ERROR_EXISTS);
    expect_content(p, "a", "other");
    scratch_ok(fs_create_file(io_real(), p->dirfd, "b", 0600, "", 0, &err), &err);
    expect_content(p, "b", "");
    assert_int_equal(fs_replace_file(io_real(), p->dirfd, "none/c", 0600, "x", 1, &err), ERROR_NOT_FOUND);
    scratch_run("test \"$(ls '%s' | tr '\\n' ' ')\" = 'a b '", p->scratch.dir); // nothing aside is left, also after refusals
}

static int syncs, renames;

static int counting_fsync(const struct io *io, int fd)
{
    (void)io;
    syncs = syncs * 10 + (renames == 0 ? 1 : 2); // before, after the name
    return fsync(fd);
}

static int counting_rename(const struct io *io, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, unsigned flags)
{
    (void)io;
    renames++;
    return io_real()->renameat2(io_real(), old_dirfd, old_path, new_dirfd, new_path, flags);
}

static ssize_t half_write(const struct io *io, int fd, const void *data, size_t n)
{
    (void)io;
    if (n <= 2) {
        errno = ENOSPC;
        return -1;
    }
    return write(fd, data, n / 2);
}

static int failing_fsync(const struct io *io, int fd)
{
    (void)io, (void)fd;
    errno = EIO;
    return -1;
}

static int old_rename(const struct io *io, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, unsigned flags)
{
    if (flags == 0)
        return io_real()->renameat2(io, old_dirfd, old_path, new_dirfd, new_path, 0);
    errno = EINVAL; // a file system without RENAME_NOREPLACE
    return -1;
}

// Bytes are durable before the name, the name before the call returns; a failure leaves the old file and nothing beside it.
static void test_durable_or_not_at_all(void **state)
{
    struct place *p = *state;
    struct error err;
    struct io io = *io_real();
    io.fsync = counting_fsync;
    io.renameat2 = counting_rename;
    syncs = renames = 0;
    scratch_ok(fs_replace_file(&io, p->dirfd, "a", 0600, "old", 3, &err), &err);
    assert_int_equal(syncs, 12);
    io = *io_real();
    io.write = half_write;
    assert_int_equal(fs_replace_file(&io, p->dirfd, "a", 0600, "new text", 8, &err), ERROR_NO_SPACE);
    io = *io_real();
    io.fsync = failing_fsync;
    assert_int_equal(fs_replace_file(&io, p->dirfd, "a", 0600, "new text", 8, &err), ERROR_FAILED);
    expect_content(p, "a", "old");
    scratch_run("test \"$(ls '%s')\" = a", p->scratch.dir);
}

static void test_create_on_old_file_systems(void **state)
{
    struct place *p = *state;
    struct error err;
    struct io io = *io_real();
    io.renameat2 = old_rename;
    scratch_ok(fs_create_file(&io, p->dirfd, "a", 0600, "one", 3, &err), &err);
    assert_int_equal(fs_create_file(&io, p->dirfd, "a", 0600, "two", 3, &err), ERROR_EXISTS);
    expect_content(p, "a", "one");
    scratch_run("test \"$(ls '%s')\" = a && test $(stat -c %%h '%s/a') = 1", p->scratch.dir, p->scratch.dir);
}

static void test_read_limits(void **state)
{
    struct place *p = *state;
    struct error err;
    _cleanup_buf_ struct buf data = { 0 };
    _cleanup_free_ char *big = (char *)xcalloc(1, 200000);
    scratch_write(&p->scratch, "big", big, 200000);
    assert_int_equal(fs_read_file(io_real(), p->dirfd, "big", 199999, &data, &err), ERROR_FORMAT);
    for (size_t n = 65534; n <= 65538; n++) { // around the read window
        buf_reset(&data);
        buf_add_str(&data, "x");
        scratch_write(&p->scratch, "some", big, n);
        scratch_ok(fs_read_file(io_real(), p->dirfd, "some", n, &data, &err), &err);
        assert_int_equal(data.len, n + 1); // appended
        assert_int_equal(fs_read_file(io_real(), p->dirfd, "some", n - 1, &data, &err), ERROR_FORMAT);
    }
    assert_int_equal(fs_read_file(io_real(), p->dirfd, "none", 10, &data, &err), ERROR_NOT_FOUND);
    assert_int_equal(fs_read_file(io_real(), p->dirfd, ".", 10, &data, &err), ERROR_FAILED);
}

static void test_make_dirs(void **state)
{
    struct place *p = *state;
    struct error err;
    struct stat st;
    _cleanup_free_ char *absolute = xasprintf("%s/x/y", p->scratch.dir);
    scratch_ok(fs_make_dirs(io_real(), p->dirfd, "a/b/c", 0700, &err), &err);
    scratch_ok(fs_make_dirs(io_real(), p->dirfd, "a/b/c", 0755, &err), &err);
    scratch_ok(fs_make_dirs(io_real(), AT_FDCWD, absolute, 0755, &err), &err);
    assert_int_equal(fstatat(p->dirfd, "a/b/c", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(fstatat(p->dirfd, "x/y", &st, 0), 0);
    scratch_write(&p->scratch, "file", "", 0);
    assert_true(fs_make_dirs(io_real(), p->dirfd, "file/d", 0755, &err) < 0);
    assert_true(fs_make_dirs(io_real(), p->dirfd, "a/b/../../none/../file/d", 0755, &err) < 0);
    assert_int_equal(fstatat(p->dirfd, "file", &st, 0), 0);
    assert_true(S_ISREG(st.st_mode));
}

static int collect(void *arg, const char *name, unsigned char type, struct error *err)
{
    (void)err;
    unsigned *sum = arg;
    assert_string_not_equal(name, ".");
    assert_string_not_equal(name, "..");
    assert_true(type == DT_REG || type == DT_UNKNOWN);
    sum[0]++;
    sum[1] += (unsigned)atoi(name);
    return 0;
}

static int stop_at_seven(void *arg, const char *name, unsigned char type, struct error *err)
{
    (void)name, (void)type;
    unsigned *n = arg;
    return ++*n == 7 ? error_set(err, ERROR_BUSY, "enough") : 0;
}

static void test_list(void **state)
{
    struct place *p = *state;
    struct error err;
    unsigned sum[2] = { 0 }, n = 0;
    scratch_run("cd '%s' && seq 3000 | sed 's/$/-a-name-that-is-not-so-short/' | xargs touch", p->scratch.dir); // several buffers full
    scratch_ok(fs_list_dir(io_real(), p->dirfd, ".", collect, sum, &err), &err);
    assert_int_equal(sum[0], 3000);
    assert_int_equal(sum[1], 3000 * 3001 / 2);
    assert_int_equal(fs_list_dir(io_real(), p->dirfd, ".", stop_at_seven, &n, &err), ERROR_BUSY);
    assert_int_equal(n, 7);
    assert_int_equal(fs_list_dir(io_real(), p->dirfd, "none", collect, sum, &err), ERROR_NOT_FOUND);
}

static ssize_t untyped_getdents(const struct io *io, int fd, void *data, size_t n)
{
    ssize_t got = io_real()->getdents64(io, fd, data, n);
    for (ssize_t at = 0; at < got;) {
        struct dirent64 *d = (struct dirent64 *)((char *)data + at);
        d->d_type = DT_UNKNOWN;
        at += d->d_reclen;
    }
    return got;
}

static void make_tree(const struct place *p)
{
    scratch_run("cd '%s' && mkdir -p keep tree/a/b tree/c && echo 1 >keep/x && echo 2 >tree/a/b/y && ln -s ../../keep tree/a/link && ln -s ../keep/x tree/l && mkfifo tree/f", p->scratch.dir);
}

static void test_remove_tree(void **state)
{
    struct place *p = *state;
    struct error err;
    struct io untyped = *io_real();
    untyped.getdents64 = untyped_getdents; // some file systems do not tell types
    const struct io *all[] = { io_real(), &untyped };
    for (size_t i = 0; i < 2; i++) {
        make_tree(p);
        scratch_ok(fs_remove_tree(all[i], p->dirfd, "tree", &err), &err);
        scratch_run("cd '%s' && test ! -e tree && test -s keep/x", p->scratch.dir);
        scratch_ok(fs_remove_tree(all[i], p->dirfd, "tree", &err), &err);
        scratch_run("cd '%s' && ln -s keep tree", p->scratch.dir);
        scratch_ok(fs_remove_tree(all[i], p->dirfd, "tree", &err), &err);
        scratch_run("cd '%s' && test ! -L tree && test -s keep/x", p->scratch.dir);
    }
}

static void test_lock(void **state)
{
    struct place *p = *state;
    struct error err;
    int fd = -1, other = -1;
    scratch_ok(fs_lock(io_real(), p->dirfd, "lock", &fd, &err), &err);
    assert_int_equal(fs_lock(io_real(), p->dirfd, "lock", &other, &err), ERROR_BUSY);
    assert_int_equal(other, -1);
    pid_t child = fork();
    if (child == 0)
        _exit(fs_lock(io_real(), p->dirfd, "lock", &other, &err) == ERROR_BUSY ? 0 : 1);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(close(fd), 0);
    // A process that ends, however it ends, leaves no lock.
    child = fork();
    if (child == 0) {
        if (fs_lock(io_real(), p->dirfd, "lock", &other, &err) == 0)
            (void)raise(SIGKILL);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    scratch_ok(fs_lock(io_real(), p->dirfd, "lock", &fd, &err), &err);
    int same = openat(p->dirfd, "lock", O_RDWR | O_CLOEXEC);
    assert_false(fs_try_lock(same));
    assert_int_equal(close(fd), 0);
    assert_true(fs_try_lock(same));
    assert_int_equal(close(same), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replace_and_create, setup, teardown),
        cmocka_unit_test_setup_teardown(test_durable_or_not_at_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_create_on_old_file_systems, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_make_dirs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remove_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
