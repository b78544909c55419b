// Frames and the seek table, both directions against the zstd program.
#include "tests/codec/scratch.h"

#include "bkd/base/bytes.h"
#include "bkd/codec/zframe.h"

static void text_of(struct buf *b, size_t n)
{
    for (unsigned i = 0; b->len < n; i++)
        buf_addf(b, "line %u of a text that compresses, %u\n", i, i * 2654435761u);
    b->len = n;
}

// Cuts `plain` into frames of `step` bytes; returns everything with the table, and the table.
static void make_stream(const struct buf *plain, size_t step, struct buf *stream, struct zframe_table *table)
{
    struct zframe_compressor *c = zframe_compressor_new(3);
    struct error err;
    for (size_t at = 0; at < plain->len; at += step) {
        size_t n = plain->len - at < step ? plain->len - at : step, before = stream->len;
        scratch_ok(zframe_compress(c, plain->data + at, n, stream, &err), &err);
        assert_true(zframe_table_add(table, (uint32_t)(stream->len - before), (uint32_t)n));
    }
    zframe_compressor_free(c);
    assert_int_equal(zframe_table_stored(table), stream->len);
    zframe_table_append(table, stream);
}

static void test_zstd_decodes_all(void **state)
{
    (void)state;
    _cleanup_scratch_ struct scratch s = scratch_new();
    _cleanup_buf_ struct buf plain = { 0 }, stream = { 0 }, back = { 0 };
    _cleanup_zframe_table_ struct zframe_table table = { 0 };
    text_of(&plain, 5 * (1u << 20) + 12345);
    make_stream(&plain, 1u << 20, &stream, &table);
    assert_int_equal(table.count, 6);
    scratch_write(&s, "x.zst", stream.data, stream.len);
    scratch_run("zstd -qt '%s/x.zst' && zstd -qd '%s/x.zst' -o '%s/x'", s.dir, s.dir, s.dir);
    scratch_read(&s, "x", &back);
    assert_int_equal(back.len, plain.len);
    assert_memory_equal(back.data, plain.data, plain.len);
}

static size_t size_at(int level, const void *data, size_t n)
{
    struct zframe_compressor *c = zframe_compressor_new(level);
    _cleanup_buf_ struct buf frame = { 0 };
    struct error err;
    scratch_ok(zframe_compress(c, data, n, &frame, &err), &err);
    zframe_compressor_free(c);
    return frame.len;
}

// High levels do not search what is compressed already: not even its repetitions are found. Where a part of a frame is not, all of it is searched.
static void test_dense_is_passed_over(void **state)
{
    (void)state;
    enum { PART = 1 << 20, N = 3 * PART };
    _cleanup_buf_ struct buf text = { 0 };
    uint64_t seed = 5;
    _cleanup_free_ char *noise = xmalloc(N);
    scratch_fill(&seed, (uint8_t *)noise, PART);
    memcpy(noise + PART, noise, PART);
    memcpy(noise + (size_t)2 * PART, noise, PART);
    text_of(&text, N);
    assert_in_range(size_at(12, noise, N), N, N + 1000);
    assert_true(size_at(19, text.data, N) < size_at(1, text.data, N));
    memcpy(noise + PART, text.data, PART);
    assert_in_range(size_at(12, noise, N), PART, 2 * PART);
    assert_true(size_at(6, noise, 1) > 0);
}

