// One piece against its base: classes, what is copied, giving up the search, and the new signature.
#include "tests/codec/scratch.h"

#include "bkd/codec/piece_delta.h"
#include "bkd/codec/ranges.h"
#include "bkd/codec/sameplace.h"

#define B 4096u

// A base version with its tags and signature, as a version cache would give them.
struct base {
    struct buf data, tags, signature;
    struct sameplace_hasher *hasher;
    struct delta_search *loaded;
    struct piece_search search;
};

static void base_done(struct base *b)
{
    buf_done(&b->data);
    buf_done(&b->tags);
    buf_done(&b->signature);
    sameplace_hasher_free(b->hasher);
    delta_search_free(b->loaded);
}
#define _cleanup_base_ __attribute__((cleanup(base_done)))

static void tags_of(struct sameplace_hasher *h, const uint8_t *data, size_t n, struct buf *tags)
{
    buf_reset(tags);
    sameplace_hash(h, data, n, buf_extend(tags, sameplace_count(n) * SAMEPLACE_TAG));
}

static void base_finish(struct base *b, uint32_t block)
{
    static const uint8_t key[SAMEPLACE_KEY] = { 7 };
    struct error err;
    b->hasher = sameplace_hasher_new(key);
    tags_of(b->hasher, b->data.data, b->data.len, &b->tags);
    if (block == 0)
        return;
    delta_signature_begin(&b->signature, block);
    scratch_ok(delta_signature_append(&b->signature, block, b->data.data, b->data.len, &err), &err);
    scratch_ok(delta_search_new(b->signature.data, b->signature.len, b->data.len, &b->loaded, &err), &err);
    b->search.search = b->loaded;
}

static struct base random_base(size_t n, uint32_t block)
{
    struct base b = { 0 };
    uint64_t seed = 11;
    scratch_fill(&seed, buf_extend(&b.data, n), n);
    base_finish(&b, block);
    return b;
}

// Runs piece_delta_make on file[offset, offset + up to a piece) and checks all that must hold whatever the class.
static void make(struct base *b, const struct buf *file, uint64_t offset, bool with_tags, struct piece_output *out)
{
    struct error err;
    _cleanup_buf_ struct buf tags = { 0 }, result = { 0 };
    size_t n = file->len - offset < PIECE_SIZE ? file->len - offset : PIECE_SIZE;
    tags_of(b->hasher, file->data + offset, n, &tags);
    struct piece_input in = { .data = file->data + offset, .length = (uint32_t)n, .offset = offset, .base_size = b->data.len, .tags = tags.data };
    if (with_tags && offset < b->data.len)
        in.base_tags = b->tags.data + offset / B * SAMEPLACE_TAG;
    scratch_ok(piece_delta_make(&in, &b->search, out, &err), &err);
    assert_int_equal(out->copied_bytes + out->literal_bytes, n);
    if (out->class == PIECE_SAME) {
        size_t base_n = b->data.len - offset < PIECE_SIZE ? b->data.len - offset : PIECE_SIZE;
        assert_int_equal(base_n, n);
        assert_memory_equal(b->data.data + offset, in.data, n);
    }
    if (out->class != PIECE_DELTA)
        return;
    _cleanup_rdelta_list_ struct rdelta_list parsed = { 0 };
    scratch_ok(rdelta_parse(out->delta.data, out->delta.len, b->data.len, n, &parsed, &err), &err);
    assert_int_equal(parsed.count, out->commands.count);
    for (size_t i = 0; i < parsed.count; i++) { // field by field: padding is not compared
        assert_int_equal(parsed.items[i].is_copy, out->commands.items[i].is_copy);
        assert_int_equal(parsed.items[i].offset, out->commands.items[i].offset);
        assert_int_equal(parsed.items[i].length, out->commands.items[i].length);
        buf_add(&result, (parsed.items[i].is_copy ? b->data.data : out->delta.data) + parsed.items[i].offset, parsed.items[i].length);
    }
    assert_memory_equal(result.data, in.data, n);
}

static void copy_of(const struct base *b, struct buf *file)
{
    buf_reset(file);
    buf_add(file, b->data.data, b->data.len);
}

