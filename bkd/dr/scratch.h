// Scratch space for a trial restore: a directory of its own, which only its maker may list, gone at the end whatever happened. What a killed process left is
// removed by the next one that makes scratch space in the same place; a lock tells the living from the dead. Who is not root gets a user namespace with it,
// where there can be one: what is restored and checked within has the owners it should, and is removed from within.
#ifndef BKD_DR_SCRATCH_H
#define BKD_DR_SCRATCH_H

#include "bkd/base/buf.h"
#include "bkd/base/io.h"

struct scratch {
    const struct io *io;
    char *path; // absolute; owned. Mode 0711: checks run by other users may enter what they know the name of
    char *tree; // path/tree, which does not exist yet; owned
    int lock_fd;
    int userns_fd; // a user namespace in which the tree's files can have other owners (bkd/base/userns.h); 0 = none
    uint64_t removed; // directories of the dead that were removed
};

// `place`: an existing directory, absolute.
MUST_USE int scratch_make(const struct io *io, const char *place, struct scratch *ret_scratch, struct error *err);
// A copy that is believed within the namespace: what belongs to root belongs to nobody there. *io_path is replaced by its path; without a namespace nothing is done.
MUST_USE int scratch_copy(const struct scratch *s, const char *name, const struct buf *content, char **io_path, struct error *err);
// Removes it. ERROR_FAILED when something cannot be removed, naming it.
MUST_USE int scratch_remove(struct scratch *s, struct error *err);
// The same at the end of a scope, without a word.
void scratch_done(struct scratch *s);
#define _cleanup_scratch_ __attribute__((cleanup(scratch_done)))

#endif
