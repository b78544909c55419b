#include "bkd/repo/recipe.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/repo/lines.h"
#include "bkd/repo/manifest.h"

static const char *const kind_names[] = {
    [RECIPE_WHOLE] = "whole", [RECIPE_DELTA] = "delta", [RECIPE_SAME] = "same", [RECIPE_HOLE] = "hole"
};

void recipe_done(struct recipe *r)
{
    for (size_t i = 0; i < r->n_pieces; i++)
        free(r->pieces[i].ranges);
    for (size_t i = 0; i < r->n_index; i++)
        free(r->index[i].path);
    free(r->pieces);
    free(r->extents);
    free(r->index);
    *r = (struct recipe){ 0 };
}

// Room for one more: arrays double whenever their count is a power of two.
static void *grown(void *items, size_t count, size_t size)
{
    if ((count & (count - 1)) != 0)
        return items;
    return xrealloc(items, (count == 0 ? 1 : 2 * count) * size);
}

struct recipe_piece *recipe_add_piece(struct recipe *r)
{
    r->pieces = grown(r->pieces, r->n_pieces, sizeof *r->pieces);
    struct recipe_piece *piece = &r->pieces[r->n_pieces++];
    *piece = (struct recipe_piece){ 0 };
    return piece;
}

void recipe_add_extent(struct recipe *r, uint64_t offset, uint64_t length)
{
    r->extents = grown(r->extents, r->n_extents, sizeof *r->extents);
    r->extents[r->n_extents++] = (struct recipe_extent){ offset, length };
}

