// The tar stream of objects: libarchive's headers byte for byte; read back by GNU tar, bsdtar and bkd/codec/pack's reader.
#include "tests/codec/scratch.h"

#include "bkd/codec/members.h"

static int to_buf(void *arg, const void *data, size_t n, struct error *err)
{
    (void)err;
    buf_add(arg, data, n);
    return 0;
}

#define MEMBERS 7
static const size_t sizes[MEMBERS] = { 0, 1, 511, 512, 513, 100000, 70001 };
static const char *const kinds[2] = { "whole", "delta" };

static void member(unsigned i, char name[32], struct buf *content)
{
    (void)snprintf(name, 32, "%08u.%s", i, kinds[i % 2]);
    uint64_t seed = 1000 + i;
    buf_reset(content);
    if (sizes[i] > 0)
        scratch_fill(&seed, buf_extend(content, sizes[i]), sizes[i]);
}

static void make_tar(struct buf *tar, uint64_t offsets[MEMBERS])
{
    struct error err;
    struct members m;
    _cleanup_buf_ struct buf content = { 0 };
    scratch_ok(members_begin(&m, to_buf, tar, &err), &err);
    for (unsigned i = 0; i < MEMBERS; i++) {
        char name[32];
        member(i, name, &content);
        size_t before = tar->len;
        scratch_ok(members_add(&m, kinds[i % 2], content.data, content.len, &offsets[i], &err), &err);
        assert_int_equal(offsets[i], before + PACK_BLOCK);
        assert_int_equal(tar->len, offsets[i] + (sizes[i] + 511) / 512 * 512); // nothing is kept back
        assert_int_equal(m.offset, tar->len);
    }
    size_t before = tar->len;
    scratch_ok(members_end(&m, &err), &err);
    assert_int_equal(tar->len, before + MEMBERS_TRAILER_SIZE);
}

static void test_offsets_hold_the_data(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf tar = { 0 }, content = { 0 };
    uint64_t offsets[MEMBERS];
    make_tar(&tar, offsets);
    for (unsigned i = 0; i < MEMBERS; i++) {
        char name[32];
        member(i, name, &content);
        assert_string_equal((char *)tar.data + offsets[i] - 512, name);
        if (content.len > 0)
            assert_memory_equal(tar.data + offsets[i], content.data, content.len);
    }
}

// Only the header of the first call is looked at: what follows it need not be as large as announced.
static int first_header(void *arg, const void *data, size_t n, struct error *err)
{
    struct buf *header = arg;
    (void)err;
    if (header->len == 0)
        buf_add(header, data, n);
    return 0;
}

static void test_headers_are_libarchives(void **state)
{
    (void)state;
    static const uint64_t announced[] = { 0, 1, 7, 8, 511, 512, 4095, 123456789, UINT64_C(1) << 32, PACK_MEMBER_MAX };
    static const uint32_t numbers[] = { 0, 1, 9, 10, 123, 99999, 12345678, MEMBERS_MAX - 1 };
    static const char *const all_kinds[] = { "whole", "delta", "recipe", "xattr", "meta", "m", "abcdefghijklmnop" };
    struct error err;
    for (size_t i = 0; i < sizeof announced / sizeof *announced; i++)
        for (size_t j = 0; j < sizeof numbers / sizeof *numbers; j++)
            for (size_t k = 0; k < sizeof all_kinds / sizeof *all_kinds; k++) {
                _cleanup_buf_ struct buf header = { 0 };
                struct members m;
                char name[64];
                uint8_t expected[PACK_BLOCK];
                uint64_t offset;
                (void)snprintf(name, sizeof name, "%08u.%s", numbers[j], all_kinds[k]);
                scratch_ok(pack_member_header(name, announced[i], expected, &err), &err);
                scratch_ok(members_begin(&m, first_header, &header, &err), &err);
                m.count = numbers[j];
                scratch_ok(members_add(&m, all_kinds[k], "", announced[i], &offset, &err), &err);
                assert_int_equal(header.len, PACK_BLOCK);
                assert_memory_equal(header.data, expected, PACK_BLOCK);
            }
}

static void check_extracted(const struct scratch *s)
{
    _cleanup_buf_ struct buf content = { 0 };
    for (unsigned i = 0; i < MEMBERS; i++) {
        _cleanup_buf_ struct buf back = { 0 };
        char name[32], path[64];
        member(i, name, &content);
        (void)snprintf(path, sizeof(path), "out/%s", name);
        scratch_read(s, path, &back);
        assert_int_equal(back.len, content.len);
        if (content.len > 0)
            assert_memory_equal(back.data, content.data, content.len);
    }
    scratch_run("test $(ls '%s/out' | wc -l) = %d", s->dir, MEMBERS);
    scratch_run("test \"$(stat -c '%%a %%Y' '%s/out/00000001.delta')\" = '600 0'", s->dir);
}

