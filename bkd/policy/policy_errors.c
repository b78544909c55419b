#include "bkd/policy/policy_errors.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_WIDTH 100 // characters of a source line that are shown

void policy_errors_done(struct policy_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++) {
        free(errors->items[i].message);
        free(errors->items[i].hint);
    }
    free(errors->items);
    free(errors->file);
    buf_done(&errors->text);
    *errors = (struct policy_errors){ 0 };
}

// The character at s: its length in bytes (1 for a byte that is no UTF-8, with *ret_code 0).
static size_t character_at(const char *s, size_t n, uint32_t *ret_code)
{
    const uint8_t *u = (const uint8_t *)s;
    size_t len = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : u[0] >= 0xc2 ? 2 : 1;
    *ret_code = len == 1 ? u[0] : u[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if (i >= n || (u[i] & 0xc0) != 0x80)
            len = 1;
        else
            *ret_code = *ret_code << 6 | (u[i] & 0x3f);
    }
    if (len == 1 && u[0] >= 0x80)
        *ret_code = 0;
    return len;
}

// Control characters and those that turn the writing direction: a terminal or an editor would obey them.
static bool is_obeyed(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

// East Asian wide characters take two columns (the ranges of Unicode's EastAsianWidth.txt that matter for CJK text).
static size_t columns_of(uint32_t code)
{
    bool wide = (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) || (code >= 0xac00 && code <= 0xd7a3) ||
                (code >= 0xf900 && code <= 0xfaff) || (code >= 0xfe30 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff60) ||
                (code >= 0x1f300 && code <= 0x1faff) || (code >= 0x20000 && code <= 0x3fffd);
    return wide ? 2 : 1;
}

static void add_printable(const char *s, size_t n, struct buf *ret_text)
{
    uint32_t code;
    for (size_t i = 0, len; i < n; i += len) {
        len = character_at(s + i, n - i, &code);
        if (is_obeyed(code))
            buf_add_char(ret_text, code == '\t' ? ' ' : '?');
        else
            buf_add(ret_text, s + i, len);
    }
}

void policy_errors_add(struct policy_errors *errors, unsigned line, unsigned column, unsigned width, const char *hint, const char *format, ...)
{
    if (errors->count >= POLICY_ERRORS_MAX)
        return;
    struct buf message = { 0 }, shown_hint = { 0 };
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args); // a longer message ends early
    va_end(args);
    bool last = errors->count + 1 == POLICY_ERRORS_MAX;
    add_printable(text, strlen(text), &message);
    if (last)
        buf_add_str(&message, " (there are more mistakes than are shown)");
    if (hint)
        add_printable(hint, strlen(hint), &shown_hint);
    errors->items = xrealloc(errors->items, (errors->count + 1) * sizeof *errors->items);
    errors->items[errors->count++] = (struct policy_error){ line, column, width ? width : 1, xstrdup(buf_str(&message)), xstrdup(buf_str(&shown_hint)) };
    buf_done(&message);
    buf_done(&shown_hint);
}

bool policy_errors_on_line(const struct policy_errors *errors, unsigned line)
{
    for (size_t i = 0; i < errors->count; i++)
        if (errors->items[i].line == line)
            return true;
    return false;
}

static bool is_before(const struct policy_error *a, const struct policy_error *b)
{
    return a->line < b->line || (a->line == b->line && a->column < b->column);
}

void policy_errors_sort(struct policy_errors *errors)
{
    for (size_t i = 1; i < errors->count; i++) { // stable, and nearly sorted already
        struct policy_error moved = errors->items[i];
        size_t at = i;
        for (; at > 0 && is_before(&moved, &errors->items[at - 1]); at--)
            errors->items[at] = errors->items[at - 1];
        errors->items[at] = moved;
    }
}

static const char *find_line(const struct policy_errors *errors, unsigned number, size_t *ret_len)
{
    const char *at = buf_str(&errors->text), *end = at + errors->text.len;
    for (unsigned line = 1; line < number && at < end; line++) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        at = next ? next + 1 : end;
    }
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    *ret_len = (size_t)((stop ? stop : end) - at);
    return at;
}

// The line, cut around the mistake when it is long, and "^~~~" below the characters meant.
static void format_place(const struct policy_errors *errors, const struct policy_error *error, struct buf *ret_text)
{
    size_t len, column = 1, first = error->column > SHOWN_WIDTH * 3 / 4 ? error->column - SHOWN_WIDTH / 2 : 1;
    const char *line = find_line(errors, error->line, &len);
    _cleanup_buf_ struct buf shown = { 0 }, caret = { 0 };
    if (first > 1) {
        buf_add_str(&shown, "...");
        buf_add_str(&caret, "   ");
    }
    uint32_t code;
    bool cut = false;
    for (size_t i = 0, n; i < len && !cut; i += n, column++) {
        n = character_at(line + i, len - i, &code);
        if (column < first)
            continue;
        cut = column >= first + SHOWN_WIDTH;
        if (cut)
            break;
        if (code == 0)
            buf_add_char(&shown, '?');
        else
            add_printable(line + i, n, &shown);
        bool meant = column > error->column && column < error->column + error->width;
        for (size_t c = 0; c < columns_of(code) && column < error->column + error->width; c++)
            buf_add_char(&caret, column < error->column ? ' ' : meant || c ? '~' : '^');
    }
    if (column <= error->column && !cut) {
        for (; column < error->column; column++)
            buf_add_char(&caret, ' ');
        buf_add_char(&caret, '^');
    }
    buf_addf(ret_text, "    %s%s\n    %s\n", buf_str(&shown), cut ? "..." : "", buf_str(&caret));
}

void policy_errors_format(const struct policy_errors *errors, struct buf *ret_text)
{
    for (size_t i = 0; i < errors->count; i++) {
        const struct policy_error *error = &errors->items[i];
        add_printable(errors->file, strlen(errors->file), ret_text);
        if (error->line)
            buf_addf(ret_text, ":%u:%u", error->line, error->column);
        buf_addf(ret_text, ": error: %s%s%s\n", error->message, error->hint[0] ? "; " : "", error->hint);
        if (error->line)
            format_place(errors, error, ret_text);
    }
}
