// Writes past the page cache: which bytes go that way, and that a file system that has no such thing gets the same content.
#include "tests/restore/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <stdio.h>

#include "restore/apply.h"

enum { MIB = 1 << 20, FDS = 1024, BIG = 2 * RECIPE_PIECE_SIZE + 3 * MIB + 12345, MIDDLE = 2 * MIB + 7, SMALL = 100000, SPARSE = 12 * MIB };

static const struct recipe_extent extents[] = { { MIB, 3 * MIB }, { 5 * MIB + 100, 2 * MIB }, { 11 * MIB, 4096 }, { 0, 0 } };

// What the file system does with O_DIRECT, and what was asked of it. Where it takes it, the flag is left out: not every file system of a test has it.
static struct {
    bool at_open, at_write;
    const char *exchanged; // what somebody puts in the place of a part file before it is opened for that
    int close_errno;       // what a failed write turns out to be
    atomic_bool is_direct[FDS];
    atomic_uint opened, wrongly_aligned;
    atomic_ullong written;
} direct;

static int opening(const struct io *io, int dirfd, const char *path, int flags, mode_t mode)
{
    (void)io;
    bool wanted = (flags & O_DIRECT) != 0;
    if (wanted && !direct.at_open) {
        errno = EINVAL;
        return -1;
    }
    if (wanted && direct.exchanged != NULL && renameat2(AT_FDCWD, direct.exchanged, dirfd, path, RENAME_EXCHANGE) < 0)
        return -1;
    int fd = io_real()->openat(io_real(), dirfd, path, flags & ~O_DIRECT, mode);
    if (fd >= 0 && fd < FDS)
        direct.is_direct[fd] = wanted;
    direct.opened += wanted;
    return fd;
}

static ssize_t writing(const struct io *io, int fd, const void *data, size_t n, off_t offset)
{
    (void)io;
    if (fd < FDS && direct.is_direct[fd]) {
        if (!direct.at_write) {
            errno = EINVAL;
            return -1;
        }
        direct.wrongly_aligned += ((uintptr_t)data | n | (size_t)offset) % APPLY_DIRECT_ALIGN != 0;
        direct.written += n;
    }
    return io_real()->pwrite(io_real(), fd, data, n, offset);
}

static int closing(const struct io *io, int fd)
{
    (void)io;
    bool fails = fd >= 0 && fd < FDS && direct.is_direct[fd] && direct.close_errno != 0;
    if (fd >= 0 && fd < FDS)
        direct.is_direct[fd] = false;
    int r = io_real()->close(io_real(), fd);
    if (fails)
        errno = direct.close_errno;
    return fails ? -1 : r;
}

struct content {
    char *big, *middle, *small, *sparse;
};

static int set_up(void **state)
{
    struct content *c = xmalloc(sizeof *c);
    *c = (struct content){ fixture_noise(BIG, 1), fixture_noise(MIDDLE, 2), fixture_noise(SMALL, 3), xcalloc(1, SPARSE) };
    for (size_t i = 0; extents[i].length > 0; i++) {
        _cleanup_free_ char *noise = fixture_noise(extents[i].length, 4 + (unsigned)i);
        memcpy(c->sparse + extents[i].offset, noise, extents[i].length);
    }
    *state = c;
    return 0;
}

static int tear_down(void **state)
{
    struct content *c = *state;
    free(c->big);
    free(c->middle);
    free(c->small);
    free(c->sparse);
    free(c);
    return 0;
}

static struct io watched(void)
{
    struct io io = *io_real();
    io.openat = opening;
    io.pwrite = writing;
    io.close = closing;
    return io;
}

