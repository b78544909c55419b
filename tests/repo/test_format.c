// bkd-repository, heads, refs: golden texts, what is refused, every byte corrupted, names of files.
#include "tests/repo/texts.h"

#include "bkd/repo/format.h"

#define SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static int rewrite_repository(const char *text, size_t n, struct buf *out, struct error *err)
{
    struct format_repository r;
    int e = format_repository_parse(text, n, &r, err);
    // What only a newer bkd may write is not written by this one.
    if (e == 0 && r.writing_needs_newer)
        return error_set(err, ERROR_USAGE, "needs a newer bkd to write");
    if (e == 0)
        format_repository_write(out, &r);
    return e;
}

static int rewrite_head(const char *text, size_t n, struct buf *out, struct error *err)
{
    _cleanup_format_head_ struct format_head h = { 0 };
    int e = format_head_parse(text, n, &h, err);
    if (e == 0)
        format_head_write(out, &h);
    return e;
}

static int rewrite_refs(const char *text, size_t n, struct buf *out, struct error *err)
{
    _cleanup_format_refs_ struct format_refs r = { 0 };
    int e = format_refs_parse(text, n, &r, err);
    if (e == 0)
        format_refs_write(out, &r);
    return e;
}

// ---- bkd-repository

static void test_repository(void **state)
{
    (void)state;
    texts_accepts(rewrite_repository, "repository/golden");
    texts_lines_are_fixed(rewrite_repository, "repository/golden", NULL);
    texts_ignores_x_keys(rewrite_repository, "repository/golden", true);
    texts_survives_corruption(rewrite_repository, "repository/golden");
    _cleanup_buf_ struct buf text = { 0 };
    texts_golden("repository/x-key", &text);
    struct format_repository r = { .encrypted = true };
    struct error err;
    assert_int_equal(format_repository_parse((const char *)text.data, text.len, &r, &err), 0);
    assert_false(r.encrypted);
    assert_int_equal(r.id[0], 0x01);
    assert_int_equal(r.id[15], 0xef);
    assert_int_equal(r.piece_size, 16777216);
    assert_int_equal(r.object_size, 134217728);
    assert_int_equal(r.created_ns, UINT64_C(1795420800000000000));
    assert_false(r.writing_needs_newer);
}

static void test_repository_refuses(void **state)
{
    (void)state;
    static const char *const path = "repository/golden";
    struct error err;
    texts_refuses(rewrite_repository, path, "bkd-repository/1", "bkd-repository/2", ERROR_FORMAT);
    texts_refuses(rewrite_repository, path, "bkd-repository/1", "bkd-head/1", ERROR_FORMAT);
    texts_refuses(rewrite_repository, path, "read-requires -", "read-requires parity", ERROR_USAGE);
    texts_refuses(rewrite_repository, path, "read-requires -", "read-requires a,,b", ERROR_FORMAT);
    texts_refuses(rewrite_repository, path, "read-requires -", "read-requires Parity", ERROR_FORMAT);
    texts_refuses(rewrite_repository, path, "read-requires -", "read-requires ", ERROR_FORMAT);
    texts_refuses(rewrite_repository, path, "encryption age", "encryption gpg", ERROR_FORMAT);
    texts_refuses(rewrite_repository, path, "16777216", "8388608", ERROR_FORMAT);
    texts_refuses(rewrite_repository, path, "134217728", "0", ERROR_FORMAT);
    texts_refuses(rewrite_repository, path, "2026-11-23T08:00:00Z", "2026-11-23 08:00:00", ERROR_FORMAT);
    struct format_repository r = { 0 };
    _cleanup_buf_ struct buf text = { 0 };
    texts_golden("repository/newer-writers", &text);
    assert_int_equal(format_repository_parse((const char *)text.data, text.len, &r, &err), 0);
    assert_true(r.writing_needs_newer);
}

// ---- heads