static void test_unchanged_is_same(void **state)
{
    (void)state;
    _cleanup_base_ struct base b = random_base(PIECE_SIZE + 5 * B + 77, 0);
    _cleanup_piece_output_ struct piece_output out = { 0 };
    make(&b, &b.data, 0, true, &out);
    assert_int_equal(out.class, PIECE_SAME);
    make(&b, &b.data, PIECE_SIZE, true, &out);
    assert_int_equal(out.class, PIECE_SAME);
    // Without the table nothing is known.
    make(&b, &b.data, 0, false, &out);
    assert_int_equal(out.class, PIECE_WHOLE);
}

static void test_changed_blocks(void **state)
{
    (void)state;
    _cleanup_base_ struct base b = random_base(100 * B, 0);
    _cleanup_piece_output_ struct piece_output out = { 0 };
    _cleanup_buf_ struct buf file = { 0 };
    copy_of(&b, &file);
    file.data[10 * B + 5] ^= 1;
    file.data[11 * B - 1] ^= 1;
    file.data[99 * B + 4000] ^= 1;
    make(&b, &file, 0, true, &out);
    assert_int_equal(out.class, PIECE_DELTA);
    assert_int_equal(out.literal_bytes, 2 * B);
    assert_int_equal(out.commands.count, 4);
    assert_true(out.delta.len < 2 * B + 40);
}

static void test_grown_and_shrunk(void **state)
{
    (void)state;
    _cleanup_base_ struct base b = random_base(20 * B + 100, 0);
    _cleanup_piece_output_ struct piece_output out = { 0 };
    _cleanup_buf_ struct buf file = { 0 };
    uint64_t seed = 3;
    copy_of(&b, &file);
    file.len = 20 * B; // exactly the short block gone: every block the same, the piece not
    make(&b, &file, 0, true, &out);
    assert_int_equal(out.class, PIECE_DELTA);
    assert_int_equal(out.commands.count, 1);
    file.len = 7 * B + 3;
    make(&b, &file, 0, true, &out);
    assert_int_equal(out.class, PIECE_DELTA);
    assert_int_equal(out.literal_bytes, 3);
    file.len = 7 * B + 1;
    make(&b, &file, 0, true, &out);
    assert_int_equal(out.literal_bytes, 1);
    copy_of(&b, &file);
    scratch_fill(&seed, buf_extend(&file, 3 * B), 3 * B);
    make(&b, &file, 0, true, &out);
    assert_int_equal(out.literal_bytes, 100 + 3 * B);
    // Only the short last block differs.
    copy_of(&b, &file);
    file.data[20 * B] ^= 1;
    make(&b, &file, 0, true, &out);
    assert_int_equal(out.literal_bytes, 100);
    // A piece beyond the base's end.
    uint8_t *more = buf_extend(&file, PIECE_SIZE);
    memset(more, 1, PIECE_SIZE);
    make(&b, &file, PIECE_SIZE, true, &out);
    assert_int_equal(out.class, PIECE_WHOLE);
}

static void test_little_in_common_is_whole(void **state)
{
    (void)state;
    _cleanup_base_ struct base b = random_base(160 * B, 0);
    _cleanup_piece_output_ struct piece_output out = { 0 };
    _cleanup_buf_ struct buf file = { 0 };
    uint64_t seed = 3;
    copy_of(&b, &file);
    scratch_fill(&seed, file.data, 150 * B);
    make(&b, &file, 0, true, &out);
    assert_int_equal(out.class, PIECE_DELTA);
    scratch_fill(&seed, file.data, 151 * B);
    make(&b, &file, 0, true, &out);
    assert_int_equal(out.class, PIECE_WHOLE);
}

// Every other block changed: the most commands there can be.
static void test_most_commands(void **state)
{
    (void)state;
    _cleanup_base_ struct base b = random_base(PIECE_SIZE, 0);
    _cleanup_piece_output_ struct piece_output out = { 0 };
    _cleanup_buf_ struct buf file = { 0 };
    copy_of(&b, &file);
    for (size_t i = 0; i < PIECE_TAGS; i += 2)
        file.data[i * B] ^= 1;
    make(&b, &file, 0, true, &out);
    assert_int_equal(out.class, PIECE_DELTA);
    assert_int_equal(out.commands.count, RANGES_PIECE_MAX);
}

