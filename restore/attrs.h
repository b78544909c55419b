// Metadata of restored entries, applied by descriptor, never through a link.
// What cannot be applied is counted or described, never fatal: the caller reports it per path.
#ifndef BKD_RESTORE_ATTRS_H
#define BKD_RESTORE_ATTRS_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/io.h"
#include "bkd/repo/manifest.h"
#include "restore/owner_map.h"

// What an entry should get. Plain values, so it can be copied and kept.
struct attrs {
    uint32_t mode;     // 07777
    uint32_t stripped; // bits of the recorded mode that were taken away, because the snapshot is not trusted
    uint32_t uid, gid; // on this machine
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint32_t flags;     // inode flags as recorded
    struct place xattr; // length 0 = none
};

// Who restores: read once.
struct attrs_self {
    bool root; // may give files away
    uint32_t uid, gid;
    bool numeric_owner; // never map by name
    bool untrusted;     // gives nothing that raises rights: no setuid, no setgid, no attributes of security.* and trusted.*
    const struct owner_map *owners; // goes before names and numbers; borrowed, may be NULL
};

// Names to numbers of this machine; remembers what it asked. One thread.
struct attrs_names;
struct attrs_names *attrs_names_new(void);
void attrs_names_free(struct attrs_names *names);

// Fills attrs from an entry: owner by self->owners, else by name when this machine knows the name (unless self->numeric_owner), else by number.
void attrs_of_entry(struct attrs_names *names, const struct attrs_self *self, const struct manifest_entry *entry, struct attrs *ret_attrs);
void attrs_self_read(bool numeric_owner, struct attrs_self *ret_self);

// What was not exact.
struct attrs_loss {
    bool owner;     // somebody other than root could not give it to its owner (setuid and setgid were left out because of that)
    struct buf why; // other losses: "mode: …; extended attribute x: …"; len 0 = none
    struct buf stripped; // taken away because the snapshot is not trusted: "setuid; security.capability"; len 0 = nothing
};
void attrs_loss_done(struct attrs_loss *loss);

// An open file or directory that gets attributes, as it is now.
struct attrs_object {
    int fd;           // O_PATH will do
    uint32_t mode;    // permission bits it was made with; UINT32_MAX: not known
    bool plain_owner; // it belongs to self->uid and self->gid
    bool is_dir, is_link;
    bool clear_acl;         // the directory above imposed an ACL that must go
    const char *xattr_text; // what it gets: n bytes, or NULL
    size_t n;
};

// Applies everything but INODE_FLAGS_LATE, in this order: owner, mode, flags, attributes (ACLs, capabilities), times. Then it looks at what
// the file system made of owner, mode and times.
void attrs_apply(const struct io *io, const struct attrs_object *object, const struct attrs *attrs, const struct attrs_self *self,
                 struct attrs_loss *loss);
// The same for a link, device or FIFO of that type (S_IFLNK …) just made as `name` in dirfd; object->fd is not set.
void attrs_apply_at(const struct io *io, int dirfd, const char *name, mode_t type, struct attrs_object *object, const struct attrs *attrs,
                    const struct attrs_self *self, struct attrs_loss *loss);
// Sets these flags beside those that are set; what cannot be set is lost by name.
void attrs_set_flags(const struct io *io, int fd, uint32_t flags, struct attrs_loss *loss);

// Does an extended attribute of this name give rights, as capabilities do? Nothing untrusted may.
bool attrs_raises_rights(const char *name);

// The text of extended attributes (doc/FORMAT.md section 7) one by one. Returns 1 and the next attribute (value in ret_value, name in ret_name),
// 0 at the end, -1 when the text is malformed. *at starts at 0.
int attrs_xattr_next(const char *text, size_t n, size_t *at, struct buf *ret_name, struct buf *ret_value);

#endif
