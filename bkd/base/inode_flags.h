// Inode flags (chattr(1), ioctl FS_IOC_GETFLAGS): which of them a backup keeps, and when a restore sets them. Others are made by the file
// system itself (extents, index, encryption, verity) and mean nothing elsewhere.
#ifndef BKD_BASE_INODE_FLAGS_H
#define BKD_BASE_INODE_FLAGS_H

#include <linux/fs.h>
#include <stdint.h>

#include "bkd/base/buf.h"

// Only an empty file or directory takes these: no copy on write, folding of case; compression touches only what is written after it.
#define INODE_FLAGS_BIRTH ((uint32_t)(FS_NOCOW_FL | FS_COMPR_FL | FS_NOCOMP_FL | FS_CASEFOLD_FL))
// Forbid every later change, rename and link: set last of all.
#define INODE_FLAGS_LATE ((uint32_t)(FS_IMMUTABLE_FL | FS_APPEND_FL))
#define INODE_FLAGS_PLAIN                                                                                                      \
    ((uint32_t)(FS_SECRM_FL | FS_UNRM_FL | FS_SYNC_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_JOURNAL_DATA_FL | FS_NOTAIL_FL | FS_DIRSYNC_FL | FS_TOPDIR_FL | FS_DAX_FL | FS_PROJINHERIT_FL))
#define INODE_FLAGS_KEPT (INODE_FLAGS_BIRTH | INODE_FLAGS_LATE | INODE_FLAGS_PLAIN)

// Appends chattr's letters; hex for what has none.
void inode_flags_letters(struct buf *out, uint32_t flags);

#endif
