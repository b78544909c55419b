// Independent zstd frames with a seek table at the end, as zstd's seekable format describes it
// (zstd, contrib/seekable_format/zstd_seekable_compression_format.md). `zstd -d` decodes the whole, because the table is a
// skippable frame. Every number in a table is checked against the maxima below before it is used.
//
// Writing: zframe_compress for each frame (in any thread, one compressor a thread), zframe_table_add in stream order, then
// zframe_table_append.
// Reading: the last ZFRAME_FOOTER_SIZE bytes -> zframe_table_size -> that many last bytes -> zframe_table_parse -> zframe_table_find ->
// zframe_decompress.
#ifndef BKD_CODEC_ZFRAME_H
#define BKD_CODEC_ZFRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"

#define ZFRAME_PLAIN_MAX (8u << 20)            // decompressed bytes of one frame
#define ZFRAME_STORED_MAX ((8u << 20) + 65536) // compressed bytes of one frame
#define ZFRAME_COUNT_MAX (1u << 20)            // frames of one table
#define ZFRAME_FOOTER_SIZE 9u
#define ZFRAME_TABLE_MAX (8u + 8u * ZFRAME_COUNT_MAX + ZFRAME_FOOTER_SIZE)
#define ZFRAME_LEVEL_MIN (-7)
#define ZFRAME_LEVEL_MAX 19

struct zframe_compressor;
struct zframe_decompressor;

// level in ZFRAME_LEVEL_MIN..ZFRAME_LEVEL_MAX (clamped); content checksum and content size are always on, the window never exceeds 2^27.
// At the levels that would search long for nothing, data that is compressed already is recognised by samples and passed over.
struct zframe_compressor *zframe_compressor_new(int level);
void zframe_compressor_free(struct zframe_compressor *c);
// About how many bytes of memory one takes at a level.
size_t zframe_compressor_memory(int level);
// Of the frames from now on; clamped as above.
void zframe_compressor_set_level(struct zframe_compressor *c, int level);
// Room for a frame that holds n bytes, at most.
size_t zframe_bound(size_t n);
// Appends one frame holding data (1..ZFRAME_PLAIN_MAX bytes, else ERROR_FAILED) to ret_frame; its size is what ret_frame grew by.
// The same input, level and library version give the same bytes. One thread at a time.
MUST_USE int zframe_compress(struct zframe_compressor *c, const void *data, size_t n, struct buf *ret_frame, struct error *err);

struct zframe_decompressor *zframe_decompressor_new(void);
void zframe_decompressor_free(struct zframe_decompressor *d);
// Decodes exactly one frame, which must fill frame[0..frame_size) and hold exactly `size` bytes, into ret_data. The header is checked before
// anything is decoded: ERROR_FORMAT when it is no such frame, ERROR_INTEGRITY when its content is damaged. ret_data may be scribbled on then.
MUST_USE int zframe_decompress(struct zframe_decompressor *d, const void *frame, size_t frame_size, void *ret_data, size_t size, struct error *err);
// Sizes of the frame at the start of data, for salvage when the table is lost: ERROR_FORMAT when there is no whole frame within the maxima.
// A skippable frame (a seek table) has *ret_plain 0.
MUST_USE int zframe_measure(const void *data, size_t n, size_t *ret_stored, size_t *ret_plain, struct error *err);

// Where each frame begins, in compressed and in plain bytes; `count` + 1 entries each, the last is the total. All zeros is the empty table.
struct zframe_table {
    uint32_t count;
    uint32_t cap;
    uint64_t *stored;
    uint64_t *plain;
};

void zframe_table_done(struct zframe_table *t);
#define _cleanup_zframe_table_ __attribute__((cleanup(zframe_table_done)))

// Adds the next frame; false when a maximum would be passed (the object must end before).
MUST_USE bool zframe_table_add(struct zframe_table *t, uint32_t stored, uint32_t plain);
uint64_t zframe_table_stored(const struct zframe_table *t); // bytes of all frames, without the table itself
uint64_t zframe_table_plain(const struct zframe_table *t);
// Appends the table as a skippable frame.
void zframe_table_append(const struct zframe_table *t, struct buf *out);
// Size in bytes of the table whose footer this is, at most ZFRAME_TABLE_MAX. ERROR_FORMAT.
MUST_USE int zframe_table_size(const uint8_t footer[ZFRAME_FOOTER_SIZE], size_t *ret_size, struct error *err);
// Parses a whole table (skippable frame header to footer, exactly n bytes); the frames must add up to stored_total bytes. ERROR_FORMAT.
// ret_table must be empty and is the caller's to zframe_table_done.
MUST_USE int zframe_table_parse(const void *data, size_t n, uint64_t stored_total, struct zframe_table *ret_table, struct error *err);
// The frame that holds the plain byte at `offset`: false beyond the end.
MUST_USE bool zframe_table_find(const struct zframe_table *t, uint64_t offset, uint32_t *ret_frame);

#endif
