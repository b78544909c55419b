// Flat ranges: what a piece of a file consists of, with all copies resolved to places in stored objects. Pure.
// A piece's list adds up to the piece's length. Composition: a new piece's commands (copies from the base version, literals from the
// delta member) and the base's lists give the new piece's list, so a restore never follows a chain of versions.
#ifndef BKD_CODEC_RANGES_H
#define BKD_CODEC_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/error.h"
#include "bkd/codec/rdelta.h"

#define RANGES_PIECE_SIZE (16u << 20) // pieces are cut at multiples of this
#define RANGES_PIECE_MAX 4096u        // ranges of one piece; a piece of more is stored whole

// Where bytes are stored. object 0 means zeros (offset 0 then); a struct of all zeros is "no place".
struct place {
    uint32_t object;
    uint64_t offset; // in the object's uncompressed tar stream
    uint64_t length; // bytes
};

struct ranges {
    struct place *items;
    size_t count;
    size_t cap;
};

void ranges_done(struct ranges *r);
void ranges_reset(struct ranges *r);
#define _cleanup_ranges_ __attribute__((cleanup(ranges_done)))
// Appends, merging with the last range where the bytes continue it. length > 0.
void ranges_add(struct ranges *r, const struct place *place);
uint64_t ranges_length(const struct ranges *r);

// The base version, seen as its pieces. piece() gives the flat list of piece `index` (counting from 0; every piece but the last has
// RANGES_PIECE_SIZE bytes), borrowed until the next call. It may read a recipe from disk.
struct ranges_base {
    int (*piece)(void *arg, uint64_t index, const struct place **ret_items, size_t *ret_count, struct error *err);
    void *arg;
    uint64_t size;
};

// Appends to ret_ranges what base bytes [offset, offset + length) consist of. ERROR_FORMAT when they lie outside the base or its lists
// do not add up.
MUST_USE int ranges_slice(const struct ranges_base *base, uint64_t offset, uint64_t length, struct ranges *ret_ranges, struct error *err);

// The flat list of a piece made by `commands`, whose literals lie in the delta member stored at `member` (the member's data).
// *ret_fits false when the list would pass max_count (0: RANGES_PIECE_MAX): then the caller stores the piece whole. ret_ranges must be empty.
MUST_USE int ranges_resolve(const struct ranges_base *base, const struct rdelta_list *commands, const struct place *member, size_t max_count,
                            struct ranges *ret_ranges, bool *ret_fits, struct error *err);

#endif
