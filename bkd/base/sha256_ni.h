// SHA-256's compression function (FIPS 180-4, section 6.2.2) by the processor's SHA instructions, into two states at once, from the same bytes or each its own.
// One hash waits for its own results half of the time: a second one beside it, which shares the message schedule, costs next to nothing
// (1.75 GB/s both for one and for two). libcrypto can only do one. Only for base/file_hash.c, whose test compares with libcrypto.
#ifndef BKD_BASE_SHA256_NI_H
#define BKD_BASE_SHA256_NI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Does this processor have the instructions? When not, the others must not be called.
bool sha256_ni_works(void);
// Takes whole blocks of 64 bytes into a, and into b when that is not NULL.
void sha256_ni_blocks(uint32_t a[8], uint32_t b[8], const uint8_t *data, size_t blocks);
// As many blocks into each state, from different bytes.
void sha256_ni_blocks_each(uint32_t a[8], const uint8_t *data_a, uint32_t b[8], const uint8_t *data_b, size_t blocks);

#endif