// Everything is restored, and right; returns how many bytes went past the page cache.
static unsigned long long restore_all(const struct content *c, bool at_open, bool at_write, bool no_sync)
{
    struct fixture f;
    struct report report;
    struct error err;
    struct io io = watched();
    direct.at_open = at_open;
    direct.at_write = at_write;
    direct.opened = direct.wrongly_aligned = 0;
    direct.written = 0;
    fixture_init(&f, true);
    fixture_dir(&f, "/", 0755);
    fixture_version(&f, "/big", c->big, BIG, 0);
    fixture_version(&f, "/middle", c->middle, MIDDLE, 0);
    fixture_file(&f, "/small", 0644, c->small, SMALL);
    f.extents = extents;
    fixture_version(&f, "/sparse", c->sparse, SPARSE, 0);
    fixture_commit(&f);
    assert_int_equal(fixture_restore_io(&f, &io, "t", &(struct run_options){ .no_sync = no_sync }, &report, &err), 0);
    fixture_assert_content(&f, "t/big", c->big, BIG);
    fixture_assert_content(&f, "t/middle", c->middle, MIDDLE);
    fixture_assert_content(&f, "t/small", c->small, SMALL);
    fixture_assert_content(&f, "t/sparse", c->sparse, SPARSE);
    fixture_done(&f);
    assert_int_equal(direct.wrongly_aligned, 0);
    return direct.written;
}

// All but the last bytes of each large file, and of the sparse one what is large and begins at a block.
static void test_large_writes(void **state)
{
    unsigned long long expected = BIG - BIG % APPLY_DIRECT_ALIGN + MIDDLE - MIDDLE % APPLY_DIRECT_ALIGN + 3 * MIB;
    assert_int_equal(restore_all(*state, true, true, false), expected);
    assert_int_equal(direct.opened, 3);
}

static void test_refused_at_open(void **state)
{
    assert_int_equal(restore_all(*state, false, true, false), 0);
}

static void test_refused_at_write(void **state)
{
    assert_int_equal(restore_all(*state, true, false, false), 0);
    assert_int_equal(direct.opened, 3);
}

// Who does not wait for the disk wants the page cache.
static void test_not_without_sync(void **state)
{
    assert_int_equal(restore_all(*state, true, true, true), 0);
    assert_int_equal(direct.opened, 0);
}

static void one_file(struct fixture *f, const struct content *c)
{
    direct.at_open = direct.at_write = true;
    direct.opened = 0;
    direct.written = 0;
    fixture_init(f, true);
    fixture_dir(f, "/", 0755);
    fixture_version(f, "/middle", c->middle, MIDDLE, 0);
    fixture_commit(f);
}

// Somebody who may write into the target exchanges the part file: nothing goes into what he put there, and whoever reads a FIFO gets nothing.
static void exchange_with(const struct content *c, const char *how)
{
    struct fixture f;
    struct report report;
    struct error err;
    struct io io = watched();
    one_file(&f, c);
    fixture_run("cd '%s' && %s", f.dir, how);
    _cleanup_free_ char *other = fixture_path(&f, "other");
    direct.exchanged = other;
    (void)fixture_restore_io(&f, &io, "t", &(struct run_options){ .keep_going = true }, &report, &err); // may say that it was disturbed
    direct.exchanged = NULL;
    assert_int_equal(direct.opened, 1);
    assert_int_equal(direct.written, 0);
    fixture_done(&f);
}

static void test_exchanged_by_a_file(void **state)
{
    exchange_with(*state, "echo his own >other");
}

static void test_exchanged_by_a_fifo(void **state)
{
    exchange_with(*state, "mkfifo other");
}

// Network file systems send later, and tell the descriptor that wrote when it is closed.
static void test_fails_at_close(void **state)
{
    struct fixture f;
    struct report report;
    struct error err;
    struct io io = watched();
    one_file(&f, *state);
    direct.close_errno = ENOSPC;
    assert_true(fixture_restore_io(&f, &io, "t", &(struct run_options){ 0 }, &report, &err) < 0);
    direct.close_errno = 0;
    assert_true(direct.written > 0);
    assert_non_null(strstr(err.text, "close 'middle'"));
    fixture_run("! test -e '%s/t/middle'", f.dir);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_writes),
        cmocka_unit_test(test_refused_at_open),
        cmocka_unit_test(test_refused_at_write),
        cmocka_unit_test(test_not_without_sync),
        cmocka_unit_test(test_exchanged_by_a_file),
        cmocka_unit_test(test_exchanged_by_a_fifo),
        cmocka_unit_test(test_fails_at_close),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