static void test_head(void **state)
{
    (void)state;
    static const char *const may_vary[] = { "recipient", NULL };
    texts_accepts(rewrite_head, "head/golden");
    texts_accepts(rewrite_head, "head/first");
    texts_lines_are_fixed(rewrite_head, "head/first", NULL);
    texts_lines_are_fixed(rewrite_head, "head/golden", may_vary);
    texts_ignores_x_keys(rewrite_head, "head/golden", true);
    texts_survives_corruption(rewrite_head, "head/golden");
    _cleanup_buf_ struct buf text = { 0 };
    texts_golden("head/golden", &text);
    _cleanup_format_head_ struct format_head h = { 0 };
    struct error err;
    assert_int_equal(format_head_parse((const char *)text.data, text.len, &h, &err), 0);
    assert_string_equal(h.host, "web 1.example");
    assert_string_equal(h.policy, "erp");
    assert_string_equal(h.tag, "before upgrade");
    assert_int_equal(h.number, 42);
    assert_int_equal(h.next_by_ns - h.time_ns, UINT64_C(86400000000000));
    assert_int_equal(h.manifest.object, 7);
    assert_int_equal(h.manifest.offset, 10240);
    assert_int_equal(h.manifest.length, 4321);
    assert_int_equal(h.manifest_size, 123456789);
    assert_int_equal(h.refs_size, 4242);
    assert_int_equal(h.next_object, 8);
    assert_int_equal(h.n_recipients, 2);
    assert_string_equal(h.recipients[1], "age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z");
    assert_int_equal(h.files, 100000);
    assert_int_equal(h.entries, 110000);
    assert_int_equal(h.bytes, UINT64_C(123456789012));
    assert_int_equal(h.stored, 987654321);
    assert_int_equal(h.flags, FORMAT_INCOMPLETE | FORMAT_SUSPECT);
}

static void test_head_refuses(void **state)
{
    (void)state;
    static const char *const path = "head/golden";
    texts_refuses(rewrite_head, path, "number 42", "number 0", ERROR_FORMAT);
    texts_refuses(rewrite_head, path, "number 42", "number 042", ERROR_FORMAT);
    texts_refuses(rewrite_head, path, "manifest 7:", "manifest 0:", ERROR_FORMAT);
    texts_refuses(rewrite_head, path, "manifest 7:", "manifest 8:", ERROR_FORMAT); // not below next-object
    texts_refuses(rewrite_head, path, "7:10240+4321", "7:10240+536870913", ERROR_FORMAT);
    texts_refuses(rewrite_head, path, "refs " SHA " 4242", "refs " SHA " 268435457", ERROR_FORMAT);
    texts_refuses(rewrite_head, path, "next-object 8", "next-object 2147483648", ERROR_FORMAT);
    texts_refuses(rewrite_head, path, "recipient age1q", "recipient ssh1q", ERROR_FORMAT);
    texts_refuses(rewrite_head, path, "recipient age1q", "recipient age1 ", ERROR_FORMAT);
    texts_refuses(rewrite_head, path, "entries 110000", "entries 99999", ERROR_FORMAT);
    texts_refuses(rewrite_head, path, "flags incomplete,suspect", "flags suspect,incomplete", ERROR_FORMAT);
    texts_refuses(rewrite_head, path, "flags incomplete,suspect", "flags ", ERROR_FORMAT);
    texts_refuses(rewrite_head, path, "tag before%20upgrade", "tag ", ERROR_FORMAT);
    texts_refuses(rewrite_head, path, "tag before%20upgrade", "tag before%00", ERROR_FORMAT);
    texts_refuses(rewrite_head, path, "host web%201", "host web 1", ERROR_FORMAT);
    texts_refuses(rewrite_head, path, "next-by 2026-11-24T08:00:00Z", "next-by 2026-02-30T08:00:00Z", ERROR_FORMAT);
}

static void test_head_too_large(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf label = { 0 }, text = { 0 }, out = { 0 };
    struct error err;
    for (int i = 0; i < FORMAT_LABEL_MAX; i++)
        buf_add_char(&label, 'h');
    _cleanup_free_ char *fits = xasprintf("host %s\n", buf_str(&label)), *too_long = xasprintf("host %sh\n", buf_str(&label));
    texts_refuses(rewrite_head, "head/golden", "host web%201.example\n", too_long, ERROR_FORMAT);
    texts_refuses(rewrite_head, "head/golden", "host web%201.example\n", fits, 0);
    texts_golden("head/golden", &text);
    while (text.len <= FORMAT_HEAD_MAX)
        buf_add_str(&text, "x-padding 0123456789\n");
    assert_int_equal(texts_run(rewrite_head, text.data, text.len, &out, &err), ERROR_FORMAT);
    // More recipients than a head may have.
    _cleanup_buf_ struct buf many = { 0 };
    for (int i = 0; i < FORMAT_RECIPIENTS_MAX - 1; i++)
        buf_add_str(&many, "recipient age1x\n");
    buf_add_str(&many, "files 100000\n");
    texts_refuses(rewrite_head, "head/golden", "files 100000\n", buf_str(&many), ERROR_FORMAT);
}

