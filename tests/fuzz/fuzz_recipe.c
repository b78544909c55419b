// Untrusted recipes: refused, or accepted as exactly what is written again.
#include <assert.h>
#include <string.h>

#include "bkd/repo/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_piece(const struct recipe_piece *piece)
{
    struct place scratch;
    const struct place *ranges;
    size_t n;
    uint64_t total = 0;
    recipe_piece_ranges(piece, &scratch, &ranges, &n);
    for (size_t i = 0; i < n; i++)
        total += ranges[i].length;
    assert(total == piece->length && n <= RECIPE_RANGES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    _cleanup_recipe_ struct recipe r = { 0 };
    int rc = recipe_parse((const char *)data, size, &r, &err);
    assert(rc == 0 || rc == ERROR_FORMAT);
    if (rc < 0)
        return 0;
    uint64_t total = 0;
    for (size_t i = 0; i < r.n_pieces; i++) {
        check_piece(&r.pieces[i]);
        total += r.pieces[i].length;
    }
    assert(total == r.size);
    _cleanup_buf_ struct buf again = { 0 };
    recipe_format(&again, &r);
    assert(again.len == size && memcmp(again.data, data, size) == 0);
    return 0;
}
