#include "bkd/codec/blocksum.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "bkd/base/bytes.h"

#if defined(__x86_64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx2,avx512f,avx512vl"))) // rotates in one step, and has twice as many registers
#define INLINE __attribute__((always_inline)) static inline

// ---- BLAKE2b: lane k of each vector belongs to block k ----

typedef uint64_t lanes __attribute__((vector_size(32)));

static const uint64_t blake2b_iv[8] = {
    UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b), UINT64_C(0x3c6ef372fe94f82b), UINT64_C(0xa54ff53a5f1d36f1),
    UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f), UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179),
};

static const uint8_t blake2b_sigma[12][16] = {
    { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 }, { 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3 },
    { 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4 }, { 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8 },
    { 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13 }, { 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9 },
    { 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11 }, { 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10 },
    { 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5 }, { 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0 },
    { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 }, { 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3 },
};

// To the right, by one of the four numbers of bits that BLAKE2b has. AVX2 rotates in three steps, and by whole bytes with a shuffle in one.
AVX2 INLINE lanes rotate(lanes x, unsigned bits, bool in_one_step)
{
    const __m256i by_16 = _mm256_broadcastsi128_si256(_mm_setr_epi8(2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9));
    const __m256i by_24 = _mm256_broadcastsi128_si256(_mm_setr_epi8(3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10));
    if (in_one_step || bits == 63)
        return (x >> bits) | (x << (64 - bits));
    if (bits == 32)
        return (lanes)_mm256_shuffle_epi32((__m256i)x, _MM_SHUFFLE(2, 3, 0, 1));
    return (lanes)_mm256_shuffle_epi8((__m256i)x, bits == 16 ? by_16 : by_24);
}

#define MIX(a, b, c, d, x, y)                   \
    do {                                        \
        a = a + b + (x);                        \
        d = rotate(d ^ a, 32, rotates);         \
        c = c + d;                              \
        b = rotate(b ^ c, 24, rotates);         \
        a = a + b + (y);                        \
        d = rotate(d ^ a, 16, rotates);         \
        c = c + d;                              \
        b = rotate(b ^ c, 63, rotates);         \
    } while (0)

AVX2 INLINE void blake2b_round(lanes v[16], const lanes m[16], const uint8_t s[16], bool rotates)
{
    MIX(v[0], v[4], v[8], v[12], m[s[0]], m[s[1]]);
    MIX(v[1], v[5], v[9], v[13], m[s[2]], m[s[3]]);
    MIX(v[2], v[6], v[10], v[14], m[s[4]], m[s[5]]);
    MIX(v[3], v[7], v[11], v[15], m[s[6]], m[s[7]]);
    MIX(v[0], v[5], v[10], v[15], m[s[8]], m[s[9]]);
    MIX(v[1], v[6], v[11], v[12], m[s[10]], m[s[11]]);
    MIX(v[2], v[7], v[8], v[13], m[s[12]], m[s[13]]);
    MIX(v[3], v[4], v[9], v[14], m[s[14]], m[s[15]]);
}

// Words 4j to 4j + 3 of each block, one block in a row, become four vectors of one word each.
AVX2 INLINE void take_words(lanes m[4], const uint8_t *const blocks[BLOCKSUM_LANES], uint32_t at)
{
    __m256i row[4], low[2], high[2];
    for (unsigned k = 0; k < 4; k++)
        row[k] = _mm256_loadu_si256((const __m256i *)(const void *)(blocks[k] + at));
    for (unsigned k = 0; k < 2; k++) {
        low[k] = _mm256_unpacklo_epi64(row[2 * k], row[2 * k + 1]);
        high[k] = _mm256_unpackhi_epi64(row[2 * k], row[2 * k + 1]);
    }
    m[0] = (lanes)_mm256_permute2x128_si256(low[0], low[1], 0x20);
    m[1] = (lanes)_mm256_permute2x128_si256(high[0], high[1], 0x20);
    m[2] = (lanes)_mm256_permute2x128_si256(low[0], low[1], 0x31);
    m[3] = (lanes)_mm256_permute2x128_si256(high[0], high[1], 0x31);
}

// Function F of RFC 7693 on the 128 bytes at `at` of each of the four blocks.
AVX2 INLINE void blake2b_compress(lanes h[8], const uint8_t *const blocks[BLOCKSUM_LANES], uint32_t at, bool last, bool rotates)
{
    lanes v[16], m[16];
    for (unsigned i = 0; i < 4; i++)
        take_words(m + 4 * (size_t)i, blocks, at + 32 * i);
    for (unsigned i = 0; i < 8; i++) {
        v[i] = h[i];
        v[i + 8] = (lanes){ 0 } + blake2b_iv[i];
    }
    v[12] ^= (uint64_t)at + 128; // bytes so far
    if (last)
        v[14] = ~v[14];
#pragma GCC unroll 12
    for (unsigned r = 0; r < 12; r++)
        blake2b_round(v, m, blake2b_sigma[r], rotates);
    for (unsigned i = 0; i < 8; i++)
        h[i] ^= v[i] ^ v[i + 8];
}

