// Sums of several blocks at once are those of the rdiff program, whatever the bytes, wherever the blocks lie, in each way that this processor has.
#include "tests/codec/scratch.h"

#include "bkd/codec/blocksum.h"

// `count` blocks of data, the last of them first, into entries that stand in their order.
static void sum_backwards(enum blocksum_way way, const uint8_t *data, uint32_t block, size_t count, uint8_t *ret_entries)
{
    const uint8_t *blocks[BLOCKSUM_LANES];
    uint8_t *entries[BLOCKSUM_LANES];
    for (size_t i = 0; i < count; i++) {
        blocks[i] = data + (count - 1 - i) * block;
        entries[i] = ret_entries + (count - 1 - i) * BLOCKSUM_ENTRY;
    }
    blocksum_entries(way, blocks, block, count, entries);
}

static void check(const struct scratch *s, const uint8_t *data, uint32_t block, size_t count)
{
    _cleanup_buf_ struct buf expected = { 0 };
    scratch_write(s, "file", data, count * block);
    scratch_run("rdiff -f -H blake2 -R rabinkarp -b %u -S 32 signature '%s/file' '%s/sig'", block, s->dir, s->dir);
    scratch_read(s, "sig", &expected);
    for (enum blocksum_way way = BLOCKSUM_AVX2; way <= blocksum_way(block); way++) {
        uint8_t entries[(BLOCKSUM_LANES + 1) * BLOCKSUM_ENTRY] = { 0 };
        sum_backwards(way, data, block, count, entries);
        assert_memory_equal(entries, expected.data + 12, count * BLOCKSUM_ENTRY);
        for (size_t i = count * BLOCKSUM_ENTRY; i < sizeof entries; i++)
            assert_int_equal(entries[i], 0);
    }
}

static void test_equal_to_rdiff(void **state)
{
    (void)state;
    static const uint32_t blocks[] = { 128, 256, 4096, 1u << 20 };
    _cleanup_scratch_ struct scratch s = scratch_new();
    uint8_t *data = xmalloc(4u << 20);
    for (unsigned fill = 0; fill < 3; fill++) {
        uint64_t seed = 5;
        if (fill == 2)
            scratch_fill(&seed, data, 4u << 20);
        else
            memset(data, fill == 0 ? 0x00 : 0xff, 4u << 20);
        for (size_t i = 0; i < 4; i++)
            for (size_t count = 1; count <= BLOCKSUM_LANES; count++)
                check(&s, data, blocks[i], count);
    }
    free(data);
}

static void test_sizes_that_do_not_suit(void **state)
{
    (void)state;
    assert_int_equal(blocksum_way(0), BLOCKSUM_NONE);
    assert_int_equal(blocksum_way(200), BLOCKSUM_NONE);
    if (blocksum_way(128) == BLOCKSUM_NONE)
        print_message("this processor has neither AVX2 nor AVX-512: librsync makes all sums\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_to_rdiff),
        cmocka_unit_test(test_sizes_that_do_not_suit),
    };
    return cmocka_run_group_tests_name("blocksum", tests, NULL, NULL);
}
