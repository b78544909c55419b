// Where a file has data and where it has holes, as the file system tells, kept in a recipe's extents (doc/FORMAT.md section 6).
#ifndef BKD_ENGINE_EXTENTS_H
#define BKD_ENGINE_EXTENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/io.h"
#include "bkd/repo/recipe.h"

// Fills the extents of an open file of that size; none when it has no holes, or the file system does not tell.
void extents_find(const struct io *io, int fd, uint64_t size, struct recipe *recipe);
uint64_t extents_hole_bytes(const struct recipe *recipe, uint64_t size);
// Is this part of the file nothing but holes?
bool extents_is_hole(const struct recipe *recipe, uint64_t offset, uint64_t length);
// The first data in [at, end): [*ret_from, *ret_to), both `end` when there is none.
void extents_next_data(const struct recipe *recipe, uint64_t at, uint64_t end, uint64_t *ret_from, uint64_t *ret_to);
bool extents_equal(const struct recipe *a, const struct recipe *b);
// For a file that turned out shorter.
void extents_cut(struct recipe *recipe, uint64_t size);

#endif
