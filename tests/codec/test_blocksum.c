// Sums of four blocks at once are those of the rdiff program, whatever the bytes.
#include "tests/codec/scratch.h"

#include "bkd/codec/blocksum.h"

static void check(const struct scratch *s, const uint8_t *data, uint32_t block, size_t count)
{
    _cleanup_buf_ struct buf expected = { 0 };
    uint8_t *entries = xcalloc(count + 1, BLOCKSUM_ENTRY);
    size_t done = blocksum_entries(data, block, count, entries);
    // A processor without AVX2 leaves everything to librsync.
    if (done > 0) {
        assert_int_equal(done, count / 4 * 4);
        scratch_write(s, "file", data, count * block);
        scratch_run("rdiff -f -H blake2 -R rabinkarp -b %u -S 32 signature '%s/file' '%s/sig'", block, s->dir, s->dir);
        scratch_read(s, "sig", &expected);
        assert_memory_equal(entries, expected.data + 12, done * BLOCKSUM_ENTRY);
    }
    // Nothing beyond what it says.
    for (size_t i = done * BLOCKSUM_ENTRY; i < (count + 1) * BLOCKSUM_ENTRY; i++)
        assert_int_equal(entries[i], 0);
    free(entries);
}

static void test_equal_to_rdiff(void **state)
{
    (void)state;
    static const uint32_t blocks[] = { 128, 256, 4096, 1u << 20 };
    _cleanup_scratch_ struct scratch s = scratch_new();
    uint8_t *data = xmalloc(7u << 20);
    for (unsigned fill = 0; fill < 3; fill++) {
        uint64_t seed = 5;
        if (fill == 2)
            scratch_fill(&seed, data, 7u << 20);
        else
            memset(data, fill == 0 ? 0x00 : 0xff, 7u << 20);
        for (size_t i = 0; i < 4; i++)
            for (size_t count = 3; count <= 7; count += 2)
                check(&s, data, blocks[i], count);
    }
    free(data);
}

static void test_sizes_that_do_not_suit(void **state)
{
    (void)state;
    uint8_t data[4 * 200] = { 0 }, entries[4 * BLOCKSUM_ENTRY];
    assert_int_equal(blocksum_entries(data, 0, 4, entries), 0);
    assert_int_equal(blocksum_entries(data, 200, 4, entries), 0);
    assert_int_equal(blocksum_entries(data, 128, 0, entries), 0);
    assert_int_equal(blocksum_entries(data, 128, 3, entries), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_to_rdiff),
        cmocka_unit_test(test_sizes_that_do_not_suit),
    };
    return cmocka_run_group_tests_name("blocksum", tests, NULL, NULL);
}
