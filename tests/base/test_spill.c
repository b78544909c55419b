// Sorting with more records than memory: order, stability, reading again, records of all sizes.
#include "tests/codec/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "bkd/base/bytes.h"
#include "bkd/base/spill.h"

struct place {
    struct scratch scratch;
    int dirfd;
};

static int setup(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    p->scratch = scratch_new();
    p->dirfd = open(p->scratch.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(p->dirfd >= 0);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    (void)close(p->dirfd);
    scratch_done(&p->scratch);
    free(p);
    return 0;
}

static int compare_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    size_t n = a_len < b_len ? a_len : b_len;
    int c = n == 0 ? 0 : memcmp(a, b, n);
    return c != 0 ? c : a_len < b_len ? -1 : a_len > b_len;
}

// Only the first 4 bytes count: what follows shows the order of adding.
static int compare_key(const void *a, size_t a_len, const void *b, size_t b_len)
{
    assert_true(a_len >= 8 && b_len >= 8);
    return memcmp(a, b, 4);
}

static void add(struct spill *s, const void *data, size_t n)
{
    struct error err;
    scratch_ok(spill_add(s, data, n, &err), &err);
}

static const void *next(struct spill *s, size_t *n)
{
    struct error err;
    const void *record = NULL;
    scratch_ok(spill_next(s, &record, n, &err), &err);
    return record;
}

static void test_empty(void **state)
{
    struct place *p = *state;
    struct error err;
    size_t n = 1;
    _cleanup_spill_ struct spill *s = spill_new(io_real(), p->dirfd, compare_bytes, 1000);
    assert_int_equal(spill_count(s), 0);
    scratch_ok(spill_sort(s, &err), &err);
    assert_null(next(s, &n));
    assert_int_equal(n, 0);
    assert_null(next(s, &n));
}

// Keys 0..96 in turn, each record numbered: read back by key, within a key by number; twice.
static void sort_numbered(const struct place *p, uint32_t count, size_t memory)
{
    struct error err;
    _cleanup_spill_ struct spill *s = spill_new(io_real(), p->dirfd, compare_key, memory);
    uint8_t record[64] = { 0 };
    for (uint32_t i = 0; i < count; i++) {
        put_u32be(record, i * 31 % 97);
        put_u32be(record + 4, i);
        add(s, record, 8 + i % 50);
    }
    assert_int_equal(spill_count(s), count);
    for (int pass = 0; pass < 3; pass++) {
        scratch_ok(spill_sort(s, &err), &err);
        uint32_t key = 0, number = 0, seen = 0;
        size_t n;
        const uint8_t *r;
        for (; (r = next(s, &n)) != NULL; seen++) {
            assert_true(seen == 0 || get_u32be(r) > key || (get_u32be(r) == key && get_u32be(r + 4) > number));
            key = get_u32be(r);
            number = get_u32be(r + 4);
            assert_int_equal(key, number * 31 % 97);
            assert_int_equal(n, 8 + number % 50);
            if (pass == 0 && seen == count / 2 && count > 10)
                break; // begins again from the middle
        }
        assert_int_equal(seen, pass == 0 && count > 10 ? count / 2 : count);
    }
}

static void test_memory(void **state) { sort_numbered(*state, 1000, 1 << 20); }
static void test_disk(void **state) { sort_numbered(*state, 20000, 10000); }
static void test_each_record_a_run(void **state) { sort_numbered(*state, 300, 1); }
static void test_one(void **state) { sort_numbered(*state, 1, 1); }

// Where the last run is exactly full, or exactly one record more.
static void test_boundaries(void **state)
{
    for (uint32_t count = 1; count < 12; count++)
        for (size_t memory = 20; memory < 130; memory += 3)
            sort_numbered(*state, count, memory);
}

