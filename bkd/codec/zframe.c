#include "bkd/codec/zframe.h"

#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "bkd/base/bytes.h"

#define SKIPPABLE_MAGIC 0x184D2A5Eu
#define TABLE_MAGIC 0x8F92EAB1u
#define SKIPPABLE_HEAD 8u
#define ENTRY_SIZE 8u
#define WINDOW_LOG_MAX 27

// Up to here zstd passes over what cannot be compressed by itself, at 2 GB/s and more; beyond, it searches it as long as anything else (measured).
#define LEVEL_UNPROBED 5
#define LEVEL_DENSE 1
#define PROBE_SIZE 4096u      // bytes of each PROBE_STEP that are tried
#define PROBE_STEP (1u << 20)

struct zframe_compressor {
    ZSTD_CCtx *context;
    int level;
    ZSTD_CCtx *trial; // NULL: the level needs none
};

struct zframe_decompressor {
    ZSTD_DCtx *context;
};

static void must(size_t result, const char *what)
{
    // Only a parameter this code chose can be refused: a programming mistake.
    if (ZSTD_isError(result)) {
        (void)fprintf(stderr, "bkd: zstd refuses %s: %s\n", what, ZSTD_getErrorName(result));
        abort();
    }
}

static void *not_null(void *context)
{
    if (context == NULL) {
        (void)fprintf(stderr, "bkd: out of memory (zstd)\n");
        abort();
    }
    return context;
}

void zframe_compressor_set_level(struct zframe_compressor *c, int level)
{
    c->level = level < ZFRAME_LEVEL_MIN ? ZFRAME_LEVEL_MIN : level > ZFRAME_LEVEL_MAX ? ZFRAME_LEVEL_MAX : level;
    if (c->level > LEVEL_UNPROBED && c->trial == NULL)
        c->trial = not_null(ZSTD_createCCtx());
}

struct zframe_compressor *zframe_compressor_new(int level)
{
    struct zframe_compressor *c = xcalloc(1, sizeof(*c));
    zframe_compressor_set_level(c, level);
    c->context = not_null(ZSTD_createCCtx());
    must(ZSTD_CCtx_setParameter(c->context, ZSTD_c_checksumFlag, 1), "checksums");
    must(ZSTD_CCtx_setParameter(c->context, ZSTD_c_contentSizeFlag, 1), "content sizes");
    return c;
}

void zframe_compressor_free(struct zframe_compressor *c)
{
    if (c == NULL)
        return;
    (void)ZSTD_freeCCtx(c->context);
    (void)ZSTD_freeCCtx(c->trial);
    free(c);
}

size_t zframe_compressor_memory(int level)
{
    // MiB at each level from 0, for frames of 4 MiB (zstd 1.5.4, ZSTD_sizeof_CCtx).
    static const uint8_t mib[ZFRAME_LEVEL_MAX + 1] = { 2, 1, 1, 2, 3, 4, 4, 7, 7, 13, 25, 25, 49, 33, 49, 65, 33, 49, 50, 50 };
    level = level > ZFRAME_LEVEL_MAX ? ZFRAME_LEVEL_MAX : level;
    return (size_t)(level < 0 ? 1 : mib[level]) << 20;
}

// Compressed already, or encrypted: a little from the middle of each step loses not even a thirty-second.
static bool is_dense(struct zframe_compressor *c, const uint8_t *data, size_t n)
{
    uint8_t trial[ZSTD_COMPRESSBOUND(PROBE_SIZE)];
    for (size_t at = 0; at < n; at += PROBE_STEP) {
        size_t step = n - at < PROBE_STEP ? n - at : PROBE_STEP, size = step < PROBE_SIZE ? step : PROBE_SIZE;
        size_t got = ZSTD_compressCCtx(c->trial, trial, sizeof trial, data + at + (step - size) / 2, size, LEVEL_DENSE);
        if (ZSTD_isError(got) || got < size - size / 32)
            return false;
    }
    return true;
}

size_t zframe_bound(size_t n) { return ZSTD_compressBound(n); }

int zframe_compress(struct zframe_compressor *c, const void *data, size_t n, struct buf *ret_frame, struct error *err)
{
    if (n == 0 || n > ZFRAME_PLAIN_MAX)
        return error_set(err, ERROR_FAILED, "compress: a frame holds 1 to %u bytes, not %zu", ZFRAME_PLAIN_MAX, n);
    size_t bound = ZSTD_compressBound(n);
    size_t before = ret_frame->len;
    uint8_t *place = buf_extend(ret_frame, bound);
    must(ZSTD_CCtx_setParameter(c->context, ZSTD_c_compressionLevel, c->level > LEVEL_UNPROBED && is_dense(c, data, n) ? LEVEL_DENSE : c->level), "a level");
    size_t got = ZSTD_compress2(c->context, place, bound, data, n);
    ret_frame->len = before;
    if (ZSTD_isError(got))
        return error_set(err, ERROR_FAILED, "compress %zu bytes: %s", n, ZSTD_getErrorName(got));
    ret_frame->len = before + got;
    ret_frame->data[ret_frame->len] = '\0';
    return 0;
}

