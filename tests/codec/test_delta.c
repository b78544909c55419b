// librsync's signatures put together from runs, and its search; the rdiff program is the measure.
#include "tests/codec/scratch.h"

#include <pthread.h>

#include "bkd/base/bytes.h"
#include "bkd/codec/delta.h"

static void random_file(struct buf *b, size_t n, uint64_t seed)
{
    if (n > 0)
        scratch_fill(&seed, buf_extend(b, n), n);
}

static void signature_of(const struct buf *file, uint32_t block, struct buf *sig)
{
    struct error err;
    delta_signature_begin(sig, block);
    scratch_ok(delta_signature_append(sig, block, file->data, file->len, &err), &err);
}

// Any cut of the file into runs of whole blocks gives what rdiff writes for the whole.
static void test_runs_equal_rdiff(void **state)
{
    (void)state;
    static const size_t lengths[] = { 1, 4095, 4096, 4097, 8192, 300000, 262144 };
    _cleanup_scratch_ struct scratch s = scratch_new();
    struct error err;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        for (uint32_t block = 4096; block <= 16384; block *= 4) {
            _cleanup_buf_ struct buf file = { 0 }, expected = { 0 }, runs = { 0 };
            random_file(&file, lengths[i], 5 + i);
            scratch_write(&s, "file", file.data, file.len);
            scratch_run("rdiff -f -H blake2 -R rabinkarp -b %u -S 32 signature '%s/file' '%s/sig'", block, s.dir, s.dir);
            scratch_read(&s, "sig", &expected);
            delta_signature_begin(&runs, block);
            for (size_t at = 0, run = 1; at < file.len; run = run % 3 + 1) {
                size_t n = run * block < file.len - at ? run * block : file.len - at;
                scratch_ok(delta_signature_append(&runs, block, file.data + at, n, &err), &err);
                at += n;
            }
            assert_int_equal(runs.len, expected.len);
            assert_memory_equal(runs.data, expected.data, runs.len);
            assert_int_equal(delta_signature_count(file.len, block) * DELTA_SIGNATURE_ENTRY + DELTA_SIGNATURE_HEAD, runs.len);
        }
    }
}

static uint64_t check_commands(const struct buf *base, const uint8_t *data, size_t n, const struct rdelta_list *list)
{
    size_t at = 0;
    uint64_t copied = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct rdelta_command *c = &list->items[i];
        assert_true(c->length > 0 && c->length <= n - at);
        if (c->is_copy) {
            assert_true(c->offset + c->length <= base->len);
            assert_memory_equal(base->data + c->offset, data + at, c->length);
            copied += c->length;
        } else {
            assert_int_equal(c->offset, at);
        }
        at += c->length;
    }
    assert_int_equal(at, n);
    return copied;
}

static void test_search_finds_moved_data(void **state)
{
    (void)state;
    struct error err;
    _cleanup_buf_ struct buf base = { 0 }, sig = { 0 }, new = { 0 };
    random_file(&base, 3000000, 1);
    signature_of(&base, 4096, &sig);
    _cleanup_delta_search_ struct delta_search *search = NULL;
    scratch_ok(delta_search_new(sig.data, sig.len, base.len, &search, &err), &err);
    assert_int_equal(delta_search_block_size(search), 4096);
    random_file(&new, 12345, 2);                     // inserted
    buf_add(&new, base.data, 1500000);               // shifted
    random_file(&new, 2500000, 3);                   // long literal: more than librsync's output at once
    buf_add(&new, base.data + 1400000, 1600000);     // up to the short last block
    _cleanup_rdelta_list_ struct rdelta_list list = { 0 };
    scratch_ok(delta_search_run(search, new.data, new.len, &list, &err), &err);
    uint64_t copied = check_commands(&base, new.data, new.len, &list);
    assert_in_range(copied, 3100000 - 4 * 4096, 3100000);
    // Used again, and on nothing.
    rdelta_list_reset(&list);
    scratch_ok(delta_search_run(search, base.data, base.len, &list, &err), &err);
    assert_int_equal(check_commands(&base, base.data, base.len, &list), base.len);
    assert_int_equal(list.count, 1);
    scratch_ok(delta_search_run(search, base.data, 0, &list, &err), &err);
    assert_int_equal(list.count, 1);
}