static void test_tar_and_bsdtar_extract(void **state)
{
    (void)state;
    static const char *tools[] = { "tar", "bsdtar" };
    _cleanup_buf_ struct buf tar = { 0 };
    uint64_t offsets[MEMBERS];
    make_tar(&tar, offsets);
    for (size_t i = 0; i < 2; i++) {
        _cleanup_scratch_ struct scratch s = scratch_new();
        scratch_write(&s, "x.tar", tar.data, tar.len);
        scratch_run("mkdir '%s/out' && %s -xpf '%s/x.tar' -C '%s/out' 2>'%s/messages' && test ! -s '%s/messages'", s.dir, tools[i], s.dir, s.dir, s.dir, s.dir);
        check_extracted(&s);
    }
}

// Gives the tar in steps of 777 bytes.
struct steps {
    const struct buf *tar;
    size_t at;
};

static int in_steps(void *arg, const void **ret_data, size_t *ret_n, struct error *err)
{
    struct steps *s = arg;
    (void)err;
    size_t n = s->tar->len - s->at < 777 ? s->tar->len - s->at : 777;
    *ret_data = s->tar->data + s->at;
    *ret_n = n;
    s->at += n;
    return 0;
}

static void check_reader(struct pack_reader *r, const uint64_t offsets[MEMBERS], bool skip_odd)
{
    struct error err;
    struct pack_entry entry;
    bool more;
    _cleanup_buf_ struct buf content = { 0 };
    for (unsigned i = 0; i < MEMBERS; i++) {
        char name[32];
        member(i, name, &content);
        scratch_ok(pack_reader_next(r, &entry, &more, &err), &err);
        assert_true(more);
        assert_string_equal(entry.name, name);
        assert_int_equal(entry.size, sizes[i]);
        assert_int_equal(entry.data_offset, offsets[i]);
        _cleanup_buf_ struct buf got = { 0 };
        for (size_t n = 1; n > 0 && !(skip_odd && i % 2 == 1);) {
            const void *data;
            scratch_ok(pack_reader_data(r, &data, &n, &err), &err);
            buf_add(&got, data, n);
        }
        if (skip_odd && i % 2 == 1)
            continue;
        assert_int_equal(got.len, content.len);
        if (content.len > 0)
            assert_memory_equal(got.data, content.data, content.len);
    }
    scratch_ok(pack_reader_next(r, &entry, &more, &err), &err);
    assert_false(more);
}

static void test_own_reader(void **state)
{
    (void)state;
    struct error err;
    _cleanup_buf_ struct buf tar = { 0 };
    uint64_t offsets[MEMBERS];
    make_tar(&tar, offsets);
    for (int skip = 0; skip < 2; skip++) {
        _cleanup_pack_reader_ struct pack_reader *memory = NULL, *stream = NULL;
        scratch_ok(pack_reader_open_memory(tar.data, tar.len, MEMBERS, &memory, &err), &err);
        check_reader(memory, offsets, skip);
        struct steps steps = { .tar = &tar };
        scratch_ok(pack_reader_open(in_steps, &steps, MEMBERS, &stream, &err), &err);
        check_reader(stream, offsets, skip);
    }
}

static int sink_full(void *arg, const void *data, size_t n, struct error *err)
{
    size_t *room = arg;
    (void)data;
    if (n > *room)
        return error_set(err, ERROR_NO_SPACE, "the sink is full");
    *room -= n;
    return 0;
}

static void test_sink_errors_come_through(void **state)
{
    (void)state;
    uint8_t data[1000] = { 0 };
    for (size_t room = 0; room < 3000; room += 100) {
        size_t left = room;
        struct error err = { 0 };
        struct members m;
        uint64_t offset;
        scratch_ok(members_begin(&m, sink_full, &left, &err), &err);
        int rc = members_add(&m, "whole", data, sizeof data, &offset, &err);
        if (rc == 0)
            rc = members_end(&m, &err);
        bool fits = room >= 512 + 1024 + MEMBERS_TRAILER_SIZE;
        assert_int_equal(rc, fits ? 0 : ERROR_NO_SPACE);
        if (!fits)
            assert_string_equal(err.text, "the sink is full");
    }
}

static void test_too_much_is_refused(void **state)
{
    (void)state;
    struct error err;
    _cleanup_buf_ struct buf tar = { 0 };
    struct members m;
    uint64_t offset;
    scratch_ok(members_begin(&m, to_buf, &tar, &err), &err);
    assert_int_equal(members_add(&m, "whole", "", PACK_MEMBER_MAX + 1, &offset, &err), ERROR_FAILED);
    m.count = MEMBERS_MAX;
    assert_int_equal(members_add(&m, "whole", "x", 1, &offset, &err), ERROR_FAILED);
    assert_int_equal(tar.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets_hold_the_data),
        cmocka_unit_test(test_headers_are_libarchives),
        cmocka_unit_test(test_tar_and_bsdtar_extract),
        cmocka_unit_test(test_own_reader),
        cmocka_unit_test(test_sink_errors_come_through),
        cmocka_unit_test(test_too_much_is_refused),
    };
    return cmocka_run_group_tests_name("members", tests, NULL, NULL);
}
