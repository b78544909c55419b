// What holds for every text of a repository: its readers accept exactly what its writers write. Shared by test_format.c and test_recipe.c.
#ifndef TESTS_REPO_TEXTS_H
#define TESTS_REPO_TEXTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bkd/base/fs.h"

// Parses n bytes (in memory of exactly that size) and, when they are accepted, writes the result again.
typedef int texts_rewrite(const char *text, size_t n, struct buf *out, struct error *err);

static inline int texts_run(texts_rewrite *rewrite, const void *text, size_t n, struct buf *out, struct error *err)
{
    char *exact = malloc(n == 0 ? 1 : n);
    assert_non_null(exact);
    if (n > 0)
        memcpy(exact, text, n);
    buf_reset(out);
    *err = (struct error){ 0 };
    int r = rewrite(exact, n, out, err);
    free(exact);
    if (r < 0)
        assert_true(err->text[0] != '\0');
    return r;
}

static inline void texts_golden(const char *path, struct buf *ret_text)
{
    const char *srcdir = getenv("srcdir");
    _cleanup_free_ char *whole = xasprintf("%s/tests/fuzz/corpus/%s", srcdir == NULL ? "." : srcdir, path);
    struct error err;
    if (fs_read_file(io_real(), AT_FDCWD, whole, 1 << 20, ret_text, &err) < 0)
        fail_msg("%s", err.text);
}

static inline void texts_accepts(texts_rewrite *rewrite, const char *path)
{
    _cleanup_buf_ struct buf text = { 0 }, out = { 0 };
    struct error err;
    texts_golden(path, &text);
    if (texts_run(rewrite, text.data, text.len, &out, &err) < 0)
        fail_msg("%s: %s", path, err.text);
    assert_string_equal(buf_str(&out), buf_str(&text));
}

// Every byte set to every value, left out, doubled; the text cut off everywhere: refused, or accepted as exactly what it says. A text whose
// lines of unknown "x-" keys are passed over cannot come from a change of one byte here.
static inline void texts_survives_corruption(texts_rewrite *rewrite, const char *path)
{
    _cleanup_buf_ struct buf text = { 0 }, out = { 0 }, bad = { 0 };
    struct error err;
    texts_golden(path, &text);
    size_t accepted = 0, tried = 0;
    for (size_t at = 0; at < text.len; at++) {
        for (int value = 0; value < 256 + 3; value++) {
            buf_reset(&bad);
            buf_add(&bad, text.data, text.len);
            if (value < 256) {
                bad.data[at] = (uint8_t)value;
            } else if (value == 256) {
                bad.len = at; // cut off
            } else if (value == 257) {
                memmove(bad.data + at, bad.data + at + 1, bad.len - at - 1);
                bad.len--;
            } else {
                buf_reset(&bad);
                buf_add(&bad, text.data, at + 1);
                buf_add(&bad, text.data + at, text.len - at);
            }
            tried++;
            if (texts_run(rewrite, bad.data, bad.len, &out, &err) < 0)
                continue;
            accepted++;
            if (out.len != bad.len || memcmp(out.data, bad.data, bad.len) != 0)
                fail_msg("%s, byte %zu, change %d: accepted, but not written so:\n%.*s", path, at, value, (int)bad.len, (const char *)bad.data);
        }
    }
    print_message("%s: %zu corruptions, %zu of them other valid texts\n", path, tried, accepted);
}

// Line i of the text without it, with it twice, swapped with the next, with an unknown line before it: all refused, except where `free_order`
// names the beginning of lines that may be missing or repeated.
static inline void texts_lines_are_fixed(texts_rewrite *rewrite, const char *path, const char *const *may_vary)
{
    _cleanup_buf_ struct buf text = { 0 }, out = { 0 }, bad = { 0 };
    struct error err;
    texts_golden(path, &text);
    const char *start = (const char *)text.data, *end = start + text.len;
    for (const char *line = start; line < end;) {
        const char *next = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1;
        const char *after = next < end ? (const char *)memchr(next, '\n', (size_t)(end - next)) + 1 : end;
        bool varies = false;
        for (size_t i = 0; may_vary != NULL && may_vary[i] != NULL; i++)
            varies |= strncmp(line, may_vary[i], strlen(may_vary[i])) == 0;
        for (int change = 0; change < 4; change++) {
            buf_reset(&bad);
            buf_add(&bad, start, (size_t)(line - start));
            if (change == 1 || change == 3)
                buf_add(&bad, line, (size_t)(next - line));
            if (change == 2)
                buf_add(&bad, next, (size_t)(after - next));
            if (change == 3)
                buf_add_str(&bad, "unknown 1\n");
            if (change == 1 || change == 2)
                buf_add(&bad, line, (size_t)(next - line));
            const char *rest = change == 2 ? after : next;
            buf_add(&bad, rest, (size_t)(end - rest));
            if ((varies && change < 3) || (change == 2 && after == next))
                continue;
            if (texts_run(rewrite, bad.data, bad.len, &out, &err) == 0)
                fail_msg("%s: accepted with change %d at line '%.*s'", path, change, (int)(next - line - 1), line);
        }
        line = next;
    }
}

// An "x-" line before each line but the first and at the end changes nothing.
static inline void texts_ignores_x_keys(texts_rewrite *rewrite, const char *path, bool ignored)
{
    _cleanup_buf_ struct buf text = { 0 }, out = { 0 }, more = { 0 };
    struct error err;
    texts_golden(path, &text);
    for (size_t at = 0; at <= text.len; at++) {
        if (at > 0 && text.data[at - 1] != '\n')
            continue;
        buf_reset(&more);
        buf_add(&more, text.data, at);
        buf_add_str(&more, "x-anything goes=here\n");
        buf_add(&more, text.data + at, text.len - at);
        int r = texts_run(rewrite, more.data, more.len, &out, &err);
        if (at == 0) {
            assert_int_equal(r, ERROR_FORMAT);
            continue;
        }
        assert_true(ignored ? r == 0 : r == ERROR_FORMAT);
        if (ignored)
            assert_string_equal(buf_str(&out), buf_str(&text));
    }
}

// Replaces the first occurrence of `from`: refused with `code`.
static inline void texts_refuses(texts_rewrite *rewrite, const char *path, const char *from, const char *to, int code)
{
    _cleanup_buf_ struct buf text = { 0 }, out = { 0 }, bad = { 0 };
    struct error err;
    texts_golden(path, &text);
    const char *at = strstr(buf_str(&text), from);
    if (at == NULL)
        fail_msg("'%s' is not in %s", from, path);
    buf_add(&bad, text.data, (size_t)(at - (const char *)text.data));
    buf_add_str(&bad, to);
    buf_add_str(&bad, at + strlen(from));
    int r = texts_run(rewrite, bad.data, bad.len, &out, &err);
    if (r != code)
        fail_msg("%s with '%s': %d (%s), not %d", path, to, r, err.text, code);
}

#endif
