// What PATHs and patterns choose of a tree, entry by entry, and what is said of those that choose nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "restore/selection.h"

// A directory's path ends with a slash. In path order.
static const char *const tree[] = {
    "/", "/etc/", "/etc/passwd", "/etc/ssh/", "/etc/ssh/key", "/srv/", "/srv/a/", "/srv/a/keep/", "/srv/a/keep/z.log", "/srv/a/main.c",
    "/srv/a/main.h", "/srv/a/run.log", "/srv/a-b", "/srv/b/", "/srv/b/cache/", "/srv/b/cache/main.c", "/srv/b/x.c", "stream/db",
};

#define LIST(...) (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)
struct list {
    const char *const *items;
    size_t n;
};
static const struct list none = { 0 };

static struct selection *selection_of(struct list paths, struct list include, struct list exclude)
{
    struct selection *s = NULL;
    struct error err;
    struct selection_options o = { .paths = paths.items, .n_paths = paths.n, .include = include.items, .n_include = include.n,
                                   .exclude = exclude.items, .n_exclude = exclude.n };
    if (selection_new(&o, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

// Asks for the whole tree: the selected paths, each after a space.
static char *chosen_by(struct selection *s)
{
    static char text[1024];
    struct manifest_entry e = { 0 };
    text[0] = '\0';
    selection_rewind(s);
    for (size_t i = 0; i < sizeof tree / sizeof *tree; i++) {
        size_t n = strlen(tree[i]);
        bool dir = tree[i][n - 1] == '/';
        manifest_entry_reset(&e);
        buf_add(&e.path, tree[i], n > 1 && dir ? n - 1 : n);
        e.type = dir ? MANIFEST_DIR : MANIFEST_FILE;
        enum selection_answer answer = selection_ask(s, &e);
        assert_true(answer != SELECTION_ABOVE || dir);
        if (answer == SELECTION_IN)
            strcat(strcat(text, " "), buf_str(&e.path));
    }
    manifest_entry_done(&e);
    return text;
}

static void expect(struct list paths, struct list include, struct list exclude, const char *wanted)
{
    struct selection *s = selection_of(paths, include, exclude);
    assert_string_equal(chosen_by(s), wanted);
    assert_string_equal(chosen_by(s), wanted); // a second pass knows nothing of the first
    selection_free(s);
}

static void test_paths(void **state)
{
    (void)state;
    expect((struct list){ LIST("/srv/a") }, none, none, " /srv/a /srv/a/keep /srv/a/keep/z.log /srv/a/main.c /srv/a/main.h /srv/a/run.log");
    expect((struct list){ LIST("srv//a/./main.c/", "etc/ssh", "/etc/ssh/key") }, none, none, " /etc/ssh /etc/ssh/key /srv/a/main.c");
    expect((struct list){ LIST("stream/db") }, none, none, " stream/db");
    expect((struct list){ LIST("stream/") }, none, none, " stream/db");
}

static void test_include(void **state)
{
    (void)state;
    expect(none, (struct list){ LIST("*.c") }, none, " /srv/a/main.c /srv/b/cache/main.c /srv/b/x.c");
    expect(none, (struct list){ LIST("/srv/b/") }, none, " /srv/b /srv/b/cache /srv/b/cache/main.c /srv/b/x.c");
    expect(none, (struct list){ LIST("/srv/*/main.*") }, none, " /srv/a/main.c /srv/a/main.h");
    // A pattern speaks for what lies below a directory, until another one speaks.
    expect(none, (struct list){ LIST("/srv/a", "!*.log", "z.log") }, none, " /srv/a /srv/a/keep /srv/a/keep/z.log /srv/a/main.c /srv/a/main.h");
    expect((struct list){ LIST("/srv/a") }, (struct list){ LIST("*.c") }, none, " /srv/a/main.c");
}

static void test_exclude(void **state)
{
    (void)state;
    expect((struct list){ LIST("/srv/a") }, none, (struct list){ LIST("*.log") }, " /srv/a /srv/a/keep /srv/a/main.c /srv/a/main.h");
    expect((struct list){ LIST("/srv") }, none, (struct list){ LIST("a", "cache/", "*.log") }, " /srv /srv/a-b /srv/b /srv/b/x.c");
    // As in git: taken back beside it, but never below an excluded directory.
    expect((struct list){ LIST("/srv/a") }, none, (struct list){ LIST("*.log", "!run.log") }, " /srv/a /srv/a/keep /srv/a/main.c /srv/a/main.h /srv/a/run.log");
    expect((struct list){ LIST("/srv/a") }, none, (struct list){ LIST("keep/", "*.[ch]", "!z.log") }, " /srv/a /srv/a/run.log");
    expect(none, (struct list){ LIST("*.c") }, (struct list){ LIST("cache") }, " /srv/a/main.c /srv/b/x.c");
    expect((struct list){ LIST("/srv/a/main.c") }, none, (struct list){ LIST("/srv") }, "");
    expect(none, none, (struct list){ LIST("*") }, ""); // the root is no choice of its own
}

static void test_bounds(void **state)
{
    static const struct {
        const char *pattern, *bound;
    } cases[] = { { "*.c", "/" }, { "name", "/" }, { "name/", "/" }, { "/srv/a", "/srv/a" }, { "/srv/a/", "/srv/a" }, { "srv/a/*.c", "/srv/a" },
                  { "/srv/a*", "/srv" }, { "/*", "/" }, { "/s[r]v/x", "/" }, { "/srv/**/x", "/srv" }, { "/srv/a\\*", "/srv" }, { "**/x", "/" },
                  { "stream/d*", "stream" } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = 0;
        struct selection *s = selection_of(none, (struct list){ &cases[i].pattern, 1 }, none);
        const char *const *bounds = selection_bounds(s, &n);
        assert_int_equal(n, 1);
        assert_string_equal(bounds[0], cases[i].bound);
        selection_free(s);
    }
    size_t n = 0;
    struct selection *s = selection_of((struct list){ LIST("/srv/a", "/srv-x", "/srv", "/srv/a/b", "/etc") }, (struct list){ LIST("*.c") }, none);
    const char *const *bounds = selection_bounds(s, &n);
    assert_int_equal(n, 3);
    assert_string_equal(bounds[0], "/etc");
    assert_string_equal(bounds[1], "/srv");
    assert_string_equal(bounds[2], "/srv-x");
    selection_free(s);
}

static void test_what_matches_nothing(void **state)
{
    struct error err;
    const char *option = NULL;
    size_t at = 0;
    (void)state;
    struct selection *s = selection_of((struct list){ LIST("/srv/a", "/srv/none", "/srv/a/x") }, (struct list){ LIST("*.c", "*.z") }, (struct list){ LIST("*.c", "*.cc") });
    assert_string_equal(chosen_by(s), "");
    assert_string_equal(selection_missing(s), "/srv/a/x");
    assert_string_equal(selection_unmatched(s, &at, &option), "*.z");
    assert_string_equal(option, "--include");
    assert_string_equal(selection_unmatched(s, &at, &option), "*.cc");
    assert_string_equal(option, "--exclude");
    assert_null(selection_unmatched(s, &at, &option));
    assert_int_equal(selection_verdict(s, 0, &err), ERROR_NOT_FOUND);
    assert_int_equal(selection_verdict(s, 1, &err), 0);
    selection_free(s);
    s = selection_of(none, none, (struct list){ LIST("*.c", "*.*") }); // both match, though the second one decides
    (void)chosen_by(s);
    at = 0;
    assert_null(selection_unmatched(s, &at, &option));
    selection_free(s);
}

static void test_escaped(void **state)
{
    struct selection *s = NULL;
    struct error err;
    const char *paths[] = { "/a\\012b\\\\c\\377" };
    struct selection_options o = { .paths = paths, .n_paths = 1, .escaped = true };
    (void)state;
    assert_int_equal(selection_new(&o, &s, &err), 0);
    assert_string_equal(selection_missing(s), "/a\nb\\c\377");
    selection_free(s);
    static const char *const bad[] = { "/a\\n", "/a\\", "/a\\400", "/a\\000", "/a\\12" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        paths[0] = bad[i];
        assert_int_equal(selection_new(&o, &s, &err), ERROR_USAGE);
    }
}

static void test_mistakes(void **state)
{
    struct selection *s = NULL;
    struct error err;
    const char *path[] = { "/a/../b" }, *pattern[] = { "a**" };
    (void)state;
    assert_int_equal(selection_new(&(struct selection_options){ .paths = path, .n_paths = 1 }, &s, &err), ERROR_USAGE);
    path[0] = "";
    assert_int_equal(selection_new(&(struct selection_options){ .paths = path, .n_paths = 1 }, &s, &err), ERROR_USAGE);
    assert_int_equal(selection_new(&(struct selection_options){ .exclude = pattern, .n_exclude = 1 }, &s, &err), ERROR_USAGE);
    assert_non_null(strstr(err.text, "--exclude: pattern 'a**'"));
    assert_true(selection_is_everything(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),  cmocka_unit_test(test_include),
        cmocka_unit_test(test_exclude), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_what_matches_nothing), cmocka_unit_test(test_escaped),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
