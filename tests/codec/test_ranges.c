// The algebra of flat ranges on small hand-made bases; that it composes over generations is shown in test_generations.c.
#include "tests/codec/scratch.h"

#include "bkd/codec/ranges.h"

#define P ((uint64_t)RANGES_PIECE_SIZE)

static const struct place first_piece[] = { { 1, 1000, RANGES_PIECE_SIZE } };
static const struct place second_piece[] = { { 2, 512, 100 }, { 0, 0, 200 }, { 3, 7, 50 }, { 1, 9, RANGES_PIECE_SIZE - 350 } };
static const struct place third_piece[] = { { 4, 0, 10 } };

struct calls {
    unsigned count;
    int fail;
};

static int piece(void *arg, uint64_t index, const struct place **ret_items, size_t *ret_count, struct error *err)
{
    struct calls *calls = arg;
    calls->count++;
    if (calls->fail != 0)
        return error_set(err, calls->fail, "no piece");
    *ret_items = index == 0 ? first_piece : index == 1 ? second_piece : third_piece;
    *ret_count = index == 1 ? 4 : 1;
    return 0;
}

static void check(const struct ranges *r, const struct place *expected, size_t n)
{
    assert_int_equal(r->count, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(r->items[i].object, expected[i].object);
        assert_int_equal(r->items[i].offset, expected[i].offset);
        assert_int_equal(r->items[i].length, expected[i].length);
    }
}

static void check_slice(uint64_t offset, uint64_t length, const struct place *expected, size_t n)
{
    struct calls calls = { 0 };
    struct ranges_base base = { piece, &calls, 2 * P + 10 };
    struct error err;
    _cleanup_ranges_ struct ranges r = { 0 };
    scratch_ok(ranges_slice(&base, offset, length, &r, &err), &err);
    check(&r, expected, n);
    assert_int_equal(ranges_length(&r), length);
}

static void test_slices(void **state)
{
    (void)state;
    check_slice(0, P, (struct place[]){ { 1, 1000, P } }, 1);
    check_slice(5, 10, (struct place[]){ { 1, 1005, 10 } }, 1);
    check_slice(P, 100, (struct place[]){ { 2, 512, 100 } }, 1);
    check_slice(P + 99, 2, (struct place[]){ { 2, 611, 1 }, { 0, 0, 1 } }, 2);
    check_slice(P + 150, 100, (struct place[]){ { 0, 0, 100 } }, 1);
    check_slice(P + 299, 52, (struct place[]){ { 0, 0, 1 }, { 3, 7, 50 }, { 1, 9, 1 } }, 3);
    check_slice(P - 1, 2, (struct place[]){ { 1, 1000 + P - 1, 1 }, { 2, 512, 1 } }, 2);
    check_slice(P + 350, P - 350 + 10, (struct place[]){ { 1, 9, P - 350 }, { 4, 0, 10 } }, 2);
    check_slice(2 * P + 9, 1, (struct place[]){ { 4, 9, 1 } }, 1);
    check_slice(2 * P + 10, 0, NULL, 0);
}

static void test_slices_outside_are_refused(void **state)
{
    (void)state;
    struct calls calls = { 0 };
    struct ranges_base base = { piece, &calls, 2 * P + 10 };
    struct error err;
    _cleanup_ranges_ struct ranges r = { 0 };
    assert_int_equal(ranges_slice(&base, 2 * P + 9, 2, &r, &err), ERROR_FORMAT);
    assert_int_equal(ranges_slice(&base, UINT64_MAX, 1, &r, &err), ERROR_FORMAT);
    assert_int_equal(ranges_slice(&base, 1, UINT64_MAX, &r, &err), ERROR_FORMAT);
    base.size = 2 * P + 11; // the base's lists give one byte less
    assert_int_equal(ranges_slice(&base, 2 * P + 10, 1, &r, &err), ERROR_FORMAT);
    calls.fail = ERROR_UNREACHABLE;
    assert_int_equal(ranges_slice(&base, 0, 1, &r, &err), ERROR_UNREACHABLE);
}

static void test_resolve(void **state)
{
    (void)state;
    struct calls calls = { 0 };
    struct ranges_base base = { piece, &calls, 2 * P + 10 };
    struct place member = { 9, 5000, 300 };
    struct error err;
    _cleanup_ranges_ struct ranges r = { 0 };
    _cleanup_rdelta_list_ struct rdelta_list commands = { 0 };
    bool fits = false;
    rdelta_list_add(&commands, true, P + 90, 20);
    rdelta_list_add(&commands, false, 10, 100);
    rdelta_list_add(&commands, true, P + 120, 10);
    rdelta_list_add(&commands, true, P + 50, 40); // backwards
    scratch_ok(ranges_resolve(&base, &commands, &member, 0, &r, &fits, &err), &err);
    assert_true(fits);
    check(&r, (struct place[]){ { 2, 602, 10 }, { 0, 0, 10 }, { 9, 5010, 100 }, { 0, 0, 10 }, { 2, 562, 40 } }, 5);
    assert_int_equal(calls.count, 1);
    ranges_reset(&r);
    scratch_ok(ranges_resolve(&base, &commands, &member, 5, &r, &fits, &err), &err);
    assert_true(fits);
    ranges_reset(&r);
    scratch_ok(ranges_resolve(&base, &commands, &member, 4, &r, &fits, &err), &err);
    assert_false(fits);
    ranges_reset(&r);
    member.length = 109;
    assert_int_equal(ranges_resolve(&base, &commands, &member, 0, &r, &fits, &err), ERROR_FORMAT);
}

static void test_merging(void **state)
{
    (void)state;
    _cleanup_ranges_ struct ranges r = { 0 };
    ranges_add(&r, &(struct place){ 1, 10, 5 });
    ranges_add(&r, &(struct place){ 1, 15, 5 });
    ranges_add(&r, &(struct place){ 2, 20, 5 }); // another object
    ranges_add(&r, &(struct place){ 2, 26, 5 }); // a gap
    ranges_add(&r, &(struct place){ 0, 77, 5 });
    ranges_add(&r, &(struct place){ 0, 0, 6 });
    check(&r, (struct place[]){ { 1, 10, 10 }, { 2, 20, 5 }, { 2, 26, 5 }, { 0, 0, 11 } }, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_slices_outside_are_refused),
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_merging),
    };
    return cmocka_run_group_tests_name("ranges", tests, NULL, NULL);
}
