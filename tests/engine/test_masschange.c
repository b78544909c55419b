// The guard against mass changes: made-up histories, and the texture of content.
#include "tests/codec/scratch.h"

#include "bkd/engine/masschange.h"
#include "bkd/engine/nights.h"
#include "bkd/engine/texture.h"

static char reason[MASSCHANGE_REASON_MAX];

static bool judge(const struct masschange_night *nights, size_t n, const struct masschange_night *now)
{
    static const struct masschange_limits automatic = { 0 };
    reason[0] = '\0';
    return masschange_judge(&automatic, nights, n, now, reason);
}

// `n` nights of a tree of 1000 files, 1 GB, with these numbers in each.
static void usual(struct masschange_night *nights, size_t n, uint64_t gone, uint64_t changed, uint64_t turned)
{
    for (size_t i = 0; i < n; i++)
        nights[i] = (struct masschange_night){ .snapshot = i + 2, .held = 1000, .held_bytes = 1000000000, .gone = gone + i % 3, .changed = changed + i % 5,
                                               .turned = turned, .turned_bytes = turned * 1000000 };
}

static struct masschange_night night(uint64_t held, uint64_t gone, uint64_t changed, uint64_t turned)
{
    return (struct masschange_night){ .snapshot = 1000, .held = held, .held_bytes = held * 1000000, .gone = gone, .changed = changed, .turned = turned,
                                      .turned_bytes = turned * 1000000 };
}