AVX2 INLINE void blake2b_blocks(const uint8_t *const blocks[BLOCKSUM_LANES], uint32_t block_size, lanes ret_words[4], bool rotates)
{
    lanes h[8];
    for (unsigned i = 0; i < 8; i++)
        h[i] = (lanes){ 0 } + blake2b_iv[i];
    h[0] ^= UINT64_C(0x01010000) ^ 32; // no key, 32 bytes of output
    for (uint32_t at = 0; at < block_size; at += 128)
        blake2b_compress(h, blocks, at, at + 128 == block_size, rotates);
    memcpy(ret_words, h, 4 * sizeof h[0]);
}

// The same twice, for two kinds of processors.
AVX2 static void strong_sums(const uint8_t *const blocks[BLOCKSUM_LANES], uint32_t block_size, lanes ret_words[4])
{
    blake2b_blocks(blocks, block_size, ret_words, false);
}

AVX512 static void strong_sums_avx512(const uint8_t *const blocks[BLOCKSUM_LANES], uint32_t block_size, lanes ret_words[4])
{
    blake2b_blocks(blocks, block_size, ret_words, true);
}

// ---- RabinKarp: hash = 1; for each byte: hash = hash * MULT + byte (modulo 2^32) ----

#define RABINKARP_MULT 0x08104225u
#define STEP 64u // bytes a round: lane j of the eight accumulators together sums bytes j, j + 64, j + 128 …

typedef uint32_t words __attribute__((vector_size(32)));

static uint32_t power(uint32_t x, uint32_t n)
{
    uint32_t result = 1;
    for (; n > 0; n /= 2, x *= x)
        if (n % 2 != 0)
            result *= x;
    return result;
}

AVX2 static uint32_t weak_sum(const uint8_t *data, uint32_t n)
{
    words sums[8] = { 0 };
    uint32_t step = power(RABINKARP_MULT, STEP);
    for (uint32_t at = 0; at < n; at += STEP) {
#pragma GCC unroll 8
        for (unsigned k = 0; k < 8; k++) {
            // The intrinsic, because gcc 12 makes single steps of __builtin_convertvector (3.8 GB/s instead of 25).
            __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)(data + at + 8 * k));
            sums[k] = sums[k] * step + (words)_mm256_cvtepu8_epi32(bytes);
        }
    }
    uint32_t hash = 0, mult = 1;
    for (unsigned j = STEP; j-- > 0; mult *= RABINKARP_MULT)
        hash += sums[j / 8][j % 8] * mult;
    return hash + power(RABINKARP_MULT, n);
}

enum blocksum_way blocksum_way(uint32_t block_size)
{
    if (block_size == 0 || block_size % 128 != 0 || !__builtin_cpu_supports("avx2"))
        return BLOCKSUM_NONE;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") ? BLOCKSUM_AVX512 : BLOCKSUM_AVX2;
}

void blocksum_entries(enum blocksum_way way, const uint8_t *const blocks[], uint32_t block_size, size_t count, uint8_t *const ret_entries[])
{
    assert(count > 0 && count <= BLOCKSUM_LANES && way != BLOCKSUM_NONE && way <= blocksum_way(block_size));
    const uint8_t *all[BLOCKSUM_LANES];
    for (size_t k = 0; k < BLOCKSUM_LANES; k++)
        all[k] = blocks[k < count ? k : 0]; // a lane too many does what another does
    lanes sums[4];
    if (way == BLOCKSUM_AVX512)
        strong_sums_avx512(all, block_size, sums);
    else
        strong_sums(all, block_size, sums);
    for (size_t k = 0; k < count; k++) {
        put_u32be(ret_entries[k], weak_sum(blocks[k], block_size));
        for (size_t i = 0; i < 4; i++)
            put_u64le(ret_entries[k] + 4 + 8 * i, sums[i][k]);
    }
}

#else

enum blocksum_way blocksum_way(uint32_t block_size)
{
    (void)block_size;
    return BLOCKSUM_NONE;
}

void blocksum_entries(enum blocksum_way way, const uint8_t *const blocks[], uint32_t block_size, size_t count, uint8_t *const ret_entries[])
{
    (void)way, (void)blocks, (void)block_size, (void)count, (void)ret_entries;
    assert(!"there is a way");
}

#endif
