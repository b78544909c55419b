// The text of signed records: golden texts, what is refused, every byte corrupted, kinds of a later bkd.
#include "tests/repo/texts.h"

#include "bkd/repo/record.h"

#define SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static int rewrite(const char *text, size_t n, struct buf *out, struct error *err)
{
    _cleanup_record_ struct record r = { 0 };
    int e = record_parse(text, n, &r, err);
    if (e == 0 && r.kind == RECORD_OTHER)
        return error_set(err, ERROR_USAGE, "a kind this bkd does not write");
    if (e == 0)
        record_write(out, &r);
    return e;
}

static void parsed(const char *path, struct record *ret_record)
{
    _cleanup_buf_ struct buf text = { 0 };
    struct error err;
    texts_golden(path, &text);
    if (record_parse((const char *)text.data, text.len, ret_record, &err) < 0)
        fail_msg("%s: %s", path, err.text);
}

static void test_golden(void **state)
{
    (void)state;
    static const char *const release_may_repeat[] = { "hold ", NULL };
    texts_accepts(rewrite, "record/tag");
    texts_accepts(rewrite, "record/hold");
    texts_accepts(rewrite, "record/release");
    texts_accepts(rewrite, "record/proof");
    texts_lines_are_fixed(rewrite, "record/tag", NULL);
    texts_lines_are_fixed(rewrite, "record/hold", NULL);
    texts_lines_are_fixed(rewrite, "record/release", release_may_repeat);
    texts_lines_are_fixed(rewrite, "record/proof", NULL);
    texts_ignores_x_keys(rewrite, "record/hold", true);
    texts_survives_corruption(rewrite, "record/tag");
    texts_survives_corruption(rewrite, "record/hold");
    texts_survives_corruption(rewrite, "record/release");
    texts_survives_corruption(rewrite, "record/proof");
}

// Those that name several snapshots, and a store.
static void test_golden_several(void **state)
{
    (void)state;
    static const char *const may_repeat[] = { "tombstone ", "snapshot ", NULL };
    static const char *const names[] = { "record/tombstone", "record/revive", "record/absent" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        texts_accepts(rewrite, names[i]);
        texts_lines_are_fixed(rewrite, names[i], may_repeat);
        texts_ignores_x_keys(rewrite, names[i], true);
        texts_survives_corruption(rewrite, names[i]);
    }
    _cleanup_record_ struct record r = { 0 };
    parsed("record/tombstone", &r);
    assert_int_equal(r.kind, RECORD_TOMBSTONE);
    assert_int_equal(r.after_ns, UINT64_C(1795507201000000000));
    assert_int_equal(r.store[1], 0x11);
    assert_int_equal(r.n_snapshots, 2);
    assert_int_equal(r.snapshots[1].number, 42);
    assert_int_equal(r.snapshots[1].head[0], 0xe3);
    texts_refuses(rewrite, "record/tombstone", "snapshot 41", "snapshot 43", ERROR_FORMAT);
    texts_refuses(rewrite, "record/tombstone", "snapshot 41", "snapshot 0", ERROR_FORMAT);
    texts_refuses(rewrite, "record/tombstone", "after 2026-11-24T08:00:01Z\n", "", ERROR_FORMAT);
    texts_refuses(rewrite, "record/absent", "kind absent", "kind revive", ERROR_FORMAT);
    texts_refuses(rewrite, "record/revive", "kind revive", "kind absent", ERROR_FORMAT);
}

static void test_values(void **state)
{
    (void)state;
    _cleanup_record_ struct record tag = { 0 }, hold = { 0 }, release = { 0 };
    parsed("record/tag", &tag);
    assert_int_equal(tag.kind, RECORD_TAG);
    assert_int_equal(tag.number, 1);
    assert_string_equal(tag.by, "root@db 1");
    assert_string_equal(tag.tag, "change-1234");
    assert_int_equal(tag.snapshot, 42);
    assert_int_equal(tag.chain[0], 0xfe);
    assert_int_equal(tag.head[0], 0xe3);
    assert_int_equal(tag.time_ns, UINT64_C(1795420800000000000));
    parsed("record/hold", &hold);
    assert_int_equal(hold.kind, RECORD_HOLD);
    assert_string_equal(hold.reason, "before the upgrade");
    parsed("record/release", &release);
    assert_int_equal(release.kind, RECORD_RELEASE);
    assert_int_equal(release.n_holds, 2);
    assert_int_equal(release.holds[0][0], 0xe3);
    assert_int_equal(release.holds[1][0], 0);
    assert_string_equal(release.reason, "");
}

