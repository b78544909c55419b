// Which entries of a snapshot are meant: PATH arguments and patterns, decided entry by entry in path order.
//
// An entry is selected when it is a PATH or lies below one (where any are given), an include pattern takes it (where any are given), and no
// exclude pattern leaves it out. Patterns have the meaning of gitignore(5) (bkd/base/pattern.h) from the snapshot's root: "/srv/x" is that path,
// "*.c" a name at any depth, "!*.h" takes back what an earlier pattern of the same kind said. What lies below an included directory is
// included until a pattern says otherwise; what lies below an excluded one stays out, as in git.
//
// selection_new → selection_rewind → selection_ask for each entry → selection_verdict. One pass at a time, one thread.
#ifndef BKD_RESTORE_SELECTION_H
#define BKD_RESTORE_SELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/repo/manifest.h"

struct selection_options {
    const char *const *paths; // raw bytes; "srv/x" means "/srv/x"
    size_t n_paths;
    const char *const *include, *const *exclude;
    size_t n_include, n_exclude;
    bool escaped; // paths are written as `ls` prints them: \ooo for a byte, \\ for a backslash
};

struct selection;

// Copies everything. ERROR_USAGE names the pattern or path that cannot be read.
MUST_USE int selection_new(const struct selection_options *options, struct selection **ret_selection, struct error *err);
void selection_free(struct selection *s);
void selection_freep(struct selection **s);
#define _cleanup_selection_ __attribute__((cleanup(selection_freep)))

// Nothing that can be selected lies outside these paths and what is below them (normalised, sorted, none below another);
// "/" alone when that may be anywhere.
const char *const *selection_bounds(const struct selection *s, size_t *ret_n);
// Is every entry meant? NULL is such a selection.
bool selection_is_everything(const struct selection *s);

enum selection_answer {
    SELECTION_OUT,
    SELECTION_IN,
    SELECTION_ABOVE, // a directory below which something may be selected
};

// Starts a pass: entries follow in path order.
void selection_rewind(struct selection *s);
enum selection_answer selection_ask(struct selection *s, const struct manifest_entry *e);

// The first PATH that no pass met, or NULL; its text is as in the manifest.
const char *selection_missing(const struct selection *s);
// Patterns that no pass found a match for: start with *at 0; NULL after the last. *ret_option is "--include" or "--exclude".
const char *selection_unmatched(const struct selection *s, size_t *at, const char **ret_option);
// After a pass that selected so many entries: ERROR_NOT_FOUND when that is none.
MUST_USE int selection_verdict(const struct selection *s, uint64_t selected, struct error *err);

#endif
