// Recipes: how a version of a file is put together (doc/FORMAT.md section 6).
// Memory is proportional to pieces and ranges of one file: 4096 ranges a piece at most, RECIPE_TEXT_MAX in all.
#ifndef BKD_REPO_RECIPE_H
#define BKD_REPO_RECIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"
#include "bkd/repo/place.h"

#define RECIPE_PIECE_SIZE (16u << 20)
#define RECIPE_RANGES_MAX 4096u  // a piece
#define RECIPE_PIECES_MAX (1u << 20) // 16 TiB
#define RECIPE_TEXT_MAX (512u << 20)
#define RECIPE_CHAIN_MAX 64u

enum recipe_kind { RECIPE_WHOLE = 1, RECIPE_DELTA, RECIPE_SAME, RECIPE_HOLE };

struct recipe_piece {
    enum recipe_kind kind;
    uint32_t length;
    uint8_t sha256[32];
    struct place member;  // whole, delta
    struct place *ranges; // delta, same: flat, lengths add up to `length`; owned by the recipe
    uint32_t n_ranges;
};

struct recipe_extent {
    uint64_t offset, length;
};

struct recipe_index {
    uint64_t offset; // in the manifest
    char *path;      // raw, NUL-terminated
};

struct recipe {
    uint8_t id[16];
    uint64_t size;
    bool has_sha256; // of the whole file; false for files that are mostly holes ("sha256 -")
    uint8_t sha256[32];
    bool has_base;
    uint8_t base_id[16];
    struct place base; // place of the base's recipe text
    uint32_t chain;
    struct recipe_extent *extents; // stb-style growable arrays: use the recipe_add_* functions
    size_t n_extents;
    struct recipe_piece *pieces;
    size_t n_pieces;
    struct recipe_index *index;
    size_t n_index;
};

void recipe_done(struct recipe *r);
#define _cleanup_recipe_ __attribute__((cleanup(recipe_done)))

struct recipe_piece *recipe_add_piece(struct recipe *r); // zeroed; valid until the next add
void recipe_add_extent(struct recipe *r, uint64_t offset, uint64_t length);
// The first extent that ends behind offset; n_extents when there is none.
size_t recipe_extent_at(const struct recipe *r, uint64_t offset);
void recipe_add_index(struct recipe *r, uint64_t offset, const char *path, size_t n);
// The flat content of one piece whatever its kind: *ret_ranges borrowed (for whole and hole it points to *scratch).
void recipe_piece_ranges(const struct recipe_piece *piece, struct place *scratch, const struct place **ret_ranges, size_t *ret_n);

void recipe_format(struct buf *out, const struct recipe *r);
// Checks everything that can be checked without data: lengths add up, limits hold, kinds have what they need. ERROR_FORMAT.
MUST_USE int recipe_parse(const char *text, size_t n, struct recipe *ret_recipe, struct error *err);

#endif