// A byte before each block: more ranges than a piece may have.
static void test_too_many_commands(void **state)
{
    (void)state;
    _cleanup_base_ struct base b = random_base(PIECE_SIZE, B);
    _cleanup_piece_output_ struct piece_output out = { 0 };
    _cleanup_buf_ struct buf file = { 0 };
    for (size_t i = 0; i < PIECE_TAGS - 1; i++) {
        buf_add_char(&file, (char)~b.data.data[i * B]);
        buf_add(&file, b.data.data + i * B, B);
    }
    make(&b, &file, 0, true, &out);
    assert_int_equal(out.class, PIECE_WHOLE);
    file.len /= 4;
    make(&b, &file, 0, true, &out);
    assert_int_equal(out.class, PIECE_DELTA);
    assert_in_range(out.commands.count, PIECE_TAGS / 4, RANGES_PIECE_MAX);
}

static void test_insertion_is_found(void **state)
{
    (void)state;
    _cleanup_base_ struct base b = random_base(2 * PIECE_SIZE + 50000, B);
    _cleanup_piece_output_ struct piece_output out = { 0 };
    _cleanup_buf_ struct buf file = { 0 };
    uint64_t seed = 3;
    buf_add(&file, b.data.data, 50001);
    scratch_fill(&seed, buf_extend(&file, 3000), 3000);
    buf_add(&file, b.data.data + 50001, b.data.len - 50001);
    uint64_t literal = 0;
    for (uint64_t at = 0; at < file.len; at += PIECE_SIZE) {
        make(&b, &file, at, true, &out);
        assert_int_equal(out.class, PIECE_DELTA);
        literal += out.literal_bytes;
    }
    assert_in_range(literal, 3000, 3000 + 7 * B); // a block at the insertion and two at each border of pieces
}

// Windows of the search must not cost matches at their borders.
static void test_windows_lose_nothing(void **state)
{
    (void)state;
    _cleanup_base_ struct base b = random_base(PIECE_SIZE - 5000, B);
    _cleanup_piece_output_ struct piece_output out = { 0 };
    _cleanup_buf_ struct buf file = { 0 };
    buf_add(&file, "xyz", 3);
    buf_add(&file, b.data.data, b.data.len);
    for (uint64_t missed = 0; missed < PIECE_SEARCH_PATIENCE; missed += 1000003) {
        b.search.missed = missed;
        make(&b, &file, 0, false, &out);
        assert_int_equal(out.class, PIECE_DELTA);
        assert_in_range(out.literal_bytes, 3, 3);
        assert_int_equal(out.commands.count, 2);
    }
}

static void test_search_is_given_up_and_resumed(void **state)
{
    (void)state;
    _cleanup_base_ struct base b = random_base(3 * PIECE_SIZE, B);
    _cleanup_piece_output_ struct piece_output out = { 0 };
    _cleanup_buf_ struct buf file = { 0 };
    uint64_t seed = 4;
    scratch_fill(&seed, buf_extend(&file, 2 * PIECE_SIZE), 2 * PIECE_SIZE);
    make(&b, &file, 0, true, &out);
    assert_int_equal(out.class, PIECE_WHOLE);
    // Eight MiB in vain, then a sample of the piece.
    assert_in_range(b.search.missed, PIECE_SEARCH_PATIENCE, PIECE_SEARCH_PATIENCE + 2 * PIECE_SEARCH_SAMPLE);
    uint64_t before = b.search.missed;
    make(&b, &file, PIECE_SIZE, true, &out);
    assert_int_equal(out.class, PIECE_WHOLE);
    assert_in_range(b.search.missed - before, PIECE_SEARCH_SAMPLE / 2, PIECE_SEARCH_SAMPLE);
    // A later piece is the base's, moved: the sample finds it and the whole piece is explained.
    buf_add(&file, b.data.data + 12345, PIECE_SIZE);
    make(&b, &file, 2 * PIECE_SIZE, true, &out);
    assert_int_equal(out.class, PIECE_DELTA);
    assert_in_range(out.literal_bytes, 0, 2 * B);
    assert_int_equal(b.search.missed, 0);
}

// Scattered changes cost almost no search once it was given up.
static void test_scattered_changes(void **state)
{
    (void)state;
    _cleanup_base_ struct base b = random_base(PIECE_SIZE, B);
    _cleanup_piece_output_ struct piece_output out = { 0 };
    _cleanup_buf_ struct buf file = { 0 };
    uint64_t seed = 4;
    copy_of(&b, &file);
    for (size_t i = 5; i < PIECE_TAGS; i += 100)
        scratch_fill(&seed, file.data + i * B, B);
    make(&b, &file, 0, true, &out);
    assert_int_equal(out.literal_bytes, 41 * B);
    assert_int_equal(b.search.missed, 41 * B);
    b.search.missed = PIECE_SEARCH_PATIENCE;
    make(&b, &file, 0, true, &out);
    assert_int_equal(out.literal_bytes, 41 * B);
    assert_in_range(b.search.missed - PIECE_SEARCH_PATIENCE, B, 3 * B);
}

