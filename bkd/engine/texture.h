// Does content look compressible? A cheap look at a few places of it, for noticing files that were texts, tables or programs one night and look like noise
// the next: that is how encryption by somebody else shows in a backup.
#ifndef BKD_ENGINE_TEXTURE_H
#define BKD_ENGINE_TEXTURE_H

#include <stddef.h>
#include <stdint.h>

// As remembered of a file from night to night (two bits of its record in the stat file).
enum texture {
    TEXTURE_UNKNOWN, // too short to tell, or never looked at
    TEXTURE_LOOSE,   // would compress
    TEXTURE_DENSE,   // noise: compressed or encrypted
};

// Judges by the index of coincidence (how often two bytes of a window are the same, Friedman 1922): 1/256 for noise, four times that for base64, more for
// all that zstd makes smaller. Windows: past a header at the start, and spread to the end. Dense when the first one is (some programs encrypt only
// the start of a file), or half of them are. Below 512 bytes nothing is said.
enum texture texture_of(const void *data, size_t n);

// Of a file in pieces: what most of those that could be judged are.
struct texture_sum {
    uint64_t loose, dense;
};
void texture_add(struct texture_sum *sum, enum texture piece);
enum texture texture_whole(const struct texture_sum *sum);

#endif
