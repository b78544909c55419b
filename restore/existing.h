// What stands in the target already: a look at one name for restore/decide.h, its content compared, its attributes compared and cleared.
// Never through a link; what is opened is the very inode that was looked at.
#ifndef BKD_RESTORE_EXISTING_H
#define BKD_RESTORE_EXISTING_H

#include "restore/decide.h"
#include "restore/target.h"

struct existing {
    struct decide_there there; // `ours` and `links` are the caller's to fill
    struct target_id id;
    uint64_t links; // names of the inode
};

// A name that is not there is no error. `entry` says what is wanted in its place.
MUST_USE int existing_look(const struct io *io, int dirfd, const char *name, const struct manifest_entry *entry, struct existing *ret_existing,
                           struct error *err);

// Opens it for reading; ERROR_FAILED when it is another inode by now. Files and directories.
MUST_USE int existing_open(const struct io *io, int dirfd, const char *name, const struct target_id *id, int *ret_fd, struct error *err);

// Does the file hold the entry's content? Reads all of it. *ret_equal is false too when the snapshot records no hash of the whole file.
MUST_USE int existing_content_equal(const struct io *io, int dirfd, const char *name, const struct target_id *id,
                                    const struct manifest_entry *entry, bool *ret_equal, struct error *err);

// The same of an open file, from where it is read.
MUST_USE int existing_content_of(const struct io *io, int fd, const struct manifest_entry *entry, bool *ret_equal, struct error *err);

// Are the extended attributes (ACLs, capabilities) of an open file exactly those of the text (doc/FORMAT.md section 7; n 0 = none)?
// Attributes that this user cannot see, and security.selinux, do not count. `untrusted`: the text's attributes that raise rights are not wanted.
bool existing_xattrs_equal(int fd, const char *text, size_t n, bool untrusted);
// Removes what the text does not have, or has without being trusted.
void existing_remove_xattrs(const struct io *io, int fd, const char *text, size_t n, bool untrusted);

#endif
