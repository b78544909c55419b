// Versions of paths over many snapshots: each snapshot's matching entries are collected, sorted by path, and equal ones of consecutive snapshots
// become one version. Memory does not grow with entries or snapshots: records go through sorted runs on disk.
//
// finder_init → finder_add for each snapshot of a chain, ascending, chain after chain → finder_sort → finder_next until there is none.
#ifndef BKD_RESTORE_FINDER_H
#define BKD_RESTORE_FINDER_H

#include "bkd/base/pattern.h"
#include "bkd/base/spill.h"
#include "restore/plan.h"

struct finder {
    const struct io *io;
    int scratch_dirfd;               // borrowed
    const struct pattern_set *names; // an entry is found when they match its own path; borrowed
    struct selection *selection;     // the same patterns, so that only parts of manifests are read; borrowed
    int64_t newer_s, older_s;        // only entries whose time is after, before; INT64_MIN, INT64_MAX = all
    struct spill *records;
    uint64_t ordinal; // of the snapshot at hand: the caller counts, also those that cannot be read, and leaves a gap between chains
    struct buf ahead, given; // the record read last, and the one behind the version given last
};

// A version of a path; the strings are borrowed until the next call.
struct finder_version {
    const char *path;
    size_t path_len;
    uint8_t chain[16];
    uint64_t first, last, snapshots; // numbers of the oldest and newest snapshot that have it, and how many do
    uint64_t first_time_ns, last_time_ns;
    enum manifest_type type;
    uint64_t size;
    int64_t mtime_s;
    uint32_t mtime_ns;
    bool has_sha256;
    uint8_t sha256[32]; // of the content; of a symbolic link, of its target
};

void finder_init(struct finder *f, const struct io *io, int scratch_dirfd, const struct pattern_set *names, struct selection *selection);
void finder_done(struct finder *f);

MUST_USE int finder_add(struct finder *f, struct snapshot *snapshot, struct error *err);
MUST_USE int finder_sort(struct finder *f, struct error *err);
// By path, the newest version first; *ret_more false at the end.
MUST_USE int finder_next(struct finder *f, struct finder_version *ret_version, bool *ret_more, struct error *err);

#endif
