// The copies of good policy files in STATE_DIR/accepted, which go on when a file gets mistakes (bkd/host/policies.h). New ones are written aside and get their names
// together: a host with thousands of policies syncs the file system once, not a file and a directory for each of them.
#ifndef BKD_HOST_KEPT_COPIES_H
#define BKD_HOST_KEPT_COPIES_H

#include "bkd/base/buf.h"
#include "bkd/base/io.h"

struct kept_copies {
    const struct io *io;
    char *dir;
    struct kept_copy *waiting; // written, without their names
    size_t count;
};

// The path that a policy's copy has; caller frees.
char *kept_copies_path(const char *state_dir, const char *policy);

void kept_copies_begin(const struct io *io, const char *state_dir, struct kept_copies *ret_copies);
// Copies a file to `path`, of kept_copies_path, unless that is the same already. What fails is a warning: it costs the version before should the file be
// spoiled later, not the policy.
void kept_copies_add(struct kept_copies *copies, const char *policy, const char *file, const char *path);
// Makes all that were added durable and gives them their names.
void kept_copies_end(struct kept_copies *copies);

#endif
