// The two sums of a librsync signature entry, four blocks at a time: RabinKarp (librsync 2.3, src/rabinkarp.h) and BLAKE2b with 32 bytes of
// output (RFC 7693), with AVX2 and, where there is more, AVX-512. librsync computes them one block at a time at 470 MB/s, which would be the second
// largest cost of a first backup after zstd. codec/delta.c uses librsync wherever this module cannot help, and its test compares with the rdiff program.
#ifndef BKD_CODEC_BLOCKSUM_H
#define BKD_CODEC_BLOCKSUM_H

#include <stddef.h>
#include <stdint.h>

#define BLOCKSUM_ENTRY 36u // weak sum 4 bytes big-endian, strong sum 32 bytes
#define BLOCKSUM_LANES 4u  // blocks at a time at most

enum blocksum_way {
    BLOCKSUM_NONE, // this module cannot help
    BLOCKSUM_AVX2,
    BLOCKSUM_AVX512,
};

// The fastest way that this processor has for that block size; those before it, but BLOCKSUM_NONE, work as well.
enum blocksum_way blocksum_way(uint32_t block_size);
// Writes the entries of `count` (1 to BLOCKSUM_LANES) blocks, which lie anywhere, to places that lie anywhere. Not with BLOCKSUM_NONE.
// Fewer blocks are no less work than BLOCKSUM_LANES.
void blocksum_entries(enum blocksum_way way, const uint8_t *const blocks[], uint32_t block_size, size_t count, uint8_t *const ret_entries[]);

#endif
