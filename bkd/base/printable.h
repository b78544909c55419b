// Text from outside on its way to a terminal or a log: what could control either, or show something else than there is, is told apart.
#ifndef BKD_BASE_PRINTABLE_H
#define BKD_BASE_PRINTABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "bkd/base/buf.h"

// The length in bytes of the next character of n (at least 1). Not safe: control characters (C0, DEL, C1), marks that change the direction of text,
// separators of lines and paragraphs, and bytes that are not UTF-8 (one at a time).
size_t printable_next(const char *text, size_t n, bool *ret_safe);
// Appends n bytes, each byte that is not safe as "\xHH".
void printable_add(struct buf *out, const char *text, size_t n);

#endif
