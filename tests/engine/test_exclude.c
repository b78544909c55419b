// The verdicts alone: which rule wins, what a mount is, what a marking file is.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/engine/exclude.h"

static void test_order_of_rules(void **state)
{
    (void)state;
    struct error err;
    static const char *const patterns[] = { "*.tmp", "!keep.tmp", "/big" };
    _cleanup_pattern_set_ struct pattern_set *set = NULL;
    assert_int_equal(pattern_set_new(patterns, 3, &set, &err), 0);
    struct exclude_rules rules = { .patterns = set, .larger_than_bytes = 100, .nodump = true };
    static const struct {
        struct exclude_entry entry;
        enum exclude_reason reason;
        size_t rule;
    } cases[] = {
        { { "a", .is_file = true, .size = 100 }, EXCLUDE_NOT, 0 },
        { { "a", .is_file = true, .size = 101 }, EXCLUDE_SIZE, 0 },
        { { "a", .is_dir = true, .size = 4096 }, EXCLUDE_NOT, 0 },   // sizes of directories mean nothing
        { { "a", .size = 4096 }, EXCLUDE_NOT, 0 },                   // nor those of links
        { { "x/a.tmp", .is_file = true, .size = 101, .nodump = true }, EXCLUDE_PATTERN, 0 },
        { { "x/keep.tmp", .is_file = true, .size = 5 }, EXCLUDE_NOT, 0 },
        { { "x/keep.tmp", .is_file = true, .size = 500 }, EXCLUDE_SIZE, 0 }, // "!" takes back from patterns only
        { { "big", .is_dir = true }, EXCLUDE_PATTERN, 2 },
        { { "a", .is_file = true, .size = 101, .nodump = true }, EXCLUDE_SIZE, 0 },
        { { "a", .is_dir = true, .nodump = true }, EXCLUDE_NODUMP, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct exclude_verdict verdict = exclude_entry(&rules, &cases[i].entry);
        if (verdict.reason != cases[i].reason || (verdict.reason == EXCLUDE_PATTERN && verdict.rule != cases[i].rule))
            fail_msg("case %zu: %s", i, exclude_reason_name(verdict.reason));
        assert_int_equal(exclude_entry(NULL, &cases[i].entry).reason, EXCLUDE_NOT);
    }
    rules.nodump = false;
    assert_int_equal(exclude_entry(&rules, &cases[9].entry).reason, EXCLUDE_NOT);
}

static void test_mounts(void **state)
{
    (void)state;
    static const struct {
        bool one_filesystem, is_dir, automount;
        enum exclude_filesystem filesystem;
        enum exclude_reason reason;
    } cases[] = {
        { true, true, false, EXCLUDE_FS_FILES, EXCLUDE_FILESYSTEM },
        { false, true, false, EXCLUDE_FS_FILES, EXCLUDE_NOT },
        { true, true, false, EXCLUDE_FS_MEMORY, EXCLUDE_FILESYSTEM },
        { false, true, false, EXCLUDE_FS_MEMORY, EXCLUDE_MEMORY },
        { true, true, false, EXCLUDE_FS_KERNEL, EXCLUDE_KERNEL },
        { false, true, false, EXCLUDE_FS_KERNEL, EXCLUDE_KERNEL },
        { false, true, true, EXCLUDE_FS_FILES, EXCLUDE_KERNEL },
        { true, false, false, EXCLUDE_FS_FILES, EXCLUDE_NOT }, // a file that is mounted over another
        { true, false, false, EXCLUDE_FS_MEMORY, EXCLUDE_NOT },
        { true, false, false, EXCLUDE_FS_KERNEL, EXCLUDE_KERNEL },
        { false, false, false, EXCLUDE_FS_KERNEL, EXCLUDE_KERNEL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct exclude_mount mount = { cases[i].is_dir, cases[i].automount, cases[i].filesystem };
        if (exclude_mount(cases[i].one_filesystem, &mount) != cases[i].reason)
            fail_msg("case %zu", i);
    }
}

static void test_filesystems(void **state)
{
    (void)state;
    static const uint64_t files[] = { 0xef53, 0x58465342, 0x9123683e, 0x794c7630, 0x65735546, 0x6969, 0 };
    static const uint64_t kernel[] = { 0x9fa0, 0x62656572, 0x1cd1, 0x27e0eb, 0x63677270, 0x64626720, 0x74726163, 0x73636673, 0xcafe4a11, 0x19800202, 0x62656570,
                                       0x6165676c, 0xde5e81e4, 0x65735543, 0x42494e4d, 0x6e736673, 0x67596969, 0xf97cff8c, 0x187, UINT64_C(0xffffffffde5e81e4) };
    static const uint64_t memory[] = { 0x01021994, 0x858458f6, 0x958458f6, UINT64_C(0xffffffff858458f6) };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_int_equal(exclude_filesystem_of(files[i]), EXCLUDE_FS_FILES);
    for (size_t i = 0; i < sizeof kernel / sizeof *kernel; i++)
        assert_int_equal(exclude_filesystem_of(kernel[i]), EXCLUDE_FS_KERNEL);
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        assert_int_equal(exclude_filesystem_of(memory[i]), EXCLUDE_FS_MEMORY);
}

static void test_marking_files(void **state)
{
    (void)state;
    static const char tag[] = EXCLUDE_CACHEDIR_SIGNATURE "\n# made by a test\n";
    size_t exact = strlen(EXCLUDE_CACHEDIR_SIGNATURE);
    assert_int_equal(exact, 43);
    assert_true(exclude_marks(".nobackup", true, NULL, 0));
    assert_true(exclude_marks(".nobackup", false, NULL, 0));
    assert_true(exclude_marks("CACHEDIR.TAG", true, tag, sizeof tag));
    assert_true(exclude_marks("CACHEDIR.TAG", true, tag, exact));
    assert_false(exclude_marks("CACHEDIR.TAG", true, tag, exact - 1));
    assert_false(exclude_marks("CACHEDIR.TAG", false, tag, sizeof tag));
    assert_false(exclude_marks("CACHEDIR.TAG", true, tag + 1, sizeof tag - 1));
    assert_false(exclude_marks("CACHEDIR.TAG", true, "Signature: 8A477F597D28D172789F06886806BC55", exact));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_rules),
        cmocka_unit_test(test_mounts),
        cmocka_unit_test(test_filesystems),
        cmocka_unit_test(test_marking_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
