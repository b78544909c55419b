// Untrusted zstd frames and seek tables. The first byte chooses what the rest is taken for.
#include <assert.h>
#include <stdlib.h>

#include "bkd/codec/zframe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_table(const uint8_t *data, size_t size)
{
    struct error err;
    if (size < ZFRAME_FOOTER_SIZE)
        return;
    size_t table_size;
    int rc = zframe_table_size(data + size - ZFRAME_FOOTER_SIZE, &table_size, &err);
    assert(rc == 0 || rc == ERROR_FORMAT);
    assert(rc < 0 || table_size <= ZFRAME_TABLE_MAX);
    // Any total: what the entries say, found by asking twice.
    for (uint64_t total = 0; total <= 300; total += 150) {
        _cleanup_zframe_table_ struct zframe_table table = { 0 };
        if (zframe_table_parse(data, size, total, &table, &err) < 0)
            continue;
        assert(rc == 0 && table_size == size && zframe_table_stored(&table) == total);
        uint32_t frame;
        for (uint64_t offset = 0; offset < zframe_table_plain(&table); offset += 1 + zframe_table_plain(&table) / 16) {
            bool found = zframe_table_find(&table, offset, &frame);
            assert(found && table.plain[frame] <= offset && offset < table.plain[frame + 1]);
        }
        assert(!zframe_table_find(&table, zframe_table_plain(&table), &frame));
    }
}

static void as_frame(const uint8_t *data, size_t size)
{
    struct error err;
    size_t stored, plain;
    if (zframe_measure(data, size, &stored, &plain, &err) < 0)
        return;
    assert(stored <= size && plain <= ZFRAME_PLAIN_MAX);
    if (plain == 0 || plain > (1u << 20))
        return;
    uint8_t *out = malloc(plain); // exactly, so that one byte too many is seen
    struct zframe_decompressor *d = zframe_decompressor_new();
    int rc = zframe_decompress(d, data, stored, out, plain, &err);
    assert(rc == 0 || rc == ERROR_FORMAT || rc == ERROR_INTEGRITY);
    zframe_decompressor_free(d);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 2 == 0)
        as_table(data + 1, size - 1);
    else
        as_frame(data + 1, size - 1);
    return 0;
}
