// Attributes of a source entry that need a descriptor: extended attributes (with the ACLs among them) as text, and inode flags.
#ifndef BKD_ENGINE_ATTRS_H
#define BKD_ENGINE_ATTRS_H

#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"
#include "bkd/base/io.h"

// Appends the attributes as doc/FORMAT.md section 7 writes them, sorted by name; nothing when there are none or the file system has no such thing.
// fd may be an O_PATH descriptor of any type of file. After an error the text holds the attributes that could be read.
MUST_USE int attrs_read_xattrs(const struct io *io, int fd, const char *path, struct buf *ret_text, struct error *err);
// INODE_FLAGS_KEPT of a file or directory opened for reading; 0 where the file system has none.
uint32_t attrs_read_flags(int fd);

#endif
