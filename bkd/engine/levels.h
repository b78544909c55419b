// The directories between the root and the place a walk has come to, by descriptor: no path is given to the kernel, so trees may be of any
// depth, and nobody can lead the walk elsewhere by exchanging a directory for a link. Few descriptors stay open; one that was given up on the
// way down is got back through "..", and where that is another directory now (it was moved), from the root, link by link, each inode compared.
#ifndef BKD_ENGINE_LEVELS_H
#define BKD_ENGINE_LEVELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/io.h"
#include "bkd/base/spill.h"

// One inode, on one mount.
struct level_place {
    uint64_t device, inode;
    uint64_t mount; // 0 = the kernel does not say
};

struct level_place level_place_of(const struct statx *st);
bool level_same_place(const struct level_place *a, const struct level_place *b);
// Is an entry at `place` on another mount or file system than the directory `dir` that holds it?
bool level_is_elsewhere(const struct level_place *place, const struct level_place *dir);

struct level {
    int fd; // -1 when given up to save descriptors
    struct spill *names; // what is left to be visited in it
    size_t path_len;     // of the walk's path
    struct level_place place;
    bool is_parent; // an ancestor of sources: only the way to them is walked
};

struct levels {
    const struct io *io;
    struct level *items;
    size_t depth, cap;
};

// Takes `fd` and `names`.
void levels_push(struct levels *levels, const struct level *level);
// Leaves the deepest directory. `path`: the walk's path, at least up to there. Returns how many of the directories above it cannot be found
// again, because they were moved or removed while they were read (they are left as well), usually 0.
size_t levels_pop(struct levels *levels, const char *path);
void levels_done(struct levels *levels);

#endif
