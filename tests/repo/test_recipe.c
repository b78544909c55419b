// Recipes: golden texts, what is refused, every byte corrupted, limits, random recipes there and back.
#include "tests/repo/texts.h"

#include "bkd/repo/recipe.h"

#define SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
static const char *const golden = "recipe/golden";

static int rewrite(const char *text, size_t n, struct buf *out, struct error *err)
{
    _cleanup_recipe_ struct recipe r = { 0 };
    int e = recipe_parse(text, n, &r, err);
    if (e == 0)
        recipe_format(out, &r);
    return e;
}

static void test_golden(void **state)
{
    (void)state;
    static const char *const may_vary[] = { "extent", "index", NULL };
    static const char *const nothing_may_vary[] = { NULL };
    texts_accepts(rewrite, golden);
    texts_accepts(rewrite, "recipe/all-hole");
    texts_accepts(rewrite, "recipe/empty");
    texts_lines_are_fixed(rewrite, golden, may_vary);
    texts_lines_are_fixed(rewrite, "recipe/empty", nothing_may_vary);
    texts_ignores_x_keys(rewrite, golden, false);
    texts_survives_corruption(rewrite, golden);
    texts_survives_corruption(rewrite, "recipe/all-hole");
}

static void test_fields(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_recipe_ struct recipe r = { 0 };
    struct error err;
    texts_golden(golden, &text);
    assert_int_equal(recipe_parse((const char *)text.data, text.len, &r, &err), 0);
    assert_int_equal(r.size, 50331660);
    assert_true(r.has_sha256 && r.has_base);
    assert_int_equal(r.base.object, 3);
    assert_int_equal(r.chain, 2);
    assert_int_equal(r.n_extents, 2);
    assert_int_equal(r.extents[1].offset, 50331648);
    assert_int_equal(r.n_pieces, 4);
    assert_int_equal(r.pieces[1].kind, RECIPE_DELTA);
    assert_int_equal(r.pieces[1].n_ranges, 4);
    assert_int_equal(r.pieces[1].ranges[2].object, 0);
    assert_int_equal(r.pieces[3].length, 12);
    assert_int_equal(r.n_index, 3);
    assert_string_equal(r.index[1].path, "/srv/a b");
    struct place scratch;
    const struct place *ranges;
    size_t n;
    recipe_piece_ranges(&r.pieces[0], &scratch, &ranges, &n);
    assert_true(n == 1 && ranges->object == 4 && ranges->offset == 512 && ranges->length == 16777216);
    recipe_piece_ranges(&r.pieces[2], &scratch, &ranges, &n);
    assert_true(n == 1 && ranges->object == 0 && ranges->offset == 0 && ranges->length == 16777216);
    recipe_piece_ranges(&r.pieces[3], &scratch, &ranges, &n);
    assert_true(n == 1 && ranges == r.pieces[3].ranges);
}

static void test_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } changes[] = {
        { "bkd-recipe/1", "bkd-recipe/2" },
        { "size 50331660", "size 50331661" }, // the last piece is then too short
        { "size 50331660", "size 67108864" },
        { "size 50331660", "size 17592186044417" },
        { "base ffee", "base - " },
        { " 3:1024+777", " -" },
        { " 3:1024+777", " 0:0+777" },
        { "chain 2", "chain 1" },
        { "chain 2", "chain 65" },
        { "extent 50331648+12", "extent 50331648+13" },
        { "extent 50331648+12", "extent 33554431+12" }, // within the one before
        { "extent 50331648+12", "extent 50331660+0" },
        { "extent 0+33554432", "extent 50331660+0" }, // followed by another
        { "piece whole 16777216", "piece whole 16777215" },
        { "piece whole 16777216", "piece piece 16777216" },
        { "4:512+16777216", "4:512+16777215" },
        { "4:512+16777216", "-" },
        { "4:512+16777216", "0:0+16777216" },
        { "4:512+16777216", "4:512+16777216\nranges 4:512+16777216" },
        { " 4:16779264+5000", " -" },
        { "ranges 1:0+4096 ", "ranges 1:0+4095 " },
        { "ranges 1:0+4096 ", "ranges 1:0+4097 " },
        { "ranges 1:0+4096 ", "ranges 1:0+4096  " },
        { "ranges 1:0+4096 ", "ranges " },
        { "ranges 1:99+12\n", "" },
        { "ranges 1:99+12\n", "ranges\n" },
        { "ranges 1:99+12\n", "ranges \n" },
        { "ranges 1:99+12\n", "ranges 1:99+12 \n" },
        { "piece hole 16777216 " SHA " -", "piece hole 16777216 " SHA " 4:1+16777216" },
        { "piece same 12 " SHA " -", "piece same 12 " SHA },
        { "index 0 /", "index 262150 /" },
        { "index 0 /", "index 0 /srv/b" },
        { "index 0 /", "index 0 /%00" },
        { "index 524300 stream/x", "index 50331660 stream/x" },
        { "index 0 /\n", "index 0 /\nextent 1+1\n" },
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        texts_refuses(rewrite, golden, changes[i].from, changes[i].to, ERROR_FORMAT);
    texts_refuses(rewrite, "recipe/all-hole", "chain 1", "chain 2", ERROR_FORMAT);
    texts_refuses(rewrite, "recipe/all-hole", "piece hole 3 " SHA " -", "piece same 3 " SHA " -\nranges 1:0+3", ERROR_FORMAT); // without a base
    texts_refuses(rewrite, "recipe/all-hole", "extent 3+0", "extent 3+0\nextent 3+0", ERROR_FORMAT);
    texts_refuses(rewrite, "recipe/empty", "chain 1", "chain 1\npiece hole 0 " SHA " -", ERROR_FORMAT);
    texts_refuses(rewrite, "recipe/empty", "chain 1", "chain 1\nindex 0 /", ERROR_FORMAT);
}

