// What would be lost, on made-up histories: by hand, and against an oracle that looks at every hour.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "bkd/dr/rpo.h"

#define H UINT64_C(3600000000000)

static void test_by_hand(void **state)
{
    const struct rpo_point points[] = {
        { 1, 24 * H, 25 * H, 26 * H, 30 * H, RPO_NEVER },
        { 2, 48 * H, 49 * H, 50 * H, RPO_NEVER, RPO_NEVER },
        { 3, 72 * H, 73 * H, RPO_NEVER, RPO_NEVER, RPO_NEVER },
    };
    struct rpo rpo = rpo_at(points, 3, 80 * H);
    (void)state;
    assert_int_equal(rpo.newest, 8 * H);
    assert_int_equal(rpo.offsite, 32 * H);
    assert_int_equal(rpo.proven, 56 * H);
    assert_int_equal(rpo.newest_number, 3);
    assert_int_equal(rpo.offsite_number, 2);
    assert_int_equal(rpo.proven_number, 1);
    rpo = rpo_at(points, 3, 24 * H); // begun, not made yet
    assert_int_equal(rpo.newest, RPO_NEVER);
    rpo = rpo_at(points, 3, 27 * H);
    assert_int_equal(rpo.offsite, 3 * H);
    assert_int_equal(rpo.proven, RPO_NEVER);
    assert_int_equal(rpo_worst(points, 3, 26 * H, 49 * H + 1, false), 25 * H + 1);
    assert_int_equal(rpo_worst(points, 3, 26 * H, 60 * H, false), 26 * H - 1); // just before the second arrived
    assert_int_equal(rpo_worst(points, 3, 0, 60 * H, false), RPO_NEVER);
}

static void test_given_up(void **state)
{
    const struct rpo_point points[] = {
        { 1, 1 * H, 1 * H, 1 * H, 1 * H, RPO_NEVER },
        { 2, 10 * H, 10 * H, 10 * H, 10 * H, 20 * H },
    };
    (void)state;
    assert_int_equal(rpo_at(points, 2, 19 * H).proven, 9 * H);
    assert_int_equal(rpo_at(points, 2, 20 * H).proven, 19 * H);
    assert_int_equal(rpo_worst(points, 2, 11 * H, 20 * H, true), 19 * H);
    assert_int_equal(rpo_at(NULL, 0, H).newest, RPO_NEVER);
}

// Moments are whole hours here: the worst of all hours, and of the nanosecond before each.
static void test_worst_against_oracle(void **state)
{
    (void)state;
    srandom(3);
    for (int t = 0; t < 2000; t++) {
        struct rpo_point points[6];
        size_t n = (size_t)(random() % 6);
        uint64_t from = (uint64_t)(random() % 50) * H, until = from + (uint64_t)(1 + random() % 50) * H, worst = 0;
        bool proof = random() % 2 == 0;
        for (size_t i = 0; i < n; i++) {
            uint64_t time = (uint64_t)(random() % 100) * H, made = time + (uint64_t)(random() % 3) * H;
            points[i] = (struct rpo_point){ i + 1, time, made, random() % 3 == 0 ? RPO_NEVER : made + (uint64_t)(random() % 9) * H,
                                            random() % 3 == 0 ? RPO_NEVER : made + (uint64_t)(random() % 30) * H,
                                            random() % 3 == 0 ? made + (uint64_t)(random() % 40) * H : RPO_NEVER };
        }
        for (uint64_t at = from; at <= until; at += H)
            for (uint64_t before = 0; before < 2; before++) {
                if ((before == 1 && at == from) || (before == 0 && at == from))
                    continue;
                struct rpo rpo = rpo_at(points, n, at - before);
                uint64_t age = proof ? rpo.proven : rpo.offsite;
                worst = age > worst ? age : worst;
            }
        assert_int_equal(rpo_worst(points, n, from, until, proof), worst);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_worst_against_oracle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
