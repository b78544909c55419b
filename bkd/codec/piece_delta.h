// A piece of a file (up to 16 MiB) against the previous version of the file, from one buffer in one pass.
// Blocks that did not change where they are become copies by comparing tags; what that does not explain is searched for elsewhere when the
// base has a signature; the rest is literal. The result is a complete librsync delta against the *whole* base version.
//
// A file's pieces may be made in parallel and in any order; they share a struct piece_search.
#ifndef BKD_CODEC_PIECE_DELTA_H
#define BKD_CODEC_PIECE_DELTA_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"
#include "bkd/codec/delta.h"
#include "bkd/codec/rdelta.h"

#define PIECE_SIZE (16u << 20)
#define PIECE_TAGS (PIECE_SIZE / 4096u)
#define PIECE_SEARCH_PATIENCE (8u << 20) // bytes searched in vain (at least 8 signature blocks) before only samples are searched:
#define PIECE_SEARCH_SAMPLE (1u << 20)   // of each further piece a sixteenth of what is unexplained in it, at most this (at least 2 blocks)

enum piece_class {
    PIECE_SAME = 1, // exactly as the base's piece at this place
    PIECE_WHOLE,    // nothing, or too little to be worth it, comes from the base: store the bytes
    PIECE_DELTA,    // `delta` and `commands` are set
};

// The search of one file, shared by its pieces: gives up early where nothing matches, since rolling over data that matches nothing is slower than
// all else. Each byte searched in vain counts, and samples become smaller with their sum; each byte found pays for 64 of them.
struct piece_search {
    struct delta_search *search; // borrowed; NULL: none
    uint64_t missed;             // accessed atomically
};

struct piece_input {
    const uint8_t *data;
    uint32_t length;        // 1..PIECE_SIZE
    uint64_t offset;        // of the piece in the file, a multiple of PIECE_SIZE
    uint64_t base_size;     // of the whole base version
    const uint8_t *tags;    // of `data` (sameplace_hash with the base's key)
    const uint8_t *base_tags; // of the base's piece at this place: all its blocks; NULL: none (a piece beyond the base's end has none either)
    const uint8_t *zero_tag, *zero_entry; // of a block of zeros, for piece_delta_signature: the tag, and the entry in a signature of its block size; NULL: not known
};

// Reusable; memory is kept between pieces.
struct piece_output {
    enum piece_class class;
    struct buf delta;            // PIECE_DELTA: complete
    struct rdelta_list commands; // PIECE_DELTA: literals' offsets are within `delta`
    uint64_t copied_bytes;       // explained by the base, for statistics
    uint64_t literal_bytes;
};

void piece_output_done(struct piece_output *o);
#define _cleanup_piece_output_ __attribute__((cleanup(piece_output_done)))

// Classifies and, for PIECE_DELTA, writes the delta. search may be NULL. A delta explains at least a sixteenth of the piece and has at most
// RANGES_PIECE_MAX commands. Errors come from librsync only.
MUST_USE int piece_delta_make(const struct piece_input *in, struct piece_search *search, struct piece_output *ret_output, struct error *err);

// Signature entries of a piece: copied from base_entries where every 4 KiB block of a signature block is unchanged at the same place (base_entries
// are those of the base's signature blocks at this place, made with the same block size; NULL: none), those of zeros where all tags say so, computed
// otherwise. Appends to `out`.
MUST_USE int piece_delta_signature(const struct piece_input *in, uint32_t block_size, const uint8_t *base_entries, struct buf *out, struct error *err);

#endif
