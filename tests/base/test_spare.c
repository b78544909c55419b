// Spare buffers: what comes back is used again where it suits; all together never take more than the bound while what is lent does not.
#include "tests/codec/scratch.h"

#include "bkd/base/spare.h"

enum { KIB = 1024, BOUND = 64 * KIB, ROUNDS = 20000, LENT_MAX = 12 };

static void test_used_again(void **state)
{
    struct spare s;
    (void)state;
    spare_init(&s, BOUND);
    struct buf b = spare_take(&s, 16 * KIB);
    memset(buf_extend(&b, 16 * KIB), 'x', 16 * KIB); // all of its room, and no more is needed
    assert_int_equal(b.cap, 16 * KIB + 1);
    const uint8_t *place = b.data;
    spare_give(&s, &b);
    assert_null(b.data);
    b = spare_take(&s, 9 * KIB); // a little less
    assert_ptr_equal(b.data, place);
    assert_int_equal(b.len, 0);
    spare_give(&s, &b);
    b = spare_take(&s, 7 * KIB); // too little for so large a one
    assert_ptr_not_equal(b.data, place);
    struct buf second = spare_take(&s, 17 * KIB); // more than it has
    assert_ptr_not_equal(second.data, place);
    spare_give(&s, &b);
    spare_give(&s, &second);
    spare_done(&s);
}

static void test_room(void **state)
{
    struct spare s;
    (void)state;
    spare_init(&s, BOUND);
    assert_true(spare_has_room(&s, BOUND));
    struct buf b = spare_take(&s, 48 * KIB);
    assert_true(spare_has_room(&s, 16 * KIB));
    assert_false(spare_has_room(&s, 16 * KIB + 1));
    spare_give(&s, &b);
    assert_true(spare_has_room(&s, BOUND)); // what is kept makes way
    b = spare_take(&s, 2 * BOUND);
    assert_false(spare_has_room(&s, 1));
    spare_give(&s, &b); // beyond the bound alone: not kept
    assert_int_equal(s.kept, 0);
    spare_done(&s);
}

// As little goes as is enough.
static void test_who_makes_way(void **state)
{
    static const size_t sizes[] = { 32 * KIB, 4 * KIB, 16 * KIB, 12 * KIB };
    struct buf b[4];
    struct spare s;
    (void)state;
    spare_init(&s, BOUND);
    for (size_t i = 0; i < 4; i++)
        b[i] = spare_take(&s, sizes[i]);
    for (size_t i = 0; i < 4; i++)
        spare_give(&s, &b[i]);
    assert_int_equal(s.kept, BOUND);
    struct buf small = spare_take(&s, 1 * KIB); // none suits: the 4 KiB go
    assert_int_equal(s.n, 3);
    assert_int_equal(s.kept, 60 * KIB);
    struct buf large = spare_take(&s, 50 * KIB); // 47 KiB are too much: the 32 go as the largest, then the 16 as enough
    assert_int_equal(s.n, 1);
    assert_int_equal(s.kept, 12 * KIB);
    spare_give(&s, &small);
    spare_give(&s, &large);
    spare_done(&s);
}

// Any order of any sizes.
static void test_bound_holds(void **state)
{
    struct buf lent[LENT_MAX] = { 0 };
    struct spare s;
    uint32_t x = 1;
    (void)state;
    spare_init(&s, BOUND);
    for (unsigned round = 0; round < ROUNDS; round++) {
        x = x * 1664525u + 1013904223u;
        struct buf *b = &lent[(x >> 8) % LENT_MAX];
        size_t size = 1 + (x >> 16) % (24 * KIB);
        if (b->data != NULL) {
            spare_give(&s, b);
        } else if (spare_has_room(&s, size)) {
            *b = spare_take(&s, size);
            assert_true(b->cap > size);
            memset(b->data, (int)round, size); // a sanitizer would see a buffer that two have
        }
        assert_true(s.lent + s.kept <= 2 * BOUND);
        assert_true(s.kept == 0 || s.lent + s.kept <= BOUND);
    }
    for (size_t i = 0; i < LENT_MAX; i++)
        spare_give(&s, &lent[i]);
    assert_int_equal(s.lent, 0);
    spare_done(&s);
}

// New or kept, whatever its size.
static void test_begins_at_a_page(void **state)
{
    (void)state;
    struct spare s;
    spare_init(&s, 64 << 20);
    for (size_t size = 1; size <= 16 << 20; size = size * 3 + 1) {
        struct buf b = spare_take(&s, size), again;
        assert_int_equal((uintptr_t)b.data % 4096, 0);
        spare_give(&s, &b);
        again = spare_take(&s, size);
        assert_int_equal((uintptr_t)again.data % 4096, 0);
        spare_give(&s, &again);
    }
    spare_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_used_again),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_who_makes_way),
        cmocka_unit_test(test_bound_holds),
        cmocka_unit_test(test_begins_at_a_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