static void test_random_access(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf plain = { 0 }, stream = { 0 };
    _cleanup_zframe_table_ struct zframe_table made = { 0 }, table = { 0 };
    struct error err;
    text_of(&plain, 3 * (1u << 20) + 1);
    make_stream(&plain, 100000, &stream, &made);
    size_t size;
    scratch_ok(zframe_table_size(stream.data + stream.len - ZFRAME_FOOTER_SIZE, &size, &err), &err);
    scratch_ok(zframe_table_parse(stream.data + stream.len - size, size, stream.len - size, &table, &err), &err);
    assert_int_equal(table.count, made.count);
    assert_int_equal(zframe_table_plain(&table), plain.len);
    struct zframe_decompressor *d = zframe_decompressor_new();
    uint8_t *data = xmalloc(100000);
    uint64_t offsets[] = { 0, 1, 99999, 100000, 100001, 1234567, plain.len - 1 };
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        uint32_t f;
        assert_true(zframe_table_find(&table, offsets[i], &f));
        assert_int_equal(f, offsets[i] / 100000);
        size_t n = (size_t)(table.plain[f + 1] - table.plain[f]), stored = (size_t)(table.stored[f + 1] - table.stored[f]), s, p;
        scratch_ok(zframe_measure(stream.data + table.stored[f], stream.len - table.stored[f], &s, &p, &err), &err);
        assert_int_equal(s, stored);
        assert_int_equal(p, n);
        scratch_ok(zframe_decompress(d, stream.data + table.stored[f], stored, data, n, &err), &err);
        assert_memory_equal(data, plain.data + table.plain[f], n);
    }
    uint32_t unused;
    assert_false(zframe_table_find(&table, plain.len, &unused));
    free(data);
    zframe_decompressor_free(d);
}

static void test_damage_is_found(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf plain = { 0 }, frame = { 0 };
    struct error err;
    text_of(&plain, 70000);
    struct zframe_compressor *c = zframe_compressor_new(1);
    scratch_ok(zframe_compress(c, plain.data, plain.len, &frame, &err), &err);
    zframe_compressor_free(c);
    struct zframe_decompressor *d = zframe_decompressor_new();
    uint8_t *data = xmalloc(plain.len + 1);
    unsigned accepted = 0;
    for (size_t i = 0; i < frame.len; i++) {
        frame.data[i] ^= 1u << (i % 8);
        int rc = zframe_decompress(d, frame.data, frame.len, data, plain.len, &err);
        // A few bits mean nothing; the content is right then.
        if (rc == 0)
            assert_memory_equal(data, plain.data, plain.len);
        else
            assert_true(rc == ERROR_FORMAT || rc == ERROR_INTEGRITY);
        accepted += rc == 0;
        frame.data[i] ^= 1u << (i % 8);
    }
    assert_in_range(accepted, 0, 9);
    assert_int_equal(zframe_decompress(d, frame.data, frame.len - 1, data, plain.len, &err), ERROR_FORMAT);
    assert_int_equal(zframe_decompress(d, frame.data, frame.len, data, plain.len + 1, &err), ERROR_FORMAT);
    assert_int_equal(zframe_decompress(d, frame.data, frame.len, data, plain.len - 1, &err), ERROR_FORMAT);
    scratch_ok(zframe_decompress(d, frame.data, frame.len, data, plain.len, &err), &err);
    free(data);
    zframe_decompressor_free(d);
}

static void test_others_frames_without_size_are_refused(void **state)
{
    (void)state;
    _cleanup_scratch_ struct scratch s = scratch_new();
    _cleanup_buf_ struct buf frame = { 0 };
    struct error err;
    scratch_run("printf hello | zstd -q > '%s/x.zst'", s.dir); // from a pipe: no content size
    scratch_read(&s, "x.zst", &frame);
    struct zframe_decompressor *d = zframe_decompressor_new();
    uint8_t data[5];
    assert_int_equal(zframe_decompress(d, frame.data, frame.len, data, 5, &err), ERROR_FORMAT);
    zframe_decompressor_free(d);
}

