#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bkd/engine/ancestry.h"

static const struct ancestry_limits limits = { .max_chain = 14, .max_share_percent = 50 };

static void test_line_and_anchor(void **state)
{
    (void)state;
    struct ancestry first = { .chain = 1 }, last = { .chain = 8, .steps = 7, .delta_bytes = 70 }, before = { .chain = 7, .steps = 6, .delta_bytes = 60 };
    assert_int_equal(ancestry_choose(&limits, 1000, &first, NULL), ANCESTRY_PREVIOUS);
    assert_int_equal(ancestry_choose(&limits, 1000, &before, &first), ANCESTRY_PREVIOUS);
    assert_int_equal(ancestry_choose(&limits, 1000, &last, &first), ANCESTRY_ANCHOR);
    assert_int_equal(ancestry_choose(&limits, 1000, &last, NULL), ANCESTRY_WHOLE);
}

static void test_shares(void **state)
{
    (void)state;
    struct ancestry first = { .chain = 1 }, anchor = { .chain = 3, .delta_bytes = 501 }, heavy = { .chain = 3, .steps = 2, .delta_bytes = 500 };
    assert_int_equal(ancestry_choose(&limits, 1000, &heavy, &first), ANCESTRY_PREVIOUS);
    heavy.delta_bytes = 501; // more than half of it has changed since the anchor, too
    assert_int_equal(ancestry_choose(&limits, 1000, &heavy, &first), ANCESTRY_WHOLE);
    assert_int_equal(ancestry_choose(&limits, 1000, &(struct ancestry){ .chain = 5, .steps = 2, .delta_bytes = 600 }, &anchor), ANCESTRY_WHOLE);
    assert_int_equal(ancestry_choose(&limits, 1000, &(struct ancestry){ .chain = 5, .steps = 2, .delta_bytes = 600 },
                                     &(struct ancestry){ .chain = 3, .delta_bytes = 500 }),
                     ANCESTRY_ANCHOR);
    assert_int_equal(ancestry_choose(&(struct ancestry_limits){ 14, 100 }, UINT64_MAX / 2, &(struct ancestry){ .chain = 2, .steps = 1, .delta_bytes = 5 }, NULL),
                     ANCESTRY_PREVIOUS);
}

// However many versions follow each other: none has more in its closure than the limit, and few are stored whole.
static void test_any_limit(void **state)
{
    (void)state;
    for (uint32_t max = 1; max <= 64; max++) {
        struct ancestry_limits l = { .max_chain = max, .max_share_percent = 100 };
        struct ancestry anchor = { .chain = 1 }, now = anchor;
        unsigned whole = 0;
        for (unsigned n = 0; n < 5000; n++) {
            switch (ancestry_choose(&l, 1u << 30, &now, now.steps == 0 ? NULL : &anchor)) {
            case ANCESTRY_PREVIOUS:
                now.chain++;
                now.steps++;
                break;
            case ANCESTRY_ANCHOR:
                now = anchor = (struct ancestry){ .chain = anchor.chain + 1 };
                break;
            case ANCESTRY_WHOLE:
                now = anchor = (struct ancestry){ .chain = 1 };
                whole++;
            }
            assert_in_range(now.chain, 1, max);
        }
        assert_in_range(whole, 0, 5000 / max);
        if (max >= 4)
            assert_in_range(whole, 1, 5000 / (max * max / 4));
    }
}

// Versions that were stored under a more generous policy.
static void test_stricter_limit(void **state)
{
    (void)state;
    struct ancestry young = { .chain = 3 }, old = { .chain = 20, .steps = 2 }, anchor = { .chain = 18 }, last = { .chain = 7, .steps = 2 }, late = { .chain = 5 };
    assert_int_equal(ancestry_choose(&limits, 1000, &old, &anchor), ANCESTRY_WHOLE);
    assert_int_equal(ancestry_choose(&limits, 1000, &old, &young), ANCESTRY_ANCHOR);
    assert_int_equal(ancestry_choose(&(struct ancestry_limits){ 7, 50 }, 1000, &last, &late), ANCESTRY_WHOLE);
    assert_int_equal(ancestry_choose(&(struct ancestry_limits){ 8, 50 }, 1000, &last, &late), ANCESTRY_PREVIOUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_and_anchor),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_any_limit),
        cmocka_unit_test(test_stricter_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