static void test_search_appends_without_merging(void **state)
{
    (void)state;
    struct error err;
    _cleanup_buf_ struct buf base = { 0 }, sig = { 0 };
    random_file(&base, 100000, 1);
    signature_of(&base, 4096, &sig);
    _cleanup_delta_search_ struct delta_search *search = NULL;
    scratch_ok(delta_search_new(sig.data, sig.len, base.len, &search, &err), &err);
    _cleanup_rdelta_list_ struct rdelta_list list = { 0 };
    rdelta_list_add(&list, true, 0, 4096);
    scratch_ok(delta_search_run(search, base.data + 4096, 8192, &list, &err), &err);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.items[1].offset, 4096);
    assert_int_equal(list.items[1].length, 8192);
}

// Many small shapes: random edits of small regions.
static void test_search_property(void **state)
{
    (void)state;
    struct error err;
    uint64_t seed = 99;
    _cleanup_buf_ struct buf base = { 0 }, sig = { 0 };
    random_file(&base, 200000, 8);
    memset(base.data + 50000, 0, 40000); // repeated blocks
    signature_of(&base, 4096, &sig);
    _cleanup_delta_search_ struct delta_search *search = NULL;
    scratch_ok(delta_search_new(sig.data, sig.len, base.len, &search, &err), &err);
    for (unsigned i = 0; i < 300; i++) {
        _cleanup_buf_ struct buf new = { 0 };
        for (unsigned parts = 1 + scratch_random(&seed) % 4; parts > 0; parts--) {
            size_t from = scratch_random(&seed) % base.len, n = 1 + scratch_random(&seed) % 30000;
            if (scratch_random(&seed) % 3 == 0)
                random_file(&new, n, scratch_random(&seed) | 1);
            else
                buf_add(&new, base.data + from, n < base.len - from ? n : base.len - from);
        }
        _cleanup_rdelta_list_ struct rdelta_list list = { 0 };
        scratch_ok(delta_search_run(search, new.data, new.len, &list, &err), &err);
        (void)check_commands(&base, new.data, new.len, &list);
    }
}

static void test_bad_signatures(void **state)
{
    (void)state;
    struct error err;
    struct delta_search *search = NULL;
    _cleanup_buf_ struct buf base = { 0 }, sig = { 0 };
    random_file(&base, 100000, 1);
    signature_of(&base, 4096, &sig);
    assert_int_equal(delta_search_new(sig.data, sig.len, base.len + 4096, &search, &err), ERROR_FORMAT);
    assert_int_equal(delta_search_new(sig.data, sig.len - 1, base.len, &search, &err), ERROR_FORMAT);
    assert_int_equal(delta_search_new(sig.data, 11, base.len, &search, &err), ERROR_FORMAT);
    assert_int_equal(delta_search_new(sig.data, DELTA_SIGNATURE_HEAD, 0, &search, &err), ERROR_FORMAT);
    static const uint32_t magics[] = { 0x72730136, 0x72730137, 0x72730146, 0 };
    for (size_t i = 0; i < 4; i++) {
        put_u32be(sig.data, magics[i]);
        assert_int_equal(delta_search_new(sig.data, sig.len, base.len, &search, &err), ERROR_FORMAT);
    }
    put_u32be(sig.data, DELTA_SIGNATURE_MAGIC);
    static const uint32_t blocks[] = { 0, 1, 15, DELTA_BLOCK_MAX + 1, 0xffffffff };
    for (size_t i = 0; i < 5; i++) {
        put_u32be(sig.data + 4, blocks[i]);
        assert_int_equal(delta_search_new(sig.data, sig.len, base.len, &search, &err), ERROR_FORMAT);
    }
    put_u32be(sig.data + 4, 4096);
    put_u32be(sig.data + 8, 31);
    assert_int_equal(delta_search_new(sig.data, sig.len, base.len, &search, &err), ERROR_FORMAT);
    assert_null(search);
}