static void test_bad_tables(void **state)
{
    (void)state;
    struct error err;
    _cleanup_zframe_table_ struct zframe_table made = { 0 }, table = { 0 };
    _cleanup_buf_ struct buf good = { 0 };
    assert_true(zframe_table_add(&made, 100, 200));
    assert_true(zframe_table_add(&made, 50, ZFRAME_PLAIN_MAX));
    assert_false(zframe_table_add(&made, 50, ZFRAME_PLAIN_MAX + 1));
    assert_false(zframe_table_add(&made, 0, 1));
    assert_false(zframe_table_add(&made, 1, 0));
    zframe_table_append(&made, &good);
    for (size_t i = 0; i < good.len; i++) {
        uint8_t was = good.data[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            good.data[i] = (uint8_t)(was ^ 1u << bit);
            int rc = zframe_table_parse(good.data, good.len, 150, &table, &err);
            // Only a changed plain size within the maximum cannot be seen by the table alone.
            bool plain_size = (i >= 12 && i < 16) || (i >= 20 && i < 24);
            if (!plain_size)
                assert_int_equal(rc, ERROR_FORMAT);
            zframe_table_done(&table);
        }
        good.data[i] = was;
    }
    assert_int_equal(zframe_table_parse(good.data, good.len, 151, &table, &err), ERROR_FORMAT);
    for (size_t n = 0; n < good.len; n++)
        assert_int_equal(zframe_table_parse(good.data + good.len - n, n, 150, &table, &err), ERROR_FORMAT);
    uint8_t footer[ZFRAME_FOOTER_SIZE] = { 0 };
    put_u32le(footer, ZFRAME_COUNT_MAX + 1);
    put_u32le(footer + 5, 0x8F92EAB1u);
    size_t size;
    assert_int_equal(zframe_table_size(footer, &size, &err), ERROR_FORMAT);
    put_u32le(footer, ZFRAME_COUNT_MAX);
    scratch_ok(zframe_table_size(footer, &size, &err), &err);
    assert_int_equal(size, ZFRAME_TABLE_MAX);
}

// The bytes of a table are part of the format.
static void test_table_golden(void **state)
{
    (void)state;
    static const uint8_t expected[] = { 0x5e, 0x2a, 0x4d, 0x18, 0x11, 0, 0, 0, 1, 2, 0, 0, 4, 3, 0, 0, 1, 0, 0, 0, 0, 0xb1, 0xea, 0x92, 0x8f };
    _cleanup_zframe_table_ struct zframe_table made = { 0 };
    _cleanup_buf_ struct buf bytes = { 0 };
    assert_true(zframe_table_add(&made, 0x0201, 0x0304));
    zframe_table_append(&made, &bytes);
    assert_int_equal(bytes.len, sizeof(expected));
    assert_memory_equal(bytes.data, expected, sizeof(expected));
}

static void test_frame_limits(void **state)
{
    (void)state;
    struct error err;
    _cleanup_buf_ struct buf out = { 0 };
    struct zframe_compressor *c = zframe_compressor_new(-100);
    uint8_t *data = xcalloc(1, ZFRAME_PLAIN_MAX + 1);
    assert_int_equal(zframe_compress(c, data, 0, &out, &err), ERROR_FAILED);
    assert_int_equal(zframe_compress(c, data, ZFRAME_PLAIN_MAX + 1, &out, &err), ERROR_FAILED);
    assert_int_equal(out.len, 0);
    scratch_ok(zframe_compress(c, data, ZFRAME_PLAIN_MAX, &out, &err), &err);
    // Bytes that do not compress still fit the stated maximum of a stored frame.
    uint64_t seed = 7;
    scratch_fill(&seed, data, ZFRAME_PLAIN_MAX);
    buf_reset(&out);
    scratch_ok(zframe_compress(c, data, ZFRAME_PLAIN_MAX, &out, &err), &err);
    assert_in_range(out.len, ZFRAME_PLAIN_MAX, ZFRAME_STORED_MAX);
    free(data);
    zframe_compressor_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zstd_decodes_all),
        cmocka_unit_test(test_dense_is_passed_over),
        cmocka_unit_test(test_random_access),
        cmocka_unit_test(test_damage_is_found),
        cmocka_unit_test(test_others_frames_without_size_are_refused),
        cmocka_unit_test(test_bad_tables),
        cmocka_unit_test(test_table_golden),
        cmocka_unit_test(test_frame_limits),
    };
    return cmocka_run_group_tests_name("zframe", tests, NULL, NULL);
}
