// Manifest entries and their one-line text form (doc/FORMAT.md section 5), path order, and escaping.
// An entry's strings are owned by the entry (manifest_entry_done); a reader reuses one entry for all lines, so what is to
// be kept beyond the next call is copied.
#ifndef BKD_REPO_MANIFEST_H
#define BKD_REPO_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"
#include "bkd/base/io.h"
#include "bkd/repo/place.h"

#define MANIFEST_LINE_MAX (1u << 20)
#define MANIFEST_NO_SOURCE UINT32_MAX

enum manifest_type {
    MANIFEST_DIR = 'd',
    MANIFEST_FILE = 'f',
    MANIFEST_LINK = 'l',
    MANIFEST_FIFO = 'p',
    MANIFEST_CHAR = 'c',
    MANIFEST_BLOCK = 'b',
    MANIFEST_SOCKET = 's',
};
// Of an inode: its st_mode, or stx_mode.
enum manifest_type manifest_type_of(uint32_t mode);

// Notes. What the bits are called in the text, in its order, stands in manifest_note_names.
enum { MANIFEST_UNSTABLE = 1, MANIFEST_MOUNT = 2, MANIFEST_EXCLUDED = 4, MANIFEST_PREALLOCATED = 8 };
#define MANIFEST_NOTES 4
extern const char *const manifest_note_names[MANIFEST_NOTES];

struct manifest_entry {
    struct buf path; // raw bytes, not escaped; NUL-terminated by struct buf
    enum manifest_type type;
    uint32_t mode; // permission bits, 07777
    uint32_t uid, gid;
    struct buf user, group; // raw; len 0 = none
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint64_t size;
    struct buf target; // raw
    uint32_t device_major, device_minor;
    struct buf hardlink; // the id's text; len 0 = not linked
    uint32_t flags;
    struct place xattr;
    bool has_sha256;
    uint8_t sha256[32];
    struct place at;
    struct place version;
    uint32_t notes;
    uint32_t source; // or MANIFEST_NO_SOURCE
};

void manifest_entry_done(struct manifest_entry *e);
void manifest_entry_reset(struct manifest_entry *e); // empty again, memory kept; source = MANIFEST_NO_SOURCE
void manifest_entry_copy(struct manifest_entry *to, const struct manifest_entry *from);
#define _cleanup_manifest_entry_ __attribute__((cleanup(manifest_entry_done)))

// Appends the line with its LF.
void manifest_format(struct buf *out, const struct manifest_entry *e);
// `line` is without LF; ret_entry is emptied first and holds no meaning after a failure. ERROR_FORMAT says what is wrong; refuses
// paths with empty, "." or ".." components, NUL, and anything not written exactly as manifest_format writes it in ways that
// matter (unknown keys, order, doubled keys).
MUST_USE int manifest_parse(const char *line, size_t n, struct manifest_entry *ret_entry, struct error *err);

// The path order: raw bytes with '/' lower than all others. <0, 0, >0.
int manifest_path_compare(const void *a, size_t a_len, const void *b, size_t b_len);
// True when `path` is `dir` or below it.
bool manifest_path_below(const char *path, size_t path_len, const char *dir, size_t dir_len);

void manifest_escape(struct buf *out, const void *raw, size_t n);
bool manifest_unescape(struct buf *out, const char *text, size_t n);

// Reads entries one by one from a local file holding a manifest (or a part that begins at a line); buffered, constant memory.
struct manifest_reader {
    const struct io *io;
    int fd; // borrowed
    const char *name; // borrowed, for errors
    uint64_t offset;  // of the next read
    uint64_t end;
    struct buf window;
    size_t at;        // in the window
    uint64_t line_offset; // of the entry last returned
    const char *line;     // its text without LF, valid until the next call
    size_t line_len;
    struct buf previous_path;
    struct manifest_entry entry;
};

void manifest_reader_init(struct manifest_reader *r, const struct io *io, int fd, const char *name, uint64_t offset, uint64_t end);
void manifest_reader_done(struct manifest_reader *r);
// *ret_entry is NULL at the end. The order of paths is checked (ERROR_FORMAT).
MUST_USE int manifest_reader_next(struct manifest_reader *r, const struct manifest_entry **ret_entry, struct error *err);
// After manifest_reader_next refused a line: goes on behind it as if it were not there. False when it was not a line that was wrong.
bool manifest_reader_skip(struct manifest_reader *r);

#endif
