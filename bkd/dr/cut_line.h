// A TCP line to a server that ends when so many bytes have come from it, and lets nobody in again: what a drill cuts. It listens on loopback, and a thread of its own
// passes on what comes, so that what is cut is a real connection of a real program. Content is not looked at.
//
// Usual order: cut_line_open; the program is run against cut_line_port; cut_line_bytes, cut_line_was_cut; cut_line_close.
#ifndef BKD_DR_CUT_LINE_H
#define BKD_DR_CUT_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/io.h"

struct cut_line;

// cut_bytes: of all connections together; UINT64_MAX = it is never cut. ERROR_FAILED: no port, or no thread.
MUST_USE int cut_line_open(const struct io *io, const char *host, unsigned port, uint64_t cut_bytes, struct cut_line **ret_line, struct error *err);
unsigned cut_line_port(const struct cut_line *line);
// What has come from the server so far, and whether the line was cut.
uint64_t cut_line_bytes(const struct cut_line *line);
bool cut_line_was_cut(const struct cut_line *line);
void cut_line_close(struct cut_line *line); // NULL is fine

#endif
