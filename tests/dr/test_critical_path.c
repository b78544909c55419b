// The critical path: known networks, and what must hold of any.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "bkd/dr/critical_path.h"

enum { MAX = 24 };

static void test_known(void **state)
{
    (void)state;
    // a(3) -> b(5) -> d(2); a -> c(1) -> d; e(4) alone
    struct critical_path_node nodes[] = { { .duration = 3 }, { .duration = 5 }, { .duration = 1 }, { .duration = 2 }, { .duration = 4 } };
    bool needs[25] = { false };
    uint64_t total = 0;
    needs[1 * 5 + 0] = needs[2 * 5 + 0] = needs[3 * 5 + 1] = needs[3 * 5 + 2] = true;
    assert_true(critical_path(nodes, 5, needs, &total));
    assert_int_equal(total, 10);
    assert_int_equal(nodes[3].start, 8);
    assert_int_equal(nodes[2].start, 3);
    assert_int_equal(nodes[2].slack, 4);
    assert_int_equal(nodes[4].slack, 6);
    assert_true(nodes[0].is_critical && nodes[1].is_critical && nodes[3].is_critical);
    assert_false(nodes[2].is_critical || nodes[4].is_critical);
}

static void test_circle(void **state)
{
    (void)state;
    struct critical_path_node nodes[3] = { { .duration = 1 }, { .duration = 1 }, { .duration = 1 } };
    bool needs[9] = { [0 * 3 + 2] = true, [1 * 3 + 0] = true, [2 * 3 + 1] = true };
    uint64_t total = 77;
    assert_false(critical_path(nodes, 3, needs, &total));
    assert_int_equal(total, 77);
    needs[0 * 3 + 2] = false;
    assert_true(critical_path(nodes, 3, needs, &total));
    assert_int_equal(total, 3);
}

static void test_nothing(void **state)
{
    (void)state;
    uint64_t total = 7;
    assert_true(critical_path(NULL, 0, NULL, &total));
    assert_int_equal(total, 0);
}

// The longest way to the end of a node, by trying all of them.
static uint64_t longest(const struct critical_path_node *nodes, size_t n, const bool *needs, size_t i)
{
    uint64_t before = 0;
    for (size_t k = 0; k < n; k++) {
        uint64_t end = needs[i * n + k] ? longest(nodes, n, needs, k) : 0;
        before = end > before ? end : before;
    }
    return before + nodes[i].duration;
}

// Nodes wait for earlier ones of a shuffled order only: there is no circle.
static size_t draw(unsigned *seed, struct critical_path_node *nodes, bool *needs)
{
    size_t n = 1 + (size_t)rand_r(seed) % (MAX / 2), shuffled[MAX];
    for (size_t i = 0; i < n; i++) {
        size_t k = (size_t)rand_r(seed) % (i + 1);
        shuffled[i] = shuffled[k];
        shuffled[k] = i;
        nodes[i] = (struct critical_path_node){ .duration = (uint64_t)rand_r(seed) % 100 };
    }
    for (size_t i = 0; i < n * n; i++)
        needs[i] = false;
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b < a; b++)
            needs[shuffled[a] * n + shuffled[b]] = rand_r(seed) % 4 == 0;
    return n;
}

static void test_properties(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 500; round++) {
        struct critical_path_node nodes[MAX], delayed[MAX];
        bool needs[MAX * MAX];
        unsigned seed = round;
        uint64_t total = 0, latest = 0, moved = 0;
        size_t n = draw(&seed, nodes, needs), critical = 0;
        assert_true(critical_path(nodes, n, needs, &total));
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(nodes[i].end, longest(nodes, n, needs, i));
            latest = nodes[i].end > latest ? nodes[i].end : latest;
            critical += nodes[i].is_critical;
            // A node may take longer by its slack, and not by more.
            for (size_t k = 0; k < n; k++)
                delayed[k] = nodes[k];
            delayed[i].duration += nodes[i].slack;
            assert_true(critical_path(delayed, n, needs, &moved));
            assert_int_equal(moved, total);
            delayed[i].duration++;
            assert_true(critical_path(delayed, n, needs, &moved));
            assert_int_equal(moved, total + 1);
        }
        assert_int_equal(total, latest);
        assert_true(critical > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_known), cmocka_unit_test(test_circle), cmocka_unit_test(test_nothing), cmocka_unit_test(test_properties) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