// What the search costs per piece stays bounded for large signature blocks too, and nothing loops.
static void test_large_signature_blocks(void **state)
{
    (void)state;
    _cleanup_base_ struct base b = random_base(PIECE_SIZE, 4u << 20);
    _cleanup_piece_output_ struct piece_output out = { 0 };
    _cleanup_buf_ struct buf file = { 0 };
    buf_add(&file, "moved", 5);
    buf_add(&file, b.data.data, b.data.len - 5);
    make(&b, &file, 0, true, &out);
    assert_int_equal(out.class, PIECE_DELTA);
    assert_int_equal(out.copied_bytes, 12u << 20);
    b.search.missed = UINT64_MAX / 2;
    make(&b, &file, 0, true, &out);
    assert_int_equal(out.class, PIECE_DELTA);
}

static void check_signature(struct base *b, const struct buf *file, uint32_t block, bool keep)
{
    struct error err;
    _cleanup_buf_ struct buf expected = { 0 }, got = { 0 }, tags = { 0 }, base_entries = { 0 }, zeros = { 0 }, zero_entry = { 0 };
    uint8_t zero_tag[SAMEPLACE_TAG];
    memset(buf_extend(&zeros, block), 0, block);
    sameplace_hash(b->hasher, zeros.data, B, zero_tag);
    scratch_ok(delta_signature_append(&zero_entry, block, zeros.data, block, &err), &err);
    delta_signature_begin(&expected, block);
    scratch_ok(delta_signature_append(&expected, block, file->data, file->len, &err), &err);
    delta_signature_begin(&got, block);
    scratch_ok(delta_signature_append(&base_entries, block, b->data.data, b->data.len, &err), &err);
    for (uint64_t at = 0; at < file->len; at += PIECE_SIZE) {
        size_t n = file->len - at < PIECE_SIZE ? file->len - at : PIECE_SIZE;
        tags_of(b->hasher, file->data + at, n, &tags);
        struct piece_input in = { .data = file->data + at, .length = (uint32_t)n, .offset = at, .base_size = b->data.len, .tags = tags.data,
                                   .zero_tag = zero_tag, .zero_entry = zero_entry.data };
        bool has_base = keep && at < b->data.len;
        if (has_base)
            in.base_tags = b->tags.data + at / B * SAMEPLACE_TAG;
        scratch_ok(piece_delta_signature(&in, block, has_base ? base_entries.data + at / block * DELTA_SIGNATURE_ENTRY : NULL, &got, &err), &err);
    }
    assert_int_equal(got.len, expected.len);
    assert_memory_equal(got.data, expected.data, got.len);
}

static void test_signature_of_the_new_version(void **state)
{
    (void)state;
    _cleanup_base_ struct base b = random_base(PIECE_SIZE + 100 * B + 50, 0);
    static const uint32_t blocks[] = { B, 4 * B, 1u << 20, 16u << 20 };
    for (size_t i = 0; i < 4; i++) {
        _cleanup_buf_ struct buf file = { 0 };
        copy_of(&b, &file);
        check_signature(&b, &file, blocks[i], true);
        file.data[5] ^= 1;
        file.data[3 * B] ^= 1;
        file.data[PIECE_SIZE + 99 * B] ^= 1;
        check_signature(&b, &file, blocks[i], true);
        check_signature(&b, &file, blocks[i], false);
        file.len = PIECE_SIZE + 90 * B + 50;
        check_signature(&b, &file, blocks[i], true);
        file.len = 7;
        check_signature(&b, &file, blocks[i], true);
        copy_of(&b, &file);
        memset(buf_extend(&file, 20 * B + 1), 1, 20 * B + 1);
        check_signature(&b, &file, blocks[i], true);
    }
}

