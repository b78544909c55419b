// A growable byte buffer, owned by the caller: `struct buf b = {0};`, `_cleanup_buf_ struct buf b = {0};` or `buf_done(&b)`.
// Running out of memory ends the process (the sizes here are bounded by constants; see io_alloc for large memory).
#ifndef BKD_BASE_BUF_H
#define BKD_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
    uint8_t *data; // NUL-terminated one byte beyond len whenever data is not NULL
    size_t len;
    size_t cap;
};

void buf_done(struct buf *b);
void buf_reset(struct buf *b);                 // len = 0, memory kept
void buf_grow(struct buf *b, size_t extra);    // for buf_reserve
// Room for `extra` more bytes.
static inline void buf_reserve(struct buf *b, size_t extra)
{
    if (b->len + extra >= b->cap)
        buf_grow(b, extra);
}
// Appends n uninitialised bytes, returns their place.
static inline uint8_t *buf_extend(struct buf *b, size_t n)
{
    buf_reserve(b, n);
    uint8_t *place = b->data + b->len;
    b->len += n;
    b->data[b->len] = '\0';
    return place;
}
static inline void buf_add(struct buf *b, const void *data, size_t n)
{
    if (n > 0)
        memcpy(buf_extend(b, n), data, n);
}
static inline void buf_add_str(struct buf *b, const char *s) { buf_add(b, s, strlen(s)); }
static inline void buf_add_char(struct buf *b, char c) { *buf_extend(b, 1) = (uint8_t)c; }
void buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_add_hex(struct buf *b, const uint8_t *data, size_t n);
void buf_add_u64(struct buf *b, uint64_t value); // decimal text
const char *buf_str(const struct buf *b);        // "" when empty
char *buf_take_str(struct buf *b);               // gives the memory away; caller frees

#define _cleanup_buf_ __attribute__((cleanup(buf_done)))

// malloc family that ends the process instead of returning NULL.
void *xmalloc(size_t n);
// From the start of a page on, for large buffers that files are read into. malloc puts such memory 16 bytes behind the start of one, and `rep movsb`, by which
// the kernel copies pages of files, takes more than twice as long to there (AMD EPYC of the third generation: 2.1 instead of 4.8 GB/s; 32 bytes are far enough).
void *xmalloc_at_page(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

void free_charp(char **p);
#define _cleanup_free_ __attribute__((cleanup(free_charp)))
// Gives the value of a cleaned-up pointer away.
#define TAKE(p) ({ __typeof__(p) take_ = (p); (p) = NULL; take_; })

#endif
