// Words for a shell to read.
#ifndef BKD_BASE_SHELL_H
#define BKD_BASE_SHELL_H

#include "bkd/base/buf.h"

// In single quotes; a quote within ends them, stands escaped, and begins them again. Any bytes but NUL.
void shell_add_quoted(struct buf *out, const char *text);
// The words of a command, quoted where they need it, with blanks between. The list ends with NULL.
void shell_add_command(struct buf *out, const char *const *words);

#endif
