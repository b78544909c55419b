// A listing against a tree: what is the same is found the same, each thing that differs is told.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/dr/mtree_compare.h"

#define HASH "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" // of "x"

static char dir[] = "/tmp/bkd-mtree-XXXXXX";
static int fd;

static void make(const char *name)
{
    const struct timespec times[2] = { { .tv_sec = 1000000000, .tv_nsec = 42 }, { .tv_sec = 1000000000, .tv_nsec = 42 } };
    struct error err;
    assert_int_equal(fs_create_file(io_real(), fd, name, 0640, "x", 1, &err), 0);
    assert_int_equal(fchmodat(fd, name, 0640, 0), 0);
    assert_int_equal(utimensat(fd, name, times, 0), 0);
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    make("a b");
    make("new\nline");
    assert_int_equal(symlinkat("to here", fd, "link"), 0);
    return 0;
}

static int tear_down(void **state)
{
    struct error err;
    (void)state;
    (void)close(fd);
    return fs_remove_tree(io_real(), AT_FDCWD, dir, &err);
}

// What is told of one line, and the list of hashes it makes.
static int compare(const char *line, struct mtree_comparison *ret_comparison, char sums[512])
{
    struct error err;
    FILE *listing = fmemopen((char *)(uintptr_t)line, strlen(line), "r"), *list = fmemopen(sums, 512, "w");
    int r = mtree_compare(listing, fd, false, list, ret_comparison, &err);
    (void)fclose(listing);
    (void)fclose(list);
    return r;
}

static void expect(const char *line, const char *problem)
{
    struct mtree_comparison c = { 0 };
    char sums[512] = "";
    assert_int_equal(compare(line, &c, sums), 0);
    assert_string_equal(buf_str(&c.problems), problem);
    mtree_comparison_done(&c);
}

#define AS_IT_IS " type=file mode=0640 time=1000000000.000000042 size=1"

static void test_differences(void **state)
{
    (void)state;
    expect("#mtree\n. type=dir mode=0123\n./a\\040b" AS_IT_IS "\n", "");
    expect("./link type=link link=to\\040here\n", "");
    expect("./link type=link link=elsewhere\n", "./link: points somewhere else\n");
    expect("./gone type=file\n", "./gone: is not there\n");
    expect("./link type=file\n", "./link: is a link instead of a file\n");
    expect("./a\\040b type=file mode=0600\n", "./a b: mode is 640 instead of 0600\n");
    expect("./a\\040b type=file size=2\n", "./a b: size is 1 instead of 2\n");
    expect("./a\\040b type=file time=1000000000.000000043\n", "./a b: time is 1000000000.000000042 instead of 1000000000.000000043\n");
}

static void test_sums(void **state)
{
    struct mtree_comparison c = { 0 };
    char sums[512] = "";
    (void)state;
    assert_int_equal(compare("./a\\040b" AS_IT_IS " sha256=" HASH "\n./new\\012line" AS_IT_IS " sha256=" HASH "\n", &c, sums), 0);
    assert_string_equal(sums, HASH "  ./a b\n\\" HASH "  ./new\\nline\n"); // as coreutils write them
    assert_int_equal(c.entries, 2);
    assert_int_equal(c.hashed, 2);
    mtree_comparison_done(&c);
}

static void test_what_is_no_listing(void **state)
{
    static const char *const wrong[] = { "./a\n", "./a\\04 type=file\n", "./a\\000 type=file\n", "./a type=file word\n", "   \n" };
    struct mtree_comparison c;
    char sums[512] = "";
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(compare(wrong[i], &c, sums), ERROR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_differences), cmocka_unit_test(test_sums), cmocka_unit_test(test_what_is_no_listing) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
