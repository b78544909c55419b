#include "bkd/base/shell.h"

#include <stdbool.h>
#include <string.h>

#include "bkd/base/printable.h"

#define PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@,+%"

void shell_add_quoted(struct buf *out, const char *text)
{
    buf_add_char(out, '\'');
    for (; *text != '\0'; text++)
        if (*text == '\'')
            buf_add_str(out, "'\\''");
        else
            buf_add_char(out, *text);
    buf_add_char(out, '\'');
}

static bool is_plain(const char *word)
{
    size_t n = strspn(word, word[0] == '-' ? PLAIN "=" : PLAIN); // elsewhere "=" may be an assignment
    return n > 0 && word[n] == '\0';
}

void shell_add_command(struct buf *out, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (i > 0)
            buf_add_char(out, ' ');
        if (is_plain(words[i]))
            buf_add_str(out, words[i]);
        else
            shell_add_quoted(out, words[i]);
    }
}

static bool is_printable(const char *word)
{
    bool safe = true;
    for (size_t at = 0, n = strlen(word); safe && at < n;)
        at += printable_next(word + at, n - at, &safe);
    return safe;
}

static void add_escaped(struct buf *out, const char *word)
{
    buf_add_str(out, "$'");
    for (size_t at = 0, n = strlen(word), len; at < n; at += len) {
        bool safe;
        len = printable_next(word + at, n - at, &safe);
        if (word[at] == '\'' || word[at] == '\\')
            buf_add_char(out, '\\');
        for (size_t i = at; i < at + len; i++)
            buf_addf(out, safe ? "%c" : "\\%03o", (unsigned char)word[i]);
    }
    buf_add_char(out, '\'');
}

void shell_add_word(struct buf *out, const char *word)
{
    if (is_plain(word))
        buf_add_str(out, word);
    else if (is_printable(word))
        shell_add_quoted(out, word);
    else
        add_escaped(out, word);
}

char *shell_word(const char *word)
{
    _cleanup_buf_ struct buf out = { 0 };
    shell_add_word(&out, word);
    return buf_take_str(&out);
}
