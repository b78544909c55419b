// The delta format: written commands are applied by rdiff, rdiff's deltas are parsed.
#include "tests/codec/scratch.h"

#include "bkd/codec/rdelta.h"

// Puts a delta's result together from parsed commands.
static void apply(const struct buf *base, const struct buf *delta, const struct rdelta_list *list, struct buf *out)
{
    for (size_t i = 0; i < list->count; i++)
        buf_add(out, (list->items[i].is_copy ? base->data : delta->data) + list->items[i].offset, list->items[i].length);
}

static uint64_t pick_length(uint64_t *seed)
{
    static const uint64_t edges[] = { 1, 2, 63, 64, 65, 127, 128, 255, 256, 257, 65535, 65536, 65537 };
    uint64_t r = scratch_random(seed);
    return r % 2 ? edges[r / 2 % 13] : 1 + r / 2 % 3000;
}

// Random commands, many lengths and offsets at the edges of the forms.
static void test_rdiff_applies_random_commands(void **state)
{
    (void)state;
    _cleanup_scratch_ struct scratch s = scratch_new();
    struct error err;
    uint64_t seed = 42;
    _cleanup_buf_ struct buf base = { 0 };
    scratch_fill(&seed, buf_extend(&base, 300000), 300000);
    scratch_write(&s, "base", base.data, base.len);
    for (unsigned round = 0; round < 25; round++) {
        _cleanup_buf_ struct buf delta = { 0 }, expected = { 0 }, back = { 0 }, joined = { 0 };
        rdelta_begin(&delta);
        for (unsigned i = 0; i < 40; i++) {
            uint64_t n = pick_length(&seed), at = pick_length(&seed);
            if (scratch_random(&seed) % 2) {
                rdelta_put_copy(&delta, at, n);
                buf_add(&expected, base.data + at, n);
            } else {
                uint64_t where;
                uint8_t *data = xmalloc(n);
                scratch_fill(&seed, data, n);
                rdelta_put_literal(&delta, data, n, &where);
                assert_memory_equal(delta.data + where, data, n);
                buf_add(&expected, data, n);
                free(data);
            }
        }
        rdelta_end(&delta);
        scratch_write(&s, "delta", delta.data, delta.len);
        scratch_run("rdiff -f patch '%s/base' '%s/delta' '%s/new'", s.dir, s.dir, s.dir);
        scratch_read(&s, "new", &back);
        assert_int_equal(back.len, expected.len);
        assert_memory_equal(back.data, expected.data, back.len);
        _cleanup_rdelta_list_ struct rdelta_list list = { 0 };
        scratch_ok(rdelta_parse(delta.data, delta.len, base.len, expected.len, &list, &err), &err);
        assert_int_equal(list.count, 40);
        apply(&base, &delta, &list, &joined);
        assert_int_equal(joined.len, expected.len);
        assert_memory_equal(joined.data, expected.data, joined.len);
    }
}

static void test_rdiff_deltas_are_parsed(void **state)
{
    (void)state;
    _cleanup_scratch_ struct scratch s = scratch_new();
    struct error err;
    uint64_t seed = 4;
    _cleanup_buf_ struct buf base = { 0 }, new = { 0 }, delta = { 0 }, joined = { 0 };
    scratch_fill(&seed, buf_extend(&base, 500000), 500000);
    buf_add(&new, "inserted", 8);
    buf_add(&new, base.data, 200000);
    scratch_fill(&seed, buf_extend(&new, 70000), 70000);
    buf_add(&new, base.data + 300000, 200000);
    scratch_write(&s, "base", base.data, base.len);
    scratch_write(&s, "new", new.data, new.len);
    scratch_run("cd '%s' && rdiff signature base sig && rdiff delta sig new delta", s.dir);
    scratch_read(&s, "delta", &delta);
    _cleanup_rdelta_list_ struct rdelta_list list = { 0 };
    scratch_ok(rdelta_parse(delta.data, delta.len, base.len, new.len, &list, &err), &err);
    apply(&base, &delta, &list, &joined);
    assert_int_equal(joined.len, new.len);
    assert_memory_equal(joined.data, new.data, new.len);
    // What the caller knows must agree.
    assert_int_equal(rdelta_parse(delta.data, delta.len, base.len, new.len - 1, &list, &err), ERROR_FORMAT);
    assert_int_equal(rdelta_parse(delta.data, delta.len, base.len, new.len + 1, &list, &err), ERROR_FORMAT);
    assert_int_equal(rdelta_parse(delta.data, delta.len, base.len - 2500, new.len, &list, &err), ERROR_FORMAT);
    for (size_t n = 0; n < delta.len; n += 1 + n / 50)
        assert_int_equal(rdelta_parse(delta.data, n, base.len, new.len, &list, &err), ERROR_FORMAT);
}

