#include "bkd/base/sha256_ni.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define SHA_NI __attribute__((target("sha,sse4.1,ssse3")))
#define INLINE __attribute__((always_inline)) static inline

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

// The instructions keep the eight words a..h as (a b e f) and (c d g h), highest first.
struct state {
    __m128i abef, cdgh;
};

SHA_NI INLINE struct state load_state(const uint32_t words[8])
{
    __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)words), 0xb1);
    __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(words + 4)), 0x1b);
    return (struct state){ .abef = _mm_alignr_epi8(cdab, efgh, 8), .cdgh = _mm_blend_epi16(efgh, cdab, 0xf0) };
}

SHA_NI INLINE void store_state(struct state s, uint32_t words[8])
{
    __m128i feba = _mm_shuffle_epi32(s.abef, 0x1b), dchg = _mm_shuffle_epi32(s.cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)(void *)words, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(void *)(words + 4), _mm_alignr_epi8(dchg, feba, 8));
}

// Four rounds; `input` is four words of the message schedule plus their constants.
SHA_NI INLINE void four_rounds(struct state *s, __m128i input)
{
    s->cdgh = _mm_sha256rnds2_epu32(s->cdgh, s->abef, input);
    s->abef = _mm_sha256rnds2_epu32(s->abef, s->cdgh, _mm_shuffle_epi32(input, 0x0e));
}

// The next four words of the schedule from the sixteen before, oldest first.
SHA_NI INLINE __m128i schedule(__m128i w0, __m128i w1, __m128i w2, __m128i w3)
{
    return _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4)), w3);
}

SHA_NI INLINE void add_state(struct state *s, const struct state *before)
{
    s->abef = _mm_add_epi32(s->abef, before->abef);
    s->cdgh = _mm_add_epi32(s->cdgh, before->cdgh);
}

// Four words of a block's message schedule, the i-th four, plus their constants; w keeps the sixteen words before.
SHA_NI INLINE __m128i next_words(__m128i w[4], unsigned i, const uint8_t *data)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i *next = &w[i % 4];
    if (i < 4)
        *next = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(data + 16 * i)), big_endian);
    else
        *next = schedule(*next, w[(i + 1) % 4], w[(i + 2) % 4], w[(i + 3) % 4]);
    return _mm_add_epi32(*next, _mm_loadu_si128((const __m128i *)(const void *)(round_constants + 4 * i)));
}

// Inlined twice, so that each form keeps only what it needs in registers.
SHA_NI INLINE void take_block(struct state *a, struct state *b, bool two, const uint8_t *data)
{
    struct state a_before = *a, b_before = *b;
    __m128i w[4];
#pragma GCC unroll 16
    for (unsigned i = 0; i < 16; i++) {
        __m128i input = next_words(w, i, data);
        four_rounds(a, input);
        if (two)
            four_rounds(b, input);
    }
    add_state(a, &a_before);
    if (two)
        add_state(b, &b_before);
}

SHA_NI INLINE void take_block_each(struct state *a, const uint8_t *data_a, struct state *b, const uint8_t *data_b)
{
    struct state a_before = *a, b_before = *b;
    __m128i w_a[4], w_b[4];
#pragma GCC unroll 16
    for (unsigned i = 0; i < 16; i++) {
        four_rounds(a, next_words(w_a, i, data_a));
        four_rounds(b, next_words(w_b, i, data_b));
    }
    add_state(a, &a_before);
    add_state(b, &b_before);
}

SHA_NI void sha256_ni_blocks(uint32_t a[8], uint32_t b[8], const uint8_t *data, size_t blocks)
{
    struct state first = load_state(a), second = first;
    if (b != NULL) {
        second = load_state(b);
        for (; blocks > 0; blocks--, data += 64)
            take_block(&first, &second, true, data);
        store_state(second, b);
    } else {
        for (; blocks > 0; blocks--, data += 64)
            take_block(&first, &second, false, data);
    }
    store_state(first, a);
}

SHA_NI void sha256_ni_blocks_each(uint32_t a[8], const uint8_t *data_a, uint32_t b[8], const uint8_t *data_b, size_t blocks)
{
    struct state first = load_state(a), second = load_state(b);
    for (; blocks > 0; blocks--, data_a += 64, data_b += 64)
        take_block_each(&first, data_a, &second, data_b);
    store_state(first, a);
    store_state(second, b);
}

// gcc 12's __builtin_cpu_supports does not know "sha": leaf 7, EBX bit 29 (Intel SDM, CPUID).
static bool ask_processor(void)
{
    unsigned eax, ebx, ecx, edx;
    return __builtin_cpu_supports("sse4.1") && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx >> 29 & 1) != 0;
}

// Asked once: a virtual machine leaves for its host to answer.
bool sha256_ni_works(void)
{
    enum { UNKNOWN, YES, NO };
    static _Atomic int answer = UNKNOWN;
    if (answer == UNKNOWN)
        answer = ask_processor() ? YES : NO;
    return answer == YES;
}

#else

#include <assert.h>

bool sha256_ni_works(void) { return false; }

void sha256_ni_blocks(uint32_t a[8], uint32_t b[8], const uint8_t *data, size_t blocks)
{
    (void)a, (void)b, (void)data, (void)blocks;
    assert(!"this processor has no SHA instructions");
}

void sha256_ni_blocks_each(uint32_t a[8], const uint8_t *data_a, uint32_t b[8], const uint8_t *data_b, size_t blocks)
{
    (void)a, (void)data_a, (void)b, (void)data_b, (void)blocks;
    assert(!"this processor has no SHA instructions");
}

#endif
