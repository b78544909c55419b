// Of which snapshots a store no longer keeps, or never had, the data: what signed records say of this store (doc/FORMAT.md section 3.4).
//
// A tombstone gives snapshots up; their data may go after the time it names. A revival takes that back for the snapshots and tombstones it names. An absence
// says that data never got here. Heads always stay. So what a store must have is: of every valid head the refs and objects, less what stands here; what is
// missing beyond that was removed by somebody else.
#ifndef BKD_REPO_TOMBSTONES_H
#define BKD_REPO_TOMBSTONES_H

#include "bkd/repo/records.h"
#include "bkd/store/store_id.h"

struct tombstone {
    uint8_t chain[16];
    uint64_t number;
    uint8_t head[32];
    bool absent;        // the data never got here
    uint64_t time_ns;   // when it was given up
    uint64_t after_ns;  // no data goes before; of an absence 0
    uint8_t sha256[32]; // of the record's file
    uint8_t signer[32]; // whose record of this number it is
    uint64_t record;
};

struct tombstones {
    bool has_store;
    uint8_t store[STORE_ID_SIZE];
    struct tombstone *items; // those that stand, sorted by chain, number and `after_ns`; owned
    size_t n;
};

// What the records say of this store.
void tombstones_collect(const struct records *records, const uint8_t store[STORE_ID_SIZE], struct tombstones *ret_tombstones);
// The same for the store of an open repository; one that has no name yet has none, and its records are not read.
MUST_USE int tombstones_load(const struct repository *r, struct tombstones *ret_tombstones, struct error *err);
void tombstones_done(struct tombstones *t);
#define _cleanup_tombstones_ __attribute__((cleanup(tombstones_done)))

// What stands of exactly this snapshot, or NULL.
const struct tombstone *tombstones_of(const struct tombstones *t, const struct repository_head *head);
// The tombstone that gives it up, or NULL. No absence is one: the key of the host that is backed up may sign those, and what it says removes nothing.
const struct tombstone *tombstones_giving_up(const struct tombstones *t, const struct repository_head *head);
// May the data of this snapshot be missing at this time?
bool tombstones_excuse(const struct tombstones *t, const struct repository_head *head, uint64_t now_ns);

// Appends why a snapshot's data is not here ("it was removed by rule: given up …"), when that is so by now; false and nothing when it is not.
bool tombstones_explain(const struct tombstones *t, const struct repository_head *head, uint64_t now_ns, struct buf *out);

#endif
