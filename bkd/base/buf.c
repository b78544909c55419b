#include "bkd/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"

static void *or_die(void *p, size_t n)
{
    if (p == NULL && n > 0) {
        (void)fprintf(stderr, "bkd: out of memory (%zu bytes)\n", n);
        abort();
    }
    return p;
}

void *xmalloc(size_t n) { return or_die(malloc(n), n); }

void *xmalloc_at_page(size_t n)
{
    enum { PAGE = 4096 };
    void *memory = NULL;
    return or_die(posix_memalign(&memory, PAGE, n) == 0 ? memory : NULL, n);
}

void *xcalloc(size_t n, size_t size) { return or_die(calloc(n, size), n * size); }
void *xrealloc(void *p, size_t n) { return or_die(realloc(p, n), n); }
char *xstrdup(const char *s) { return xstrndup(s, strlen(s)); }

char *xstrndup(const char *s, size_t n)
{
    char *copy = xmalloc(n + 1);
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *xasprintf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    return or_die(n < 0 ? NULL : text, 1);
}

void free_charp(char **p) { free(*p); }

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){ 0 };
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    if (b->data != NULL)
        b->data[0] = '\0';
}

void buf_grow(struct buf *b, size_t extra)
{
    size_t need = b->len + extra + 1;
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < need)
        cap += cap / 2;
    b->data = xrealloc(b->data, cap);
    b->cap = cap;
}

void buf_addf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n > 0) {
        buf_reserve(b, (size_t)n);
        (void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_add_hex(struct buf *b, const uint8_t *data, size_t n)
{
    char *text = (char *)buf_extend(b, 2 * n + 1); // format_hex writes a NUL as well
    format_hex(text, data, n);
    b->len--;
}

void buf_add_u64(struct buf *b, uint64_t value)
{
    char digits[20];
    size_t n = sizeof digits;
    do {
        digits[--n] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_add(b, digits + n, sizeof digits - n);
}

const char *buf_str(const struct buf *b) { return b->data == NULL ? "" : (const char *)b->data; }

char *buf_take_str(struct buf *b)
{
    buf_reserve(b, 0);
    b->data[b->len] = '\0';
    char *text = (char *)b->data;
    *b = (struct buf){ 0 };
    return text;
}
