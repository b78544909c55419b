// The librsync delta format, written and read without librsync (librsync 2.3: src/prototab.h, src/emit.c, src/command.h, src/patch.c):
//   magic 0x72730236, then commands, then END (0x00). All numbers are big-endian.
//   0x01..0x40  literal of 1..64 bytes, the command byte is the length; 0x41..0x44 literal with a length of 1, 2, 4 or 8 bytes
//   0x45..0x54  copy with offset and length of 1, 2, 4 or 8 bytes each: 0x45 + 4 * log2(offset bytes) + log2(length bytes)
// A delta made here is one that `rdiff patch` applies; a delta parsed here is one that `rdiff patch` would accept.
#ifndef BKD_CODEC_RDELTA_H
#define BKD_CODEC_RDELTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"

#define RDELTA_MAGIC 0x72730236u
#define RDELTA_BASE_MAX (UINT64_C(1) << 62)    // end of a copy in the base

// One step that makes the next `length` bytes of the result.
struct rdelta_command {
    bool is_copy;
    uint32_t length;
    uint64_t offset; // copy: in the base; literal: of its data, within the delta bytes
};

struct rdelta_list {
    struct rdelta_command *items;
    size_t count;
    size_t cap;
};

void rdelta_list_done(struct rdelta_list *list);
void rdelta_list_reset(struct rdelta_list *list);
#define _cleanup_rdelta_list_ __attribute__((cleanup(rdelta_list_done)))
// Appends, merging with the last command where both continue each other (copies of adjacent base bytes; literals whose data is adjacent). length > 0.
void rdelta_list_add(struct rdelta_list *list, bool is_copy, uint64_t offset, uint32_t length);

// Appends as it is.
void rdelta_list_push(struct rdelta_list *list, const struct rdelta_command *command);

// Writing: begin, any number of puts (length > 0), end. Each uses the shortest form.
void rdelta_begin(struct buf *out);
void rdelta_put_copy(struct buf *out, uint64_t base_offset, uint64_t length);
// *ret_offset (may be NULL) is where the data lies in `out`: the offset within the delta when out holds nothing else.
void rdelta_put_literal(struct buf *out, const void *data, size_t n, uint64_t *ret_offset);
void rdelta_end(struct buf *out);

// Reading one command after another. state.at == the whole delta's length after END.
struct rdelta_parser {
    const uint8_t *data;
    size_t n;
    size_t at;
    bool ended;
};

// Checks the magic. ERROR_FORMAT.
MUST_USE int rdelta_parse_begin(struct rdelta_parser *p, const void *delta, size_t n, struct error *err);
// *ret_more false after END, which must be the last byte. ERROR_FORMAT for unknown commands, truncation, lengths of 0 or above 2^31,
// copies beyond RDELTA_BASE_MAX.
MUST_USE int rdelta_parse_next(struct rdelta_parser *p, struct rdelta_command *ret_command, bool *ret_more, struct error *err);
// All commands of a complete delta: they must make exactly `size` bytes and stay within base_size. ERROR_FORMAT. ret_list is appended to,
// without merging.
MUST_USE int rdelta_parse(const void *delta, size_t n, uint64_t base_size, uint64_t size, struct rdelta_list *ret_list, struct error *err);

#endif
