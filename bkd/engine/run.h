// A backup run while it lasts: what its steps share. Only for the files that make up the run: backup.c (the straight line), run_open.c (the
// repository, what may be built upon, the caches), run_judge.c (the guard against mass changes), run_mark.c (the marker for those who prune) and
// run_commit.c (manifest, refs, head, and what follows the commit).
#ifndef BKD_ENGINE_RUN_H
#define BKD_ENGINE_RUN_H

#include "bkd/codec/sshkey.h"
#include "bkd/engine/backup.h"
#include "bkd/engine/intake.h"
#include "bkd/engine/nights.h"
#include "bkd/engine/objects.h"
#include "bkd/engine/parent.h"
#include "bkd/engine/renew.h"
#include "bkd/engine/state.h"

struct run {
    const struct io *io;
    const struct backup_options *options;
    struct state state;
    bool begun; // what is around the run has begun
    uint8_t cache_key[SEALED_KEY_SIZE];
    struct sshkey signing_key;
    struct repository *repository;
    struct store *store; // borrowed from the repository
    struct parent parent;
    bool has_parent_refs; // what the parent needs could be read
    char *marker; // name of the run's marker in the repository; owned
    uint64_t marked_mono_ns;
    uint64_t records; // files there were at the beginning
    uint64_t started_ns, started_mono_ns;
    struct profile_lap lap; // of the main thread
    struct objects objects;
    struct spill *overlay;
    struct journal *journal;
    struct previous previous;
    struct known *known;
    struct versions versions;
    struct object_writer *writer;
    struct renew renew;
    struct manifest_entry *streams; // one a stream of the options; owned
    struct select_plan *plan;
    struct output output;
    struct intake_stats intake;
    struct bigfile_result manifest;
    struct nights nights; // what earlier runs found
    uint8_t head_sha256[CRYPTO_SHA256_SIZE]; // of the new head
    struct backup_result result;
};

// Opens the state, locked.
MUST_USE int run_lock(struct run *run, struct error *err);
// Opens the repository, the parent's objects, journal and caches. Nothing but the run's marker is written to the repository, and of a dry run not that.
MUST_USE int run_open(struct run *run, struct error *err);
// Marks the run in the repository, before it relies on anything there; anew when it lasts long; no more.
MUST_USE int run_mark(struct run *run, struct error *err);
void run_renew_mark(struct run *run);
void run_unmark(struct run *run);
// ERROR_INTEGRITY: what the run builds on was removed since.
MUST_USE int run_check_parent(const struct run *run, struct error *err);
// Opens the writer of objects, with numbers that were never given before.
MUST_USE int run_open_writer(struct run *run, struct error *err);
// May this snapshot refer to the object? (arg: struct run)
bool run_usable(void *arg, uint32_t object);
// Content of an entry that is unchanged: accounts for it, or says that it cannot be relied on, or is to be stored anew. (arg: struct run)
enum select_verdict run_keep_content(void *arg, const struct manifest_entry *old);
// A writer beside the first, for what is stored anew. (arg: struct run)
MUST_USE int run_open_renewer(void *arg, struct error *err);
// What storing versions needs of the run.
struct bigfile_context run_big_context(struct run *run);
// Closes all but the state.
void run_close(struct run *run);
void run_unlock(struct run *run);

// Ends the objects under way: all that was stored is durable.
MUST_USE int run_finish_writers(struct run *run, struct error *err);
// Stores the manifest, puts refs and head, and keeps the caches for the next run. The snapshot exists when this returned 0.
MUST_USE int run_commit(struct run *run, struct error *err);
// Compares what this run found with what is usual, for the head; and remembers it once that stands.
void run_judge(struct run *run);
void run_remember_night(struct run *run);
// Sums up what was done so far, for the head and for the caller.
void run_fill_result(struct run *run);

#endif