static void check_bytes(const struct buf *got, const char *hex)
{
    _cleanup_buf_ struct buf text = { 0 };
    buf_add_hex(&text, got->data, got->len);
    assert_string_equal(buf_str(&text), hex);
}

// The shortest form for each size, byte for byte.
static void test_golden_bytes(void **state)
{
    (void)state;
    uint8_t data[300] = { 0 };
    _cleanup_buf_ struct buf b = { 0 };
    rdelta_begin(&b);
    rdelta_put_literal(&b, "A", 1, NULL);
    rdelta_put_copy(&b, 0, 0xff);
    rdelta_put_copy(&b, 0x100, 0x100);
    rdelta_put_copy(&b, 0x10000, 0x10000);
    rdelta_put_copy(&b, UINT64_C(0x100000000), 1);
    rdelta_end(&b);
    check_bytes(&b, "72730236" "0141" "4500ff" "4a01000100" "4f0001000000010000" "51000000010000000001" "00");
    buf_reset(&b);
    rdelta_put_literal(&b, data, 64, NULL);
    assert_int_equal(b.len, 65);
    buf_reset(&b);
    rdelta_put_literal(&b, data, 65, NULL);
    assert_int_equal(b.data[0], 0x41);
    assert_int_equal(b.len, 67);
    buf_reset(&b);
    rdelta_put_literal(&b, data, 300, NULL);
    assert_int_equal(b.data[0], 0x42);
    assert_int_equal(b.len, 303);
}

static int parse(const char *bytes, size_t n)
{
    struct error err;
    _cleanup_rdelta_list_ struct rdelta_list list = { 0 };
    return rdelta_parse(bytes, n, 1000, 10, &list, &err);
}
#define PARSE(text) parse("rs\x02\x36" text, sizeof(text) + 3)

static void test_bad_deltas(void **state)
{
    (void)state;
    assert_int_equal(PARSE("\x45\x00\x0a\x00"), 0);
    assert_int_equal(parse("rs\x01\x36\x45\x00\x0a\x00", 8), ERROR_FORMAT);    // another magic
    assert_int_equal(PARSE("\x45\x00\x0a"), ERROR_FORMAT);                      // no end
    assert_int_equal(PARSE("\x45\x00\x0a\x00\x00"), ERROR_FORMAT);              // bytes after the end
    assert_int_equal(PARSE("\x55\x00\x0a\x00"), ERROR_FORMAT);                  // reserved command
    assert_int_equal(PARSE("\x45\x00\x00\x45\x00\x0a\x00"), ERROR_FORMAT);      // copy of nothing
    assert_int_equal(PARSE("\x41\x00\x45\x00\x0a\x00"), ERROR_FORMAT);          // literal of nothing
    assert_int_equal(PARSE("\x0a""abc"), ERROR_FORMAT);                         // literal cut short
    assert_int_equal(PARSE("\x44\xff\xff\xff\xff\xff\xff\xff\xff" "abc"), ERROR_FORMAT);
    assert_int_equal(PARSE("\x51\xff\xff\xff\xff\xff\xff\xff\xff\x0a\x00"), ERROR_FORMAT);
    assert_int_equal(PARSE("\x46\x03\xdf\x00\x0a\x00"), ERROR_FORMAT);          // forms swapped: makes 0xdf00 bytes
    assert_int_equal(PARSE("\x49\x03\xde\x0a\x00"), 0);                         // 990 + 10: up to the base's end
    assert_int_equal(PARSE("\x49\x03\xdf\x0a\x00"), ERROR_FORMAT);              // one byte beyond
}

static void test_lists_merge_what_continues(void **state)
{
    (void)state;
    _cleanup_rdelta_list_ struct rdelta_list list = { 0 };
    rdelta_list_add(&list, true, 100, 50);
    rdelta_list_add(&list, true, 150, 10);
    rdelta_list_add(&list, true, 170, 10);
    rdelta_list_add(&list, false, 180, 10);
    rdelta_list_add(&list, false, 190, 1);
    rdelta_list_add(&list, true, 191, 1);
    assert_int_equal(list.count, 4);
    assert_int_equal(list.items[0].length, 60);
    assert_int_equal(list.items[2].length, 11);
    // Never beyond what a command may hold.
    rdelta_list_reset(&list);
    rdelta_list_add(&list, true, 0, 1u << 31);
    rdelta_list_add(&list, true, 1u << 31, 1);
    assert_int_equal(list.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rdiff_applies_random_commands),
        cmocka_unit_test(test_rdiff_deltas_are_parsed),
        cmocka_unit_test(test_golden_bytes),
        cmocka_unit_test(test_bad_deltas),
        cmocka_unit_test(test_lists_merge_what_continues),
    };
    return cmocka_run_group_tests_name("rdelta", tests, NULL, NULL);
}
