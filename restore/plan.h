// What is to be restored: the manifest in a scratch file, the selected entries with the directories on the way, totals, hard links sorted out.
//
// Memory does not grow with the number of entries: the manifest is read as a stream, more than once; names of one inode are joined by
// sorted runs on disk. Only those parts of the manifest are fetched that can hold what is selected.
// Usual order: plan_open → plan_count → plan_rewind → plan_next … → plan_links_next ….
#ifndef BKD_RESTORE_PLAN_H
#define BKD_RESTORE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/spill.h"
#include "bkd/repo/snapshot.h"
#include "restore/selection.h"

struct plan_part {
    uint64_t start, end; // in the manifest
};

struct plan_totals {
    uint64_t entries;  // with the directories on the way
    uint64_t selected; // without them
    uint64_t dirs, files, links, others, sockets, streams;
    uint64_t bytes;  // logical size of regular files, each inode once
    uint64_t largest; // of these sizes
    uint64_t blocks; // the same rounded up to 4 KiB a file
    uint64_t names;  // further names of files already counted
    uint64_t unstable, mounts, excluded;
    uint8_t fingerprint[32]; // SHA-256 of all paths: the same for the same selection, however it was asked for
};

// A directory that is given only when something below it is selected: where its line stands in the manifest.
struct plan_above {
    uint64_t offset;
    size_t line_len, path_len;
};

struct plan {
    const struct io *io;
    struct snapshot *snapshot; // borrowed
    int scratch_dirfd;         // borrowed
    int fd;                    // the manifest
    struct selection *selection; // borrowed; NULL = everything
    // Set before plan_open: takes entries no manifest may have, once each, and the others go on. NULL: the first one ends it.
    void (*refused)(void *arg, const struct error *why);
    void *refused_arg;
    bool counting;        // in the pass that tells of them
    uint64_t passed_over; // how many
    uint64_t counted;     // and how many others
    struct plan_part *parts;
    size_t n_parts;
    struct plan_totals totals;
    // reading
    struct manifest_reader reader;
    size_t part;
    bool reading;
    bool held;              // the reader's entry is selected and waits until the directories on the way were given
    struct plan_above *above; // from the root on, those that hold the entry read last
    size_t n_above, above_cap, above_given;
    struct buf above_path; // of the innermost
    struct manifest_entry above_entry;
    uint64_t sequence;
    struct spill *later; // entries that are further names: sequence number and the first name's path, ascending
    uint64_t next_later;
    struct buf next_first, first; // their first names: of next_later, and of the entry given last
    struct spill *links; // (first name's sequence, further name's sequence, both paths), ascending
};

// Where scratch files go: TMPDIR, else the existing directory nearest to `near` (may be NULL), else /var/tmp or /tmp: the first that takes one.
MUST_USE int plan_open_scratch(const struct io *io, const char *near, int *ret_dirfd, struct error *err);
// An unlinked file in a scratch directory.
MUST_USE int plan_scratch_file(const struct io *io, int dirfd, int *ret_fd, struct error *err);

// Fetches and verifies the manifest, or the parts of it that the selection (borrowed; NULL = everything) needs.
// ERROR_NOT_FOUND names the first path that is not in the snapshot.
MUST_USE int plan_open(struct plan *p, const struct io *io, struct snapshot *snapshot, int scratch_dirfd, struct selection *selection,
                       struct error *err);
void plan_done(struct plan *p);
#define _cleanup_plan_ __attribute__((cleanup(plan_done)))

// Reads the selection once: totals, hard links.
MUST_USE int plan_count(struct plan *p, struct error *err);

// Bytes the selection takes on a disk, holes left out: reads the recipes of large files, so it is asked only when the logical sizes do not fit.
MUST_USE int plan_count_data(struct plan *p, uint64_t *ret_bytes, struct error *err);

// The same of one file.
uint64_t plan_data_blocks(struct plan *p, const struct manifest_entry *e);
// So much larger than what is stored that holes must be counted to know what there is to write. After plan_count.
bool plan_is_sparse(const struct plan *p);

// How an entry came into the selection.
enum plan_role {
    PLAN_SELECTED,
    PLAN_ANCESTOR, // a directory on the way to a selected entry
};

// Entries of the selection in path order, from the beginning after plan_rewind. *ret_entry is NULL at the end and valid until the next call.
// *ret_later: a further name of an inode whose first name came before (known after plan_count). sequence counts from 1.
MUST_USE int plan_rewind(struct plan *p, struct error *err);
MUST_USE int plan_next(struct plan *p, const struct manifest_entry **ret_entry, enum plan_role *ret_role, bool *ret_later,
                       struct error *err);

// After plan_next said *ret_later: the path of that inode's first selected name.
const char *plan_first_name(const struct plan *p);

// Further names, ascending by their first name's sequence; *ret_more false at the end. Paths are borrowed until the next call.
struct plan_link {
    uint64_t first_sequence;
    const char *first, *further; // paths as in the manifest
};
MUST_USE int plan_links_rewind(struct plan *p, struct error *err);
MUST_USE int plan_links_next(struct plan *p, struct plan_link *ret_link, bool *ret_more, struct error *err);

// `path` without its first `strip` components, relative to a target: no slash at the start. NULL when nothing is left (n_left 0). A stream's
// path stays as it is.
const char *plan_strip(const char *path, unsigned strip);

#endif
