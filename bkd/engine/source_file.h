// Reading one entry of the source in a worker thread: opened without following links, its metadata taken from the descriptor, its bytes read,
// read again when it changed meanwhile.
#ifndef BKD_ENGINE_SOURCE_FILE_H
#define BKD_ENGINE_SOURCE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/dirchain.h"
#include "bkd/engine/scan.h"
#include "bkd/repo/manifest.h"

#define SOURCE_FILE_TRIES 3

struct source_file {
    int fd;                       // -1 when not open
    struct manifest_entry *entry; // borrowed; metadata is refreshed from the descriptor
    struct scan_stat stat;
    uint64_t blocks_bytes;
    int64_t mtime_s; // as it was when the file was opened: what tells a change while reading
    uint32_t mtime_ns;
    struct scan_stat opened;
    bool touched; // reading changes its access time: only its owner and root may avoid that
};

enum source_file_result {
    SOURCE_FILE_READ = 0,
    SOURCE_FILE_GONE,    // removed, or another type now: leave it out
    SOURCE_FILE_PROBLEM, // err says why it could not be read: leave it out and report
};

// Opens entry->path (whose type is known). Regular files and directories for reading, everything else O_PATH.
enum source_file_result source_file_open(struct source_file *f, struct dirchain *chain, struct scan_names *names, struct manifest_entry *entry, struct error *err);
void source_file_close(struct source_file *f, const struct io *io);
// Has the file changed since it was opened? Its entry gets the metadata of now (size …), and so does f->stat.
enum source_file_result source_file_changed(struct source_file *f, const struct io *io, struct scan_names *names, bool *ret_changed, struct error *err);
// Opens a small file and reads it whole (entry->size bytes, max at most) into data, appended. One look after the reading is enough where it finds what the
// scan saw: then nothing has changed since. Else it is read until it stays as it is, SOURCE_FILE_TRIES times, then stored as read with MANIFEST_UNSTABLE.
// entry->size is what was read. Open afterwards when the result is SOURCE_FILE_READ.
enum source_file_result source_file_read(struct source_file *f, struct dirchain *chain, struct scan_names *names, struct manifest_entry *entry,
                                         const struct scan_stat *scanned, size_t max, struct buf *data, struct error *err);
// Extended attributes appended as text, inode flags into the entry. After a problem xattrs holds what could be read: the entry is worth storing.
enum source_file_result source_file_attrs(struct source_file *f, const struct io *io, struct buf *xattrs, struct error *err);

#endif
