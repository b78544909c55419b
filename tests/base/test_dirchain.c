// Opening files by path without a limit on its length and without following links.
#include "tests/codec/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bkd/base/dirchain.h"

struct tree {
    struct scratch scratch;
    struct dirchain chain;
};

static int opens; // counted by counting_openat

static int counting_openat(const struct io *io, int dirfd, const char *path, int flags, mode_t mode)
{
    (void)io;
    opens++;
    return io_real()->openat(io_real(), dirfd, path, flags, mode);
}

static int setup(void **state)
{
    static struct io io;
    struct error err;
    struct tree *t = xcalloc(1, sizeof *t);
    io = *io_real();
    io.openat = counting_openat;
    t->scratch = scratch_new();
    scratch_ok(dirchain_init(&t->chain, &io, t->scratch.dir, &err), &err);
    opens = 0;
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct tree *t = *state;
    dirchain_done(&t->chain);
    dirchain_done(&t->chain); // twice does no harm
    scratch_done(&t->scratch);
    free(t);
    return 0;
}

// Reads the file through the chain; NULL when it cannot be reached, errno then in *ret_errno.
static char *read_through(struct tree *t, const char *path, int *ret_errno)
{
    struct error err = { 0 };
    int dirfd = -1;
    const char *name = NULL;
    if (dirchain_parent(&t->chain, path, &dirfd, &name, &err) < 0) {
        *ret_errno = err.os_errno;
        return NULL;
    }
    char *text = (char *)xcalloc(1, 100);
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    *ret_errno = fd < 0 ? errno : 0;
    if (fd >= 0) {
        assert_true(read(fd, text, 99) >= 0);
        assert_int_equal(close(fd), 0);
        return text;
    }
    free(text);
    return NULL;
}

static void expect(struct tree *t, const char *path, const char *text)
{
    int os_errno = 0;
    _cleanup_free_ char *got = read_through(t, path, &os_errno);
    if (got == NULL)
        fail_msg("%s: %s", path, strerror(os_errno));
    assert_string_equal(got, text);
}

static void expect_failure(struct tree *t, const char *path, int os_errno)
{
    int got = 0;
    _cleanup_free_ char *text = read_through(t, path, &got);
    assert_null(text);
    assert_int_equal(got, os_errno);
}

static void test_paths(void **state)
{
    struct tree *t = *state;
    scratch_run("cd '%s' && mkdir -p a/b/c a/bb && echo 1 >one && echo 2 >a/two && echo 3 >a/b/c/three && echo 4 >a/bb/four && echo 5 >a/b/five", t->scratch.dir);
    expect(t, "/one", "1\n");
    expect(t, "one", "1\n");
    expect(t, "///a/two", "2\n");
    expect(t, "/a/b/c/three", "3\n");
    expect(t, "/a/bb/four", "4\n"); // not below a/b, though its name begins so
    expect(t, "/a/b/five", "5\n");
    expect(t, "/one", "1\n");
    expect_failure(t, "/a/b/none", ENOENT);
    expect_failure(t, "/a/none/x", ENOENT);
    expect_failure(t, "/one/x", ENOTDIR);
    expect(t, "/a/b/c/three", "3\n"); // after a failure it goes on
    struct error err;
    int dirfd = -1;
    const char *name = NULL;
    scratch_ok(dirchain_parent(&t->chain, "/", &dirfd, &name, &err), &err);
    assert_string_equal(name, ".");
    assert_int_equal(faccessat(dirfd, "one", F_OK, 0), 0);
}

static void test_links_are_not_followed(void **state)
{
    struct tree *t = *state;
    scratch_run("cd '%s' && mkdir -p real/sub outside && echo 1 >real/sub/x && ln -s sub real/link && ln -s real top && ln -s sub/x real/filelink", t->scratch.dir);
    expect(t, "/real/sub/x", "1\n");
    for (int pass = 0; pass < 2; pass++) {
        int got = 0;
        assert_null(read_through(t, "/real/link/x", &got));
        assert_int_equal(got, ENOTDIR);
        assert_null(read_through(t, "/top/sub/x", &got));
        assert_int_equal(got, ENOTDIR);
        expect_failure(t, "/real/filelink", ELOOP); // the last component is the caller's, who has the link's name
        expect(t, "/real/sub/x", "1\n");
    }
}

// Files in path order cost no more opens than there are directories.
static void test_reuse(void **state)
{
    struct tree *t = *state;
    scratch_run("cd '%s' && mkdir -p d/e/f && for i in $(seq 50); do echo $i >d/e/f/$i; echo $i >d/e/z$i; done", t->scratch.dir);
    char path[32];
    for (int i = 1; i <= 50; i++) {
        (void)snprintf(path, sizeof path, "/d/e/f/%d", i);
        _cleanup_free_ char *text = xasprintf("%d\n", i);
        expect(t, path, text);
    }
    assert_int_equal(opens, 3);
    expect(t, "/d/e/z1", "1\n");
    assert_int_equal(opens, 3);
    expect(t, "/d/e/f/2", "2\n");
    assert_int_equal(opens, 4);
}

