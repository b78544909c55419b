// Copies of good policy files: their bytes are durable before they get their names, and a failure leaves what was there.
#include "tests/codec/scratch.h"

#include <dirent.h>
#include <errno.h>

#include "bkd/host/kept_copies.h"

enum { FEW = 8, MANY = 10 };

// What was done, in order: 'f' a file was synced, 's' a file system, 'r' a name was given, 'd' a directory was synced behind that.
static char trace[64];
static bool syncfs_fails;
static int renames_left; // until one fails; -1 = none does

static void note(char what)
{
    size_t n = strlen(trace);
    if (what != 'd' || strchr(trace, 'r') != NULL)
        trace[n] = what;
}

static int noting_fsync(const struct io *io, int fd)
{
    struct stat st;
    (void)io;
    assert_int_equal(fstat(fd, &st), 0);
    note(S_ISDIR(st.st_mode) ? 'd' : 'f');
    return io_real()->fsync(io_real(), fd);
}

static int noting_syncfs(const struct io *io, int fd)
{
    (void)io, (void)fd;
    note('s');
    errno = EIO;
    return syncfs_fails ? -1 : 0;
}

static int noting_rename(const struct io *io, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, unsigned flags)
{
    (void)io;
    if (renames_left == 0) {
        errno = EIO;
        return -1;
    }
    renames_left -= renames_left > 0;
    note('r');
    return io_real()->renameat2(io_real(), old_dirfd, old_path, new_dirfd, new_path, flags);
}

// Keeps copies of the first n files, whose text is `text` and the number.
static void keep(const struct scratch *s, size_t n, const char *text)
{
    struct io io = *io_real();
    struct kept_copies copies;
    io.fsync = noting_fsync;
    io.syncfs = noting_syncfs;
    io.renameat2 = noting_rename;
    memset(trace, 0, sizeof trace);
    kept_copies_begin(&io, s->dir, &copies);
    for (size_t i = 0; i < n; i++) {
        _cleanup_free_ char *name = xasprintf("p%zu", i), *content = xasprintf("%s %zu", text, i), *file = xasprintf("%s/p%zu", s->dir, i), *path = kept_copies_path(s->dir, name);
        scratch_write(s, name, content, strlen(content));
        kept_copies_add(&copies, name, file, path);
    }
    kept_copies_end(&copies);
}

// The first n copies have this text, and nothing else is there.
static void expect(const struct scratch *s, size_t n, const char *text)
{
    size_t files = 0;
    _cleanup_free_ char *dir = xasprintf("%s/accepted", s->dir);
    for (size_t i = 0; i < n; i++) {
        _cleanup_buf_ struct buf kept = { 0 };
        _cleanup_free_ char *name = xasprintf("accepted/p%zu.yaml", i), *content = xasprintf("%s %zu", text, i);
        scratch_read(s, name, &kept);
        assert_string_equal(buf_str(&kept), content);
    }
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        files += e->d_name[0] != '.';
    assert_int_equal(closedir(d), 0);
    assert_int_equal(files, n);
}

static void test_durable_before_they_have_names(void **state)
{
    (void)state;
    _cleanup_scratch_ struct scratch s = scratch_new();
    syncfs_fails = false;
    renames_left = -1;
    keep(&s, 2, "one");
    assert_string_equal(trace, "ffrrd");
    expect(&s, 2, "one");
    keep(&s, 2, "one"); // as they are already
    assert_string_equal(trace, "");
    keep(&s, FEW, "two");
    assert_string_equal(trace, "ffffffffrrrrrrrrd");
    expect(&s, FEW, "two");
    keep(&s, MANY, "three");
    assert_string_equal(trace, "ffffffffsrrrrrrrrrrd");
    expect(&s, MANY, "three");
}

static void test_a_failure_leaves_what_was_there(void **state)
{
    (void)state;
    _cleanup_scratch_ struct scratch s = scratch_new();
    syncfs_fails = false;
    renames_left = -1;
    keep(&s, MANY, "one");
    syncfs_fails = true;
    keep(&s, MANY, "two");
    assert_null(strchr(trace, 'r'));
    expect(&s, MANY, "one");
    syncfs_fails = false;
    renames_left = 0;
    keep(&s, 2, "two");
    expect(&s, MANY, "one");
    renames_left = 1;
    keep(&s, 2, "two");
    _cleanup_buf_ struct buf first = { 0 };
    scratch_read(&s, "accepted/p0.yaml", &first);
    assert_string_equal(buf_str(&first), "two 0");
    renames_left = -1;
    keep(&s, MANY, "two"); // nothing aside was left in its way
    expect(&s, MANY, "two");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_durable_before_they_have_names), cmocka_unit_test(test_a_failure_leaves_what_was_there) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
