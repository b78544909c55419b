// What retention and renewal make of a repository in many nights, without storing a byte. Pure: the same input gives the same figures. It decides with the
// very functions that a backup and a prune use (renewal, ancestry, the rules of retention), and where the defaults come from.
//
// The source is a tree of many equal files, each changed as a whole, or one image of which blocks change in place, scattered. Every night one snapshot; then
// retention and, the night after, renewal. Data counts as it is, neither compressed nor found twice.
#ifndef BKD_ENGINE_SIMULATE_H
#define BKD_ENGINE_SIMULATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/engine/ancestry.h"
#include "bkd/engine/renewal.h"

#define SIMULATE_NIGHTS_MAX 3660u
#define SIMULATE_FILES 32768u      // of a tree
#define SIMULATE_OBJECT_FILES 512u // that one object holds

// What is backed up.
struct simulate_source {
    bool is_image;
    uint64_t bytes;
    double change_share;    // of the bytes, each night
    double hot_share;       // of the files: these take hot_changes of all changes; 0 = all files alike
    double hot_changes;
};

// Which of n snapshots, made at these times (ascending), stay at the time `now`: sets keep[i].
typedef void simulate_keep_fn(void *arg, const uint64_t *times_ns, size_t n, uint64_t now_ns, bool *keep);

struct simulate_rules {
    simulate_keep_fn *keep;
    void *keep_arg;
    uint64_t grace_ns;           // between being condemned and being removed
    struct renewal_rule renewal;
    struct ancestry_limits ancestry;
};

// After one night.
struct simulate_night {
    uint64_t stored_bytes;  // in all objects there are
    uint64_t unique_bytes;  // distinct data of the snapshots that are kept
    uint64_t written_bytes; // by this night's run; what goes over the line to a copy
    uint64_t renewed_bytes; // of these stored anew
    size_t snapshots;       // kept
};

// Fills one element a night; nights: 1 to SIMULATE_NIGHTS_MAX.
void simulate_run(const struct simulate_source *source, const struct simulate_rules *rules, size_t nights, uint64_t seed, struct simulate_night *ret_nights);

#endif
