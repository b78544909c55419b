// The two sums of a librsync signature entry, four blocks at a time with AVX2: RabinKarp (librsync 2.3, src/rabinkarp.h) and BLAKE2b with
// 32 bytes of output (RFC 7693). librsync computes them one block at a time at 470 MB/s, which would be the second largest cost of a
// first backup after zstd. codec/delta.c uses librsync wherever this module cannot help, and its test compares with the rdiff program.
#ifndef BKD_CODEC_BLOCKSUM_H
#define BKD_CODEC_BLOCKSUM_H

#include <stddef.h>
#include <stdint.h>

#define BLOCKSUM_ENTRY 36u // weak sum 4 bytes big-endian, strong sum 32 bytes

// Writes the entries of the first blocks of data, as many of the `count` whole blocks as it can do, and returns how many: a multiple
// of 4; 0 when this processor or block size does not suit.
size_t blocksum_entries(const uint8_t *data, uint32_t block_size, size_t count, uint8_t *ret_entries);

#endif