static void test_second_night(void **state)
{
    (void)state;
    static const struct {
        uint64_t held, gone, changed, turned;
        bool suspect;
    } cases[] = {
        { 1000, 0, 0, 0, false },     { 1000, 500, 0, 0, false },   { 1000, 501, 0, 0, true },    { 1000, 0, 300, 0, false }, // an upgrade
        { 1000, 0, 800, 10, false },  { 1000, 0, 801, 0, true },    { 1000, 0, 1000, 1000, true }, { 1000, 0, 201, 201, true },
        { 1000, 0, 200, 200, false }, { 19, 19, 0, 0, false },      { 20, 20, 0, 0, true },        { 20, 0, 20, 20, true },
        { 15, 0, 15, 15, false },     { 0, 0, 0, 0, false },        { 40, 9, 39, 4, true },        { 20, 0, 4, 4, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct masschange_night now = night(cases[i].held, cases[i].gone, cases[i].changed, cases[i].turned);
        if (judge(NULL, 0, &now) != cases[i].suspect)
            fail_msg("case %zu: %s", i, reason);
    }
}

static void test_says_what(void **state)
{
    (void)state;
    struct masschange_night gone = night(1200, 1000, 0, 0), turned = night(1200, 600, 600, 1200);
    assert_true(judge(NULL, 0, &gone));
    assert_string_equal(reason, "83 % of the 1200 files are gone");
    assert_true(judge(NULL, 0, &turned));
    assert_string_equal(reason, "100 % of the 1200 files turned incompressible, as encryption makes them");
}

static void test_steady_tree(void **state)
{
    (void)state;
    struct masschange_night nights[60], now;
    usual(nights, 60, 1, 10, 0);
    now = night(1000, 290, 500, 90);
    assert_false(judge(nights, 60, &now));
    now = night(1000, 310, 0, 0); // was let pass without a history
    assert_true(judge(nights, 60, &now));
    assert_false(judge(nights, 3, &now));
    now = night(1000, 0, 650, 0);
    assert_true(judge(nights, 60, &now));
    now = night(1000, 0, 150, 150);
    assert_true(judge(nights, 60, &now));
}

// A spool, a build tree: what changes wholly each night is usual there.
static void test_lively_tree(void **state)
{
    (void)state;
    struct masschange_night nights[60], now;
    usual(nights, 60, 700, 900, 300);
    now = night(1000, 900, 990, 350);
    assert_false(judge(nights, 60, &now));
    now = night(1000, 900, 990, 900);
    assert_true(judge(nights, 60, &now));
}

// Once a week much changes: the median does not see it, the history does.
static void test_weekly(void **state)
{
    (void)state;
    struct masschange_night nights[30], now = night(1000, 0, 900, 0);
    usual(nights, 30, 1, 10, 0);
    assert_true(judge(nights, 30, &now));
    for (size_t i = 3; i < 30; i += 7)
        nights[i].changed = 900;
    assert_false(judge(nights, 30, &now));
}

// What was suspect teaches nothing, until it was accepted twice.
static void test_suspect_nights(void **state)
{
    (void)state;
    struct masschange_night nights[30], now = night(1000, 800, 0, 0);
    usual(nights, 30, 1, 10, 0);
    for (size_t i = 20; i < 30; i++) {
        nights[i].gone = 800;
        nights[i].suspect = true;
    }
    assert_true(judge(nights, 30, &now));
    nights[20].accepted = true;
    assert_true(judge(nights, 30, &now));
    nights[25].accepted = true;
    assert_false(judge(nights, 30, &now));
}

// Ten large files are most of the bytes.
static void test_bytes_count(void **state)
{
    (void)state;
    struct masschange_night now = night(1000, 0, 10, 10);
    assert_false(judge(NULL, 0, &now));
    now.turned_bytes = 400000000; // some large ones were compressed
    assert_false(judge(NULL, 0, &now));
    now.turned_bytes = 900000000;
    assert_true(judge(NULL, 0, &now));
    now.turned = 3; // too few to say
    assert_false(judge(NULL, 0, &now));
}

static void test_slowly(void **state)
{
    (void)state;
    struct masschange_night nights[40], now = night(1000, 0, 30, 30);
    usual(nights, 40, 0, 10, 0);
    for (size_t i = 29; i < 39; i++) {
        assert_false(judge(nights, i, &now));
        nights[i] = now;
    }
    assert_true(judge(nights, 39, &now));
    assert_non_null(strstr(reason, "330 of 1000 files"));
    usual(nights, 40, 0, 30, 30); // logs that are compressed each night
    assert_false(judge(nights, 40, &now));
}

static void test_limits(void **state)
{
    (void)state;
    struct masschange_night now = night(100, 15, 15, 15);
    struct masschange_limits limits = { .gone = 10 };
    assert_true(masschange_judge(&limits, NULL, 0, &now, reason));
    limits = (struct masschange_limits){ .gone = 15, .changed = 15, .incompressible = 15 };
    assert_false(masschange_judge(&limits, NULL, 0, &now, reason));
    limits.changed = 14;
    assert_true(masschange_judge(&limits, NULL, 0, &now, reason));
    limits.min_files = 101;
    assert_false(masschange_judge(&limits, NULL, 0, &now, reason));
    limits = (struct masschange_limits){ .is_off = true, .gone = 1 };
    assert_false(masschange_judge(&limits, NULL, 0, &now, reason));
}

static void test_history_is_kept(void **state)
{
    static const uint8_t key[SEALED_KEY_SIZE] = { 7 }, other[SEALED_KEY_SIZE] = { 8 };
    struct scratch scratch = scratch_new();
    struct error err;
    (void)state;
    struct nights nights = { .n = 0 }, again;
    int dirfd = open(scratch.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    nights_load(&again, io_real(), dirfd, key);
    assert_int_equal(again.n, 0);
    for (uint64_t i = 0; i < NIGHTS_MAX + 5; i++)
        nights_add(&nights, &(struct masschange_night){ .snapshot = i, .held = UINT64_MAX, .turned = i * 2, .suspect = i % 2 == 0 });
    assert_int_equal(nights_save(&nights, io_real(), dirfd, key, &err), 0);
    nights_load(&again, io_real(), dirfd, key);
    assert_int_equal(again.n, NIGHTS_MAX);
    assert_memory_equal(again.items, nights.items, sizeof nights.items);
    nights_load(&again, io_real(), dirfd, other); // another repository's, or changed by somebody
    assert_int_equal(again.n, 0);
    (void)close(dirfd);
    scratch_done(&scratch);
}

// ---- texture

static void fill(uint8_t *data, size_t n, unsigned values)
{
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        data[i] = (uint8_t)((x >> 24) % values);
    }
}

static void test_texture(void **state)
{
    (void)state;
    static uint8_t data[100000];
    static const size_t sizes[] = { 512, 700, 2048, 4096, 4097, 20000, sizeof data };
    fill(data, sizeof data, 256);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_int_equal(texture_of(data, sizes[i]), TEXTURE_DENSE);
    assert_int_equal(texture_of(data, 511), TEXTURE_UNKNOWN);
    assert_int_equal(texture_of(NULL, 0), TEXTURE_UNKNOWN);
    fill(data, sizeof data, 64); // base64, which zstd makes a quarter smaller
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_int_equal(texture_of(data, sizes[i]), TEXTURE_LOOSE);
    fill(data, 4096, 256); // only the start encrypted
    assert_int_equal(texture_of(data, sizeof data), TEXTURE_DENSE);
    fill(data, sizeof data, 64);
    fill(data + 25000, 50000, 256); // a picture in a document
    assert_int_equal(texture_of(data, sizeof data), TEXTURE_DENSE);
    fill(data + 25000, 20000, 64);
    assert_int_equal(texture_of(data, sizeof data), TEXTURE_LOOSE);
}

static void test_texture_of_pieces(void **state)
{
    (void)state;
    struct texture_sum sum = { 0 };
    texture_add(&sum, TEXTURE_UNKNOWN);
    assert_int_equal(texture_whole(&sum), TEXTURE_UNKNOWN);
    texture_add(&sum, TEXTURE_LOOSE);
    assert_int_equal(texture_whole(&sum), TEXTURE_LOOSE);
    texture_add(&sum, TEXTURE_DENSE);
    assert_int_equal(texture_whole(&sum), TEXTURE_DENSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_second_night), cmocka_unit_test(test_says_what),      cmocka_unit_test(test_steady_tree),
        cmocka_unit_test(test_lively_tree),  cmocka_unit_test(test_weekly),         cmocka_unit_test(test_suspect_nights),
        cmocka_unit_test(test_bytes_count),  cmocka_unit_test(test_slowly),         cmocka_unit_test(test_limits),
        cmocka_unit_test(test_history_is_kept), cmocka_unit_test(test_texture),     cmocka_unit_test(test_texture_of_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