// A signature with wrong sums may only make a search find less; never a copy beyond the base.
static void test_lying_signature_stays_inside_the_base(void **state)
{
    (void)state;
    struct error err;
    _cleanup_buf_ struct buf longer = { 0 }, sig = { 0 };
    random_file(&longer, 40960, 1);
    signature_of(&longer, 4096, &sig);
    // Says the last block is a short one, but its sums are those of a whole block.
    _cleanup_delta_search_ struct delta_search *search = NULL;
    scratch_ok(delta_search_new(sig.data, sig.len, 40960 - 1000, &search, &err), &err);
    _cleanup_rdelta_list_ struct rdelta_list list = { 0 };
    scratch_ok(delta_search_run(search, longer.data, longer.len, &list, &err), &err);
    assert_int_equal(check_commands(&longer, longer.data, longer.len, &list), 9 * 4096);
}

struct searcher {
    struct delta_search *search;
    const struct buf *data;
    uint64_t copied;
};

static void *search_thread(void *arg)
{
    struct searcher *s = arg;
    struct error err;
    for (unsigned i = 0; i < 20; i++) {
        _cleanup_rdelta_list_ struct rdelta_list list = { 0 };
        if (delta_search_run(s->search, s->data->data + i, s->data->len - i, &list, &err) < 0)
            return NULL;
        for (size_t k = 0; k < list.count; k++)
            s->copied += list.items[k].is_copy ? list.items[k].length : 0;
    }
    return NULL;
}

static void test_threads_may_share_a_search(void **state)
{
    (void)state;
    struct error err;
    _cleanup_buf_ struct buf base = { 0 }, sig = { 0 };
    random_file(&base, 200000, 1);
    signature_of(&base, 4096, &sig);
    _cleanup_delta_search_ struct delta_search *search = NULL;
    scratch_ok(delta_search_new(sig.data, sig.len, base.len, &search, &err), &err);
    struct searcher jobs[3];
    pthread_t threads[3];
    for (unsigned i = 0; i < 3; i++) {
        jobs[i] = (struct searcher){ .search = search, .data = &base };
        assert_int_equal(pthread_create(&threads[i], NULL, search_thread, &jobs[i]), 0);
    }
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    // From byte 1 on, the first block is cut and everything else is found.
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(jobs[i].copied, 200000 + 19 * (200000 - 4096));
}

static void test_block_size_rule(void **state)
{
    (void)state;
    assert_int_equal(delta_block_size(DELTA_SIGNATURE_FILE_MIN - 1, 0), 0);
    assert_int_equal(delta_block_size(DELTA_SIGNATURE_FILE_MIN, 0), 4096);
    assert_int_equal(delta_block_size(UINT64_C(2) << 30, 0), 4096);
    assert_int_equal(delta_block_size((UINT64_C(2) << 30) + 1, 0), 8192);
    assert_int_equal(delta_block_size(UINT64_C(10) << 30, 0), 32768);
    assert_int_equal(delta_block_size(UINT64_C(8) << 40, 0), 16 << 20);
    assert_int_equal(delta_block_size((UINT64_C(8) << 40) + 1, 0), 0);
    uint32_t last = 0;
    for (uint64_t size = 1; size < UINT64_C(4) << 40; size += size / 3 + 1) {
        uint32_t block = delta_block_size(size, 0);
        assert_true(block >= last);
        if (block > 0)
            assert_true(delta_signature_memory(delta_signature_count(size, block)) <= DELTA_SIGNATURE_MEMORY);
        last = block;
    }
    assert_int_equal(delta_block_size(UINT64_C(2) << 30, UINT64_C(16) << 20), 8192);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_equal_rdiff),
        cmocka_unit_test(test_search_finds_moved_data),
        cmocka_unit_test(test_search_appends_without_merging),
        cmocka_unit_test(test_search_property),
        cmocka_unit_test(test_bad_signatures),
        cmocka_unit_test(test_lying_signature_stays_inside_the_base),
        cmocka_unit_test(test_threads_may_share_a_search),
        cmocka_unit_test(test_block_size_rule),
    };
    return cmocka_run_group_tests_name("delta", tests, NULL, NULL);
}
