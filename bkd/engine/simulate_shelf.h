// The kept snapshots of a simulation, and the distinct data in them. For simulate.c and what it drives.
#ifndef BKD_ENGINE_SIMULATE_SHELF_H
#define BKD_ENGINE_SIMULATE_SHELF_H

#include "bkd/engine/simulate.h"

#define SIMULATE_START_NS (UINT64_C(1767225600) * 1000000000) // 2026-01-01
#define SIMULATE_NIGHT_NS (UINT64_C(86400) * 1000000000)

// Data that died is in the kept snapshots as long as one of them was made while it lived. It stands in the row of the oldest of these; when that goes, it
// moves to the next one's row, or goes as well.
struct simulate_shelf {
    size_t nights, now;     // the newest snapshot is that of the night `now`
    bool *kept;             // by night
    uint64_t *condemned_ns; // by night: since when the rules do not keep it; 0 = they do
    uint64_t **rows;        // by night: bytes by the night they were dead; NULL = none
    size_t *next_kept;      // by night: the oldest kept one not before it; nights = none
    uint64_t dead_bytes;    // distinct, of all rows
};

void simulate_shelf_init(struct simulate_shelf *shelf, size_t nights);
void simulate_shelf_done(struct simulate_shelf *shelf);
// The snapshot of this night exists.
void simulate_shelf_add(struct simulate_shelf *shelf, size_t night);
// Before the snapshot of the night `death` is made: data first in the one of `birth` is in it no more.
void simulate_shelf_kill(struct simulate_shelf *shelf, size_t birth, size_t death, uint64_t bytes);
// Is there a kept snapshot of the nights from `first` to `last`?
bool simulate_shelf_holds(const struct simulate_shelf *shelf, size_t first, size_t last);
// Removes what the rules do not keep and has had its time of grace. Returns how many are kept.
size_t simulate_shelf_prune(struct simulate_shelf *shelf, const struct simulate_rules *rules);

// One kind of source each.
struct simulate_tree;
struct simulate_tree *simulate_tree_new(const struct simulate_source *source, uint64_t seed);
void simulate_tree_free(struct simulate_tree *tree);
void simulate_tree_backup(struct simulate_tree *tree, const struct simulate_rules *rules, struct simulate_shelf *shelf, size_t night, struct simulate_night *figures);
uint64_t simulate_tree_stored(struct simulate_tree *tree, const struct simulate_shelf *shelf); // what is in no kept snapshot is forgotten

struct simulate_image;
struct simulate_image *simulate_image_new(const struct simulate_source *source, uint64_t seed, size_t nights);
void simulate_image_free(struct simulate_image *image);
void simulate_image_backup(struct simulate_image *image, const struct simulate_rules *rules, struct simulate_shelf *shelf, size_t night, struct simulate_night *figures);
uint64_t simulate_image_stored(struct simulate_image *image, const struct simulate_shelf *shelf);

// Repeatable: a number from 0 up to 1.
double simulate_random(uint64_t *state);

#endif