struct zframe_decompressor *zframe_decompressor_new(void)
{
    struct zframe_decompressor *d = xcalloc(1, sizeof(*d));
    d->context = not_null(ZSTD_createDCtx());
    must(ZSTD_DCtx_setParameter(d->context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX), "a window");
    return d;
}

void zframe_decompressor_free(struct zframe_decompressor *d)
{
    if (d == NULL)
        return;
    (void)ZSTD_freeDCtx(d->context);
    free(d);
}

static bool is_skippable(const void *data, size_t n)
{
    return n >= SKIPPABLE_HEAD && (get_u32le(data) & 0xfffffff0u) == 0x184D2A50u;
}

int zframe_measure(const void *data, size_t n, size_t *ret_stored, size_t *ret_plain, struct error *err)
{
    size_t stored = ZSTD_findFrameCompressedSize(data, n);
    if (ZSTD_isError(stored))
        return error_set(err, ERROR_FORMAT, "no whole zstd frame: %s", ZSTD_getErrorName(stored));
    if (is_skippable(data, n)) {
        if (stored > ZFRAME_TABLE_MAX)
            return error_set(err, ERROR_FORMAT, "skippable frame of %zu bytes", stored);
        *ret_stored = stored;
        *ret_plain = 0;
        return 0;
    }
    unsigned long long plain = ZSTD_getFrameContentSize(data, n);
    if (plain == ZSTD_CONTENTSIZE_ERROR || plain == ZSTD_CONTENTSIZE_UNKNOWN || plain == 0 || plain > ZFRAME_PLAIN_MAX)
        return error_set(err, ERROR_FORMAT, "zstd frame without a content size of 1 to %u bytes", ZFRAME_PLAIN_MAX);
    if (stored > ZFRAME_STORED_MAX)
        return error_set(err, ERROR_FORMAT, "zstd frame of %zu stored bytes", stored);
    *ret_stored = stored;
    *ret_plain = (size_t)plain;
    return 0;
}

int zframe_decompress(struct zframe_decompressor *d, const void *frame, size_t frame_size, void *ret_data, size_t size, struct error *err)
{
    size_t stored, plain;
    int rc = zframe_measure(frame, frame_size, &stored, &plain, err);
    if (rc < 0)
        return rc;
    if (stored != frame_size || plain != size || size == 0)
        return error_set(err, ERROR_FORMAT, "zstd frame of %zu stored and %zu plain bytes, %zu and %zu expected", stored, plain, frame_size, size);
    // One call with room for everything: zstd writes into ret_data directly and takes no memory for a window, whatever the frame claims.
    size_t got = ZSTD_decompressDCtx(d->context, ret_data, size, frame, frame_size);
    if (ZSTD_isError(got))
        return error_set(err, ERROR_INTEGRITY, "zstd frame is damaged: %s", ZSTD_getErrorName(got));
    if (got != size)
        return error_set(err, ERROR_INTEGRITY, "zstd frame gave %zu of %zu bytes", got, size);
    return 0;
}

// ---- the seek table ----

void zframe_table_done(struct zframe_table *t)
{
    free(t->stored);
    free(t->plain);
    *t = (struct zframe_table){ 0 };
}

uint64_t zframe_table_stored(const struct zframe_table *t) { return t->count > 0 ? t->stored[t->count] : 0; }
uint64_t zframe_table_plain(const struct zframe_table *t) { return t->count > 0 ? t->plain[t->count] : 0; }

static void table_grow(struct zframe_table *t, uint32_t cap)
{
    t->cap = cap;
    t->stored = xrealloc(t->stored, ((size_t)cap + 1) * sizeof(*t->stored));
    t->plain = xrealloc(t->plain, ((size_t)cap + 1) * sizeof(*t->plain));
    if (t->count == 0)
        t->stored[0] = t->plain[0] = 0;
}

