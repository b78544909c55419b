#include "bkd/base/shell.h"

#include <stdbool.h>
#include <string.h>

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
    size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@,+%");
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
