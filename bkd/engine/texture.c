#include "bkd/engine/texture.h"

#include <stdbool.h>

enum {
    WINDOW = 1024,
    WINDOWS = 4,
    HEADER = 512, // of a format that keeps its head readable: an age file has some 200 bytes of it
    SHORT = 4096, // files up to here are judged by their second half
    SHORTEST = 512,
};

// Pairs of equal bytes among all pairs, against one and a half times what noise has.
static bool is_noise(const uint8_t *window, size_t n)
{
    uint16_t counts[256] = { 0 };
    uint32_t equal_pairs = 0, pairs = (uint32_t)(n * (n - 1)); // at most SHORT / 2 bytes: all products fit
    for (size_t i = 0; i < n; i++)
        equal_pairs += counts[window[i]]++; // pairs with those before
    return equal_pairs * 1024 < 3 * pairs;
}

enum texture texture_of(const void *data, size_t n)
{
    const uint8_t *bytes = data;
    unsigned dense = 0;
    if (n < SHORTEST)
        return TEXTURE_UNKNOWN;
    if (n <= SHORT)
        return is_noise(bytes + n / 2, n - n / 2) ? TEXTURE_DENSE : TEXTURE_LOOSE;
    if (is_noise(bytes + HEADER, WINDOW))
        return TEXTURE_DENSE;
    for (size_t i = 1; i < WINDOWS; i++)
        dense += is_noise(bytes + (n - WINDOW) * i / (WINDOWS - 1), WINDOW);
    return 2 * dense >= WINDOWS ? TEXTURE_DENSE : TEXTURE_LOOSE;
}

void texture_add(struct texture_sum *sum, enum texture piece)
{
    sum->loose += piece == TEXTURE_LOOSE;
    sum->dense += piece == TEXTURE_DENSE;
}

enum texture texture_whole(const struct texture_sum *sum)
{
    if (sum->loose + sum->dense == 0)
        return TEXTURE_UNKNOWN;
    return sum->dense >= sum->loose ? TEXTURE_DENSE : TEXTURE_LOOSE;
}
