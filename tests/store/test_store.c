// The contract of a store, run over every implementation; then the directory store over a file system that fails at call 1, 2, 3 …
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bkd/base/crypto.h"
#include "bkd/base/fs.h"
#include "bkd/store/store.h"
#include "tests/support/sftp_server.h"

struct fixture {
    char *dir; // NULL for a store in memory
    struct sftp_server server;
    struct store *store;
};

static void setup_sftp(struct fixture *f)
{
    char path[] = "/tmp/bkd-store-XXXXXX";
    struct error err;
    assert_non_null(mkdtemp(path));
    f->dir = xstrdup(path);
    struct store_connector connector = sftp_server_connector(&f->server);
    if (store_sftp_open(io_real(), "sftp://test", path, false, &connector, &f->store, &err) != 0)
        fail_msg("%s", err.text);
}

static void setup_dir(struct fixture *f)
{
    char path[] = "/tmp/bkd-store-XXXXXX";
    assert_non_null(mkdtemp(path));
    f->dir = xstrdup(path);
    struct error err;
    assert_int_equal(store_dir_open(io_real(), path, false, &f->store, &err), 0);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    if (strcmp(*state, "dir") == 0)
        setup_dir(f);
    else if (strcmp(*state, "sftp") == 0)
        setup_sftp(f);
    else
        f->store = store_memory_new();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    struct error err;
    if (f->dir != NULL)
        assert_int_equal(fs_remove_tree(io_real(), AT_FDCWD, f->dir, &err), 0);
    free(f->dir);
    free(f);
    return 0;
}

#define OK(call) do { if ((call) != 0) fail_msg("%s: %s", #call, err.text); } while (0)

static int collect(void *arg, const char *name, uint64_t size, struct error *err)
{
    (void)err;
    struct buf *names = arg;
    (void)size;
    buf_addf(names, "%s\n", name);
    return 0;
}

static void assert_content(struct store *s, const char *name, const char *text)
{
    struct error err;
    _cleanup_buf_ struct buf data = { 0 };
    OK(store_get_all(s, name, 1000, &data, &err));
    assert_string_equal(buf_str(&data), text);
}

static void test_put_get(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct error err;
    OK(s->ops->put(s, "heads/aa/1", "hello", 5, &err));
    assert_content(s, "heads/aa/1", "hello");
    char part[3] = "";
    OK(s->ops->get(s, "heads/aa/1", 2, part, 2, &err));
    assert_string_equal(part, "ll");
    OK(s->ops->get(s, "heads/aa/1", 5, part, 0, &err));
    uint64_t size;
    OK(s->ops->size(s, "heads/aa/1", &size, &err));
    assert_int_equal(size, 5);
    OK(s->ops->put(s, "empty", "", 0, &err));
    assert_content(s, "empty", "");
}

static void test_never_overwrites(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct error err;
    OK(s->ops->put(s, "heads/aa/1", "first", 5, &err));
    assert_int_equal(s->ops->put(s, "heads/aa/1", "second", 6, &err), ERROR_EXISTS);
    int fd;
    _cleanup_free_ char *spool = NULL;
    OK(s->ops->spool_open(s, &fd, &spool, &err));
    assert_int_equal(write(fd, "third", 5), 5);
    assert_int_equal(s->ops->put_spool(s, "heads/aa/1", fd, spool, &err), ERROR_EXISTS);
    assert_int_equal(fcntl(fd, F_GETFD), -1); // closed whatever happens
    assert_content(s, "heads/aa/1", "first");
    _cleanup_buf_ struct buf names = { 0 };
    OK(s->ops->list(s, "", collect, &names, &err));
    assert_string_equal(buf_str(&names), "heads/aa/1\n");
}