static void test_proof(void **state)
{
    _cleanup_record_ struct record proof = { 0 };
    (void)state;
    parsed("record/proof", &proof);
    assert_int_equal(proof.kind, RECORD_PROOF);
    assert_int_equal(proof.snapshot, 42);
    assert_int_equal(proof.proof.place[0], 0xe3);
    assert_string_equal(proof.proof.mode, "full");
    assert_true(proof.proof.is_proven);
    assert_int_equal(proof.proof.duration_ms, 483);
    assert_int_equal(proof.proof.files, 3);
    assert_int_equal(proof.proof.bytes, 3117086);
    texts_refuses(rewrite, "record/proof", "proven yes", "proven maybe", ERROR_FORMAT);
    texts_refuses(rewrite, "record/proof", "mode full", "mode Full", ERROR_FORMAT);
    texts_refuses(rewrite, "record/proof", "ms 483", "ms -1", ERROR_FORMAT);
    texts_refuses(rewrite, "record/proof", "ms 483", "ms 9300000000000000", ERROR_FORMAT);
}

// What a later bkd says is kept for it: only where it stands in its signer's chain is read.
static void test_unknown_kind(void **state)
{
    (void)state;
    _cleanup_record_ struct record r = { 0 };
    parsed("record/unknown-kind", &r);
    assert_int_equal(r.kind, RECORD_OTHER);
    assert_string_equal(r.kind_name, "witness");
    assert_int_equal(r.number, 4);
    texts_refuses(rewrite, "record/unknown-kind", "kind witness", "kind Witness", ERROR_FORMAT);
    texts_refuses(rewrite, "record/unknown-kind", "kind witness", "kind ", ERROR_FORMAT);
    texts_refuses(rewrite, "record/unknown-kind", "kind witness", "kind a123456789012345678901234567890123", ERROR_FORMAT);
    texts_refuses(rewrite, "record/unknown-kind", "result good\n", "result good", ERROR_FORMAT); // cut off
}

static void test_refuses(void **state)
{
    (void)state;
    texts_refuses(rewrite, "record/tag", "bkd-record/1", "bkd-record/2", ERROR_FORMAT);
    texts_refuses(rewrite, "record/tag", "number 1", "number 0", ERROR_FORMAT);
    texts_refuses(rewrite, "record/tag", "snapshot 42", "snapshot 0", ERROR_FORMAT);
    texts_refuses(rewrite, "record/tag", "tag change-1234", "tag -", ERROR_FORMAT);
    texts_refuses(rewrite, "record/tag", "tag change-1234", "tag ", ERROR_FORMAT);
    texts_refuses(rewrite, "record/tag", "tag change-1234", "tag a%00b", ERROR_FORMAT);
    texts_refuses(rewrite, "record/tag", "by root@db%201", "by ", ERROR_FORMAT);
    texts_refuses(rewrite, "record/hold", "kind hold", "kind tag", ERROR_FORMAT);
    texts_refuses(rewrite, "record/release", "hold " SHA "\n", "", 0);
    texts_refuses(rewrite, "record/release", "hold " SHA "\nhold ", "holds ", ERROR_FORMAT);
}

static void test_limits(void **state)
{
    (void)state;
    struct error err;
    _cleanup_record_ struct record r = { 0 }, back = { 0 };
    parsed("record/release", &r);
    r.holds = xrealloc(r.holds, (RECORD_HOLDS_MAX + 1) * sizeof *r.holds);
    memset(r.holds, 7, (RECORD_HOLDS_MAX + 1) * sizeof *r.holds);
    _cleanup_buf_ struct buf text = { 0 }, more = { 0 };
    r.n_holds = RECORD_HOLDS_MAX;
    record_write(&text, &r);
    assert_int_equal(record_parse(buf_str(&text), text.len, &back, &err), 0);
    assert_int_equal(back.n_holds, RECORD_HOLDS_MAX);
    r.n_holds++;
    record_write(&more, &r);
    assert_int_equal(record_parse(buf_str(&more), more.len, &back, &err), ERROR_FORMAT);
    buf_reset(&text);
    memset(buf_extend(&text, 65537), 'x', 65537);
    assert_int_equal(record_parse(buf_str(&text), text.len, &back, &err), ERROR_FORMAT);
    assert_non_null(strstr(err.text, "more than"));
    assert_int_equal(record_parse("", 0, &back, &err), ERROR_FORMAT);
}

static void test_name(void **state)
{
    (void)state;
    const uint8_t signer[32] = { 0xab, 0xcd };
    _cleanup_free_ char *name = record_name(signer, 17);
    assert_string_equal(name, "records/abcd000000000000000000000000000000000000000000000000000000000000/17");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_golden_several), cmocka_unit_test(test_values), cmocka_unit_test(test_proof), cmocka_unit_test(test_unknown_kind),
        cmocka_unit_test(test_refuses), cmocka_unit_test(test_limits), cmocka_unit_test(test_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