static void test_split_signed(void **state)
{
    (void)state;
    static const char file[] = "bkd-head/1\nx -----BEGIN SSH SIGNATURE-----\n-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n";
    size_t n = 0;
    struct error err;
    assert_int_equal(format_split_signed(file, sizeof file - 1, &n, &err), 0);
    assert_int_equal(n, strlen("bkd-head/1\nx -----BEGIN SSH SIGNATURE-----\n"));
    assert_int_equal(format_split_signed(file, n, &n, &err), ERROR_FORMAT);
    assert_int_equal(format_split_signed("", 0, &n, &err), ERROR_FORMAT);
}

// ---- refs

static void test_refs(void **state)
{
    (void)state;
    static const char *const may_vary[] = { "object", NULL };
    texts_accepts(rewrite_refs, "refs/golden");
    texts_accepts(rewrite_refs, "refs/empty");
    texts_accepts(rewrite_refs, "refs/opening");
    texts_lines_are_fixed(rewrite_refs, "refs/golden", may_vary);
    texts_ignores_x_keys(rewrite_refs, "refs/golden", true);
    texts_survives_corruption(rewrite_refs, "refs/golden");
    static const char *const path = "refs/golden";
    texts_refuses(rewrite_refs, path, "object 2 ", "object 1 ", ERROR_FORMAT);
    texts_refuses(rewrite_refs, path, "object 1 ", "object 3 ", ERROR_FORMAT);
    texts_refuses(rewrite_refs, path, "object 1 ", "object 0 ", ERROR_FORMAT);
    texts_refuses(rewrite_refs, path, " 512 0", " 0 0", ERROR_FORMAT);
    texts_refuses(rewrite_refs, path, " 512 0", " 512", ERROR_FORMAT);
    texts_refuses(rewrite_refs, path, " 512 0", " 512 0 0", ERROR_FORMAT);
    texts_refuses(rewrite_refs, path, "2147483647", "2147483648", ERROR_FORMAT);
    static const char *const wrong[] = { "0:43f6", "00216:43f6", "513:43f6", "216 43f6", "216:43f", "216:43F6", "216:", "- 43f6" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        texts_refuses(rewrite_refs, path, "216:43f6", wrong[i], ERROR_FORMAT);
}

static void test_refs_find(void **state)
{
    (void)state;
    struct format_ref refs[100];
    struct format_refs list = { .refs = refs };
    assert_null(format_refs_find(&list, 1));
    for (; list.n < 100; list.n++) {
        refs[list.n] = (struct format_ref){ .object = (uint32_t)(2 * list.n + 2) };
        for (uint32_t k = 0; k <= list.n; k++) {
            struct format_refs part = { .refs = refs, .n = list.n + 1 };
            assert_ptr_equal(format_refs_find(&part, 2 * k + 2), &refs[k]);
            assert_null(format_refs_find(&part, 2 * k + 1));
        }
    }
    assert_null(format_refs_find(&list, 201));
}

static void test_names(void **state)
{
    (void)state;
    uint8_t sha[32], chain[16];
    memset(sha, 0xab, sizeof sha);
    memset(chain, 0x0c, sizeof chain);
    _cleanup_free_ char *encrypted = format_object_name(sha, true), *plain = format_object_name(sha, false), *head = format_head_name(chain, 12),
                        *refs = format_refs_name(sha);
#define AB "abababababababababababababababababababababababababababababababab"
    assert_string_equal(encrypted, "objects/ab/" AB ".tar.zst.age");
    assert_string_equal(plain, "objects/ab/" AB ".tar.zst");
    assert_string_equal(head, "heads/0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c/12");
    assert_string_equal(refs, "refs/" AB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repository), cmocka_unit_test(test_repository_refuses), cmocka_unit_test(test_head),
        cmocka_unit_test(test_head_refuses), cmocka_unit_test(test_head_too_large), cmocka_unit_test(test_split_signed),
        cmocka_unit_test(test_refs), cmocka_unit_test(test_refs_find), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
