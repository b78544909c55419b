// What the file system of a target can hold, found out by trying: a directory is made there, used, and removed again. Nothing else is touched;
// the directory it was made in gets its time back where this user may set it.
#ifndef BKD_RESTORE_ABILITIES_H
#define BKD_RESTORE_ABILITIES_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "bkd/base/error.h"
#include "bkd/base/io.h"

struct abilities {
    bool folds_case; // "a" and "A" are one name
    bool symlinks, hard_links, fifos, devices;
    bool acls, user_xattrs, trusted_xattrs, security_xattrs;
    bool owners; // files may be given to others
    bool modes;  // setuid and execute bits stay as they are set
    bool nanoseconds;
    bool times_before_1970, times_after_2038;
    uint32_t name_max;      // bytes
    uint64_t file_size_max; // bytes
    bool forbidden[256];    // bytes no name may have
    bool trailing;          // names may end with a dot or a space
};

// Tries all of it in a directory below `dirfd`. As somebody else than root, what needs root is false. ERROR_* when no directory can be made there.
MUST_USE int abilities_probe(const struct io *io, int dirfd, struct abilities *ret_abilities, struct error *err);

// The open directory made for trying, for others who try something in the same place. abilities_end_trying removes it with all it holds.
struct abilities_trial {
    int dirfd; // borrowed: where it was made
    int fd;
    char name[40];
    struct timespec mtime; // of dirfd, before
};
MUST_USE int abilities_begin_trying(const struct io *io, int dirfd, struct abilities_trial *ret_trial, struct error *err);
void abilities_end_trying(const struct io *io, struct abilities_trial *trial);
// Removes what killed runs of this user have left of such directories: those older than a minute, or all.
void abilities_sweep(const struct io *io, int dirfd, bool all);

#endif