// Several together: each has its result, and what is taken stays.
static void test_put_many(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct error err;
    struct store_put puts[] = {
        { .name = "objects/aa/1", .data = "one", .n = 3 }, { .name = "objects/bb/2", .data = "", .n = 0 }, { .name = "objects/aa/3", .data = "three", .n = 5 },
        { .name = "heads/1", .data = "head", .n = 4, .last = true },
    };
    OK(s->ops->put(s, "objects/bb/2", "two", 3, &err));
    OK(store_put_many(s, puts, 4, &err));
    assert_int_equal(puts[0].result, 0);
    assert_int_equal(puts[1].result, ERROR_EXISTS);
    assert_int_equal(puts[3].result, 0);
    assert_content(s, "objects/aa/1", "one");
    assert_content(s, "objects/bb/2", "two");
    assert_content(s, "heads/1", "head");
    OK(store_put_many(s, puts, 0, &err));
    _cleanup_buf_ struct buf names = { 0 };
    OK(s->ops->list(s, "heads", collect, &names, &err));
    assert_string_equal(buf_str(&names), "heads/1\n");
}

// A file of this machine, by its hash: other bytes get no name.
static void test_put_file(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct error err;
    char path[] = "/tmp/bkd-store-XXXXXX";
    uint8_t digest[32];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    assert_int_equal(unlink(path), 0);
    crypto_sha256("01234567", 8, digest);
    OK(s->ops->put_file(s, "objects/1", fd, 8, digest, &err));
    assert_content(s, "objects/1", "01234567");
    assert_int_equal(s->ops->put_file(s, "objects/1", fd, 8, digest, &err), ERROR_EXISTS);
    assert_int_equal(s->ops->put_file(s, "objects/2", fd, 9, digest, &err), ERROR_INTEGRITY); // another byte
    assert_int_equal(s->ops->put_file(s, "objects/2", fd, 11, digest, &err), ERROR_INTEGRITY); // it is shorter
    _cleanup_buf_ struct buf names = { 0 };
    OK(s->ops->list(s, "", collect, &names, &err));
    assert_string_equal(buf_str(&names), "objects/1\n");
    assert_int_equal(close(fd), 0);
}

static void test_spool(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct error err;
    int fd;
    _cleanup_free_ char *spool = NULL, *other = NULL;
    OK(s->ops->spool_open(s, &fd, &spool, &err));
    assert_int_equal(write(fd, "0123456789", 10), 10);
    OK(s->ops->put_spool(s, "objects/ab/abcd", fd, spool, &err));
    assert_content(s, "objects/ab/abcd", "0123456789");
    OK(s->ops->spool_open(s, &fd, &other, &err));
    close(fd);
    s->ops->spool_drop(s, other);
    _cleanup_buf_ struct buf names = { 0 };
    OK(s->ops->list(s, "objects", collect, &names, &err));
    OK(s->ops->list(s, "objects/", collect, &names, &err));
    OK(s->ops->list(s, "object", collect, &names, &err));
    OK(s->ops->list(s, "nothing/here", collect, &names, &err));
    assert_string_equal(buf_str(&names), "objects/ab/abcd\nobjects/ab/abcd\n");
}

static void test_missing_and_short(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct error err;
    char data[8];
    uint64_t size;
    assert_int_equal(s->ops->get(s, "nothing", 0, data, 1, &err), ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, "nothing"));
    assert_int_equal(s->ops->size(s, "nothing", &size, &err), ERROR_NOT_FOUND);
    assert_int_equal(s->ops->remove(s, "nothing", &err), ERROR_NOT_FOUND);
    OK(s->ops->put(s, "short", "abc", 3, &err));
    assert_int_equal(s->ops->get(s, "short", 0, data, 4, &err), ERROR_INTEGRITY);
    assert_int_equal(s->ops->get(s, "short", 2, data, 2, &err), ERROR_INTEGRITY);
    assert_int_equal(s->ops->get(s, "short", UINT64_C(1) << 40, data, 1, &err), ERROR_INTEGRITY);
    _cleanup_buf_ struct buf all = { 0 };
    assert_int_equal(store_get_all(s, "short", 2, &all, &err), ERROR_FORMAT);
    assert_int_equal(all.len, 0);
    OK(s->ops->remove(s, "short", &err));
    assert_int_equal(s->ops->get(s, "short", 0, data, 1, &err), ERROR_NOT_FOUND);
}

