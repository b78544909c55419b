// Metadata of restored entries, applied by descriptor (symbolic links, devices and FIFOs: by name in a held directory, never through a link).
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
    bool owner;     // owner or group could not be given (and setuid/setgid was left out because of it)
    struct buf why; // other losses: "mode: …; extended attribute x: …"; len 0 = none
};

// The immutable and append-only flags: they forbid rename, link and every later change, so they come last of all.
#define ATTRS_LATE_FLAGS 0x30u
// Flags that can be set by anyone who may write the file, and make sense elsewhere: compression, sync, nodump, noatime, dirsync, nocow.
#define ATTRS_EARLY_FLAGS 0x008100CCu

// An open file or directory that gets attributes, as it is now.
struct attrs_object {
    int fd;
    uint32_t mode;    // permission bits it was made with; UINT32_MAX: not known
    bool plain_owner; // it belongs to self->uid and self->gid
    bool is_dir;
    bool clear_acl;         // the directory above imposed an ACL that must go
    const char *xattr_text; // what it gets: n bytes, or NULL
    size_t n;
};

// Applies everything but ATTRS_LATE_FLAGS, in this order: owner, mode, attributes (ACLs, capabilities), flags, times.
void attrs_apply(const struct io *io, const struct attrs_object *object, const struct attrs *attrs, const struct attrs_self *self,
                 struct attrs_loss *loss);
// Owner, attributes and times of a link, device or FIFO named `name` in dirfd.
void attrs_apply_at(const struct io *io, int dirfd, const char *name, const struct attrs *attrs, const struct attrs_self *self,
                    const char *xattr_text, size_t n, struct attrs_loss *loss);

// The text of extended attributes (doc/FORMAT.md section 7) one by one. Returns 1 and the next attribute (value in ret_value, name in ret_name),
// 0 at the end, -1 when the text is malformed. *at starts at 0.
int attrs_xattr_next(const char *text, size_t n, size_t *at, struct buf *ret_name, struct buf *ret_value);

#endif
