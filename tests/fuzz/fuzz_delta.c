// Untrusted deltas and signatures. The first byte chooses what the rest is taken for.
#include <assert.h>
#include <string.h>

#include "bkd/codec/delta.h"
#include "bkd/codec/ranges.h"
#include "bkd/codec/rdelta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BASE_SIZE 100000u

static const struct place base_ranges[] = { { 1, 0, 50000 }, { 0, 0, 100 }, { 2, 7, BASE_SIZE - 50100 } };

static int base_piece(void *arg, uint64_t index, const struct place **ret_items, size_t *ret_count, struct error *err)
{
    (void)arg;
    (void)err;
    assert(index == 0);
    *ret_items = base_ranges;
    *ret_count = 3;
    return 0;
}

// Whatever is parsed can be written again and resolved.
static void as_delta(const uint8_t *data, size_t size)
{
    struct error err;
    struct rdelta_parser p;
    struct rdelta_command command;
    uint64_t made = 0;
    bool more = true;
    if (rdelta_parse_begin(&p, data, size, &err) < 0)
        return;
    while (more && made < (1u << 24)) {
        if (rdelta_parse_next(&p, &command, &more, &err) < 0)
            return;
        made += more ? command.length : 0;
    }
    _cleanup_rdelta_list_ struct rdelta_list list = { 0 };
    if (rdelta_parse(data, size, BASE_SIZE, made, &list, &err) < 0)
        return;
    _cleanup_buf_ struct buf again = { 0 };
    rdelta_begin(&again);
    for (size_t i = 0; i < list.count; i++) {
        if (list.items[i].is_copy)
            rdelta_put_copy(&again, list.items[i].offset, list.items[i].length);
        else
            rdelta_put_literal(&again, data + list.items[i].offset, list.items[i].length, NULL);
    }
    rdelta_end(&again);
    assert(again.len <= size); // the shortest forms
    struct ranges_base base = { base_piece, NULL, BASE_SIZE };
    _cleanup_ranges_ struct ranges ranges = { 0 };
    bool fits;
    int rc = ranges_resolve(&base, &list, &(struct place){ 3, 512, size }, 100, &ranges, &fits, &err);
    assert(rc == 0 && (!fits || ranges_length(&ranges) == made));
}

static void as_signature(const uint8_t *data, size_t size)
{
    struct error err;
    if (size < DELTA_SIGNATURE_HEAD)
        return;
    // A file size that fits the number of entries, so that loading is reached.
    uint64_t block = (uint64_t)data[4] << 24 | (uint64_t)data[5] << 16 | (uint64_t)data[6] << 8 | data[7];
    uint64_t file_size = (size - DELTA_SIGNATURE_HEAD) / DELTA_SIGNATURE_ENTRY * block;
    struct delta_search *search;
    if (delta_search_new(data, size, file_size, &search, &err) < 0)
        return;
    _cleanup_rdelta_list_ struct rdelta_list list = { 0 };
    (void)!delta_search_run(search, data, size, &list, &err);
    delta_search_free(search);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 2 == 0)
        as_delta(data + 1, size - 1);
    else
        as_signature(data + 1, size - 1);
    return 0;
}
