// Bounds-checked reading of bytes from outside, and the small text conversions all formats share.
// A cursor never moves past its end: every take returns false, and leaves outputs alone, when too little is left.
#ifndef BKD_BASE_BYTES_H
#define BKD_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static inline struct cursor cursor_of(const void *data, size_t n)
{
    return (struct cursor){ (const uint8_t *)data, n == 0 ? (const uint8_t *)data : (const uint8_t *)data + n }; // data may be NULL then
}
static inline size_t cursor_left(const struct cursor *c) { return (size_t)(c->end - c->at); }

bool cursor_take(struct cursor *c, size_t n, const uint8_t **ret_data);
bool cursor_u8(struct cursor *c, uint8_t *ret_value);
bool cursor_u32be(struct cursor *c, uint32_t *ret_value);
bool cursor_u32le(struct cursor *c, uint32_t *ret_value);
bool cursor_ube(struct cursor *c, size_t n, uint64_t *ret_value); // n <= 8 bytes, big-endian
// The next line without its LF (which is consumed); false at the end or when no LF is left.
bool cursor_line(struct cursor *c, const char **ret_line, size_t *ret_len);

// Written out, so that the compiler makes one load or store of each: lists of millions of records are sorted and merged by them.
static inline void put_u32be(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}
static inline void put_u32le(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v, p[1] = (uint8_t)(v >> 8), p[2] = (uint8_t)(v >> 16), p[3] = (uint8_t)(v >> 24);
}
static inline void put_u64be(uint8_t *p, uint64_t v) { put_u32be(p, (uint32_t)(v >> 32)), put_u32be(p + 4, (uint32_t)v); }
static inline void put_u64le(uint8_t *p, uint64_t v) { put_u32le(p, (uint32_t)v), put_u32le(p + 4, (uint32_t)(v >> 32)); }
static inline uint32_t get_u32be(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }
static inline uint32_t get_u32le(const uint8_t *p) { return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0]; }
static inline uint64_t get_u64be(const uint8_t *p) { return (uint64_t)get_u32be(p) << 32 | get_u32be(p + 4); }
static inline uint64_t get_u64le(const uint8_t *p) { return (uint64_t)get_u32le(p + 4) << 32 | get_u32le(p); }

// Decimal without sign, leading zeros (except "0") or overflow, at most `max`.
bool parse_u64(const char *s, size_t n, uint64_t max, uint64_t *ret_value);
// As parse_u64 with an optional leading '-'.
bool parse_i64(const char *s, size_t n, int64_t *ret_value);
// Exactly 2*n lower-case hex digits into n bytes.
bool parse_hex(const char *s, size_t len, uint8_t *ret_bytes, size_t n);
// Writes 2*n digits and a NUL.
void format_hex(char *ret_text, const uint8_t *bytes, size_t n);

// Base64 of RFC 4648 section 4. `padded` selects "=" padding; decoding accepts the canonical form only.
size_t base64_encode(char *ret_text, const uint8_t *bytes, size_t n, bool padded); // needs (n+2)/3*4+1 bytes; returns length
bool base64_decode(const char *text, size_t len, bool padded, uint8_t *ret_bytes, size_t cap, size_t *ret_n);

#endif
