// Signatures of file versions as librsync makes them (delta.c), and the rolling search against them (delta_search.c).
// A signature is in librsync's format (RabinKarp weak sums, BLAKE2b strong sums of 32 bytes): magic 0x72730147, block length, strong length,
// then one entry of 4 + 32 bytes for each block; byte for byte what `rdiff -R rabinkarp -H blake2 -b B -S 32 signature` writes.
// It is put together from runs of blocks, so that entries of unchanged blocks are copied instead of computed.
#ifndef BKD_CODEC_DELTA_H
#define BKD_CODEC_DELTA_H

#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"
#include "bkd/codec/rdelta.h"

#define DELTA_SIGNATURE_MAGIC 0x72730147u
#define DELTA_SIGNATURE_HEAD 12u
#define DELTA_SIGNATURE_ENTRY 36u
#define DELTA_SIGNATURE_STRONG 32u
#define DELTA_ENTRIES_WAITING 4u
#define DELTA_BLOCK_MIN 4096u
#define DELTA_BLOCK_MAX (16u << 20)         // a piece; larger files have no signature
#define DELTA_SIGNATURE_MEMORY (32u << 20)  // of one loaded signature, by default
#define DELTA_SIGNATURE_FILE_MIN (64u << 10) // smaller files have none: their one piece is stored whole for about the same bytes

// Block length for a file of that size: 0 when it should have no signature, else the smallest power of two from DELTA_BLOCK_MIN
// with which the loaded signature fits memory_limit bytes (0: DELTA_SIGNATURE_MEMORY). Pure.
uint32_t delta_block_size(uint64_t file_size, uint64_t memory_limit);
// Memory a loaded signature of that many blocks takes, in bytes.
uint64_t delta_signature_memory(uint64_t blocks);
// Entries of a file, the short last block included.
uint64_t delta_signature_count(uint64_t file_size, uint32_t block_size);

// Appends the 12 bytes a signature starts with.
void delta_signature_begin(struct buf *out, uint32_t block_size);
// Makes entries of single blocks that lie anywhere, some at a time, because that is faster. Any number of them at a time, each for one thread.
struct delta_entries {
    uint32_t block_size;
    size_t count; // blocks that wait
    const uint8_t *blocks[DELTA_ENTRIES_WAITING];
    uint8_t *entries[DELTA_ENTRIES_WAITING];
};
// Has the entry (DELTA_SIGNATURE_ENTRY bytes) of a block written: now or later, until delta_entries_end. A block shorter than block_size only
// where the file ends. The block and the entry's place are borrowed until then.
MUST_USE int delta_entries_add(struct delta_entries *e, const uint8_t *block, size_t n, uint8_t *ret_entry, struct error *err);
MUST_USE int delta_entries_end(struct delta_entries *e, struct error *err);
// Appends an entry for each block of data: whole blocks, and a short one at the end only where the file ends. Any thread.
MUST_USE int delta_signature_append(struct buf *out, uint32_t block_size, const void *data, size_t n, struct error *err);

struct delta_search;
// Loads a complete signature of a file of file_size bytes. ERROR_FORMAT when it is not RK+BLAKE2 with 32 bytes, or its block length or
// number of entries does not fit.
MUST_USE int delta_search_new(const void *signature, size_t n, uint64_t file_size, struct delta_search **ret_search, struct error *err);
void delta_search_free(struct delta_search *s);
void delta_search_freep(struct delta_search **s);
#define _cleanup_delta_search_ __attribute__((cleanup(delta_search_freep)))
uint32_t delta_search_block_size(const struct delta_search *s);
// Searches data (n below 2^31) for blocks of the base. Appends commands that make exactly these n bytes: copies (offset in the base) and literals
// (offset within data). Any number of threads at a time. Errors come from librsync only, which makes the strong sums where codec/blocksum.h cannot.
MUST_USE int delta_search_run(const struct delta_search *s, const void *data, size_t n, struct rdelta_list *ret_commands, struct error *err);

#endif
