#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bkd/engine/renewal.h"

static const struct renewal_rule rule = { .min_live_percent = 30, .budget_bytes = 50 };

static void test_due(void **state)
{
    (void)state;
    assert_true(renewal_is_due(&rule, &(struct renewal_object){ .bytes = 1000, .used_bytes = 299 }));
    assert_false(renewal_is_due(&rule, &(struct renewal_object){ .bytes = 1000, .used_bytes = 300 }));
    assert_false(renewal_is_due(&rule, &(struct renewal_object){ .bytes = 1000, .used_bytes = 0 })); // wholly dead: retention's
    assert_false(renewal_is_due(&rule, &(struct renewal_object){ .bytes = 10, .used_bytes = 4000 })); // used twice and more
    assert_false(renewal_is_due(&rule, &(struct renewal_object){ 0 }));
    assert_false(renewal_is_due(&(struct renewal_rule){ .budget_bytes = 50 }, &(struct renewal_object){ .bytes = 1000, .used_bytes = 1 }));
    assert_true(renewal_is_due(&rule, &(struct renewal_object){ .bytes = UINT64_C(1) << 40, .used_bytes = UINT64_C(1) << 38 }));
}

// The emptiest first, as far as the budget reaches.
static void test_choose(void **state)
{
    (void)state;
    struct renewal_object objects[] = {
        { 1, 100, 90 }, { 2, 100, 20 }, { 3, 100, 10 }, { 4, 100, 0 }, { 5, 1000, 25 }, { 6, 100, 29 }, { 7, 100, 28 },
    };
    assert_int_equal(renewal_choose(&rule, objects, 7), 3);
    assert_int_equal(objects[0].number, 5);
    assert_int_equal(objects[1].number, 3);
    assert_int_equal(objects[2].number, 2); // with it the budget is passed: renewed in part
    assert_int_equal(renewal_choose(&(struct renewal_rule){ .min_live_percent = 30 }, objects, 7), 0);
    assert_int_equal(renewal_choose(&(struct renewal_rule){ .min_live_percent = 30, .budget_bytes = UINT64_MAX }, objects, 7), 5);
    assert_int_equal(renewal_choose(&rule, objects, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_due),
        cmocka_unit_test(test_choose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
