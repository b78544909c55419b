// For tests of the scan: a tree in a scratch directory, and what a walk through it says, as text.
#ifndef TESTS_ENGINE_WALKWAY_H
#define TESTS_ENGINE_WALKWAY_H

#include "tests/codec/scratch.h"

#include "bkd/engine/scan.h"

struct walkway {
    struct scratch scratch;
    int dirfd;
    char *root; // scratch/tree
    struct scan_source sources[4];
    struct exclude_rules rules; // a test may give them to its sources
    struct scan_options options;
    struct buf entries;  // "PATH TYPE SOURCE[ mount][ excluded]\n", escaped; source "-" for parents
    struct buf problems; // "PATH: REASON\n"
    struct buf excluded; // "PATH REASON RULE\n"
    uint64_t count;
    uint64_t stop_at; // the visit that ends the walk
    size_t longest;
};

int walkway_setup(void **state);
int walkway_teardown(void **state);
MUST_USE int walkway_walk(struct walkway *p, const struct io *io, struct error *err);
void walkway_walk_ok(struct walkway *p);
void walkway_note_problem(void *arg, const struct scan_problem *problem);
// A shell script in the tree; it must succeed.
void walkway_sh(const struct walkway *p, const char *script);
// The lines of `text` that begin with the root's path, without it. Caller frees.
char *walkway_below_root(const struct walkway *p, const struct buf *text);
// What the last walk said of the tree.
void walkway_expect(const struct walkway *p, const char *entries);
void walkway_expect_excluded(const struct walkway *p, const char *excluded);
// Patterns for source 0; the caller frees the set.
struct pattern_set *walkway_exclude(struct walkway *p, const char *const *patterns, size_t n);

#endif
