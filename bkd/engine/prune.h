// Giving snapshots up and removing their data, in two phases (doc/FORMAT.md section 3.4, and 8 "Removing"):
//
//   prune_plan    → which snapshots of a chain stay in this store, and why (bkd/engine/keep.h); nothing is written
//   prune_give_up → a signed tombstone for what may go and is not given up yet; a revival for what is and stays now
//   prune_remove  → data of what was given up, when the time its tombstone names has come and the plan, made anew, still says so
//
// Removed are the objects that only such snapshots need, then their refs: an object that refs of any other snapshot of any chain name stays, and so do the
// newest snapshot of each chain and what runs under way build on. Heads stay for ever. Cut off anywhere, the next prune finishes. Objects that no snapshot
// needs (runs that were killed left them) go when they are a week old, by this host's clock and by when the last head arrived, and nobody is at work.
#ifndef BKD_ENGINE_PRUNE_H
#define BKD_ENGINE_PRUNE_H

#include "bkd/codec/sshkey.h"
#include "bkd/engine/keep.h"
#include "bkd/repo/records.h"
#include "bkd/repo/tombstones.h"

struct prune_options {
    const struct repository *repository; // the store that is pruned; heads verified
    const struct repository *home;       // of a copy: where its records come from, whose holds and suspects count as well; NULL = itself
    const char *signers;                 // text of allowed_signers
    uint8_t chain[16];
    const struct keep_rules *rules; // NULL: what tombstones say is done, and no more
    struct keep_clock clock;
    uint64_t verified;    // number of a snapshot that is known to be verified, beside those that signed proofs name; 0 = none
    bool trust_receipts;  // the store's file times of heads and records say when they were received
    uint64_t min_grace_s; // then: a tombstone must have been here for so long, whatever time it names
    bool (*interrupted)(void); // asked between removals; NULL = never
    void (*progress)(void *arg, uint64_t files, uint64_t bytes); // of what was removed since the last call; NULL = not wanted
    void *arg;
};

// How a snapshot stands in this store.
struct prune_item {
    const struct repository_head *head;
    struct keep_snapshot keep;         // what was decided; of one that is gone all zero but the number
    const struct tombstone *tombstone; // borrowed; NULL: it is not given up
    bool gone;                         // its data is not here (any more)
    bool half;                         // a prune that was cut off has removed some of it: nothing keeps the rest
    uint64_t due_ns;                   // when the data of what is given up may go
    bool due;                          // its data goes now
};

struct prune_plan {
    struct records records, home_records;
    struct tombstones tombstones;
    struct prune_item *items; // valid heads of the chain, ascending
    size_t n;
    struct keep_result keep;
    size_t gone, to_give_up, to_revive, due, waiting; // waiting: given up, and not due yet
    uint64_t next_due_ns;                              // when the first of those waiting is; 0 = none waits
};

// ERROR_INTEGRITY: data of a snapshot is missing that nobody gave up; nothing may be removed before it is known why.
MUST_USE int prune_plan(const struct prune_options *options, struct prune_plan *ret_plan, struct error *err);
void prune_plan_done(struct prune_plan *plan);
#define _cleanup_prune_plan_ __attribute__((cleanup(prune_plan_done)))

// Is this a time to give up or remove anything? ERROR_FAILED with the next step when the clock is behind the newest snapshot or record, or so far ahead of
// it (a year) that it is more likely wrong than right; clock_is_right: a person says so.
MUST_USE int prune_check_clock(const struct prune_options *options, const struct prune_plan *plan, bool clock_is_right, struct error *err);

struct prune_giving {
    const struct sshkey *key;            // the retention key
    uint64_t grace_s;
    const char *by, *reason;
};
// The records go to `home`, whence they are shipped; the store gets its name when it has none. Afterwards the plan is to be made anew.
MUST_USE int prune_give_up(const struct prune_options *options, const struct prune_plan *plan, const struct prune_giving *giving, struct error *err);

struct prune_removed {
    uint64_t snapshots, objects, bytes;    // of what was given up
    uint64_t left_objects, left_bytes;     // that no snapshot needed
    bool refused;                          // the place does not let files be removed: `why` is what it answered
    struct error why;
};
// *ret_removed also after a failure. `refused` is none.
MUST_USE int prune_remove(const struct prune_options *options, const struct prune_plan *plan, struct prune_removed *ret_removed, struct error *err);

#endif
