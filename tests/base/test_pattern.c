// Exclusion patterns: cases by hand, and generated ones against `git check-ignore`.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bkd/base/buf.h"
#include "bkd/base/pattern.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static bool excluded(const char *pattern, const char *path, bool is_dir)
{
    struct error err;
    _cleanup_pattern_set_ struct pattern_set *set = NULL;
    assert_int_equal(pattern_set_new(&pattern, 1, &set, &err), 0);
    return pattern_set_match(set, path, is_dir, NULL);
}

static void test_single_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *path;
        bool is_dir, excluded;
    } cases[] = {
        { "*.tmp", "a.tmp", false, true },       { "*.tmp", "x/y/a.tmp", false, true },
        { "*.tmp", "a.tmpx", false, false },     { "/cache/", "cache", true, true },
        { "/cache/", "cache", false, false },    { "/cache/", "x/cache", true, false },
        { "cache/", "x/cache", true, true },     { "a/b", "a/b", false, true },
        { "a/b", "x/a/b", false, false },        { "**/a/b", "x/y/a/b", false, true },
        { "**/a/b", "a/b", false, true },        { "a/**/b", "a/b", false, true },
        { "a/**/b", "a/x/y/b", false, true },    { "a/**", "a", true, false },
        { "a/**", "a/x", false, true },          { "/*", "a", false, true },
        { "/*", "a/b", false, false },           { "a*b", "aXXb", false, true },
        { "a*b", "a/b", false, false },          { "a?b", "a/b", false, false },
        { "\\!x", "!x", false, true },           { "\\#x", "#x", false, true },
        { "[a-c]x", "bx", false, true },         { "[!a-c]x", "bx", false, false },
        { "[]]x", "]x", false, true },           { "[[:digit:]]", "7", false, true },
        { "[[:digit:]]", "d", false, false },    { "x\\ ", "x ", false, true },
        { "**", "a/b", false, true },            { "\xff*", "\xff\xfe", false, true },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (excluded(cases[i].pattern, cases[i].path, cases[i].is_dir) != cases[i].excluded)
            fail_msg("'%s' on '%s'%s", cases[i].pattern, cases[i].path, cases[i].is_dir ? " (directory)" : "");
}

static void test_last_match_decides(void **state)
{
    (void)state;
    static const char *const patterns[] = { "*.log", "!keep.log", "/keep.log" };
    struct error err;
    size_t rule = 77;
    _cleanup_pattern_set_ struct pattern_set *set = NULL;
    assert_int_equal(pattern_set_new(patterns, 3, &set, &err), 0);
    assert_true(pattern_set_match(set, "a.log", false, &rule));
    assert_int_equal(rule, 0);
    assert_false(pattern_set_match(set, "x/keep.log", false, &rule));
    assert_int_equal(rule, 1);
    assert_true(pattern_set_match(set, "keep.log", false, &rule));
    assert_int_equal(rule, 2);
    assert_string_equal(pattern_set_text(set, rule), "/keep.log");
    assert_false(pattern_set_match(set, "a.txt", false, &rule));
    assert_true(rule == SIZE_MAX);
    assert_false(pattern_set_match(NULL, "a.txt", false, NULL));
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "",    "#x", "x ",   "a//b", "./a",  "a/..", "[a",  "[a/b]", "[z-a]", "a\\",
                                       "/",   "!",  "!/",   "//",   "[]",   "a\\/b", "a**b", "***", "a/**b/c", "[[:alpah:]]", "[a\\", "[!", "[a-" };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct error err = { 0 };
        struct pattern_set *set = NULL;
        if (pattern_set_new(&bad[i], 1, &set, &err) != ERROR_FORMAT || set || err.text[0] == '\0')
            fail_msg("'%s' was not refused", bad[i]);
    }
}

// Backtracking that tries every "*" again would take longer than the universe here.
static void test_no_explosion(void **state)
{
    (void)state;
    char name[4001];
    memset(name, 'a', 4000);
    name[4000] = '\0';
    clock_t start = clock();
    assert_false(excluded("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", name, false));
    _cleanup_buf_ struct buf deep = { 0 };
    for (int i = 0; i < 1000; i++)
        buf_add_str(&deep, "a/");
    buf_add_str(&deep, "c");
    assert_false(excluded("**/a/**/a/**/a/**/a/**/a/**/a/**/b", buf_str(&deep), false));
    assert_true((clock() - start) / CLOCKS_PER_SEC < 5);
}

// Against git. A small tree of few names, so that generated patterns hit often.

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static const char *const tree[] = { "a/",     "a/a/",   "a/a/b",  "a/ab",  "a/b/",  "a/b/c.t", "a/b/ab/", "a/b/ab/c", "ab/", "ab/a",
                                    "ab/c.t", "b",      "c.t",    ".c",    "b c",   "ba/",     "ba/a/",   "ba/a/b",   "!a",  "#a",
                                    "a/]",    "ab/a-c", "\xc3\xa9" };

static void random_pattern(uint32_t *seed, struct buf *ret_pattern)
{
    static const char *const parts[] = { "a",  "b",   "c",   "*",   "?",     "**",    "/",   "/",  "[ab]", "[!a]", ".t", "**/", "/**",
                                         "ab", "*.t", "\\a", "[a-c]", "[]]", "[[:lower:]]", "/*", "[^b-z]", "***", "\\*", "[a\\-c]", "-" };
    if (next_random(seed) % 4 == 0)
        buf_add_char(ret_pattern, '!');
    if (next_random(seed) % 4 == 0)
        buf_add_char(ret_pattern, '/');
    for (uint32_t n = 1 + next_random(seed) % 4; n > 0; n--)
        buf_add_str(ret_pattern, parts[next_random(seed) % COUNT(parts)]);
    if (next_random(seed) % 4 == 0)
        buf_add_char(ret_pattern, '/');
}