static void test_any_bytes_any_length(void **state)
{
    struct place *p = *state;
    struct error err;
    _cleanup_spill_ struct spill *s = spill_new(io_real(), p->dirfd, compare_bytes, 200000);
    uint64_t seed = 5, total = 0;
    _cleanup_free_ char *data = xmalloc(300008);
    add(s, "", 0);
    for (unsigned i = 1; i < 500; i++) {
        size_t n = (size_t)(scratch_random(&seed) % (i % 100 == 0 ? 300000 : 300)); // some larger than the memory and the read window
        scratch_fill(&seed, (uint8_t *)data, n);
        add(s, data, n);
        total += n;
    }
    scratch_ok(spill_sort(s, &err), &err);
    _cleanup_buf_ struct buf before = { 0 };
    size_t n;
    unsigned count = 0;
    for (const void *r; (r = next(s, &n)) != NULL; count++) {
        assert_true(compare_bytes(before.data, before.len, r, n) <= 0);
        buf_reset(&before);
        buf_add(&before, r, n);
        total -= n;
    }
    assert_int_equal(count, 500);
    assert_int_equal(total, 0);
}

static void test_too_large(void **state)
{
    struct place *p = *state;
    struct error err;
    _cleanup_spill_ struct spill *s = spill_new(io_real(), p->dirfd, compare_bytes, 1000);
    _cleanup_free_ char *data = (char *)xcalloc(1, SPILL_RECORD_MAX + 1);
    assert_int_equal(spill_add(s, data, SPILL_RECORD_MAX + 1, &err), ERROR_FORMAT);
    add(s, data, SPILL_RECORD_MAX);
    assert_int_equal(spill_count(s), 1);
}

// Three million records with a megabyte of memory, in order, with nothing left in the directory.
static void test_millions(void **state)
{
    struct place *p = *state;
    struct error err;
    enum { COUNT = 3000000 };
    struct rusage before, after;
    assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
    struct spill *s = spill_new(io_real(), p->dirfd, compare_bytes, 1 << 20);
    uint8_t record[8];
    for (uint64_t i = 0; i < COUNT; i++) {
        put_u64be(record, i * UINT64_C(2654435761) % 3000017); // a permutation of 0..3000016 with gaps
        add(s, record, sizeof record);
    }
    scratch_ok(spill_sort(s, &err), &err);
    uint64_t last = 0, count = 0;
    size_t n;
    for (const void *r; (r = next(s, &n)) != NULL; count++) {
        assert_int_equal(n, 8);
        assert_true(count == 0 || get_u64be(r) > last);
        last = get_u64be(r);
    }
    assert_int_equal(count, COUNT);
    assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
#ifndef __SANITIZE_ADDRESS__ // which keeps freed memory
    assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, 16 << 10); // KiB; all records would be 36 MB
#endif
    scratch_run("test -z \"$(ls '%s')\"", p->scratch.dir);
    spill_free(s);
}

static ssize_t failing_pread(const struct io *io, int fd, void *data, size_t n, off_t offset)
{
    (void)io, (void)fd, (void)data, (void)n, (void)offset;
    errno = EIO;
    return -1;
}

static ssize_t short_pread(const struct io *io, int fd, void *data, size_t n, off_t offset)
{
    return offset > 5000 ? 0 : io_real()->pread(io, fd, data, n, offset);
}

static int sort_and_read(struct place *p, const struct io *io, struct error *err)
{
    _cleanup_spill_ struct spill *s = spill_new(io, p->dirfd, compare_bytes, 1000);
    for (unsigned i = 0; i < 2000; i++)
        scratch_ok(spill_add(s, &i, sizeof i, err), err);
    int r = spill_sort(s, err);
    const void *record = s;
    for (size_t n; r == 0 && record != NULL;)
        r = spill_next(s, &record, &n, err);
    return r;
}

// A scratch file that cannot be read, or was cut short, is never taken for the end of the records.
static void test_failures_are_told(void **state)
{
    struct error err;
    struct io io = *io_real();
    io.pread = failing_pread;
    assert_int_equal(sort_and_read(*state, &io, &err), ERROR_FAILED);
    io.pread = short_pread;
    assert_int_equal(sort_and_read(*state, &io, &err), ERROR_INTEGRITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_record_a_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_boundaries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_bytes_any_length, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_millions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures_are_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
