// The tar layer, read back by GNU tar, bsdtar and the module's own reader.
#include "tests/codec/scratch.h"

#include "bkd/codec/pack.h"

static int to_buf(void *arg, const void *data, size_t n, struct error *err)
{
    (void)err;
    buf_add(arg, data, n);
    return 0;
}

#define MEMBERS 7
static const size_t sizes[MEMBERS] = { 0, 1, 511, 512, 513, 100000, 70001 };

static void member(unsigned i, char name[32], struct buf *content)
{
    (void)snprintf(name, 32, "%08u.%s", i, i % 2 == 0 ? "whole" : "delta");
    uint64_t seed = 1000 + i;
    buf_reset(content);
    if (sizes[i] > 0)
        scratch_fill(&seed, buf_extend(content, sizes[i]), sizes[i]);
}

static void make_tar(struct buf *tar, uint64_t offsets[MEMBERS])
{
    struct error err;
    _cleanup_pack_ struct pack *p = NULL;
    _cleanup_buf_ struct buf content = { 0 };
    scratch_ok(pack_open(to_buf, tar, &p, &err), &err);
    for (unsigned i = 0; i < MEMBERS; i++) {
        char name[32];
        member(i, name, &content);
        scratch_ok(pack_begin_member(p, name, content.len, &offsets[i], &err), &err);
        assert_int_equal(offsets[i], tar->len); // nothing is kept back
        size_t half = content.len / 2;
        scratch_ok(pack_data(p, content.data, half, &err), &err);
        scratch_ok(pack_data(p, content.data + half, content.len - half, &err), &err);
        scratch_ok(pack_end_member(p, &err), &err);
        assert_int_equal(tar->len, offsets[i] + (sizes[i] + 511) / 512 * 512);
        assert_int_equal(pack_offset(p), tar->len);
    }
    size_t before = tar->len;
    scratch_ok(pack_close(p, &err), &err);
    assert_int_equal(tar->len, before + PACK_TRAILER_SIZE);
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
        assert_memory_equal((char *)tar.data + offsets[i] - 512 + 257, "ustar", 6);
        if (content.len > 0)
            assert_memory_equal(tar.data + offsets[i], content.data, content.len);
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

static int read_all(const struct buf *tar, uint32_t max_members)
{
    struct error err;
    _cleanup_pack_reader_ struct pack_reader *r = NULL;
    int rc = pack_reader_open_memory(tar->data, tar->len, max_members, &r, &err);
    struct pack_entry entry;
    bool more = true;
    while (rc == 0 && more) {
        rc = pack_reader_next(r, &entry, &more, &err);
        const void *data;
        for (size_t n = 1; rc == 0 && more && n > 0;)
            rc = pack_reader_data(r, &data, &n, &err);
    }
    return rc;
}

static void test_reader_refuses(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf tar = { 0 };
    uint64_t offsets[MEMBERS];
    make_tar(&tar, offsets);
    assert_int_equal(read_all(&tar, MEMBERS), 0);
    assert_int_equal(read_all(&tar, MEMBERS - 1), ERROR_FORMAT);
    struct buf cut = { .data = tar.data, .len = offsets[5] + 1000 };
    assert_int_equal(read_all(&cut, MEMBERS), ERROR_FORMAT);
    static const char *makers[] = { "mkdir d; tar -cf x.tar d", "ln -s a l; tar -cf x.tar l", "mkdir d; touch d/f; tar -cf x.tar d/f",
                                    "touch f; ln f g; tar -cf x.tar f g", "touch 'a b'; tar -cf x.tar 'a b'", "echo hello > x.tar",
                                    "touch f; tar -czf x.tar f" };
    for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
        _cleanup_scratch_ struct scratch s = scratch_new();
        _cleanup_buf_ struct buf other = { 0 };
        scratch_run("cd '%s' && %s", s.dir, makers[i]);
        scratch_read(&s, "x.tar", &other);
        assert_int_equal(read_all(&other, 10), ERROR_FORMAT);
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
        _cleanup_pack_ struct pack *p = NULL;
        scratch_ok(pack_open(sink_full, &left, &p, &err), &err);
        int rc = pack_begin_member(p, "00000000.whole", sizeof(data), NULL, &err);
        if (rc == 0)
            rc = pack_data(p, data, sizeof(data), &err);
        if (rc == 0)
            rc = pack_end_member(p, &err);
        if (rc == 0)
            rc = pack_close(p, &err);
        bool fits = room >= 512 + 1024 + PACK_TRAILER_SIZE;
        assert_int_equal(rc, fits ? 0 : ERROR_NO_SPACE);
        if (!fits)
            assert_string_equal(err.text, "the sink is full");
    }
}

