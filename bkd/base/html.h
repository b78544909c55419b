// Text in HTML pages: what people wrote never becomes markup. And the looks that pages of bkd share: fit for a screen, and for A4, where each page says which one it is.
#ifndef BKD_BASE_HTML_H
#define BKD_BASE_HTML_H

#include "bkd/base/buf.h"

// Appends text with &, <, > and " as entities; NULL is nothing.
void html_add_text(struct buf *out, const char *text);
// <tag>text</tag>
void html_add_element(struct buf *out, const char *tag, const char *text);
// The style of a page. `foot`: what the bottom of each printed page says, left of its number; NULL = only the number.
void html_add_style(struct buf *out, const char *foot);

#endif
