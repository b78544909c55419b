// Tags: equal for equal blocks under one key, different for anything else.
#include "tests/codec/scratch.h"

#include "bkd/base/crypto.h"
#include "bkd/codec/sameplace.h"

static void test_tags(void **state)
{
    (void)state;
    uint8_t key[SAMEPLACE_KEY] = { 1, 2, 3 }, other_key[SAMEPLACE_KEY] = { 1, 2, 4 };
    enum { SIZE = 3 * SAMEPLACE_BLOCK + 100 };
    uint8_t *data = xmalloc(SIZE), tags[4 * 16], again[4 * 16];
    uint64_t seed = 3;
    scratch_fill(&seed, data, SIZE);
    memcpy(data + 2 * SAMEPLACE_BLOCK, data, SAMEPLACE_BLOCK);
    assert_int_equal(sameplace_count(SIZE), 4);
    assert_int_equal(sameplace_count(0), 0);
    assert_int_equal(sameplace_count(SAMEPLACE_BLOCK), 1);
    _cleanup_sameplace_hasher_ struct sameplace_hasher *h = sameplace_hasher_new(key), *other = sameplace_hasher_new(other_key);
    sameplace_hash(h, data, SIZE, tags);
    sameplace_hash(h, data, SIZE, again);
    assert_memory_equal(tags, again, sizeof(tags));
    assert_memory_equal(tags, tags + 32, 16);
    assert_memory_not_equal(tags, tags + 16, 16);
    sameplace_hash(other, data, SIZE, again);
    for (unsigned i = 0; i < 4; i++)
        assert_memory_not_equal(tags + 16 * i, again + 16 * i, 16);
    // Every single bit counts, and in its own block only.
    for (size_t bit = 0; bit < SIZE * 8; bit += 1021) {
        data[bit / 8] ^= 1u << bit % 8;
        sameplace_hash(h, data, SIZE, again);
        data[bit / 8] ^= 1u << bit % 8;
        for (size_t i = 0; i < 4; i++)
            assert_true((memcmp(tags + 16 * i, again + 16 * i, 16) == 0) == (i != bit / 8 / SAMEPLACE_BLOCK));
    }
    free(data);
}

static void test_length_counts(void **state)
{
    (void)state;
    uint8_t key[SAMEPLACE_KEY] = { 5 }, zeros[SAMEPLACE_BLOCK] = { 0 }, tags[5][16];
    static const size_t lengths[] = { 1, 15, 16, 17, SAMEPLACE_BLOCK };
    _cleanup_sameplace_hasher_ struct sameplace_hasher *h = sameplace_hasher_new(key);
    for (size_t i = 0; i < 5; i++) {
        sameplace_hash(h, zeros, lengths[i], tags[i]);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(tags[i], tags[k], 16);
    }
}

// Blocks of zeros are noticed, and have the tag that they would have had.
static void test_zeros(void **state)
{
    (void)state;
    uint8_t key[SAMEPLACE_KEY] = { 9, 8 }, blocks[3 * SAMEPLACE_BLOCK] = { 0 }, tags[3][16], expected[16];
    _cleanup_sameplace_hasher_ struct sameplace_hasher *h = sameplace_hasher_new(key);
    struct crypto_blockhash hash;
    crypto_blockhash_init(&hash, key);
    for (size_t byte = 0; byte <= SAMEPLACE_BLOCK; byte += 455) { // one that is not zero in the block in the middle, or none
        memset(blocks, 0, sizeof blocks);
        if (byte < SAMEPLACE_BLOCK)
            blocks[SAMEPLACE_BLOCK + byte] = 1;
        sameplace_hash(h, blocks, sizeof blocks, tags[0]);
        for (size_t i = 0; i < 3; i++) {
            crypto_blockhash_run(&hash, blocks + i * SAMEPLACE_BLOCK, SAMEPLACE_BLOCK, expected);
            assert_memory_equal(tags[i], expected, 16);
        }
    }
    crypto_blockhash_done(&hash);
}

static void test_runs(void **state)
{
    (void)state;
    uint8_t a[16 * 6] = { 0 }, b[16 * 6] = { 0 };
    b[16 * 2 + 15] = 1;
    b[16 * 3] = 1;
    assert_int_equal(sameplace_run_end(a, b, 0, 6, true), 2);
    assert_int_equal(sameplace_run_end(a, b, 2, 6, true), 2);
    assert_int_equal(sameplace_run_end(a, b, 2, 6, false), 4);
    assert_int_equal(sameplace_run_end(a, b, 4, 6, true), 6);
    assert_int_equal(sameplace_run_end(a, b, 6, 6, true), 6);
    assert_int_equal(sameplace_run_end(a, b, 2, 3, false), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_length_counts),
        cmocka_unit_test(test_zeros), cmocka_unit_test(test_runs),
    };
    return cmocka_run_group_tests_name("sameplace", tests, NULL, NULL);
}
