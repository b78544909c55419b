// Extents: what is data and what is hole, against a map of blocks that is looked through one by one, and as a file system tells it.
#include "tests/codec/scratch.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "bkd/engine/extents.h"

enum { UNITS = 24, UNIT = 4096 };

static void fill_map(uint64_t *seed, bool *map)
{
    uint64_t share = scratch_random(seed) % 9;
    for (size_t i = 0; i < UNITS; i++)
        map[i] = scratch_random(seed) % 8 < share;
}

// As extents_find leaves it: none at all when all is data, one of no length at the end when nothing is.
static void make_recipe(const bool *map, struct recipe *recipe)
{
    size_t data = 0;
    for (size_t i = 0; i < UNITS;) {
        size_t end = i;
        while (end < UNITS && map[end])
            end++;
        if (end > i)
            recipe_add_extent(recipe, i, end - i);
        data += end - i;
        i = end + 1;
    }
    if (data == 0)
        recipe_add_extent(recipe, UNITS, 0);
    if (data == UNITS)
        recipe->n_extents = 0;
}

static void expect_next(const struct recipe *recipe, const bool *map, uint64_t at, uint64_t end)
{
    uint64_t from = at, to, got_from, got_to;
    while (from < end && !map[from])
        from++;
    for (to = from; to < end && map[to];)
        to++;
    extents_next_data(recipe, at, end, &got_from, &got_to);
    assert_int_equal(got_from, from);
    assert_int_equal(got_to, to);
    assert_int_equal(extents_is_hole(recipe, at, end - at), from == end);
}

static void test_next_data(void **state)
{
    bool map[UNITS];
    uint64_t seed = 7;
    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        _cleanup_recipe_ struct recipe recipe = { .size = UNITS };
        uint64_t holes = 0;
        fill_map(&seed, map);
        make_recipe(map, &recipe);
        for (uint64_t at = 0; at < UNITS; at++) {
            holes += !map[at];
            for (uint64_t end = at; end <= UNITS; end++)
                expect_next(&recipe, map, at, end);
        }
        assert_int_equal(extents_hole_bytes(&recipe, UNITS), holes);
    }
}

// Cut off, a file has the extents of the shorter one.
static void test_cut(void **state)
{
    bool map[UNITS];
    uint64_t seed = 11;
    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        _cleanup_recipe_ struct recipe recipe = { .size = UNITS };
        uint64_t size = 1 + scratch_random(&seed) % UNITS;
        fill_map(&seed, map);
        make_recipe(map, &recipe);
        extents_cut(&recipe, size);
        for (uint64_t at = 0; at < size; at++)
            expect_next(&recipe, map, at, size);
        for (size_t i = 0; i < recipe.n_extents; i++)
            assert_true(recipe.extents[i].offset + recipe.extents[i].length <= size);
    }
}

static void write_map(int fd, const bool *map)
{
    char block[UNIT];
    memset(block, 'x', sizeof block);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(ftruncate(fd, UNITS * UNIT), 0);
    for (size_t i = 0; i < UNITS; i++)
        if (map[i])
            assert_int_equal(pwrite(fd, block, sizeof block, (off_t)(i * UNIT)), UNIT);
}

// Every block that was written lies in an extent. A file system may call a hole data, but not all of them: this one was asked before.
static void test_find(void **state)
{
    _cleanup_scratch_ struct scratch s = scratch_new();
    _cleanup_free_ char *path = xasprintf("%s/f", s.dir);
    bool map[UNITS] = { false };
    uint64_t seed = 13;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    (void)state;
    assert_true(fd >= 0);
    write_map(fd, map);
    bool has_holes = lseek(fd, 0, SEEK_DATA) < 0;
    for (unsigned round = 0; round < 50; round++) {
        _cleanup_recipe_ struct recipe recipe = { .size = UNITS * UNIT };
        uint64_t data = 0;
        fill_map(&seed, map);
        write_map(fd, map);
        extents_find(io_real(), fd, UNITS * UNIT, &recipe);
        for (size_t i = 0; i < UNITS; i++) {
            assert_false(map[i] && extents_is_hole(&recipe, i * UNIT, UNIT));
            data += map[i];
        }
        if (has_holes && data == 0)
            assert_int_equal(extents_hole_bytes(&recipe, UNITS * UNIT), UNITS * UNIT);
        if (data == UNITS)
            assert_int_equal(recipe.n_extents, 0);
    }
    assert_int_equal(close(fd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_next_data), cmocka_unit_test(test_cut), cmocka_unit_test(test_find) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
