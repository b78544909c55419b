// What a rollback leaves as it is, because no snapshot has it as it is now: what the policy leaves out today, though the snapshot that is gone back to
// has it, and what could not be read when the present state was saved. Few as a rule, and so kept in memory, up to a limit.
//
// Paths come in path order, as a comparison shows them; of a directory and what lies in it, only the directory is kept.
#ifndef BKD_SNAPSHOTS_SPARED_H
#define BKD_SNAPSHOTS_SPARED_H

#include <stdbool.h>
#include <stddef.h>

#include "bkd/base/dirchain.h"

#define SPARED_MAX 1000 // paths

struct spared {
    struct dirchain chain;
    struct spared_path {
        char *path;
        char *pattern; // for bkd-restore's --exclude
        bool is_stored; // the snapshot that is gone back to has it
    } *paths;
    size_t n;
};

// All zero is an empty one, too, for spared_done and spared_has.
MUST_USE int spared_init(struct spared *s, const struct io *io, struct error *err);
void spared_done(struct spared *s);

// Is anything there now under this very name, not behind a link?
bool spared_is_there(struct spared *s, const char *path);
// ERROR_FAILED: there are too many.
MUST_USE int spared_add(struct spared *s, const char *path, bool is_stored, struct error *err);
// Is it this path, or below one that is?
bool spared_has(const struct spared *s, const char *path);

// The pattern that matches this very path, and all below it.
char *spared_pattern(const char *path);

#endif
