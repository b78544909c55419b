#include "bkd/repo/lines.h"

#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/repo/manifest.h"

static void step(struct lines *l)
{
    do {
        l->number++;
        if (!cursor_line(&l->rest, &l->line, &l->len)) {
            l->line = NULL;
            l->torn = cursor_left(&l->rest) > 0;
            return;
        }
    } while (l->ignore_x && l->len >= 2 && memcmp(l->line, "x-", 2) == 0);
}

void lines_init(struct lines *l, const void *text, size_t n, const char *what, bool ignore_x)
{
    *l = (struct lines){ .rest = cursor_of(text, n), .what = what };
    step(l); // the first line says what it is: nothing stands before it
    l->ignore_x = ignore_x;
}

bool lines_take(struct lines *l, const char *key, const char **ret_value, size_t *ret_len)
{
    size_t n = strlen(key);
    if (l->line == NULL || l->len < n || memcmp(l->line, key, n) != 0)
        return false;
    if (l->len == n) {
        *ret_value = NULL;
        *ret_len = 0;
    } else if (l->line[n] == ' ') {
        *ret_value = l->line + n + 1;
        *ret_len = l->len - n - 1;
    } else {
        return false;
    }
    step(l);
    return true;
}

bool lines_ended(const struct lines *l) { return l->line == NULL && !l->torn; }

int lines_expected(const struct lines *l, const char *expected, struct error *err)
{
    if (l->line != NULL)
        return error_set(err, ERROR_FORMAT, "%s: wrong %s, at or before line %zu '%.*s'", l->what, expected, l->number,
                         l->len < 100 ? (int)l->len : 100, l->line);
    return error_set(err, ERROR_FORMAT, "%s: wrong or missing %s where the text ends%s", l->what, expected,
                     l->torn ? " in the middle of a line" : "");
}

bool lines_word(const char **value, size_t *len, const char **ret_word, size_t *ret_len)
{
    if (*value == NULL)
        return false;
    const char *space = memchr(*value, ' ', *len);
    size_t n = space == NULL ? *len : (size_t)(space - *value);
    if (n == 0)
        return false;
    *ret_word = *value;
    *ret_len = n;
    *len = space == NULL ? 0 : *len - n - 1;
    *value = space == NULL ? NULL : space + 1;
    return true;
}

bool lines_u64(const char **value, size_t *len, uint64_t max, uint64_t *ret_number)
{
    const char *word;
    size_t n;
    return lines_word(value, len, &word, &n) && parse_u64(word, n, max, ret_number);
}

bool lines_hex(const char **value, size_t *len, uint8_t *ret_bytes, size_t n)
{
    const char *word;
    size_t word_len;
    return lines_word(value, len, &word, &word_len) && parse_hex(word, word_len, ret_bytes, n);
}

bool lines_place(const char **value, size_t *len, struct place *ret_place)
{
    const char *word;
    size_t n;
    return lines_word(value, len, &word, &n) && place_parse(word, n, ret_place);
}

int lines_take_first(struct lines *l, const char *first, struct error *err)
{
    const char *v;
    size_t n, stem = strlen(first) - 1; // without the digit
    if (lines_take(l, first, &v, &n) && lines_no_more(v))
        return 0;
    if (l->line != NULL && l->len > stem && memcmp(l->line, first, stem) == 0)
        return error_set(err, ERROR_FORMAT, "%s: its first line '%.*s' is not '%s': a newer bkd is needed to read it", l->what,
                         l->len < 40 ? (int)l->len : 40, l->line, first);
    return lines_expected(l, first, err);
}

bool lines_is_dash(const char *value, size_t n) { return n == 1 && value[0] == '-'; }

bool lines_label(const char *value, size_t n, char ret_label[LINES_LABEL_MAX + 1])
{
    _cleanup_buf_ struct buf raw = { 0 };
    if (n == 0 || !manifest_unescape(&raw, value, n) || raw.len > LINES_LABEL_MAX || memchr(raw.data, '\0', raw.len) != NULL)
        return false;
    memcpy(ret_label, raw.data, raw.len + 1);
    return true;
}

bool lines_time(const char *value, size_t n, uint64_t *ret_time_ns) { return n > 0 && clock_parse_utc(value, n, ret_time_ns); }

void lines_add_hex(struct buf *out, const char *key, const uint8_t *bytes, size_t n)
{
    buf_add_str(out, key);
    buf_add_char(out, ' ');
    buf_add_hex(out, bytes, n);
    buf_add_char(out, '\n');
}

void lines_add_number(struct buf *out, const char *key, uint64_t value) { buf_addf(out, "%s %llu\n", key, (unsigned long long)value); }

void lines_add_time(struct buf *out, const char *key, uint64_t time_ns)
{
    char text[CLOCK_TEXT_MAX];
    clock_format_utc(text, time_ns, false);
    buf_addf(out, "%s %s\n", key, text);
}

void lines_add_label(struct buf *out, const char *key, const char *label)
{
    buf_addf(out, "%s ", key);
    manifest_escape(out, label, strlen(label));
    buf_add_char(out, '\n');
}
