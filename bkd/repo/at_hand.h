// Bytes of stored files that were fetched before somebody asked for them, so that many who ask one after the other cost the round trips of one. Bounded: what
// came first goes first. Nothing here is authenticated; it is what the store would have answered. Safe for several threads.
#ifndef BKD_REPO_AT_HAND_H
#define BKD_REPO_AT_HAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/store/store.h"

struct at_hand;

// A part of the file that the caller calls `index`.
struct at_hand_part {
    size_t index;
    const char *name; // of the file in the store
    uint64_t offset;
    size_t n;
};

struct at_hand *at_hand_new(struct store *store, size_t max_bytes);
void at_hand_free(struct at_hand *h); // NULL is fine

// Fetches those that are not at hand yet, all together; of more than max_bytes the rest is left out. What cannot be had is left to those who read it.
// *ret_bytes: fetched.
void at_hand_fetch(struct at_hand *h, const struct at_hand_part *parts, size_t n, uint64_t *ret_bytes);

// Drops what is at hand of a file.
void at_hand_forget(struct at_hand *h, size_t index);

// Copies bytes that are at hand, all n of them; false: they are not.
bool at_hand_take(struct at_hand *h, size_t index, uint64_t offset, void *data, size_t n);

#endif
