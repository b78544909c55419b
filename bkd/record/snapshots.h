// Snapshots of each policy, as their heads say, and in which copies each one is.
#ifndef BKD_RECORD_SNAPSHOTS_H
#define BKD_RECORD_SNAPSHOTS_H

#include "bkd/record/catalogue.h"

struct snapshot_record {
    int64_t id;
    const char *policy;
    const char *chain; // 32 hex digits
    uint64_t number;
    uint64_t time_ns; // when it was begun
    const char *host;
    const char *head_sha256; // 64 hex digits; "" = unknown
    const char *tag;         // "" = none
    uint64_t files, bytes_source, bytes_stored;
    bool is_incomplete, is_suspect;
    int64_t run; // that made it; 0 = unknown
};

// Adds the snapshot (policy, chain, number), or brings what is known of it up to date; a run that is known stays known. `id` is ignored; NULL strings are "".
// ret_id may be NULL.
MUST_USE int snapshots_add(struct catalogue *c, const struct snapshot_record *snapshot, int64_t *ret_id, struct error *err);
// The id of the snapshot a run made. ERROR_NOT_FOUND.
MUST_USE int snapshots_of_run(struct catalogue *c, int64_t run, int64_t *ret_id, struct error *err);
MUST_USE int snapshots_set_suspect(struct catalogue *c, int64_t id, bool is_suspect, struct error *err);

// Strings are valid during the visit only. A visit that returns non-zero ends the listing with that value.
typedef int snapshots_visit_fn(void *arg, const struct snapshot_record *snapshot, struct error *err);
// Of a policy: the newest first, at most `limit` (0 = all).
MUST_USE int snapshots_list(struct catalogue *c, const char *policy, uint64_t limit, snapshots_visit_fn *visit, void *arg, struct error *err);

// The highest number of a chain that is known; 0 = none.
MUST_USE int snapshots_highest(struct catalogue *c, const char *policy, const char *chain, uint64_t *ret_number, struct error *err);

// A snapshot is in a copy since then; said again, the first time counts. / It is not any more (pruned there, or lost).
MUST_USE int snapshots_arrived(struct catalogue *c, int64_t snapshot, int64_t copy, uint64_t arrived_ns, struct error *err);
// The same for all of a chain up to `number` of which nothing is known there yet.
MUST_USE int snapshots_arrived_up_to(struct catalogue *c, const char *policy, const char *chain, uint64_t number, int64_t copy, uint64_t arrived_ns, struct error *err);
MUST_USE int snapshots_gone(struct catalogue *c, int64_t snapshot, int64_t copy, struct error *err);

// Where a snapshot is, or was: gone_ns 0 = it is there. url and serial as in copies.h.
typedef int snapshots_place_fn(void *arg, int64_t copy, const char *url, const char *serial, uint64_t arrived_ns, uint64_t gone_ns, struct error *err);
MUST_USE int snapshots_places(struct catalogue *c, int64_t snapshot, snapshots_place_fn *visit, void *arg, struct error *err);

#endif
