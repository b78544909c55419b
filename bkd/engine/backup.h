// One backup run, from sources to a committed snapshot, the same whether a person, cron or a daemon starts it:
// lock → open the repository, find the parent snapshot → scan and select → read, compare, store → manifest → refs → head = commit → local caches.
// Whatever fails before the head leaves the repository with what it had; what was stored by then is found again by the next run.
#ifndef BKD_ENGINE_BACKUP_H
#define BKD_ENGINE_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/io.h"
#include "bkd/base/profile.h"
#include "bkd/codec/age.h"
#include "bkd/engine/masschange.h"
#include "bkd/engine/scan.h"
#include "bkd/engine/stream.h"
#include "bkd/store/store.h"

struct backup_result;

// What the caller does around the work, while the policy's lock is held.
struct backup_around {
    // Before the repository and the sources are looked at; may still set scan_source.read_from. A failure is the run's.
    int (*begin)(void *arg, struct error *err);
    // The snapshot is committed, and its store still open: for what belongs beside it, and would else have to connect once more. NULL = nothing.
    void (*committed)(void *arg, struct store *store);
    // Whenever begin was called, when repository and sources are closed: r and err are how the run ended, the result is as far as it came.
    void (*end)(void *arg, int r, const struct backup_result *result, const struct error *err);
    void *arg;
};

// A night stores little, and keeps it for long: there is time to compress it better. One that stores a lot must be over as soon as a first backup.
#define BACKUP_NIGHT_LEVEL 3
#define BACKUP_NIGHT_BYTES (1ull << 30)

struct backup_options {
    const char *state_dir;
    const char *policy; // label
    const char *host;   // label
    const char *repository; // URL or directory
    const struct store_access *access; // for a repository on a server
    const char *signers;    // text of allowed_signers
    const void *signing_key; // bytes of an OpenSSH private key file
    size_t signing_key_len;
    const struct age_recipient *recipients; // n_recipients 0: encryption none
    size_t n_recipients;
    const struct scan_source *sources;
    size_t n_sources;
    const struct stream_source *streams; // in the order of their names
    size_t n_streams;
    bool one_filesystem;
    bool compare_inode;
    int compression_level;
    int night_level; // of the first BACKUP_NIGHT_BYTES that a snapshot after another one stores; 0 = the same
    uint64_t delta_min_size;   // 0 = auto
    uint32_t delta_block_size; // 0 = auto
    uint32_t delta_max_chain;
    uint32_t delta_max_share_percent;
    // Unchanged files in objects of which less than this share is in use are stored anew, see bkd/engine/renewal.h; 0 = none.
    uint32_t renewal_min_live_percent;
    uint32_t renewal_budget_percent; // of the bytes of the source, in one run
    uint64_t renewal_budget_bytes;   // instead of the share, when not 0
    unsigned jobs;             // 0 = processors
    bool accept_source_change; // a source that became empty or is another file system now is meant so
    struct masschange_limits guard;
    bool dry_run;              // only say what would be read
    const char *tag;           // NULL = none
    // Called now and then, in the calling thread. total is known after the scan; phase: "scan", "read", "commit".
    void (*progress)(void *arg, const char *phase, uint64_t bytes, uint64_t total_bytes, uint64_t files, uint64_t total_files);
    scan_problem_fn *problem;
    stream_said_fn *said; // NULL = not wanted
    void *arg;
    bool (*interrupted)(void); // somebody wants the run to end; may be NULL
    const struct backup_around *around; // NULL = nothing
    struct profile *profile; // where the time goes is added here; NULL = nobody asks
};

struct backup_result {
    uint64_t snapshot;
    uint64_t time_ns; // as its head says
    uint8_t chain[16], head_sha256[32];
    uint64_t files, entries, changed_files, moved_files, gone_files;
    uint64_t bytes_source, bytes_read, bytes_stored;
    uint64_t objects;
    uint64_t renewed_files, renewed_bytes; // unchanged, and stored anew
    uint64_t differing_files; // unchanged by size, times and inode, but not what was stored: the stored content stays
    uint64_t streams; // among the files; of a dry run beside them
    uint64_t unstable_files, skipped;
    uint64_t vanished;        // files that disappeared between scan and read
    uint64_t touched_files;   // whose access time was changed by reading, because they are not ours
    uint64_t excluded[EXCLUDE_REASONS]; // left out by rule, see bkd/engine/exclude.h
    uint64_t damaged_objects; // of earlier snapshots, missing or of another size: nothing new refers to them
    uint64_t duration_ns, scan_ns, read_ns, commit_ns;
    bool complete;
    uint64_t store_free, store_total; // room at the repository after the commit; both 0 = it does not tell
    int64_t store_clock_off_ns;       // the clock of the place against ours: positive is ahead; 0 = it does not tell
    struct masschange_night night; // what the guard against mass changes looked at; night.suspect: the snapshot is marked so
    char suspect_reason[MASSCHANGE_REASON_MAX];
    bool resumed; // went on where a cut-off run was
};

// 0 also when the snapshot is incomplete (result->complete false). Errors: see enum error_code; ERROR_BUSY when locked, ERROR_INTEGRITY when the
// repository is not what this host left (rolled back, forked, cloned), ERROR_NOT_FOUND when a source or the repository is missing.
MUST_USE int backup_run(const struct io *io, const struct backup_options *options, struct backup_result *ret_result, struct error *err);

#endif
