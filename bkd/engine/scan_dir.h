// What a walk finds in one directory: its names sorted, each entry looked at, what is left out decided. Nothing is told here: what was found, and what
// went wrong, is kept in the order of the names for the thread that tells it, so that any thread may do the looking.
// Only for scan.c (which tells) and scan_ahead.c (which says when and by whom directories are read).
#ifndef BKD_ENGINE_SCAN_DIR_H
#define BKD_ENGINE_SCAN_DIR_H

#include <linux/stat.h>

#include "bkd/base/buf.h"
#include "bkd/base/spill.h"
#include "bkd/engine/scan.h"

#define SCAN_PART_MAX 256u // entries of a directory that are looked at in one go

// One inode, on one mount.
struct scan_place {
    uint64_t device, inode;
    uint64_t mount; // 0 = the kernel does not say
};
struct scan_place scan_place_of(const struct statx *st);
bool scan_place_same(const struct scan_place *a, const struct scan_place *b);

// A directory whose entries are not all looked at. Known by descriptor: no path is given to the kernel, so trees may be of any depth, and nobody can
// lead the walk elsewhere by exchanging a directory for a link.
struct scan_dir {
    struct scan_dir *parent; // NULL: the place above the root, whose one entry is the root
    char *name;              // in the parent
    const char *read_from;   // absolute: what is read in its place; NULL = itself
    bool is_parent;          // an ancestor of sources: only the way to them is walked
    bool at_source;
    uint32_t source;
    size_t source_len;       // of the source's path
    size_t path_len;         // of its own path ("" for the root)
    struct scan_place place;
    int fd;                  // -1 = not open
    struct spill *names;     // what is left to be looked at; NULL = not read yet, or nothing
    // For scan_ahead.c.
    struct scan_dir *newer, *older; // among those that are open
    unsigned refs;    // by parts and by directories in it
    unsigned pending; // parts that will need its descriptor: its own, and the first ones of directories in it
    unsigned busy;    // of these: parts that use it now
};

enum scan_fate {
    SCAN_TAKEN,
    SCAN_LEFT_OUT,   // `verdict` says why
    SCAN_UNREADABLE, // `problem` says why
};

// An entry as it was found.
struct scan_found {
    enum scan_fate fate;
    size_t name; // in the part's text
    struct statx st;
    struct scan_place place;
    bool is_dir, is_parent, at_source;
    uint32_t source;
    size_t source_len;
    struct exclude_verdict verdict; // SCAN_TAKEN: only the directory itself is, and what it holds is cut off
    const char *problem;
    size_t target, target_len; // of a symbolic link, in the part's text
};

// Some neighbouring entries of a directory. The first part also tells how opening and listing the directory went.
struct scan_part {
    struct scan_dir *dir;
    bool is_first;
    struct scan_found *found;
    size_t n;
    struct buf text; // names, each with a NUL behind it, and targets
    bool is_last; // of its directory
    // Of a first part.
    bool gone;          // it is no such directory any more: no entry
    struct statx st;    // of what was opened, where `opened`
    bool opened;
    struct exclude_verdict cut; // a file in it says that it holds nothing to keep
    // What the walk has to tell of the directory, and what ends the walk (status < 0).
    const char *problem;
    int status;
    struct error err;
    // For scan_ahead.c.
    struct scan_part *next, *before;
    enum { SCAN_WAITING, SCAN_UNDER_WAY, SCAN_DONE } state;
};

// What a thread needs for looking.
struct scan_eyes {
    const struct io *io;
    const struct scan_options *options;
    struct buf path; // of the directory at hand, then of the entry
    char *listing;
};
void scan_eyes_init(struct scan_eyes *eyes, const struct io *io, const struct scan_options *options);
void scan_eyes_done(struct scan_eyes *eyes);

// Opens dir->name in `parent_fd`, compares its place with what was looked at, and reads the names.
void scan_dir_list(struct scan_eyes *eyes, int parent_fd, struct scan_dir *dir, struct scan_part *part);
// Takes the next names of the directory into the part; part->is_last when none is left.
void scan_dir_take(struct scan_dir *dir, struct scan_part *part);
// Looks at the entries whose names were taken. What is gone, or not wanted, is not found.
void scan_dir_look(struct scan_eyes *eyes, struct scan_dir *dir, struct scan_part *part);
// Opens a directory again whose descriptor was given up; -1 unless it is still what is found there.
int scan_dir_open_again(const struct io *io, int parent_fd, const struct scan_dir *dir);

#endif
