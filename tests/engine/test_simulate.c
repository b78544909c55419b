#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bkd/engine/simulate.h"

#define NIGHTS 200u
#define DAY_NS (UINT64_C(86400) * 1000000000)

static void keep_all(void *arg, const uint64_t *times_ns, size_t n, uint64_t now_ns, bool *keep)
{
    (void)arg, (void)times_ns, (void)now_ns;
    memset(keep, true, n);
}

static void keep_newest(void *arg, const uint64_t *times_ns, size_t n, uint64_t now_ns, bool *keep)
{
    (void)times_ns, (void)now_ns;
    for (size_t i = 0; i < n; i++)
        keep[i] = i + *(size_t *)arg >= n;
}

static void keep_periods(const uint64_t *times_ns, size_t n, uint64_t period_days, unsigned count, bool *keep)
{
    uint64_t last = UINT64_MAX;
    for (size_t i = n; i-- > 0 && count > 0;) {
        uint64_t period = times_ns[i] / DAY_NS / period_days;
        if (period == last)
            continue;
        last = period;
        keep[i] = true;
        count--;
    }
}

// Daily 14, weekly 8, monthly 6, by the plainest counting there is.
static void keep_family(void *arg, const uint64_t *times_ns, size_t n, uint64_t now_ns, bool *keep)
{
    (void)arg, (void)now_ns;
    memset(keep, false, n);
    keep_periods(times_ns, n, 1, 14, keep);
    keep_periods(times_ns, n, 7, 8, keep);
    keep_periods(times_ns, n, 30, 6, keep);
}

static const struct simulate_source tree = { .bytes = UINT64_C(100) << 30, .change_share = 0.02 };
static const struct simulate_source image = { .is_image = true, .bytes = UINT64_C(100) << 30, .change_share = 0.01 };

static struct simulate_rules rules_of(simulate_keep_fn *keep, unsigned min_live, const struct simulate_source *source)
{
    return (struct simulate_rules){ .keep = keep, .renewal = { .min_live_percent = min_live, .budget_bytes = source->bytes / 50 }, .ancestry = { 20, 100 } };
}

static void test_everything_kept(void **state)
{
    (void)state;
    struct simulate_night nights[60];
    struct simulate_rules rules = rules_of(keep_all, 0, &tree);
    uint64_t written = 0;
    simulate_run(&tree, &rules, 60, 1, nights);
    for (size_t i = 0; i < 60; i++) {
        written += nights[i].written_bytes;
        assert_int_equal(nights[i].snapshots, i + 1);
        assert_int_equal(nights[i].stored_bytes, written);
        assert_int_equal(nights[i].unique_bytes, written); // each changed file is new, and in some snapshot
        assert_in_range(i == 0 ? tree.bytes / 50 : nights[i].written_bytes, tree.bytes / 60, tree.bytes / 42);
    }
}

// Of the newest snapshot alone each byte counts once, and what is renewed makes old objects go.
static void test_only_the_newest(void **state)
{
    (void)state;
    static struct simulate_night without[NIGHTS], with[NIGHTS];
    size_t one = 1;
    struct simulate_rules rules = rules_of(keep_newest, 0, &tree);
    rules.keep_arg = &one;
    simulate_run(&tree, &rules, NIGHTS, 1, without);
    rules.renewal.min_live_percent = 50;
    simulate_run(&tree, &rules, NIGHTS, 1, with);
    uint64_t renewed = 0;
    for (size_t i = 0; i < NIGHTS; i++) {
        assert_int_equal(with[i].unique_bytes, tree.bytes);
        assert_int_equal(with[i].snapshots, 1);
        assert_in_range(with[i].renewed_bytes, 0, rules.renewal.budget_bytes + tree.bytes / SIMULATE_FILES);
        assert_true(with[i].stored_bytes >= tree.bytes);
        renewed += with[i].renewed_bytes;
    }
    assert_true(renewed > tree.bytes);
    assert_true(without[NIGHTS - 1].stored_bytes > 4 * tree.bytes);
    assert_true(with[NIGHTS - 1].stored_bytes < tree.bytes * 16 / 10);
}

static void test_repeatable(void **state)
{
    (void)state;
    struct simulate_night a[30], b[30];
    struct simulate_rules rules = rules_of(keep_family, 30, &tree);
    simulate_run(&tree, &rules, 30, 7, a);
    simulate_run(&tree, &rules, 30, 7, b);
    assert_memory_equal(a, b, sizeof a);
    simulate_run(&tree, &rules, 30, 8, b);
    assert_memory_not_equal(a, b, sizeof a);
}

// What the defaults were chosen for: at most twice the distinct data of the kept snapshots, however unevenly files change; somewhat more for an image.
static void test_defaults(void **state)
{
    (void)state;
    static struct simulate_night nights[NIGHTS];
    const struct simulate_source sources[] = {
        tree,
        { .bytes = tree.bytes, .change_share = 0.02, .hot_share = 0.2, .hot_changes = 0.8 },
        { .bytes = tree.bytes, .change_share = 0.02, .hot_share = 0.1, .hot_changes = 0.9 },
        image,
    };
    for (size_t i = 0; i < 4; i++) {
        struct simulate_rules rules = rules_of(keep_family, 30, &sources[i]);
        simulate_run(&sources[i], &rules, NIGHTS, 1, nights);
        const struct simulate_night *last = &nights[NIGHTS - 1];
        assert_in_range(last->snapshots, 22, 26);
        if (last->stored_bytes > last->unique_bytes / 10 * (sources[i].is_image ? 22 : 20))
            fail_msg("source %zu: %.2f times what it should be", i, (double)last->stored_bytes / (double)last->unique_bytes);
    }
}

// An image's versions without anchors are stored whole again and again.
static void test_anchors_pay(void **state)
{
    (void)state;
    static struct simulate_night nights[NIGHTS];
    uint64_t written[2] = { 0, 0 };
    for (int anchors = 0; anchors < 2; anchors++) {
        struct simulate_rules rules = rules_of(keep_family, 30, &image);
        rules.ancestry.max_chain = anchors == 1 ? 20 : 1;
        simulate_run(&image, &rules, NIGHTS, 1, nights);
        for (size_t i = 0; i < NIGHTS; i++)
            written[anchors] += nights[i].written_bytes;
    }
    assert_int_equal(written[0], NIGHTS * image.bytes);
    assert_true(written[1] < 7 * image.bytes);
}

// Between being given up and being removed a snapshot still holds its data.
static void test_grace(void **state)
{
    (void)state;
    struct simulate_night at_once[40], late[40];
    size_t three = 3;
    struct simulate_rules rules = rules_of(keep_newest, 0, &tree);
    rules.keep_arg = &three;
    simulate_run(&tree, &rules, 40, 1, at_once);
    rules.grace_ns = 2 * DAY_NS;
    simulate_run(&tree, &rules, 40, 1, late);
    assert_int_equal(at_once[39].snapshots, 3);
    assert_int_equal(late[39].snapshots, 5);
    assert_true(late[39].unique_bytes > at_once[39].unique_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_kept), cmocka_unit_test(test_only_the_newest), cmocka_unit_test(test_repeatable),
        cmocka_unit_test(test_defaults),        cmocka_unit_test(test_anchors_pay),     cmocka_unit_test(test_grace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