// 1,500 levels with names of 200 bytes: a path of 300,000 bytes, and back up again.
static void test_deep(void **state)
{
    struct tree *t = *state;
    enum { LEVELS = 1500, NAME = 200 };
    char name[NAME + 1];
    memset(name, 'n', NAME);
    name[NAME] = '\0';
    int fd = open(t->scratch.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_buf_ struct buf path = { 0 };
    size_t ends[LEVELS];
    for (int i = 0; i < LEVELS; i++) {
        assert_int_equal(mkdirat(fd, name, 0755), 0);
        int below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(below >= 0);
        assert_int_equal(close(fd), 0);
        fd = below;
        buf_addf(&path, "/%s", name);
        ends[i] = path.len;
        if (i % 100 == 99) {
            int file = openat(fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
            assert_int_equal(dprintf(file, "%d\n", i), i < 100 ? 3 : i < 1000 ? 4 : 5);
            assert_int_equal(close(file), 0);
        }
    }
    assert_int_equal(close(fd), 0);
    for (int k = 0; k < 3; k++) { // down, down again, then upwards
        for (int i = 99; i < LEVELS; i += 100) {
            int level = k < 2 ? i : LEVELS - 1 - (i - 99);
            _cleanup_free_ char *file = xasprintf("%.*s/file", (int)ends[level], buf_str(&path));
            _cleanup_free_ char *text = xasprintf("%d\n", level);
            expect(t, file, text);
        }
    }
    int kept = 0;
    for (size_t i = 0; i < t->chain.depth; i++)
        kept += t->chain.levels[i].fd >= 0;
    assert_in_range(kept, 1, DIRCHAIN_OPEN_MAX);
    // rm needs no paths of that length; the chain lets go first.
}

// A directory that was exchanged for a link after it had been passed is not followed either.
static void test_exchanged(void **state)
{
    struct tree *t = *state;
    scratch_run("cd '%s' && mkdir -p a/b secret && echo 1 >a/b/x && echo s >secret/x", t->scratch.dir);
    expect(t, "/a/b/x", "1\n");
    expect_failure(t, "/none", ENOENT); // leaves a/b
    scratch_run("cd '%s' && mv a/b a/c && ln -s ../secret a/b", t->scratch.dir);
    int got = 0;
    assert_null(read_through(t, "/a/b/x", &got));
    assert_int_equal(got, ENOTDIR);
}

// A directory may be passed through by who may not list it.
static void test_search_permission_is_enough(void **state)
{
    struct tree *t = *state;
    scratch_run("cd '%s' && chmod 711 . && mkdir -p closed/in && echo 1 >closed/in/x && chmod 644 closed/in/x && chmod 711 closed && chmod 755 closed/in", t->scratch.dir);
    pid_t child = fork();
    if (child == 0) {
        struct error err;
        struct dirchain chain;
        int dirfd;
        const char *name;
        if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
            _exit(2);
        if (dirchain_init(&chain, io_real(), t->scratch.dir, &err) < 0 || dirchain_parent(&chain, "/closed/in/x", &dirfd, &name, &err) < 0)
            _exit(3);
        _exit(faccessat(dirfd, name, R_OK, AT_EACCESS) == 0 ? 0 : 4);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

// What is looked for in one place is found in another; what only begins alike is not.
static void test_alias(void **state)
{
    struct tree *t = *state;
    scratch_write(&t->scratch, "one", "1", 1);
    assert_int_equal(mkdirat(t->chain.root_fd, "live", 0755), 0);
    assert_int_equal(mkdirat(t->chain.root_fd, "live/in", 0755), 0);
    assert_int_equal(mkdirat(t->chain.root_fd, "lively", 0755), 0);
    assert_int_equal(mkdirat(t->chain.root_fd, "view", 0755), 0);
    assert_int_equal(mkdirat(t->chain.root_fd, "view/in", 0755), 0);
    scratch_write(&t->scratch, "live/in/f", "now", 3);
    scratch_write(&t->scratch, "lively/f", "other", 5);
    scratch_write(&t->scratch, "view/in/f", "then", 4);
    expect(t, "/live/in/f", "now");
    dirchain_alias(&t->chain, "/live", "/view");
    dirchain_alias(&t->chain, "/single", "/one");
    expect(t, "/live/in/f", "then");
    expect(t, "/lively/f", "other");
    expect(t, "/view/in/f", "then");
    expect(t, "/single", "1");
}

static void test_no_root(void **state)
{
    (void)state;
    struct error err;
    struct dirchain chain;
    assert_int_equal(dirchain_init(&chain, io_real(), "/nowhere/at/all", &err), ERROR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_links_are_not_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reuse, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deep, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exchanged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_search_permission_is_enough, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alias, setup, teardown),
        cmocka_unit_test(test_no_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
