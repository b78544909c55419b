// Messages of SFTP: byte for byte, cut anywhere, and lengths that no message has.
#include "tests/codec/scratch.h"

#include "bkd/codec/sftp.h"

static void test_written(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf out = { 0 };
    size_t start = sftp_begin(&out, SFTP_OPEN, 7);
    sftp_put_text(&out, "/a");
    sftp_put_u32(&out, SFTP_OPEN_WRITE | SFTP_OPEN_CREAT | SFTP_OPEN_EXCL);
    sftp_put_attrs(&out, &(struct sftp_attrs){ .flags = SFTP_ATTR_PERMISSIONS, .permissions = 0600 });
    sftp_end(&out, start);
    static const uint8_t expected[] = { 0, 0, 0, 23, 3, 0, 0, 0, 7, 0, 0, 0, 2, '/', 'a', 0, 0, 0, 42, 0, 0, 0, 4, 0, 0, 1, 0x80 };
    assert_int_equal(out.len, sizeof expected);
    assert_memory_equal(out.data, expected, sizeof expected);
}

static void write_attrs(struct buf *out)
{
    size_t start = sftp_begin(out, SFTP_ATTRS, 9);
    sftp_put_attrs(out, &(struct sftp_attrs){ .flags = SFTP_ATTR_SIZE | SFTP_ATTR_OWNER | SFTP_ATTR_PERMISSIONS | SFTP_ATTR_TIMES, .size = UINT64_C(1) << 40, .uid = 1,
                                              .gid = 2, .permissions = 0100644, .atime = 3, .mtime = 4 });
    sftp_put_text(out, "rest");
    sftp_end(out, start);
}

static void test_read_back(void **state)
{
    (void)state;
    struct error err;
    struct sftp_message m;
    struct sftp_attrs a;
    const uint8_t *text;
    size_t n = 0, length = 0;
    _cleanup_buf_ struct buf out = { 0 };
    write_attrs(&out);
    for (size_t cut = 0; cut < out.len; cut++) {
        assert_int_equal(sftp_take_message(out.data, cut, &m, &length, &err), 0);
        assert_int_equal(length, 0);
    }
    buf_add(&out, "next", 4);
    assert_int_equal(sftp_take_message(out.data, out.len, &m, &length, &err), 0);
    assert_int_equal(length, out.len - 4);
    assert_int_equal(m.type, SFTP_ATTRS);
    assert_int_equal(m.id, 9);
    assert_true(sftp_get_attrs(&m.body, &a));
    assert_true(a.size == UINT64_C(1) << 40 && a.uid == 1 && a.gid == 2 && a.permissions == 0100644 && a.atime == 3 && a.mtime == 4);
    assert_true(sftp_get_string(&m.body, &text, &n));
    assert_memory_equal(text, "rest", 4);
    assert_int_equal(cursor_left(&m.body), 0);
    assert_false(sftp_get_string(&m.body, &text, &n));
}

static void test_lengths(void **state)
{
    (void)state;
    struct error err;
    struct sftp_message m;
    size_t length;
    static const uint32_t wrong[] = { 0, 1, 4, SFTP_MESSAGE_MAX + 1, UINT32_MAX };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t bytes[4];
        put_u32be(bytes, wrong[i]);
        assert_int_equal(sftp_take_message(bytes, 4, &m, &length, &err), ERROR_FORMAT);
    }
    assert_int_equal(sftp_take_message("SSH-2.0-x", 9, &m, &length, &err), ERROR_FORMAT);
}

// Strings and attributes that claim more than there is move nothing.
static void test_claims(void **state)
{
    (void)state;
    static const uint8_t string[] = { 0, 0, 0, 5, 'a', 'b' };
    static const uint8_t attrs[] = { 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0 };
    struct cursor c = cursor_of(string, sizeof string);
    const uint8_t *data;
    size_t n;
    struct sftp_attrs a;
    assert_false(sftp_get_string(&c, &data, &n));
    assert_int_equal(cursor_left(&c), sizeof string);
    c = cursor_of(attrs, sizeof attrs);
    assert_false(sftp_get_attrs(&c, &a));
    assert_int_equal(cursor_left(&c), sizeof attrs);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_written), cmocka_unit_test(test_read_back), cmocka_unit_test(test_lengths), cmocka_unit_test(test_claims) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
