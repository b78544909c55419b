// The version cache: what was written comes back; anything wrong about a file is found on opening.
#include "tests/codec/scratch.h"

#include "bkd/base/io.h"
#include "bkd/codec/delta.h"
#include "bkd/codec/version_cache.h"

static const uint8_t host_key[VERSION_CACHE_HOST_KEY] = { 9, 8, 7 };

struct made {
    struct scratch scratch;
    int dirfd;
    struct version_cache_info info;
    struct buf tags, signature; // signature with its head
};

static void made_done(struct made *m)
{
    close(m->dirfd);
    scratch_done(&m->scratch);
    buf_done(&m->tags);
    buf_done(&m->signature);
}
#define _cleanup_made_ __attribute__((cleanup(made_done)))

// A cache "x" of a file of that size with random tags and entries, added piece after piece.
static struct made make(uint64_t size, uint32_t block)
{
    struct made m = { .scratch = scratch_new(), .info = { .file_size = size, .signature_block = block } };
    struct error err;
    uint64_t seed = 77;
    m.dirfd = open(m.scratch.dir, O_RDONLY | O_DIRECTORY);
    assert_true(m.dirfd >= 0);
    scratch_fill(&seed, m.info.version_id, 16);
    scratch_fill(&seed, m.info.key, 32);
    scratch_fill(&seed, m.info.sha256, 32);
    size_t n_tags = sameplace_count(size), n_entries = block != 0 ? delta_signature_count(size, block) : 0;
    scratch_fill(&seed, buf_extend(&m.tags, n_tags * 16), n_tags * 16);
    if (block != 0) {
        delta_signature_begin(&m.signature, block);
        scratch_fill(&seed, buf_extend(&m.signature, n_entries * 36), n_entries * 36);
    }
    struct version_cache_writer *w = NULL;
    scratch_ok(version_cache_create(io_real(), m.dirfd, "x", &m.info, host_key, &w, &err), &err);
    for (size_t tag = 0, entry = 0; tag < n_tags;) {
        size_t t = n_tags - tag < 4096 ? n_tags - tag : 4096, e = 0;
        if (block != 0)
            e = n_entries - entry < (16u << 20) / block ? n_entries - entry : (16u << 20) / block;
        scratch_ok(version_cache_add(w, m.tags.data + tag * 16, t, e > 0 ? m.signature.data + 12 + entry * 36 : NULL, e, &err), &err);
        tag += t;
        entry += e;
    }
    scratch_ok(version_cache_close(&w, m.info.file_size, m.info.sha256, &err), &err);
    assert_null(w);
    return m;
}

static void check_content(const struct made *m)
{
    struct error err;
    _cleanup_version_cache_ struct version_cache *c = NULL;
    scratch_ok(version_cache_open(io_real(), m->dirfd, "x", m->info.version_id, host_key, &c, &err), &err);
    assert_memory_equal(version_cache_info(c), &m->info, sizeof(m->info));
    uint8_t *tags = xmalloc(4096 * 16), *entries = xmalloc(4096 * 36);
    size_t n;
    for (uint64_t first = 0; first <= m->tags.len / 16; first += 4096) {
        scratch_ok(version_cache_tags(c, first, 4096, tags, &n, &err), &err);
        size_t left = m->tags.len / 16 - first;
        assert_int_equal(n, left < 4096 ? left : 4096);
        assert_memory_equal(tags, m->tags.data + first * 16, n * 16);
    }
    scratch_ok(version_cache_tags(c, UINT64_MAX / 16, 4096, tags, &n, &err), &err);
    assert_int_equal(n, 0);
    if (m->signature.len > 0) {
        uint64_t count = (m->signature.len - 12) / 36, first = count > 3 && m->info.signature_block < 1 << 20 ? 3 : 0;
        scratch_ok(version_cache_entries(c, first, 4096, entries, &n, &err), &err);
        uint64_t piece = (16u << 20) / m->info.signature_block - first; // not beyond the piece
        assert_int_equal(n, count - first < piece ? count - first : piece);
        assert_memory_equal(entries, m->signature.data + 12 + first * 36, n * 36);
        _cleanup_buf_ struct buf signature = { 0 };
        scratch_ok(version_cache_signature(c, &signature, &err), &err);
        assert_int_equal(signature.len, m->signature.len);
        assert_memory_equal(signature.data, m->signature.data, signature.len);
    } else {
        _cleanup_buf_ struct buf signature = { 0 };
        scratch_ok(version_cache_entries(c, 0, 10, entries, &n, &err), &err);
        assert_int_equal(n, 0);
        assert_int_equal(version_cache_signature(c, &signature, &err), ERROR_NOT_FOUND);
    }
    free(tags);
    free(entries);
}

