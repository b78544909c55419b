// Selections as a command line gives them: reading them, and telling what came of them.
#ifndef BKD_RESTORE_SELECTION_ARGS_H
#define BKD_RESTORE_SELECTION_ARGS_H

#include "bkd/base/cli.h"
#include "restore/selection.h"

// The options, for tables of commands that take PATHs.
#define SELECTION_OPTIONS \
    { "include", 'I', "PATTERN", "only what matches, as in gitignore(5): '*.c' at any depth, '/srv/x/' there; may be repeated" }, \
        { "exclude", 'E', "PATTERN", "leave out what matches, also when it is included; may be repeated" }, \
        { "include-from", 0, "FILE", "include patterns from a file, one a line ('-': standard input)" }, \
        { "exclude-from", 0, "FILE", "exclude patterns from a file" }, \
        { "escaped", 0, NULL, "PATHs are written as ls prints them: \\ooo (octal) for a byte, \\\\ for a backslash" }

// PATHs are the arguments from `first_path` on. Patterns keep the order of the command line. ERROR_USAGE names what cannot be read.
MUST_USE int selection_from_args(const struct io *io, const struct cli_args *args, size_t first_path, struct selection **ret_selection,
                                 struct error *err);

// After a pass that selected so many entries: a warning for each pattern without a match (a line of the type "warning" with json);
// ERROR_NOT_FOUND when nothing was selected.
MUST_USE int selection_tell(const struct selection *s, uint64_t selected, bool json, struct error *err);

#endif