static int stop_visit(void *arg, const char *name, uint64_t size, struct error *err)
{
    (void)name;
    (void)size;
    (*(int *)arg)++;
    return error_set(err, ERROR_BUSY, "enough");
}

static void test_list_stops(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct error err;
    OK(s->ops->put(s, "a/1", "x", 1, &err));
    OK(s->ops->put(s, "a/2", "x", 1, &err));
    int visits = 0;
    assert_int_equal(s->ops->list(s, "a", stop_visit, &visits, &err), ERROR_BUSY);
    assert_int_equal(visits, 1);
}

// ---- what only a directory has

static void test_dir_names_stay_inside(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct error err;
    static const char *const names[] = { "", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "." };
    char data;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(s->ops->put(s, names[i], "x", 1, &err), ERROR_FAILED);
        assert_int_equal(s->ops->get(s, names[i], 0, &data, 1, &err), ERROR_FAILED);
    }
}

static void test_dir_modes_and_spool_place(void **state)
{
    struct fixture *f = *state;
    struct store *s = f->store;
    struct error err;
    OK(s->ops->put(s, "objects/ab/x", "x", 1, &err));
    struct stat st;
    _cleanup_free_ char *file = xasprintf("%s/objects/ab/x", f->dir), *dir = xasprintf("%s/objects", f->dir);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    int fd;
    _cleanup_free_ char *spool = NULL;
    OK(s->ops->spool_open(s, &fd, &spool, &err));
    _cleanup_free_ char *path = xasprintf("%s/%s", f->dir, spool);
    assert_int_equal(stat(path, &st), 0);
    assert_memory_equal(spool, "tmp/", 4);
    _cleanup_buf_ struct buf names = { 0 };
    OK(s->ops->list(s, "", collect, &names, &err));
    assert_string_equal(buf_str(&names), "objects/ab/x\n");
    close(fd);
    s->ops->spool_drop(s, spool);
    assert_int_equal(stat(path, &st), -1);
}

static void test_open(void **state)
{
    (void)state;
    struct error err;
    char path[] = "/tmp/bkd-store-XXXXXX";
    assert_non_null(mkdtemp(path));
    _cleanup_free_ char *inner = xasprintf("%s/a/b", path), *url = xasprintf("file://%s/a/b", path);
    struct store *s = NULL;
    assert_int_equal(store_open(io_real(), inner, NULL, false, &s, &err), ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, inner));
    OK(store_open(io_real(), inner, NULL, true, &s, &err));
    assert_string_equal(s->url, inner);
    store_close(s);
    OK(store_open(io_real(), url, NULL, false, &s, &err));
    store_close(s);
    assert_int_equal(store_open(io_real(), "s3://bucket/x", NULL, false, &s, &err), ERROR_USAGE);
    assert_int_equal(store_open(io_real(), "file://relative", NULL, false, &s, &err), ERROR_USAGE);
    assert_int_equal(store_open(io_real(), "", NULL, false, &s, &err), ERROR_USAGE);
    store_close(NULL);
    OK(fs_remove_tree(io_real(), AT_FDCWD, path, &err));
}

// ---- a file system that fails at call N of those that change or read something

struct failing {
    struct io io;
    unsigned calls, fail_at;
};

static bool fails(const struct io *self)
{
    struct failing *f = (struct failing *)self->state;
    errno = EIO;
    return ++f->calls == f->fail_at;
}