static void test_most_ranges(void **state)
{
    (void)state;
    for (uint32_t n = RECIPE_RANGES_MAX; n <= RECIPE_RANGES_MAX + 1; n++) {
        _cleanup_buf_ struct buf ranges = { 0 };
        buf_addf(&ranges, "ranges 1:99+%u", RECIPE_PIECE_SIZE - (n - 1));
        for (uint32_t i = 1; i < n; i++)
            buf_addf(&ranges, " 2:%u+1", 5 * i);
        texts_refuses(rewrite, golden, "ranges 1:0+4096 4:16779300+4900 0:0+16768000 2147483647:1099494850560+220", buf_str(&ranges),
                      n == RECIPE_RANGES_MAX ? 0 : ERROR_FORMAT);
    }
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void random_ranges(uint64_t *seed, struct recipe_piece *piece)
{
    uint32_t left = piece->length;
    piece->ranges = xcalloc(64, sizeof *piece->ranges);
    while (left > 0) {
        uint32_t n = piece->n_ranges == 63 ? left : 1 + (uint32_t)(next_random(seed) % left);
        uint32_t object = (uint32_t)(next_random(seed) % 5);
        piece->ranges[piece->n_ranges++] = (struct place){ object, object == 0 ? 0 : next_random(seed) >> 30, n };
        left -= n;
    }
}

static void random_recipe(uint64_t *seed, struct recipe *r)
{
    r->size = next_random(seed) % (200u << 20);
    r->has_base = next_random(seed) % 2 == 0;
    r->chain = 1;
    if (r->has_base) {
        r->base = (struct place){ 1, 512, 1 + next_random(seed) % 10000 };
        r->chain = 2 + (uint32_t)(next_random(seed) % (RECIPE_CHAIN_MAX - 1));
    }
    r->has_sha256 = next_random(seed) % 2 == 0;
    for (uint64_t at = 0; at < r->size; at += RECIPE_PIECE_SIZE) {
        struct recipe_piece *piece = recipe_add_piece(r);
        piece->length = r->size - at < RECIPE_PIECE_SIZE ? (uint32_t)(r->size - at) : RECIPE_PIECE_SIZE;
        static const enum recipe_kind kinds[] = { RECIPE_WHOLE, RECIPE_HOLE, RECIPE_DELTA, RECIPE_SAME };
        piece->kind = kinds[next_random(seed) % (r->has_base ? 4 : 2)];
        if (piece->kind == RECIPE_WHOLE)
            piece->member = (struct place){ 9, next_random(seed) >> 30, piece->length };
        if (piece->kind == RECIPE_DELTA)
            piece->member = (struct place){ 9, next_random(seed) >> 30, 1 + next_random(seed) % 5000 };
        if (piece->kind == RECIPE_DELTA || piece->kind == RECIPE_SAME)
            random_ranges(seed, piece);
        for (size_t k = 0; k < 32; k++)
            piece->sha256[k] = (uint8_t)(next_random(seed) >> 13);
    }
    for (uint64_t at = next_random(seed) % 1000000; at + 1000 < r->size; at += 1000 + next_random(seed) % 50000000)
        recipe_add_extent(r, at, 1 + next_random(seed) % 1000);
    uint64_t offset = 0;
    for (int i = 0; i < 100 && offset < r->size; i++, offset += 1 + next_random(seed) % 300000) {
        _cleanup_free_ char *path = xasprintf("/%03d \n%%%c", i, (char)(1 + next_random(seed) % 255));
        recipe_add_index(r, offset, path, strlen(path));
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252;
    struct error err;
    for (int i = 0; i < 2000; i++) {
        _cleanup_recipe_ struct recipe r = { 0 };
        _cleanup_buf_ struct buf text = { 0 }, back = { 0 };
        random_recipe(&seed, &r);
        recipe_format(&text, &r);
        if (texts_run(rewrite, text.data, text.len, &back, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(text.len, back.len);
        assert_memory_equal(text.data, back.data, text.len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),      cmocka_unit_test(test_fields),     cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_most_ranges), cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
