#include "bkd/base/inode_flags.h"

#include <stddef.h>

void inode_flags_letters(struct buf *out, uint32_t flags)
{
    static const struct {
        uint32_t flag;
        char letter;
    } letters[] = {
        { FS_APPEND_FL, 'a' },   { FS_NOATIME_FL, 'A' }, { FS_COMPR_FL, 'c' },  { FS_NOCOW_FL, 'C' },        { FS_NODUMP_FL, 'd' },
        { FS_DIRSYNC_FL, 'D' },  { FS_CASEFOLD_FL, 'F' }, { FS_IMMUTABLE_FL, 'i' }, { FS_JOURNAL_DATA_FL, 'j' }, { FS_NOCOMP_FL, 'm' },
        { FS_PROJINHERIT_FL, 'P' }, { FS_SECRM_FL, 's' }, { FS_SYNC_FL, 'S' },   { FS_NOTAIL_FL, 't' },       { FS_TOPDIR_FL, 'T' },
        { FS_UNRM_FL, 'u' },     { FS_DAX_FL, 'x' },
    };
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++)
        if ((flags & letters[i].flag) != 0) {
            buf_add_char(out, letters[i].letter);
            flags &= ~letters[i].flag;
        }
    if (flags != 0)
        buf_addf(out, "0x%x", flags);
}
