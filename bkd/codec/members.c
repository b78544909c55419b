#include "bkd/codec/members.h"

#include <assert.h>
#include <string.h>

// Fields of a header that differ (POSIX, "ustar Interchange Format"): sizes and sums are octal digits, with a NUL behind them.
enum { NAME = 0, NUMBER_DIGITS = 8, SIZE = 124, SIZE_DIGITS = 11, CHECKSUM = 148, CHECKSUM_DIGITS = 6, CHECKSUM_SIZE = 8 };

static uint32_t sum_of(const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += p[i];
    return sum;
}

static void put_number(uint8_t *field, size_t digits, unsigned base, uint64_t value)
{
    while (digits > 0) {
        field[--digits] = (uint8_t)('0' + value % base);
        value /= base;
    }
}

int members_begin(struct members *m, pack_sink_fn *sink, void *arg, struct error *err)
{
    *m = (struct members){ .sink = sink, .arg = arg };
    int r = pack_member_header("x", 0, m->pattern, err);
    if (r < 0)
        return r;
    m->pattern[NAME] = '\0';
    memset(m->pattern + SIZE, 0, SIZE_DIGITS);
    memset(m->pattern + CHECKSUM, ' ', CHECKSUM_SIZE); // what it counts as in the sum
    m->pattern_sum = sum_of(m->pattern, sizeof m->pattern);
    return 0;
}

static int give(struct members *m, const void *bytes, size_t n, struct error *err)
{
    int r = n == 0 ? 0 : m->sink(m->arg, bytes, n, err);
    m->offset += r < 0 ? 0 : n;
    return r;
}

static int give_header(struct members *m, const char *kind, size_t kind_len, uint64_t size, struct error *err)
{
    uint8_t header[PACK_BLOCK];
    size_t name_len = NUMBER_DIGITS + 1 + kind_len;
    memcpy(header, m->pattern, sizeof header);
    put_number(header + NAME, NUMBER_DIGITS, 10, m->count);
    header[NAME + NUMBER_DIGITS] = '.';
    memcpy(header + NAME + NUMBER_DIGITS + 1, kind, kind_len);
    put_number(header + SIZE, SIZE_DIGITS, 8, size);
    put_number(header + CHECKSUM, CHECKSUM_DIGITS, 8, m->pattern_sum + sum_of(header + NAME, name_len) + sum_of(header + SIZE, SIZE_DIGITS));
    header[CHECKSUM + CHECKSUM_DIGITS] = '\0';
    return give(m, header, sizeof header, err);
}

int members_add(struct members *m, const char *kind, const void *data, uint64_t n, uint64_t *ret_offset, struct error *err)
{
    static const uint8_t zeros[PACK_BLOCK];
    size_t kind_len = strlen(kind);
    assert(kind_len >= 1 && kind_len <= MEMBERS_KIND_MAX);
    if (n > PACK_MEMBER_MAX || m->count >= MEMBERS_MAX)
        return error_set(err, ERROR_FAILED, "tar member %u of %llu bytes is more than an object holds", m->count, (unsigned long long)n);
    int r = give_header(m, kind, kind_len, n, err);
    if (r < 0)
        return r;
    m->count++;
    *ret_offset = m->offset;
    r = give(m, data, (size_t)n, err);
    return r < 0 ? r : give(m, zeros, (PACK_BLOCK - n % PACK_BLOCK) % PACK_BLOCK, err);
}

int members_end(struct members *m, struct error *err)
{
    static const uint8_t zeros[MEMBERS_TRAILER_SIZE];
    return give(m, zeros, sizeof zeros, err);
}
