// Removing a restored tree: it may be deeper than there are descriptors, have directories that nobody may enter, and files that nobody may remove.
#ifndef BKD_DR_CLEAR_H
#define BKD_DR_CLEAR_H

#include "bkd/base/io.h"

// Removes the directory `path` (absolute) with all that is in it; links are not followed. Missing is fine. Each directory is moved up to the top before it is
// emptied, so depth costs nothing. ERROR_FAILED names what could not be removed.
MUST_USE int clear_tree(const struct io *io, const char *path, struct error *err);

#endif
