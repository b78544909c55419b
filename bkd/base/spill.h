// Sorting more records than memory holds: records are collected, sorted runs go to unlinked scratch files, and are merged when read.
// Memory is `memory_bytes` plus a buffer per run. Equal records keep the order in which they were added.
// Usual order: spill_new; spill_add …; spill_sort; spill_next …; spill_free.
#ifndef BKD_BASE_SPILL_H
#define BKD_BASE_SPILL_H

#include <stddef.h>
#include <stdint.h>

#include "bkd/base/error.h"
#include "bkd/base/io.h"

#define SPILL_RECORD_MAX (2u << 20)

struct spill;

typedef int spill_compare_fn(const void *a, size_t a_len, const void *b, size_t b_len);

// Scratch files are made (and at once unlinked) in the directory `dirfd` (borrowed).
struct spill *spill_new(const struct io *io, int dirfd, spill_compare_fn *compare, size_t memory_bytes);
void spill_free(struct spill *s);
void free_spillp(struct spill **s);
#define _cleanup_spill_ __attribute__((cleanup(free_spillp)))

MUST_USE int spill_add(struct spill *s, const void *record, size_t n, struct error *err);
uint64_t spill_count(const struct spill *s);
// Ends adding. May be called again to read from the beginning.
MUST_USE int spill_sort(struct spill *s, struct error *err);
// *ret_record is borrowed until the next call, NULL at the end.
MUST_USE int spill_next(struct spill *s, const void **ret_record, size_t *ret_len, struct error *err);

#endif
