#include "bkd/engine/exclude.h"

#include <linux/magic.h>
#include <string.h>

const char *exclude_reason_name(enum exclude_reason reason)
{
    static const char *const names[EXCLUDE_REASONS] = {
        [EXCLUDE_NOT] = "none",     [EXCLUDE_PATTERN] = "pattern",       [EXCLUDE_SIZE] = "size",     [EXCLUDE_NODUMP] = "nodump",
        [EXCLUDE_MARKER] = "marker", [EXCLUDE_FILESYSTEM] = "filesystem", [EXCLUDE_KERNEL] = "kernel", [EXCLUDE_MEMORY] = "memory",
    };
    return names[reason];
}

struct exclude_verdict exclude_entry(const struct exclude_rules *rules, const struct exclude_entry *entry)
{
    struct exclude_verdict verdict = { EXCLUDE_NOT, 0 };
    if (rules == NULL)
        return verdict;
    if (pattern_set_match(rules->patterns, entry->path, entry->is_dir, &verdict.rule))
        verdict.reason = EXCLUDE_PATTERN;
    else if (entry->is_file && rules->larger_than_bytes != 0 && entry->size > rules->larger_than_bytes)
        verdict.reason = EXCLUDE_SIZE;
    else if (entry->nodump && rules->nodump)
        verdict.reason = EXCLUDE_NODUMP;
    return verdict;
}

// Not in linux/magic.h, but in the sources of these file systems.
enum {
    CONFIGFS_NUMBER = 0x62656570,
    FUNCTIONFS_NUMBER = 0x0a647361,
    FUSECTL_NUMBER = 0x65735543,
    MQUEUE_NUMBER = 0x19800202,
    NFSD_NUMBER = 0x6e667364,
    PIDFS_NUMBER = 0x50494446,
    RPC_PIPEFS_NUMBER = 0x67596969,
};

enum exclude_filesystem exclude_filesystem_of(uint64_t magic)
{
    switch (magic & UINT32_MAX) { // a signed 32-bit number on some machines
    case TMPFS_MAGIC: // devtmpfs too
    case RAMFS_MAGIC:
    case HUGETLBFS_MAGIC:
        return EXCLUDE_FS_MEMORY;
    case AAFS_MAGIC:
    case ANON_INODE_FS_MAGIC:
    case AUTOFS_SUPER_MAGIC:
    case BDEVFS_MAGIC:
    case BINDERFS_SUPER_MAGIC:
    case BINFMTFS_MAGIC:
    case BPF_FS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case CONFIGFS_NUMBER:
    case DEBUGFS_MAGIC:
    case DEVPTS_SUPER_MAGIC:
    case DMA_BUF_MAGIC:
    case EFIVARFS_MAGIC:
    case FUNCTIONFS_NUMBER:
    case FUSECTL_NUMBER:
    case MQUEUE_NUMBER:
    case NFSD_NUMBER:
    case NSFS_MAGIC:
    case OPENPROM_SUPER_MAGIC:
    case PIDFS_NUMBER:
    case PIPEFS_MAGIC:
    case PROC_SUPER_MAGIC:
    case PSTOREFS_MAGIC:
    case RDTGROUP_SUPER_MAGIC:
    case RPC_PIPEFS_NUMBER:
    case SECRETMEM_MAGIC:
    case SECURITYFS_MAGIC:
    case SELINUX_MAGIC:
    case SMACK_MAGIC:
    case SOCKFS_MAGIC:
    case SYSFS_MAGIC:
    case TRACEFS_MAGIC:
    case USBDEVICE_SUPER_MAGIC:
    case XENFS_SUPER_MAGIC:
        return EXCLUDE_FS_KERNEL;
    default:
        return EXCLUDE_FS_FILES;
    }
}

enum exclude_reason exclude_mount(bool one_filesystem, const struct exclude_mount *mount)
{
    if (mount->filesystem == EXCLUDE_FS_KERNEL || mount->automount)
        return EXCLUDE_KERNEL;
    if (!mount->is_dir)
        return EXCLUDE_NOT;
    if (one_filesystem)
        return EXCLUDE_FILESYSTEM;
    return mount->filesystem == EXCLUDE_FS_MEMORY ? EXCLUDE_MEMORY : EXCLUDE_NOT;
}

bool exclude_marks(const char *name, bool is_file, const void *head, size_t n)
{
    size_t length = sizeof EXCLUDE_CACHEDIR_SIGNATURE - 1;
    if (strcmp(name, EXCLUDE_CACHEDIR_TAG) != 0)
        return true;
    return is_file && n >= length && memcmp(head, EXCLUDE_CACHEDIR_SIGNATURE, length) == 0;
}
