// The tar layer: what the reader refuses, and trees, read back by GNU tar and bsdtar. Objects' streams: test_members.
#include "tests/codec/scratch.h"

#include "bkd/codec/pack.h"

static int to_buf(void *arg, const void *data, size_t n, struct error *err)
{
    (void)err;
    buf_add(arg, data, n);
    return 0;
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
    struct error err;
    for (unsigned i = 0; i < 3; i++) {
        scratch_ok(pack_member_header("00000000.whole", 1000, buf_extend(&tar, PACK_BLOCK), &err), &err);
        memset(buf_extend(&tar, 2 * PACK_BLOCK), 'x', 2 * PACK_BLOCK);
    }
    struct buf cut = { .data = tar.data, .len = tar.len - 1000 };
    memset(buf_extend(&tar, 2 * PACK_BLOCK), 0, 2 * PACK_BLOCK);
    assert_int_equal(read_all(&tar, 3), 0);
    assert_int_equal(read_all(&tar, 2), ERROR_FORMAT);
    assert_int_equal(read_all(&cut, 3), ERROR_FORMAT);
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

static int sink_full(void *arg, const void *data, size_t n, struct error *err)
{
    (void)arg;
    (void)data;
    (void)n;
    return error_set(err, ERROR_NO_SPACE, "the sink is full");
}

static void test_wrong_use_is_refused(void **state)
{
    (void)state;
    struct error err;
    _cleanup_buf_ struct buf tar = { 0 };
    _cleanup_pack_ struct pack *p = NULL, *full = NULL;
    scratch_ok(pack_open_tree(to_buf, &tar, &p, &err), &err);
    assert_int_equal(pack_data(p, "a", 1, &err), ERROR_FAILED);
    add_member(p, 'f', "x", "", 2);
    scratch_ok(pack_begin_described(p, &err), &err);
    assert_int_equal(pack_begin_described(p, &err), ERROR_FAILED);
    assert_int_equal(pack_data(p, "abc", 3, &err), ERROR_FAILED);
    scratch_ok(pack_data(p, "a", 1, &err), &err);
    assert_int_equal(pack_end_member(p, &err), ERROR_FAILED);
    assert_int_equal(pack_close(p, &err), ERROR_FAILED);
    scratch_ok(pack_open_tree(sink_full, NULL, &full, &err), &err);
    add_member(full, 'f', "x", "", 2);
    assert_int_equal(pack_begin_described(full, &err), ERROR_NO_SPACE);
    assert_string_equal(err.text, "the sink is full");
    assert_int_equal(pack_close(full, &err), ERROR_NO_SPACE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_refuses),
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_wrong_use_is_refused),
    };
    return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
