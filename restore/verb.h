// What the commands of bkd-restore share. One command = one handler = one line in the table of restore/verbs.c.
#ifndef BKD_RESTORE_VERB_H
#define BKD_RESTORE_VERB_H

#include <stdbool.h>

#include "bkd/base/cli.h"
#include "bkd/base/io.h"
#include "bkd/base/json.h"
#include "restore/session.h"
#include "restore/timing.h"

struct context {
    const struct io *io;
    bool json, quiet;
    bool told; // a summary line was printed that tells of the failure too
    int argc; // the command line, borrowed
    char **argv;
    struct session_options session;
    struct timing timing; // started when the program did
};

// The line {"type":"error",…}. A verb that prints a summary prints this before it and sets `told`.
void verb_print_error(const struct error *err);
// Prints a JSON line on standard output and frees it.
MUST_USE int verb_print_line(struct json **line, struct error *err);
// Text with bytes that could control a terminal escaped, appended.
void verb_add_printable(struct buf *out, const char *text, size_t n);

// The command line as a shell takes it, with --resume, appended. One line.
void verb_format_again(const struct context *ctx, struct buf *out);

// The handlers. 0, or a negative error_code and one sentence in *err; main prints it once and turns it into the exit code.
int verb_check(struct context *ctx, const struct cli_args *args, struct error *err);
int verb_dump(struct context *ctx, const struct cli_args *args, struct error *err);
int verb_find(struct context *ctx, const struct cli_args *args, struct error *err);
int verb_list(struct context *ctx, const struct cli_args *args, struct error *err);
int verb_ls(struct context *ctx, const struct cli_args *args, struct error *err);
int verb_mtree(struct context *ctx, const struct cli_args *args, struct error *err);
int verb_restore(struct context *ctx, const struct cli_args *args, struct error *err);

#endif