size_t recipe_extent_at(const struct recipe *r, uint64_t offset)
{
    size_t low = 0, high = r->n_extents;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->extents[middle].offset + r->extents[middle].length <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void recipe_add_index(struct recipe *r, uint64_t offset, const char *path, size_t n)
{
    r->index = grown(r->index, r->n_index, sizeof *r->index);
    r->index[r->n_index++] = (struct recipe_index){ offset, xstrndup(path, n) };
}

void recipe_piece_ranges(const struct recipe_piece *piece, struct place *scratch, const struct place **ret_ranges, size_t *ret_n)
{
    switch (piece->kind) {
    case RECIPE_WHOLE:
        *scratch = piece->member;
        break;
    case RECIPE_HOLE:
        *scratch = (struct place){ .length = piece->length };
        break;
    case RECIPE_DELTA:
    case RECIPE_SAME:
        *ret_ranges = piece->ranges;
        *ret_n = piece->n_ranges;
        return;
    }
    *ret_ranges = scratch;
    *ret_n = 1;
}

// ---- writing

static void add_hash(struct buf *out, bool has, const uint8_t *sha256)
{
    if (has)
        buf_add_hex(out, sha256, 32);
    else
        buf_add_char(out, '-');
}

static void format_piece(struct buf *out, const struct recipe_piece *piece)
{
    buf_addf(out, "piece %s %u ", kind_names[piece->kind], piece->length);
    buf_add_hex(out, piece->sha256, sizeof piece->sha256);
    buf_add_char(out, ' ');
    if (place_is_set(&piece->member))
        place_format(out, &piece->member);
    else
        buf_add_char(out, '-');
    buf_add_char(out, '\n');
    if (piece->kind != RECIPE_DELTA && piece->kind != RECIPE_SAME)
        return;
    buf_add_str(out, "ranges");
    for (uint32_t i = 0; i < piece->n_ranges; i++) {
        buf_add_char(out, ' ');
        place_format(out, &piece->ranges[i]);
    }
    buf_add_char(out, '\n');
}

void recipe_format(struct buf *out, const struct recipe *r)
{
    buf_add_str(out, "bkd-recipe/1\nid ");
    buf_add_hex(out, r->id, sizeof r->id);
    buf_addf(out, "\nsize %llu\nsha256 ", (unsigned long long)r->size);
    add_hash(out, r->has_sha256, r->sha256);
    buf_add_str(out, "\nbase ");
    if (r->has_base) {
        buf_add_hex(out, r->base_id, sizeof r->base_id);
        buf_add_char(out, ' ');
        place_format(out, &r->base);
    } else {
        buf_add_str(out, "- -");
    }
    buf_addf(out, "\nchain %u\n", r->chain);
    for (size_t i = 0; i < r->n_extents; i++)
        buf_addf(out, "extent %llu+%llu\n", (unsigned long long)r->extents[i].offset, (unsigned long long)r->extents[i].length);
    for (size_t i = 0; i < r->n_pieces; i++)
        format_piece(out, &r->pieces[i]);
    for (size_t i = 0; i < r->n_index; i++) {
        buf_addf(out, "index %llu ", (unsigned long long)r->index[i].offset);
        manifest_escape(out, r->index[i].path, strlen(r->index[i].path));
        buf_add_char(out, '\n');
    }
}

// ---- reading

static bool is_dash(const char *word, size_t n) { return n == 1 && word[0] == '-'; }

static bool parse_hash_or_dash(const char *value, size_t n, bool *ret_has, uint8_t ret_sha256[32])
{
    if (is_dash(value, n))
        return true;
    *ret_has = lines_hex(&value, &n, ret_sha256, 32) && lines_no_more(value);
    return *ret_has;
}

static bool parse_base(struct recipe *r, const char *value, size_t n)
{
    if (n == 3 && memcmp(value, "- -", 3) == 0)
        return true;
    r->has_base = true;
    return lines_hex(&value, &n, r->base_id, sizeof r->base_id) && lines_place(&value, &n, &r->base) && lines_no_more(value) &&
           r->base.object != 0;
}

static int parse_first_lines(struct lines *l, struct recipe *r, struct error *err)
{
    const char *value;
    size_t n;
    uint64_t number;
    if (!lines_take(l, "bkd-recipe/1", &value, &n) || !lines_no_more(value))
        return lines_expected(l, "first line (bkd-recipe/1)", err);
    if (!lines_take(l, "id", &value, &n) || !lines_hex(&value, &n, r->id, sizeof r->id) || !lines_no_more(value))
        return lines_expected(l, "id", err);
    if (!lines_take(l, "size", &value, &n) || !lines_u64(&value, &n, (uint64_t)RECIPE_PIECES_MAX * RECIPE_PIECE_SIZE, &r->size) ||
        !lines_no_more(value))
        return lines_expected(l, "size", err);
    if (!lines_take(l, "sha256", &value, &n) || !parse_hash_or_dash(value, n, &r->has_sha256, r->sha256))
        return lines_expected(l, "sha256", err);
    if (!lines_take(l, "base", &value, &n) || !parse_base(r, value, n))
        return lines_expected(l, "base", err);
    if (!lines_take(l, "chain", &value, &n) || !lines_u64(&value, &n, RECIPE_CHAIN_MAX, &number) || !lines_no_more(value) ||
        (r->has_base ? number < 2 : number != 1))
        return lines_expected(l, "chain", err);
    r->chain = (uint32_t)number;
    return 0;
}

static bool parse_extent(struct recipe *r, const char *value, size_t n)
{
    const char *plus = n == 0 ? NULL : memchr(value, '+', n);
    uint64_t offset, length;
    if (plus == NULL || !parse_u64(value, (size_t)(plus - value), r->size, &offset) ||
        !parse_u64(plus + 1, (size_t)(value + n - plus - 1), r->size - offset, &length))
        return false;
    if (r->n_extents > 0) {
        const struct recipe_extent *before = &r->extents[r->n_extents - 1];
        if (before->length == 0 || offset < before->offset + before->length)
            return false;
    }
    // "<size>+0", alone, says that everything is a hole.
    if (length == 0 && (r->n_extents > 0 || offset != r->size))
        return false;
    recipe_add_extent(r, offset, length);
    return true;
}

static bool parse_kind(const char *word, size_t n, enum recipe_kind *ret_kind)
{
    for (int kind = RECIPE_WHOLE; kind <= RECIPE_HOLE; kind++)
        if (strlen(kind_names[kind]) == n && memcmp(kind_names[kind], word, n) == 0) {
            *ret_kind = (enum recipe_kind)kind;
            return true;
        }
    return false;
}

static bool parse_piece(struct recipe *r, const char *value, size_t n)
{
    uint64_t start = (uint64_t)r->n_pieces * RECIPE_PIECE_SIZE;
    if (start >= r->size)
        return false;
    uint64_t length = r->size - start < RECIPE_PIECE_SIZE ? r->size - start : RECIPE_PIECE_SIZE, said;
    struct recipe_piece *piece = recipe_add_piece(r);
    const char *word;
    size_t word_len;
    if (!lines_word(&value, &n, &word, &word_len) || !parse_kind(word, word_len, &piece->kind) ||
        !lines_u64(&value, &n, RECIPE_PIECE_SIZE, &said) || said != length ||
        !lines_hex(&value, &n, piece->sha256, sizeof piece->sha256) || !lines_word(&value, &n, &word, &word_len) ||
        !lines_no_more(value))
        return false;
    piece->length = (uint32_t)length;
    bool has_member = piece->kind == RECIPE_WHOLE || piece->kind == RECIPE_DELTA;
    bool needs_base = piece->kind == RECIPE_DELTA || piece->kind == RECIPE_SAME;
    if (needs_base && !r->has_base)
        return false;
    if (!has_member)
        return is_dash(word, word_len);
    return place_parse(word, word_len, &piece->member) && piece->member.object != 0 &&
           (piece->kind == RECIPE_DELTA || piece->member.length == piece->length);
}

static bool parse_ranges(struct recipe_piece *piece, const char *value, size_t n)
{
    uint32_t count = 1;
    for (size_t i = 0; i < n; i++)
        count += value[i] == ' ';
    if (value == NULL || count > RECIPE_RANGES_MAX)
        return false;
    piece->ranges = xcalloc(count, sizeof *piece->ranges);
    uint64_t total = 0;
    while (piece->n_ranges < count) {
        struct place *range = &piece->ranges[piece->n_ranges];
        if (!lines_place(&value, &n, range) || range->length > piece->length - total)
            return false;
        total += range->length;
        piece->n_ranges++;
    }
    return total == piece->length;
}

static int parse_pieces(struct lines *l, struct recipe *r, struct error *err)
{
    const char *value;
    size_t n;
    while (lines_take(l, "piece", &value, &n)) {
        if (!parse_piece(r, value, n))
            return lines_expected(l, "piece", err);
        struct recipe_piece *piece = &r->pieces[r->n_pieces - 1];
        if (piece->kind != RECIPE_DELTA && piece->kind != RECIPE_SAME)
            continue;
        if (!lines_take(l, "ranges", &value, &n) || !parse_ranges(piece, value, n))
            return lines_expected(l, "ranges", err);
    }
    if (r->n_pieces != (r->size + RECIPE_PIECE_SIZE - 1) / RECIPE_PIECE_SIZE)
        return lines_expected(l, "number of pieces", err);
    return 0;
}

static bool parse_index(struct recipe *r, const char *value, size_t n)
{
    uint64_t offset;
    const char *word;
    size_t word_len;
    _cleanup_buf_ struct buf path = { 0 };
    if (r->size == 0 || !lines_u64(&value, &n, r->size - 1, &offset) || !lines_word(&value, &n, &word, &word_len) ||
        !lines_no_more(value) || !manifest_unescape(&path, word, word_len) || memchr(path.data, '\0', path.len) != NULL)
        return false;
    if (r->n_index > 0) {
        const struct recipe_index *before = &r->index[r->n_index - 1];
        if (offset <= before->offset || manifest_path_compare(before->path, strlen(before->path), path.data, path.len) >= 0)
            return false;
    }
    recipe_add_index(r, offset, (const char *)path.data, path.len);
    return true;
}

int recipe_parse(const char *text, size_t n, struct recipe *ret_recipe, struct error *err)
{
    if (n > RECIPE_TEXT_MAX)
        return error_set(err, ERROR_FORMAT, "recipe: %zu bytes, more than the %u it may have", n, RECIPE_TEXT_MAX);
    _cleanup_recipe_ struct recipe recipe = { 0 };
    struct lines l;
    lines_init(&l, text, n, "recipe", false);
    const char *value;
    size_t len;
    int r = parse_first_lines(&l, &recipe, err);
    while (r == 0 && lines_take(&l, "extent", &value, &len))
        if (!parse_extent(&recipe, value, len))
            r = lines_expected(&l, "extent", err);
    if (r == 0)
        r = parse_pieces(&l, &recipe, err);
    while (r == 0 && lines_take(&l, "index", &value, &len))
        if (!parse_index(&recipe, value, len))
            r = lines_expected(&l, "index", err);
    if (r == 0 && !lines_ended(&l))
        r = lines_expected(&l, "line", err);
    if (r == 0) {
        *ret_recipe = recipe;
        recipe = (struct recipe){ 0 };
    }
    return r;
}
