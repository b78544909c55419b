// Walking the sources in path order: the entries that exist now, with what the local cache remembers of them.
// Directories are read by descriptor and sorted (through spill-sorted runs where they are large), so memory does not grow with
// the number of files and paths may be of any length. Nothing is opened but directories (and CACHEDIR.TAG, where that counts); symbolic
// links are never followed. What is left out, and why, is decided by bkd/engine/exclude.
#ifndef BKD_ENGINE_SCAN_H
#define BKD_ENGINE_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/error.h"
#include "bkd/base/io.h"
#include "bkd/engine/exclude.h"
#include "bkd/engine/texture.h"
#include "bkd/repo/manifest.h"

// What the source host remembers of an entry beside the manifest.
struct scan_stat {
    uint64_t inode;
    int64_t ctime_s;
    uint32_t ctime_ns;
    enum texture texture; // of what was stored; the scan itself does not know it
};

struct scan_source {
    const char *path; // absolute, normalised
    const char *read_from; // what is read in its place (a snapshot of it), absolute and without links; NULL = itself. All else is told of `path`
    const struct exclude_rules *exclude; // NULL = none
};

// Warm, two threads for each processor are as quick as one; cold, more of them wait for the disk at the same time.
static inline unsigned scan_helpers(unsigned jobs) { return jobs > 4 ? 16 : 4 * jobs; }

struct scan_options {
    const struct scan_source *sources; // any order; none inside another
    size_t n_sources;
    bool one_filesystem;
    int scratch_fd; // directory for spilled listings
    unsigned helpers; // threads that read directories ahead (scan_helpers); 0 = the caller reads all
    const char *only; // absolute: visit only this, what is below it and the directories on the way; NULL = everything
};

struct scan_problem {
    const char *path;
    const char *reason;
};

// One entry: metadata from statx, link target read; content (sha256, at, version, xattr) not set. Borrowed during the call. `parent` = an
// ancestor directory of a source. `blocks_bytes` = space it takes. A non-zero return ends the walk.
typedef int scan_visit_fn(void *arg, const struct manifest_entry *entry, const struct scan_stat *stat, uint32_t links, uint64_t blocks_bytes, struct error *err);
// Something could not be read; the walk goes on. problem->path is absolute.
typedef void scan_problem_fn(void *arg, const struct scan_problem *problem);

// Something is left out: the entry and all below it or, with `stays`, only what the directory holds (its own visit came just before).
struct scan_excluded {
    const char *path; // absolute
    uint32_t source;
    enum manifest_type type;
    uint64_t size;
    struct exclude_verdict verdict;
    bool stays;
};
// A negative return ends the walk.
typedef int scan_excluded_fn(void *arg, const struct scan_excluded *excluded, struct error *err);

struct scan_callbacks {
    scan_visit_fn *visit;
    scan_problem_fn *problem;
    void *arg;
    scan_excluded_fn *excluded; // NULL = nobody wants to know
};

// A source that does not exist is ERROR_NOT_FOUND naming it; one that is a link or a kernel interface is ERROR_USAGE. Without sources nothing is
// visited, not even the root.
MUST_USE int scan_run(const struct io *io, const struct scan_options *options, const struct scan_callbacks *callbacks, struct error *err);

// Fills metadata of an entry from statx (not path, target, source); names by number through the cache.
struct scan_names;
struct scan_names *scan_names_new(void);
void scan_names_free(struct scan_names *names);
struct statx;
void scan_fill_entry(struct scan_names *names, const struct statx *st, struct manifest_entry *entry, struct scan_stat *ret_stat);

// What identifies the file system a source is on: its type, and its id where that is stable over reboots (else 0).
struct scan_filesystem {
    uint64_t type, id;
};
MUST_USE int scan_filesystem(const struct io *io, const char *path, struct scan_filesystem *ret_fs, struct error *err);

#endif