static void test_wrong_use_is_refused(void **state)
{
    (void)state;
    static const char *bad[] = { "", "a/b", "a b", "caf\xc3\xa9", "0123456789012345678901234567890123456789012345678901234567890123456789" };
    struct error err;
    _cleanup_buf_ struct buf tar = { 0 };
    _cleanup_pack_ struct pack *p = NULL;
    scratch_ok(pack_open(to_buf, &tar, &p, &err), &err);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(pack_begin_member(p, bad[i], 1, NULL, &err), ERROR_FAILED);
    assert_int_equal(pack_begin_member(p, "x", PACK_MEMBER_MAX + 1, NULL, &err), ERROR_FAILED);
    assert_int_equal(tar.len, 0);
    scratch_ok(pack_begin_member(p, "x", 2, NULL, &err), &err);
    assert_int_equal(pack_begin_member(p, "y", 2, NULL, &err), ERROR_FAILED);
    assert_int_equal(pack_data(p, "abc", 3, &err), ERROR_FAILED);
    scratch_ok(pack_data(p, "a", 1, &err), &err);
    assert_int_equal(pack_end_member(p, &err), ERROR_FAILED);
    assert_int_equal(pack_close(p, &err), ERROR_FAILED);
}

static void test_largest_member_keeps_a_plain_header(void **state)
{
    (void)state;
    struct error err;
    _cleanup_buf_ struct buf tar = { 0 };
    _cleanup_pack_ struct pack *p = NULL;
    uint64_t offset;
    scratch_ok(pack_open(to_buf, &tar, &p, &err), &err);
    scratch_ok(pack_begin_member(p, "00000000.whole", PACK_MEMBER_MAX, &offset, &err), &err);
    assert_int_equal(offset, 512);
}

// What the kernel stores for u::rw,u:1:rwx,g::r,m::rx,o::-.
static const uint8_t an_acl[] = { 2,    0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2,    0, 7, 0, 1,   0,   0,   0,  4, 0,
                                  4,    0, 255, 255, 255, 255, 16, 0, 5, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255 };

static void add_member(struct pack *p, char type, const char *path, const char *target, uint64_t size)
{
    struct pack_member m = { .path = path, .type = type, .target = target, .mode = 0640, .uid = 4000000000u, .gid = 7, .user = "u", .group = "",
                             .mtime_s = 4102444800, .mtime_ns = 123456789, .size = size, .device_major = 4000, .device_minor = 70000 };
    pack_describe(p, &m);
}

static void write_member(struct pack *p, const void *data, size_t n)
{
    struct error err;
    scratch_ok(pack_begin_described(p, &err), &err);
    if (n > 0)
        scratch_ok(pack_data(p, data, n, &err), &err);
    scratch_ok(pack_end_member(p, &err), &err);
}

static void test_tree(void **state)
{
    (void)state;
    struct error err;
    _cleanup_buf_ struct buf tar = { 0 };
    struct pack *p = NULL;
    char *zeros = xcalloc(1, 1 << 20);
    scratch_ok(pack_open_tree(to_buf, &tar, &p, &err), &err);
    add_member(p, 'd', "d", "", 0);
    write_member(p, NULL, 0);
    add_member(p, 'f', "d/bad\377\nname", "", 5);
    pack_add_xattr(p, "user.x", "a\0=\n", 4);
    assert_true(pack_add_acl(p, an_acl, sizeof an_acl, false));
    assert_false(pack_add_acl(p, an_acl, sizeof an_acl - 1, false));
    write_member(p, "hello", 5);
    add_member(p, 'h', "d/again", "d/bad\377\nname", 5);
    write_member(p, NULL, 0);
    add_member(p, 'l', "d/link", "no \377where", 0);
    write_member(p, NULL, 0);
    add_member(p, 'f', "d/sparse", "", 1 << 20);
    pack_add_extent(p, 700000, 10);
    memcpy(zeros + 700000, "0123456789", 10);
    write_member(p, zeros, 1 << 20);
    add_member(p, 'f', "d/hole", "", 1 << 20);
    pack_add_extent(p, 0, 0);
    write_member(p, zeros, 1 << 20);
    scratch_ok(pack_close(p, &err), &err);
    assert_true(tar.len < 40000); // holes take nothing
    _cleanup_scratch_ struct scratch s = scratch_new();
    scratch_write(&s, "tree.tar", tar.data, tar.len);
    static const char *const programs[] = { "tar", "bsdtar" };
    for (size_t i = 0; i < 2; i++)
        scratch_run("cd '%s' && rm -rf x && mkdir x && LC_ALL=C.UTF-8 %s -xpf tree.tar -C x 2>/dev/null && cd x/d && test \"$(cat bad*)\" = hello && "
                    "test bad* -ef again && test \"$(TZ=UTC stat -c '%%a %%y' sparse)\" = '640 2100-01-01 00:00:00.123456789 +0000' && "
                    "test \"$(tail -c +700001 sparse | head -c 10)\" = 0123456789 && test \"$(stat -c %%s hole)\" = 1048576 && "
                    "readlink link | grep -aq where",
                    s.dir, programs[i]);
    pack_free(p);
    free(zeros);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets_hold_the_data),
        cmocka_unit_test(test_tar_and_bsdtar_extract),
        cmocka_unit_test(test_own_reader),
        cmocka_unit_test(test_reader_refuses),
        cmocka_unit_test(test_sink_errors_come_through),
        cmocka_unit_test(test_wrong_use_is_refused),
        cmocka_unit_test(test_largest_member_keeps_a_plain_header),
        cmocka_unit_test(test_tree),
    };
    return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
