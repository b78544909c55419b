// The door to the operating system: interrupted and short calls, what failures are called, that nothing is overwritten.
#include "tests/codec/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>

#include "bkd/base/io.h"

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

// Every second call is interrupted, the others move three bytes at most.
static int calls;

static bool interrupt(void)
{
    errno = EINTR;
    return ++calls % 2 == 1;
}

static size_t little(size_t n) { return n < 3 ? n : 3; }
static int jerky_openat(const struct io *io, int dirfd, const char *path, int flags, mode_t mode)
{
    (void)io;
    return interrupt() ? -1 : openat(dirfd, path, flags, mode);
}
static ssize_t jerky_read(const struct io *io, int fd, void *data, size_t n) { (void)io; return interrupt() ? -1 : read(fd, data, little(n)); }
static ssize_t jerky_pread(const struct io *io, int fd, void *data, size_t n, off_t at) { (void)io; return interrupt() ? -1 : pread(fd, data, little(n), at); }
static ssize_t jerky_write(const struct io *io, int fd, const void *data, size_t n) { (void)io; return interrupt() ? -1 : write(fd, data, little(n)); }
static ssize_t jerky_pwrite(const struct io *io, int fd, const void *data, size_t n, off_t at) { (void)io; return interrupt() ? -1 : pwrite(fd, data, little(n), at); }
static int jerky_fsync(const struct io *io, int fd) { (void)io; return interrupt() ? -1 : fsync(fd); }
static int jerky_ftruncate(const struct io *io, int fd, off_t size) { (void)io; return interrupt() ? -1 : ftruncate(fd, size); }

static void test_interrupted_and_short(void **state)
{
    struct place *p = *state;
    struct error err;
    struct io io = *io_real();
    io.openat = jerky_openat, io.read = jerky_read, io.pread = jerky_pread, io.write = jerky_write, io.pwrite = jerky_pwrite;
    io.fsync = jerky_fsync, io.ftruncate = jerky_ftruncate;
    int fd = -1;
    char data[20] = "";
    size_t got = 0;
    scratch_ok(io_open(&io, p->dirfd, "a", O_RDWR | O_CREAT, 0600, &fd, &err), &err);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    scratch_ok(io_write_all(&io, fd, "0123456789", 10, "a", &err), &err);
    scratch_ok(io_pwrite_all(&io, fd, "abcde", 5, 3, "a", &err), &err);
    scratch_ok(io_fsync(&io, fd, "a", &err), &err);
    scratch_ok(io_pread_full(&io, fd, data, sizeof data, 1, "a", &got, &err), &err);
    assert_int_equal(got, 9);
    assert_memory_equal(data, "12abcde89", 9);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    scratch_ok(io_read_full(&io, fd, data, 8, "a", &got, &err), &err);
    assert_int_equal(got, 8);
    assert_memory_equal(data, "012abcde", 8);
    scratch_ok(io_truncate(&io, fd, 4, "a", &err), &err);
    scratch_ok(io_pread_full(&io, fd, data, sizeof data, 0, "a", &got, &err), &err);
    assert_int_equal(got, 4);
    scratch_ok(io_close(&io, &fd, "a", &err), &err);
    assert_int_equal(fd, -1);
}

static void test_failures_have_names(void **state)
{
    struct place *p = *state;
    struct error err;
    int fd = 77;
    assert_int_equal(io_open(io_real(), p->dirfd, "none", O_RDONLY, 0, &fd, &err), ERROR_NOT_FOUND);
    assert_string_equal(err.text, "open 'none': No such file or directory");
    assert_int_equal(err.os_errno, ENOENT);
    assert_int_equal(fd, 77); // untouched
    scratch_ok(io_open(io_real(), p->dirfd, "a", O_RDWR | O_CREAT | O_EXCL, 0600, &fd, &err), &err);
    int other = 78;
    assert_int_equal(io_open(io_real(), p->dirfd, "a", O_RDWR | O_CREAT | O_EXCL, 0600, &other, &err), ERROR_EXISTS);
    assert_string_equal(err.text, "create 'a': File exists");
    assert_int_equal(io_mkdir(io_real(), p->dirfd, "a", 0700, &err), ERROR_EXISTS);
    assert_int_equal(io_unlink(io_real(), p->dirfd, "none", 0, &err), ERROR_NOT_FOUND);
    assert_int_equal(close(fd), 0);
    assert_int_equal(io_close(io_real(), &fd, "a", &err), ERROR_FAILED); // closed already
    assert_int_equal(fd, -1);
    io_close_quietly(io_real(), &fd);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_int_equal(io_write_all(io_real(), full, "x", 1, "full", &err), ERROR_NO_SPACE);
    assert_int_equal(close(full), 0);
}

static ssize_t no_write(const struct io *io, int fd, const void *data, size_t n)
{
    (void)io, (void)fd, (void)data, (void)n;
    return 0;
}

// A file system that takes no byte, and says so without an error, must not make an endless loop.
static void test_write_of_nothing(void **state)
{
    (void)state;
    struct error err;
    struct io io = *io_real();
    io.write = no_write;
    assert_int_equal(io_write_all(&io, 1, "x", 1, "x", &err), ERROR_FAILED);
}

static void test_names(void **state)
{
    struct place *p = *state;
    struct error err;
    struct statx st;
    scratch_write(&p->scratch, "a", "1", 1);
    scratch_write(&p->scratch, "b", "22", 2);
    assert_int_equal(io_rename_new(io_real(), p->dirfd, "a", p->dirfd, "b", &err), ERROR_EXISTS);
    scratch_ok(io_stat(io_real(), p->dirfd, "b", 0, &st, &err), &err);
    assert_int_equal(st.stx_size, 2);
    scratch_ok(io_rename_new(io_real(), p->dirfd, "a", p->dirfd, "c", &err), &err);
    assert_int_equal(io_link(io_real(), p->dirfd, "c", p->dirfd, "b", &err), ERROR_EXISTS);
    scratch_ok(io_rename_over(io_real(), p->dirfd, "c", p->dirfd, "b", &err), &err);
    scratch_ok(io_stat(io_real(), p->dirfd, "b", 0, &st, &err), &err);
    assert_int_equal(st.stx_size, 1);
    assert_int_equal(io_stat(io_real(), p->dirfd, "c", 0, &st, &err), ERROR_NOT_FOUND);
}

static void *no_memory(const struct io *io, size_t n)
{
    (void)io, (void)n;
    return NULL;
}

static void test_memory_clock_chance(void **state)
{
    (void)state;
    struct error err;
    void *memory = NULL;
    struct io io = *io_real();
    io.alloc = no_memory;
    assert_int_equal(io_alloc(&io, 1 << 20, "a window", &memory, &err), ERROR_FAILED);
    assert_string_equal(err.text, "no memory for a window (1048576 bytes)");
    assert_null(memory);
    scratch_ok(io_alloc(io_real(), 1 << 20, "a window", &memory, &err), &err);
    memset(memory, 1, 1 << 20);
    free(memory);
    uint64_t now = io_realtime_ns(io_real()), mono = io_monotonic_ns(io_real());
    assert_true(now / 1000000000 > UINT64_C(1700000000));
    assert_true(io_monotonic_ns(io_real()) >= mono);
    uint8_t a[1000] = { 0 }, b[1000] = { 0 };
    io_random(io_real(), a, sizeof a);
    io_random(io_real(), b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(a + 900, b + 900, 100); // to the last byte
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_interrupted_and_short, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures_have_names, setup, teardown),
        cmocka_unit_test(test_write_of_nothing),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test(test_memory_clock_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
