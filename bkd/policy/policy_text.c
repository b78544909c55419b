#include "bkd/policy/policy_text.h"

#include <stdint.h>
#include <string.h>

#include "bkd/base/utf8.h"
#include "bkd/policy/policy.h"

struct place {
    unsigned line, column;
};

// What is wrong with one character, or NULL. *ret_fatal: the file is no text at all.
static const char *character_problem(const uint8_t *s, size_t len, bool *ret_fatal)
{
    *ret_fatal = len == 0 || s[0] == 0;
    if (len == 0)
        return "this is not UTF-8 text; save the file as UTF-8";
    if (s[0] == 0)
        return "NUL character; this is not a text file";
    if (s[0] == '\t')
        return "tab character; use spaces";
    if (s[0] == '\r')
        return "carriage return; save the file with Unix line ends";
    if (s[0] != '\n' && (s[0] < 0x20 || s[0] == 0x7f))
        return "control character";
    return NULL;
}

static void check_line_length(struct policy_errors *errors, const uint8_t *line, size_t left, unsigned number)
{
    const uint8_t *end = memchr(line, '\n', left);
    size_t len = end ? (size_t)(end - line) : left;
    if (len > POLICY_LINE_MAX)
        policy_errors_add(errors, number, 1, 1, NULL, "the line has %zu bytes, at most %u are allowed", len, POLICY_LINE_MAX);
}

bool policy_text_check(struct policy_errors *errors)
{
    const uint8_t *text = (const uint8_t *)buf_str(&errors->text);
    size_t n = errors->text.len;
    struct place at = { 1, 1 };
    unsigned reported_line = 0; // one mistake of this kind a line is enough, and one carriage return a file
    bool is_text = true, fatal, returns = false;
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        policy_errors_add(errors, 1, 1, 1, NULL, "byte order mark; save the file as UTF-8 without it");
    for (size_t i = 0, len; i < n; i += len ? len : 1) {
        if (at.column == 1)
            check_line_length(errors, text + i, n - i, at.line);
        len = utf8_decode(text + i, n - i, NULL);
        const char *problem = character_problem(text + i, len, &fatal);
        bool is_return = problem && text[i] == '\r';
        if (problem && reported_line != at.line && !(is_return && returns)) {
            policy_errors_add(errors, at.line, at.column, 1, NULL, "%s", problem);
            reported_line = at.line;
        }
        returns = returns || is_return;
        is_text = is_text && !fatal;
        at.column++;
        if (text[i] == '\n')
            at = (struct place){ at.line + 1, 1 };
    }
    return is_text;
}