static void test_signature_of_zeros(void **state)
{
    (void)state;
    _cleanup_base_ struct base b = random_base(PIECE_SIZE + 40 * B, 0);
    static const uint32_t blocks[] = { B, 4 * B, 16u << 20 };
    for (size_t i = 0; i < 3; i++) {
        _cleanup_buf_ struct buf file = { 0 };
        copy_of(&b, &file);
        memset(file.data + 3 * B, 0, 13 * B); // one block of four is not whole, three are
        memset(file.data + PIECE_SIZE + 10 * B, 0, 30 * B);
        file.data[PIECE_SIZE + 33 * B - 1] = 1;
        check_signature(&b, &file, blocks[i], true);
        check_signature(&b, &file, blocks[i], false);
        file.len -= B + 1; // the last one is short, of zeros too
        check_signature(&b, &file, blocks[i], false);
        memset(file.data, 0, PIECE_SIZE);
        check_signature(&b, &file, blocks[i], true);
    }
}

// Zeros are not hashed: a wrong entry for them shows in the result.
static void test_signature_entries_of_zeros_are_copied(void **state)
{
    (void)state;
    struct error err;
    uint8_t data[4 * B] = { [2 * B] = 1 }, entry[36];
    _cleanup_base_ struct base b = random_base(B, 0);
    _cleanup_buf_ struct buf tags = { 0 }, out = { 0 };
    memset(entry, 0xee, sizeof entry);
    tags_of(b.hasher, data, sizeof data, &tags);
    struct piece_input in = { .data = data, .length = sizeof data, .tags = tags.data, .zero_tag = tags.data, .zero_entry = entry };
    scratch_ok(piece_delta_signature(&in, B, NULL, &out, &err), &err);
    for (size_t k = 0; k < 4; k++)
        assert_true((memcmp(out.data + k * sizeof entry, entry, sizeof entry) == 0) == (k != 2));
}

// The last block of a file may be short by whole tags, and what stands in their place is another piece's.
static void test_short_signature_block_of_zeros(void **state)
{
    (void)state;
    struct error err;
    uint8_t data[4 * B] = { 0 }, copied[36];
    _cleanup_base_ struct base b = random_base(B, 0);
    _cleanup_buf_ struct buf tags = { 0 }, out = { 0 }, expected = { 0 };
    memset(copied, 0xee, sizeof copied);
    tags_of(b.hasher, data, sizeof data, &tags);
    for (uint32_t length = 3 * B; length <= 4 * B; length += B / 2) {
        struct piece_input in = { .data = data, .length = length, .tags = tags.data, .zero_tag = tags.data, .zero_entry = copied };
        buf_reset(&out);
        buf_reset(&expected);
        scratch_ok(piece_delta_signature(&in, 4 * B, NULL, &out, &err), &err);
        scratch_ok(delta_signature_append(&expected, 4 * B, data, length, &err), &err);
        assert_memory_equal(out.data, length == 4 * B ? copied : expected.data, sizeof copied);
    }
}

// Entries really are copied where nothing changed: wrong base entries show in the result.
static void test_signature_entries_are_copied(void **state)
{
    (void)state;
    struct error err;
    _cleanup_base_ struct base b = random_base(10 * B, 0);
    _cleanup_buf_ struct buf out = { 0 }, entries = { 0 };
    memset(buf_extend(&entries, 10 * 36), 0xee, 10 * 36);
    struct piece_input in = { .data = b.data.data, .length = 10 * B, .base_size = b.data.len, .tags = b.tags.data, .base_tags = b.tags.data };
    scratch_ok(piece_delta_signature(&in, B, entries.data, &out, &err), &err);
    assert_int_equal(out.len, 360);
    assert_memory_equal(out.data, entries.data, 360);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unchanged_is_same),
        cmocka_unit_test(test_changed_blocks),
        cmocka_unit_test(test_grown_and_shrunk),
        cmocka_unit_test(test_little_in_common_is_whole),
        cmocka_unit_test(test_most_commands),
        cmocka_unit_test(test_too_many_commands),
        cmocka_unit_test(test_insertion_is_found),
        cmocka_unit_test(test_windows_lose_nothing),
        cmocka_unit_test(test_search_is_given_up_and_resumed),
        cmocka_unit_test(test_scattered_changes),
        cmocka_unit_test(test_large_signature_blocks),
        cmocka_unit_test(test_signature_of_the_new_version),
        cmocka_unit_test(test_signature_of_zeros),
        cmocka_unit_test(test_signature_entries_of_zeros_are_copied),
        cmocka_unit_test(test_short_signature_block_of_zeros),
        cmocka_unit_test(test_signature_entries_are_copied),
    };
    return cmocka_run_group_tests_name("piece_delta", tests, NULL, NULL);
}