static void tree_make(void)
{
    for (size_t i = 0; i < COUNT(tree); i++) {
        if (tree[i][strlen(tree[i]) - 1] == '/') {
            assert_int_equal(mkdir(tree[i], 0700), 0);
            continue;
        }
        FILE *file = fopen(tree[i], "w");
        assert_non_null(file);
        fclose(file);
    }
}

// The rule that decides for `path` when a walk from the top would reach it: an excluded parent decides for all below.
static bool walk_match(const struct pattern_set *set, const char *path, bool is_dir, size_t *ret_rule)
{
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        _cleanup_free_ char *parent = xstrndup(path, (size_t)(slash - path));
        if (pattern_set_match(set, parent, true, ret_rule))
            return true;
    }
    return pattern_set_match(set, path, is_dir, ret_rule);
}

// Reads one NUL-terminated field of `git check-ignore -z -v -n`.
static void read_field(FILE *pipe, char *ret_text, size_t n)
{
    size_t len = 0;
    for (int c = getc(pipe); c > 0; c = getc(pipe))
        if (len + 1 < n)
            ret_text[len++] = (char)c;
    ret_text[len] = '\0';
}

static void compare_with_git(const struct pattern_set *set, const char *patterns, size_t *hits)
{
    FILE *file = fopen(".gitignore", "w");
    assert_non_null(file);
    fputs(patterns, file);
    fclose(file);
    FILE *pipe = popen("git check-ignore --no-index --stdin -z -v -n < .git/paths", "r");
    assert_non_null(pipe);
    for (size_t i = 0; i < COUNT(tree); i++) {
        char source[64], line[64], pattern[256], path[256];
        read_field(pipe, source, sizeof source);
        read_field(pipe, line, sizeof line);
        read_field(pipe, pattern, sizeof pattern);
        read_field(pipe, path, sizeof path);
        size_t rule, len = strlen(tree[i]);
        bool is_dir = tree[i][len - 1] == '/';
        _cleanup_free_ char *ours = xstrndup(tree[i], len - is_dir);
        assert_string_equal(path, ours);
        bool out = walk_match(set, ours, is_dir, &rule);
        bool git_out = pattern[0] != '\0' && pattern[0] != '!';
        size_t git_rule = line[0] ? strtoul(line, NULL, 10) - 1 : SIZE_MAX;
        if (out != git_out || rule != git_rule)
            fail_msg("path '%s': ours %d by rule %zd, git %d by rule %zd, patterns:\n%s", path, out, (ssize_t)rule, git_out, (ssize_t)git_rule, patterns);
        *hits += rule != SIZE_MAX;
    }
    pclose(pipe);
}

static void test_against_git(void **state)
{
    (void)state;
    if (system("git --version >/dev/null 2>&1") != 0)
        skip();
    char dir[] = "/tmp/bkd-pattern-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *cwd = getcwd(NULL, 0);
    assert_int_equal(chdir(dir), 0);
    setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
    setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
    setenv("GIT_CEILING_DIRECTORIES", "/tmp", 1);
    unsetenv("GIT_DIR");
    assert_int_equal(system("git -c init.defaultBranch=x init -q ."), 0);
    tree_make();
    FILE *paths = fopen(".git/paths", "w");
    assert_non_null(paths);
    for (size_t i = 0; i < COUNT(tree); i++) {
        size_t len = strlen(tree[i]);
        fwrite(tree[i], 1, len - (tree[i][len - 1] == '/'), paths);
        fputc(0, paths);
    }
    fclose(paths);
    uint32_t seed = getenv("BKD_TEST_SEED") ? (uint32_t)strtoul(getenv("BKD_TEST_SEED"), NULL, 10) : 20261123;
    unsigned long rounds = getenv("BKD_TEST_ROUNDS") ? strtoul(getenv("BKD_TEST_ROUNDS"), NULL, 10) : 300;
    size_t hits = 0, accepted = 0;
    for (unsigned long round = 0; round < rounds; round++) {
        const char *list[4];
        struct buf texts[4] = { { 0 } };
        _cleanup_buf_ struct buf file = { 0 };
        size_t n = 0;
        for (size_t want = 1 + next_random(&seed) % 4; n < want;) {
            struct error err;
            buf_reset(&texts[n]);
            random_pattern(&seed, &texts[n]);
            if (pattern_check(buf_str(&texts[n]), &err) < 0)
                continue;
            list[n] = buf_str(&texts[n]);
            buf_addf(&file, "%s\n", list[n++]);
        }
        struct error err;
        _cleanup_pattern_set_ struct pattern_set *set = NULL;
        assert_int_equal(pattern_set_new(list, n, &set, &err), 0);
        compare_with_git(set, buf_str(&file), &hits);
        accepted += n;
        for (size_t i = 0; i < 4; i++)
            buf_done(&texts[i]);
    }
    print_message("%lu pattern lists with %zu patterns, %zu decisions by a rule\n", rounds, accepted, hits);
    assert_true(hits > rounds); // else the generated patterns would say nothing
    assert_int_equal(chdir(cwd), 0);
    free(cwd);
    _cleanup_free_ char *remove = xasprintf("rm -rf %s", dir);
    assert_int_equal(system(remove), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_patterns), cmocka_unit_test(test_last_match_decides), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_explosion),    cmocka_unit_test(test_against_git),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
