// What differs between two entries of one path: as a set of fields, and in words. Pure.
#ifndef BKD_ENGINE_DIFFER_H
#define BKD_ENGINE_DIFFER_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/json.h"
#include "bkd/repo/manifest.h"

enum differ {
    DIFFER_TYPE = 1 << 0,
    DIFFER_CONTENT = 1 << 1, // of a regular file
    DIFFER_TARGET = 1 << 2,  // of a symbolic link
    DIFFER_DEVICE = 1 << 3,
    DIFFER_MODE = 1 << 4,
    DIFFER_OWNER = 1 << 5,
    DIFFER_GROUP = 1 << 6,
    DIFFER_MTIME = 1 << 7,
    DIFFER_XATTRS = 1 << 8, // ACLs and capabilities are among them
    DIFFER_FLAGS = 1 << 9,
    DIFFER_LINKS = 1 << 10, // one has other names, the other has not
};
// What makes another file of it; all else is metadata.
#define DIFFER_WHAT (DIFFER_TYPE | DIFFER_CONTENT | DIFFER_TARGET | DIFFER_DEVICE)

// What the entries themselves say. Content counts as different when sizes do; equal sizes are left to the caller, as are extended attributes and
// inode flags, which an entry of the live tree may not have been asked for. The time of a directory on the way to a source does not count: others
// work beside it. Entries of different types differ in nothing else.
uint32_t differ_entries(const struct manifest_entry *a, const struct manifest_entry *b);

// "mode 0644 -> 0600, mtime", appended.
void differ_add_text(struct buf *out, uint32_t fields, const struct manifest_entry *a, const struct manifest_entry *b);
// "differs":["mode","mtime"] and, where a value is short, "mode":{"from":…,"to":…}.
void differ_add_json(struct json *line, uint32_t fields, const struct manifest_entry *a, const struct manifest_entry *b);

#endif
