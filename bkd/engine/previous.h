// What the last run knew, as one stream in path order: the local copy of the newest manifest with the remembered inode facts, overlaid by
// the journal of a run that was cut off. Both are sealed caches; when missing, the stream is empty and everything is read again.
#ifndef BKD_ENGINE_PREVIOUS_H
#define BKD_ENGINE_PREVIOUS_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/spill.h"
#include "bkd/engine/scan.h"
#include "bkd/engine/sealed.h"
#include "bkd/repo/manifest.h"

// A remembered entry. Pointers are borrowed until the next call.
struct previous_entry {
    const struct manifest_entry *entry;
    const char *line; // its manifest line without LF
    size_t line_len;
    struct scan_stat stat;
    bool racy; // may have changed within the clock's grain after it was read: read it again
};

// The stat file: one record for each manifest line, in the same order.
#define PREVIOUS_NAME_SIZE 32
#define PREVIOUS_STAT_SIZE 21 // inode 8, ctime seconds 8, nanoseconds 4, flags 1 (racy, texture); little-endian
enum { PREVIOUS_RACY = 1, PREVIOUS_TEXTURE_SHIFT = 1, PREVIOUS_TEXTURE_MASK = 3 };
void previous_put_stat(uint8_t record[PREVIOUS_STAT_SIZE], const struct scan_stat *stat, bool racy);
void previous_get_stat(const uint8_t record[PREVIOUS_STAT_SIZE], struct scan_stat *ret_stat, bool *ret_racy);

// Records of the overlay: previous_record() makes them, in any order; previous_compare_records() sorts them by path.
void previous_record(struct buf *out, const char *path, size_t path_len, const struct scan_stat *stat, bool racy, const char *line, size_t line_len);
spill_compare_fn previous_compare_records;

struct previous {
    struct manifest_reader manifest;
    bool has_manifest;
    int manifest_fd, stat_fd; // owned, -1 when missing
    uint64_t stat_at, stat_end;
    struct buf stats;
    size_t stats_at;
    const struct io *io;
    struct spill *overlay; // borrowed, sorted; NULL = none
    const struct manifest_entry *base;
    struct previous_entry base_entry;
    bool base_ready;
    struct manifest_entry overlaid;
    struct buf overlay_line;
    struct buf overlay_path;
    struct scan_stat overlay_stat;
    bool overlay_racy, overlay_ready, overlay_ended;
};

// Names of the two files in the state directory that belong to the manifest with this SHA-256.
void previous_names(const uint8_t manifest_sha256[32], char ret_manifest[PREVIOUS_NAME_SIZE], char ret_stat[PREVIOUS_NAME_SIZE]);
// Opens the local copy of the manifest with this SHA-256 (NULL: of none). A missing or damaged copy is an empty stream.
MUST_USE int previous_open(struct previous *p, const struct io *io, int dirfd, const uint8_t key[SEALED_KEY_SIZE], const uint8_t *manifest_sha256,
                           struct spill *overlay, struct error *err);
void previous_done(struct previous *p);
#define _cleanup_previous_ __attribute__((cleanup(previous_done)))
// False in *ret_more at the end.
MUST_USE int previous_next(struct previous *p, bool *ret_more, struct previous_entry *ret_entry, struct error *err);

#endif
