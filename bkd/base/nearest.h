// The valid word nearest to what somebody typed, for "did you mean" in errors. Pure.
//
//   struct nearest n = nearest_to("excludes");
//   for each valid word: nearest_offer(&n, word);
//   if (n.best) …
#ifndef BKD_BASE_NEAREST_H
#define BKD_BASE_NEAREST_H

#include <stddef.h>

struct nearest {
    const char *typed;
    const char *best; // NULL while nothing offered is near enough
    size_t distance;  // of best
};

struct nearest nearest_to(const char *typed);
// Keeps `word` when it is nearer than what was offered before and near enough to be meant: at most one edit for three
// letters typed (at least one), or `typed` is a beginning of it, two letters or more. `word` must outlive the struct.
void nearest_offer(struct nearest *nearest, const char *word);
// Optimal string alignment distance (insert, delete, replace, swap of neighbours); words beyond 63 bytes are "far".
size_t nearest_distance(const char *a, const char *b);

#endif