static int fail_openat(const struct io *self, int dirfd, const char *path, int flags, mode_t mode)
{
    return fails(self) ? -1 : io_real()->openat(io_real(), dirfd, path, flags, mode);
}
static ssize_t fail_pread(const struct io *self, int fd, void *data, size_t n, off_t offset)
{
    return fails(self) ? -1 : io_real()->pread(io_real(), fd, data, n, offset);
}
static ssize_t fail_write(const struct io *self, int fd, const void *data, size_t n)
{
    return fails(self) ? -1 : io_real()->write(io_real(), fd, data, n);
}
static int fail_fsync(const struct io *self, int fd) { return fails(self) ? -1 : io_real()->fsync(io_real(), fd); }
static int fail_mkdirat(const struct io *self, int dirfd, const char *path, mode_t mode)
{
    return fails(self) ? -1 : io_real()->mkdirat(io_real(), dirfd, path, mode);
}
static int fail_renameat2(const struct io *self, int a, const char *from, int b, const char *to, unsigned flags)
{
    return fails(self) ? -1 : io_real()->renameat2(io_real(), a, from, b, to, flags);
}
static int fail_close(const struct io *self, int fd)
{
    bool failed = fails(self);
    int r = io_real()->close(io_real(), fd);
    errno = EIO;
    return failed ? -1 : r;
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void test_failing_file_system(void **state)
{
    (void)state;
    struct error err = { 0 };
    struct failing f = { .io = *io_real() };
    f.io.openat = fail_openat;
    f.io.pread = fail_pread;
    f.io.write = fail_write;
    f.io.fsync = fail_fsync;
    f.io.mkdirat = fail_mkdirat;
    f.io.renameat2 = fail_renameat2;
    f.io.close = fail_close;
    f.io.state = &f;
    unsigned descriptors = open_descriptors(), failures = 0;
    for (f.fail_at = 1;; f.fail_at++) {
        char path[] = "/tmp/bkd-store-XXXXXX";
        assert_non_null(mkdtemp(path));
        f.calls = 0;
        struct store *s = NULL;
        int r = store_dir_open(&f.io, path, false, &s, &err);
        if (r == 0)
            r = s->ops->put(s, "heads/aa/1", "hello", 5, &err);
        _cleanup_buf_ struct buf data = { 0 };
        int got = s == NULL ? r : store_get_all(s, "heads/aa/1", 100, &data, &err);
        store_close(s);
        assert_int_equal(open_descriptors(), descriptors);
        // Whatever failed: under its final name the file is whole or not there, and nothing is left in the spool.
        struct store *after = NULL;
        OK(store_dir_open(io_real(), path, false, &after, &err));
        _cleanup_buf_ struct buf whole = { 0 };
        int there = store_get_all(after, "heads/aa/1", 100, &whole, &err);
        assert_true(there == ERROR_NOT_FOUND || (there == 0 && strcmp(buf_str(&whole), "hello") == 0));
        assert_true(r < 0 || there == 0);
        store_close(after);
        _cleanup_free_ char *spool = xasprintf("%s/tmp", path);
        assert_true(rmdir(spool) == 0 || errno == ENOENT);
        bool reached = f.calls >= f.fail_at;
        failures += r < 0 || got < 0;
        OK(fs_remove_tree(io_real(), AT_FDCWD, path, &err));
        if (!reached)
            break;
    }
    assert_true(failures >= 10);
    print_message("%u calls, %u of them failures that were reported\n", f.fail_at - 1, failures);
}

#define CONTRACT(test, kind) { #test " (" kind ")", test, setup, teardown, (void *)kind }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT(test_put_get, "dir"),
        CONTRACT(test_put_get, "memory"),
        CONTRACT(test_put_get, "sftp"),
        CONTRACT(test_never_overwrites, "dir"),
        CONTRACT(test_never_overwrites, "memory"),
        CONTRACT(test_never_overwrites, "sftp"),
        CONTRACT(test_put_many, "dir"),
        CONTRACT(test_put_many, "memory"),
        CONTRACT(test_put_many, "sftp"),
        CONTRACT(test_put_file, "sftp"),
        CONTRACT(test_spool, "dir"),
        CONTRACT(test_spool, "memory"),
        CONTRACT(test_spool, "sftp"),
        CONTRACT(test_missing_and_short, "dir"),
        CONTRACT(test_missing_and_short, "memory"),
        CONTRACT(test_missing_and_short, "sftp"),
        CONTRACT(test_list_stops, "dir"),
        CONTRACT(test_list_stops, "memory"),
        CONTRACT(test_list_stops, "sftp"),
        CONTRACT(test_dir_names_stay_inside, "dir"),
        CONTRACT(test_dir_names_stay_inside, "sftp"),
        CONTRACT(test_dir_modes_and_spool_place, "dir"),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_failing_file_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