bool zframe_table_add(struct zframe_table *t, uint32_t stored, uint32_t plain)
{
    if (t->count >= ZFRAME_COUNT_MAX || stored == 0 || stored > ZFRAME_STORED_MAX || plain == 0 || plain > ZFRAME_PLAIN_MAX)
        return false;
    if (t->count >= t->cap)
        table_grow(t, t->cap == 0 ? 64 : t->cap * 2);
    t->stored[t->count + 1] = t->stored[t->count] + stored;
    t->plain[t->count + 1] = t->plain[t->count] + plain;
    t->count++;
    return true;
}

void zframe_table_append(const struct zframe_table *t, struct buf *out)
{
    uint8_t *p = buf_extend(out, SKIPPABLE_HEAD + ENTRY_SIZE * (size_t)t->count + ZFRAME_FOOTER_SIZE);
    put_u32le(p, SKIPPABLE_MAGIC);
    put_u32le(p + 4, ENTRY_SIZE * t->count + ZFRAME_FOOTER_SIZE);
    p += SKIPPABLE_HEAD;
    for (uint32_t i = 0; i < t->count; i++, p += ENTRY_SIZE) {
        put_u32le(p, (uint32_t)(t->stored[i + 1] - t->stored[i]));
        put_u32le(p + 4, (uint32_t)(t->plain[i + 1] - t->plain[i]));
    }
    put_u32le(p, t->count);
    p[4] = 0; // descriptor: no checksums
    put_u32le(p + 5, TABLE_MAGIC);
}

// Number of frames, from a footer. The descriptor byte is 0: entries without checksums, since each frame has one itself.
static int read_footer(const uint8_t *footer, uint32_t *ret_count, struct error *err)
{
    uint32_t count = get_u32le(footer);
    if (get_u32le(footer + 5) != TABLE_MAGIC || footer[4] != 0)
        return error_set(err, ERROR_FORMAT, "no zstd seek table at the end");
    if (count > ZFRAME_COUNT_MAX)
        return error_set(err, ERROR_FORMAT, "seek table of %u frames, at most %u are allowed", count, ZFRAME_COUNT_MAX);
    *ret_count = count;
    return 0;
}

int zframe_table_size(const uint8_t footer[ZFRAME_FOOTER_SIZE], size_t *ret_size, struct error *err)
{
    uint32_t count;
    int rc = read_footer(footer, &count, err);
    if (rc < 0)
        return rc;
    *ret_size = SKIPPABLE_HEAD + ENTRY_SIZE * (size_t)count + ZFRAME_FOOTER_SIZE;
    return 0;
}

static int read_entries(const uint8_t *p, uint32_t count, struct zframe_table *table, struct error *err)
{
    for (uint32_t i = 0; i < count; i++, p += ENTRY_SIZE)
        if (!zframe_table_add(table, get_u32le(p), get_u32le(p + 4)))
            return error_set(err, ERROR_FORMAT, "seek table entry %u: %u stored and %u plain bytes", i, get_u32le(p), get_u32le(p + 4));
    return 0;
}

int zframe_table_parse(const void *data, size_t n, uint64_t stored_total, struct zframe_table *ret_table, struct error *err)
{
    if (n < SKIPPABLE_HEAD + ZFRAME_FOOTER_SIZE)
        return error_set(err, ERROR_FORMAT, "seek table of %zu bytes", n);
    const uint8_t *bytes = data;
    uint32_t count;
    int rc = read_footer(bytes + n - ZFRAME_FOOTER_SIZE, &count, err);
    if (rc < 0)
        return rc;
    if (n != SKIPPABLE_HEAD + ENTRY_SIZE * (size_t)count + ZFRAME_FOOTER_SIZE || get_u32le(bytes) != SKIPPABLE_MAGIC ||
        get_u32le(bytes + 4) != n - SKIPPABLE_HEAD)
        return error_set(err, ERROR_FORMAT, "seek table of %zu bytes does not fit its %u frames", n, count);
    _cleanup_zframe_table_ struct zframe_table table = { 0 };
    if (count > 0)
        table_grow(&table, count);
    rc = read_entries(bytes + SKIPPABLE_HEAD, count, &table, err);
    if (rc < 0)
        return rc;
    if (zframe_table_stored(&table) != stored_total)
        return error_set(err, ERROR_FORMAT, "seek table speaks of %llu stored bytes, there are %llu", (unsigned long long)zframe_table_stored(&table),
                         (unsigned long long)stored_total);
    *ret_table = table;
    table = (struct zframe_table){ 0 };
    return 0;
}

bool zframe_table_find(const struct zframe_table *t, uint64_t offset, uint32_t *ret_frame)
{
    if (offset >= zframe_table_plain(t))
        return false;
    uint32_t low = 0, high = t->count; // plain[low] <= offset < plain[high]
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (t->plain[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    *ret_frame = low;
    return true;
}
