// Removing what has appeared: exactly these names, the deepest first, never through a link.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/snapshots/appeared.h"

struct scene {
    char dir[64];
    int fd;
    struct appeared appeared;
    char kept[1024]; // "PATH: WHY\n"…
};

static int setup(void **state)
{
    struct scene *p = calloc(1, sizeof *p);
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(p->dir, sizeof p->dir, "%s/bkd-appeared-XXXXXX", tmp != NULL && strlen(tmp) < 30 ? tmp : "/tmp");
    assert_non_null(mkdtemp(p->dir));
    p->fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(p->fd >= 0);
    appeared_init(&p->appeared, io_real(), p->fd);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct scene *p = *state;
    struct error err;
    appeared_done(&p->appeared);
    close(p->fd);
    assert_int_equal(fs_remove_tree(io_real(), AT_FDCWD, p->dir, &err), 0);
    free(p);
    return 0;
}

static void make(struct scene *p, const char *name, bool is_dir)
{
    int fd = is_dir ? mkdirat(p->fd, name, 0755) : openat(p->fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    if (!is_dir)
        close(fd);
}

static void add(struct scene *p, const char *name, enum manifest_type type)
{
    _cleanup_manifest_entry_ struct manifest_entry entry = { .type = type };
    struct error err;
    buf_addf(&entry.path, "%s/%s", p->dir, name);
    assert_int_equal(appeared_add(&p->appeared, &entry, &err), 0);
}

static void note_kept(void *arg, const char *path, const char *why)
{
    struct scene *p = arg;
    size_t n = strlen(p->kept);
    (void)snprintf(p->kept + n, sizeof p->kept - n, "%s: %s\n", path + strlen(p->dir) + 1, why);
}

static void run(struct scene *p)
{
    struct error err;
    if (appeared_remove(&p->appeared, NULL, note_kept, p, &err) < 0)
        fail_msg("%s", err.text);
}

static bool is_there(struct scene *p, const char *name)
{
    struct stat st;
    return fstatat(p->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_tree(void **state)
{
    struct scene *p = *state;
    make(p, "new", true);
    make(p, "new/sub", true);
    make(p, "new/sub/file", false);
    make(p, "new.txt", false); // between "new" and "new/sub" for strcmp
    make(p, "old", false);
    add(p, "new", MANIFEST_DIR);
    add(p, "new/sub", MANIFEST_DIR);
    add(p, "new/sub/file", MANIFEST_FILE);
    add(p, "new.txt", MANIFEST_FILE);
    run(p);
    assert_false(is_there(p, "new"));
    assert_false(is_there(p, "new.txt"));
    assert_true(is_there(p, "old"));
    assert_int_equal(p->appeared.removed, 4);
    assert_int_equal(p->appeared.kept, 0);
}

// What was not listed holds its directories, and only these.
static void test_unlisted_stays(void **state)
{
    struct scene *p = *state;
    make(p, "new", true);
    make(p, "new/cache", false);
    make(p, "new/file", false);
    add(p, "new", MANIFEST_DIR);
    add(p, "new/file", MANIFEST_FILE);
    run(p);
    assert_true(is_there(p, "new/cache"));
    assert_false(is_there(p, "new/file"));
    assert_string_equal(p->kept, "new: it holds something that the policy leaves out\n");
    assert_int_equal(p->appeared.kept, 1);
}

// Somebody puts a link where a listed directory was, to have files elsewhere removed.
static void test_link_is_not_followed(void **state)
{
    struct scene *p = *state;
    make(p, "precious", true);
    make(p, "precious/file", false);
    assert_int_equal(symlinkat("precious", p->fd, "new"), 0);
    add(p, "new", MANIFEST_DIR);
    add(p, "new/file", MANIFEST_FILE);
    run(p);
    assert_true(is_there(p, "precious/file"));
    assert_int_equal(p->appeared.removed, 0);
    assert_int_equal(p->appeared.kept, 2);
}

// A file in place of a listed directory, a directory in place of a listed file: not what was shown, so both stay.
static void test_other_type_stays(void **state)
{
    struct scene *p = *state;
    make(p, "was-dir", false);
    make(p, "was-file", true);
    add(p, "was-dir", MANIFEST_DIR);
    add(p, "was-file", MANIFEST_FILE);
    run(p);
    assert_true(is_there(p, "was-dir"));
    assert_true(is_there(p, "was-file"));
    assert_int_equal(p->appeared.kept, 2);
}

static void test_gone_already(void **state)
{
    struct scene *p = *state;
    add(p, "gone", MANIFEST_DIR);
    add(p, "gone/file", MANIFEST_FILE);
    run(p);
    assert_int_equal(p->appeared.kept, 0);
    assert_string_equal(p->kept, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tree), TEST(test_unlisted_stays), TEST(test_link_is_not_followed), TEST(test_other_type_stays), TEST(test_gone_already),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
