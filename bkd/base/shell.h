// Words for a shell to read.
#ifndef BKD_BASE_SHELL_H
#define BKD_BASE_SHELL_H

#include "bkd/base/buf.h"

// In single quotes; a quote within ends them, stands escaped, and begins them again. Any bytes but NUL.
void shell_add_quoted(struct buf *out, const char *text);
// The words of a command, quoted where they need it, with blanks between. The list ends with NULL.
void shell_add_command(struct buf *out, const char *const *words);

// One word of a command that a message suggests, to be copied from a terminal: as it is where no shell reads anything into it, else in quotes. What may not go to a
// terminal as it is (printable.h) makes it $'…' with octal numbers, which bash, zsh and ksh read.
void shell_add_word(struct buf *out, const char *word);
// The same; owned.
char *shell_word(const char *word);

#endif
