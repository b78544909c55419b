// Every mistake a policy file can have, as files: tests/golden/policy/NAME.yaml and what bkd says about it, NAME.expect.
// BKD_UPDATE_GOLDEN=1 writes the .expect files anew instead of comparing (look at the difference before committing it).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/policy/policy.h"

#define MISTAKES_WANTED 45

static char *source_path(const char *file)
{
    const char *srcdir = getenv("srcdir");
    return xasprintf("%s/%s", srcdir ? srcdir : ".", file);
}

static bool read_file(const char *path, struct buf *ret_text)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    for (int c = getc(file); c != EOF; c = getc(file))
        buf_add_char(ret_text, (char)c);
    fclose(file);
    return true;
}

static void write_file(const char *path, const struct buf *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text->data, 1, text->len, file), text->len);
    assert_int_equal(fclose(file), 0);
}

// What bkd says about the file; "ok" when nothing.
static void judge(const char *path, struct buf *ret_said)
{
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    _cleanup_policy_ struct policy policy = { 0 };
    struct error err;
    assert_true(read_file(path, &text));
    int rc = policy_parse(strrchr(path, '/') + 1, text.data, text.len, &policy, &errors, &err);
    assert_true(rc == 0 || rc == ERROR_USAGE);
    assert_true((rc == 0) == (errors.count == 0));
    assert_true((rc == 0) == (policy.name != NULL)); // outputs are left alone on failure
    policy_errors_format(&errors, ret_said);
    if (rc == 0)
        buf_add_str(ret_said, "ok\n");
}

static bool check_one(const char *path, bool update)
{
    _cleanup_buf_ struct buf said = { 0 }, wanted = { 0 };
    _cleanup_free_ char *expect = xasprintf("%.*s.expect", (int)(strlen(path) - 5), path);
    judge(path, &said);
    if (update) {
        write_file(expect, &said);
        return true;
    }
    bool same = read_file(expect, &wanted) && wanted.len == said.len && memcmp(wanted.data, said.data, said.len) == 0;
    if (!same)
        print_error("%s: wanted\n%sbut bkd says\n%s", path, buf_str(&wanted), buf_str(&said));
    return same;
}

static void test_golden_files(void **state)
{
    (void)state;
    _cleanup_free_ char *pattern = source_path("tests/golden/policy/*.yaml");
    glob_t found;
    size_t mistakes = 0, wrong = 0;
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        bool is_good = strncmp(strrchr(found.gl_pathv[i], '/'), "/ok-", 4) == 0;
        _cleanup_buf_ struct buf said = { 0 };
        judge(found.gl_pathv[i], &said);
        assert_int_equal(strcmp(buf_str(&said), "ok\n") == 0, is_good);
        mistakes += !is_good;
        wrong += !check_one(found.gl_pathv[i], getenv("BKD_UPDATE_GOLDEN") != NULL);
    }
    globfree(&found);
    print_message("%zu mistakes\n", mistakes);
    assert_int_equal(wrong, 0);
    assert_true(mistakes >= MISTAKES_WANTED);
}

static void test_examples_are_right(void **state)
{
    (void)state;
    _cleanup_free_ char *pattern = source_path("policies/examples/*.yaml");
    glob_t found;
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 5);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        _cleanup_buf_ struct buf said = { 0 };
        judge(found.gl_pathv[i], &said);
        assert_string_equal(buf_str(&said), "ok\n");
    }
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_golden_files), cmocka_unit_test(test_examples_are_right) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
