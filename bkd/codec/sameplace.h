// The same-place table: a keyed hash (tag) for each 4 KiB of a file, to find blocks that did not change where they are, at many GB/s.
// The hash is universal (crypto_blockhash): who does not know the key cannot make two blocks collide, and who writes files never sees tags.
// The key is random, made with a file's first version and inherited by the next ones, so that one pass over the new data gives both the
// comparison with the base and the new version's own table. Tags and keys stay on the source host.
#ifndef BKD_CODEC_SAMEPLACE_H
#define BKD_CODEC_SAMEPLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAMEPLACE_BLOCK 4096u
#define SAMEPLACE_TAG 16u
#define SAMEPLACE_KEY 32u

// Blocks of n bytes, a short last one included.
static inline uint64_t sameplace_count(uint64_t n) { return n / SAMEPLACE_BLOCK + (n % SAMEPLACE_BLOCK != 0); }

// A key made ready for hashing; one per thread and file.
struct sameplace_hasher;
struct sameplace_hasher *sameplace_hasher_new(const uint8_t key[SAMEPLACE_KEY]);
void sameplace_hasher_free(struct sameplace_hasher *h);
void sameplace_hasher_freep(struct sameplace_hasher **h);
#define _cleanup_sameplace_hasher_ __attribute__((cleanup(sameplace_hasher_freep)))
// Writes sameplace_count(n) tags. The length of a short block is part of what is hashed.
void sameplace_hash(struct sameplace_hasher *h, const void *data, size_t n, uint8_t *ret_tags);
// The first block from `from` on (below count) whose equality with the base is not `same`; count when there is none.
size_t sameplace_run_end(const uint8_t *tags, const uint8_t *base_tags, size_t from, size_t count, bool same);

#endif