static void test_round_trips(void **state)
{
    (void)state;
    static const struct {
        uint64_t size;
        uint32_t block;
    } cases[] = { { 1, 0 }, { 4096, 0 }, { 4097, 4096 }, { 100000, 4096 }, { (40u << 20) + 5, 0 }, { (40u << 20) + 5, 8192 }, { 512u << 20, 16u << 20 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        _cleanup_made_ struct made m = make(cases[i].size, cases[i].block);
        check_content(&m);
    }
}

static int try_open(const struct made *m, const uint8_t *id, const uint8_t *key)
{
    struct error err;
    struct version_cache *c = NULL;
    int rc = version_cache_open(io_real(), m->dirfd, "x", id, key, &c, &err);
    version_cache_free(c);
    return rc;
}

static void test_every_byte_is_bound(void **state)
{
    (void)state;
    _cleanup_made_ struct made m = make(100000, 4096);
    _cleanup_buf_ struct buf file = { 0 };
    scratch_read(&m.scratch, "x", &file);
    assert_int_equal(file.len, 128 + 25 * 16 + 25 * 36 + 32);
    for (size_t i = 0; i < file.len; i++) {
        file.data[i] ^= 0x10;
        scratch_write(&m.scratch, "x", file.data, file.len);
        file.data[i] ^= 0x10;
        assert_int_equal(try_open(&m, m.info.version_id, host_key), ERROR_INTEGRITY);
    }
    for (size_t n = 0; n < file.len; n += 7) {
        scratch_write(&m.scratch, "x", file.data, n);
        assert_int_equal(try_open(&m, m.info.version_id, host_key), ERROR_INTEGRITY);
    }
    buf_add(&file, "", 1);
    scratch_write(&m.scratch, "x", file.data, file.len);
    assert_int_equal(try_open(&m, m.info.version_id, host_key), ERROR_INTEGRITY);
    scratch_write(&m.scratch, "x", file.data, file.len - 1);
    assert_int_equal(try_open(&m, m.info.version_id, host_key), 0);
}

static void test_other_version_key_or_name(void **state)
{
    (void)state;
    _cleanup_made_ struct made m = make(5000, 0);
    uint8_t other_id[16] = { 0 }, other_key[32] = { 0 };
    assert_int_equal(try_open(&m, other_id, host_key), ERROR_INTEGRITY);
    assert_int_equal(try_open(&m, m.info.version_id, other_key), ERROR_INTEGRITY);
    scratch_run("rm '%s/x'", m.scratch.dir);
    assert_int_equal(try_open(&m, m.info.version_id, host_key), ERROR_NOT_FOUND);
}

static void test_incomplete_writes_leave_nothing_valid(void **state)
{
    (void)state;
    _cleanup_made_ struct made m = make(100000, 4096);
    struct error err;
    struct version_cache_writer *w = NULL;
    assert_int_equal(version_cache_create(io_real(), m.dirfd, "x", &m.info, host_key, &w, &err), ERROR_EXISTS);
    // Too few.
    scratch_ok(version_cache_create(io_real(), m.dirfd, "y", &m.info, host_key, &w, &err), &err);
    scratch_ok(version_cache_add(w, m.tags.data, 25, m.signature.data + 12, 24, &err), &err);
    assert_int_equal(version_cache_close(&w, m.info.file_size, m.info.sha256, &err), ERROR_FAILED);
    assert_null(w);
    scratch_run("test ! -e '%s/y'", m.scratch.dir);
    // More than the file has, and after the last piece.
    scratch_ok(version_cache_create(io_real(), m.dirfd, "y", &m.info, host_key, &w, &err), &err);
    scratch_ok(version_cache_add(w, m.tags.data, 25, m.signature.data + 12, 25, &err), &err);
    assert_int_equal(version_cache_close(&w, 98000, m.info.sha256, &err), ERROR_FAILED);
    scratch_ok(version_cache_create(io_real(), m.dirfd, "y", &m.info, host_key, &w, &err), &err);
    scratch_ok(version_cache_add(w, m.tags.data, 25, m.signature.data + 12, 25, &err), &err);
    assert_int_equal(version_cache_add(w, m.tags.data, 1, NULL, 0, &err), ERROR_FAILED);
    version_cache_abort(&w);
    scratch_run("test ! -e '%s/y'", m.scratch.dir);
    version_cache_abort(&w);
}

static void test_only_the_owner_reads(void **state)
{
    (void)state;
    _cleanup_made_ struct made m = make(5000, 0);
    scratch_run("test \"$(stat -c %%a '%s/x')\" = 600", m.scratch.dir);
}

static void test_sizes_are_bounded(void **state)
{
    (void)state;
    struct error err;
    _cleanup_made_ struct made m = make(5000, 0);
    struct version_cache_writer *w = NULL;
    static const uint32_t blocks[] = { 2048, 5000, 32u << 20 };
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        struct version_cache_info info = { .signature_block = blocks[i] };
        assert_int_equal(version_cache_create(io_real(), m.dirfd, "y", &info, host_key, &w, &err), ERROR_FAILED);
    }
    static const uint64_t sizes[] = { 0, VERSION_CACHE_FILE_MAX + 1, VERSION_CACHE_FILE_MAX };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct version_cache_info info = { .signature_block = 4096 };
        scratch_ok(version_cache_create(io_real(), m.dirfd, "y", &info, host_key, &w, &err), &err);
        assert_int_equal(version_cache_close(&w, sizes[i], m.info.sha256, &err), ERROR_FAILED);
    }
    scratch_run("test ! -e '%s/y'", m.scratch.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_every_byte_is_bound),
        cmocka_unit_test(test_other_version_key_or_name),
        cmocka_unit_test(test_incomplete_writes_leave_nothing_valid),
        cmocka_unit_test(test_only_the_owner_reads),
        cmocka_unit_test(test_sizes_are_bounded),
    };
    return cmocka_run_group_tests_name("version_cache", tests, NULL, NULL);
}
