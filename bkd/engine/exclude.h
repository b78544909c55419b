// What is left out of a run, decided in this one place for the scan and so for all that rests on it (`bkd backup`, `bkd ls-source`).
// Pure: the scan collects the facts and obeys the verdict; the names of rules in the policy are the caller's business.
//
// In this order, the first that applies: patterns, size and the nodump flag leave the entry out, and with a directory all below it.
// Other file systems and marked directories are cut off: the directory itself stays in the snapshot, with a note, and nothing below it.
// A source itself is never left out: the policy names it.
#ifndef BKD_ENGINE_EXCLUDE_H
#define BKD_ENGINE_EXCLUDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/pattern.h"

enum exclude_reason {
    EXCLUDE_NOT,
    EXCLUDE_PATTERN,    // `exclude`
    EXCLUDE_SIZE,       // `exclude_larger_than`
    EXCLUDE_NODUMP,     // `exclude_nodump`
    EXCLUDE_MARKER,     // `exclude_if_present`: the directory is cut off, but for the marking files
    EXCLUDE_FILESYSTEM, // `one_filesystem`: a mount point, or a btrfs subvolume
    EXCLUDE_KERNEL,     // proc, sysfs and the like; autofs, and what would be mounted by looking at it
    EXCLUDE_MEMORY,     // tmpfs and the like, mounted below a source
    EXCLUDE_REASONS,
};

// A stable word for a reason ("pattern", "size" …), used in JSON.
const char *exclude_reason_name(enum exclude_reason reason);

struct exclude_verdict {
    enum exclude_reason reason;
    size_t rule; // of EXCLUDE_PATTERN and EXCLUDE_MARKER: which pattern or marker decided
};

#define EXCLUDE_MARKERS_MAX 32u

// What the policy says for one source. Borrowed.
struct exclude_rules {
    const struct pattern_set *patterns; // NULL = none
    const char *const *markers;         // names of files; at most EXCLUDE_MARKERS_MAX
    size_t n_markers;
    uint64_t larger_than_bytes; // 0 = no limit
    bool nodump;
};

struct exclude_entry {
    const char *path; // relative to the source
    bool is_dir, is_file;
    uint64_t size;
    bool nodump; // has the inode flag
};

// Is the entry left out? rules NULL: nothing is.
struct exclude_verdict exclude_entry(const struct exclude_rules *rules, const struct exclude_entry *entry);

// What a file system is, by its number in statfs(2) (linux/magic.h).
enum exclude_filesystem { EXCLUDE_FS_FILES, EXCLUDE_FS_MEMORY, EXCLUDE_FS_KERNEL };
enum exclude_filesystem exclude_filesystem_of(uint64_t magic);

// An entry that lies on another mount or file system than the directory that holds it.
struct exclude_mount {
    bool is_dir;
    bool automount; // would be mounted by opening it
    enum exclude_filesystem filesystem;
};

// Is the run to stay out of it? A single file that is mounted over another one is taken: it holds what its path holds.
enum exclude_reason exclude_mount(bool one_filesystem, const struct exclude_mount *mount);

// Does this file mark its directory? Any name of the policy does, but CACHEDIR.TAG only with the first bytes that the Cache Directory
// Tagging Specification wants (https://bford.info/cachedir/); `head` is only looked at for that name.
#define EXCLUDE_CACHEDIR_TAG "CACHEDIR.TAG"
#define EXCLUDE_CACHEDIR_SIGNATURE "Signature: 8a477f597d28d172789f06886806bc55"
bool exclude_marks(const char *name, bool is_file, const void *head, size_t n);

#endif
