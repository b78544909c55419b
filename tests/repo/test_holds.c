// What records say of snapshots: which are held, which names they have, which are suspect.
#include "tests/repo/recorded.h"

#include <stdio.h>

#include "bkd/codec/sshsig.h"
#include "bkd/repo/holds.h"
#include "bkd/repo/suspects.h"
#include "bkd/repo/tags.h"

static const uint8_t chain[16] = { 0xaa };

// ---- holds

static void test_hold_and_release(void **state)
{
    struct recorded *f = *state;
    struct error err;
    recorded_hold(f, 2);
    recorded_hold(f, 2);
    recorded_hold(f, 3);
    _cleanup_records_ struct records before = { 0 };
    recorded_load(f, &before);
    assert_false(holds_is_held(&before, recorded_head(f, 1)));
    assert_int_equal(holds_standing(&before, recorded_head(f, 2), NULL, 0), 2);
    OK(recorded_release(f, 2, &f->retention, &err));
    _cleanup_records_ struct records after = { 0 };
    recorded_load(f, &after);
    assert_int_equal(after.n, 4);
    assert_int_equal(records_count_problems(&after), 0);
    assert_false(holds_is_held(&after, recorded_head(f, 2)));
    assert_true(holds_is_held(&after, recorded_head(f, 3)));
    recorded_hold(f, 2); // anew
    _cleanup_records_ struct records again = { 0 };
    recorded_load(f, &again);
    assert_int_equal(holds_standing(&again, recorded_head(f, 2), NULL, 0), 1);
}

// A release signed by the host's key, in either namespace, ends nothing.
static void test_forged_release(void **state)
{
    struct recorded *f = *state;
    static const char *const spaces[] = { FORMAT_NAMESPACE_RECORD, FORMAT_NAMESPACE_RETENTION };
    recorded_hold(f, 2);
    for (size_t i = 0; i < 2; i++) {
        _cleanup_records_ struct records records = { 0 };
        recorded_load(f, &records);
        const struct records_item *standing[1];
        assert_int_equal(holds_standing(&records, recorded_head(f, 2), standing, 1), 1);
        _cleanup_record_ struct record r = { .kind = RECORD_RELEASE, .holds = xcalloc(1, 32), .n_holds = 1, .number = 2 + i, .snapshot = 2, .by = "thief",
                                             .time_ns = UINT64_C(1795420900000000000) };
        memcpy(r.repository, f->repository->info.id, 16);
        memcpy(r.previous, standing[0]->sha256, 32);
        memcpy(r.chain, chain, 16);
        memcpy(r.head, recorded_head(f, 2)->sha256, 32);
        memcpy(r.holds[0], standing[0]->sha256, 32);
        _cleanup_buf_ struct buf text = { 0 }, signature = { 0 };
        record_write(&text, &r);
        sshsig_sign(&f->host, spaces[i], text.data, text.len, &signature);
        buf_add(&text, signature.data, signature.len);
        recorded_replace(f, &f->host, 2 + i, &text);
        _cleanup_records_ struct records after = { 0 };
        recorded_load(f, &after);
        assert_true(holds_is_held(&after, recorded_head(f, 2)));
        assert_int_equal(records_count_problems(&after), i + 1);
    }
}

// A release of one snapshot does not end the holds of another, and a hold on a head that was exchanged is told.
static void test_other_snapshots(void **state)
{
    struct recorded *f = *state;
    struct error err;
    recorded_hold(f, 1);
    recorded_hold(f, 2);
    _cleanup_records_ struct records records = { 0 };
    recorded_load(f, &records);
    const struct records_item *standing[1];
    assert_int_equal(holds_standing(&records, recorded_head(f, 1), standing, 1), 1);
    _cleanup_record_ struct record r = { .kind = RECORD_RELEASE, .holds = xcalloc(1, 32), .n_holds = 1 };
    memcpy(r.holds[0], standing[0]->sha256, 32);
    OK(recorded_append(f, &f->retention, 2, &r, &err));
    _cleanup_records_ struct records after = { 0 };
    recorded_load(f, &after);
    assert_true(holds_is_held(&after, recorded_head(f, 1)));
    assert_true(holds_is_held(&after, recorded_head(f, 2)));
    f->repository->heads[0].sha256[0] ^= 1; // exchanged: what is said of the head that was does not count for it
    assert_false(holds_is_held(&after, recorded_head(f, 1)));
    OK(recorded_append(f, &f->retention, 1, &r, &err));
    f->repository->heads[0].sha256[0] ^= 1;
    _cleanup_records_ struct records again = { 0 };
    recorded_load(f, &again);
    assert_true(holds_is_held(&again, recorded_head(f, 1)));
}

// ---- tags

static void expect_found(struct recorded *f, const char *text, uint64_t number)
{
    struct error err;
    const struct repository_head *found = NULL;
    OK(tags_find(f->repository, buf_str(&f->signers), NULL, text, &found, &err));
    assert_int_equal(found->number, number);
}

static void expect_lost(struct recorded *f, const char *text, int code, const char *why)
{
    struct error err;
    const struct repository_head *found = NULL;
    assert_int_equal(tags_find(f->repository, buf_str(&f->signers), NULL, text, &found, &err), code);
    if (strstr(err.text, why) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, why);
}

// Only whoever has the retention key can say that a suspect snapshot is good, and says it of that one.
static void test_suspects(void **state)
{
    struct recorded *f = *state;
    struct error err;
    const struct repository_head *first = NULL;
    struct record accept = { .kind = RECORD_ACCEPT, .reason = "photos were moved" }, other = { .kind = RECORD_ACCEPT };
    assert_int_equal(recorded_append(f, &f->host, 3, &accept, &err), ERROR_KEY);
    OK(recorded_append(f, &f->retention, 2, &other, &err));
    _cleanup_records_ struct records before = { 0 }, after = { 0 };
    recorded_load(f, &before);
    assert_false(suspects_is(&before, recorded_head(f, 2)));
    assert_true(suspects_is(&before, recorded_head(f, 3)));
    assert_int_equal(suspects_standing(f->repository, &before, chain, &first), 1);
    assert_int_equal(first->number, 3);
    OK(recorded_append(f, &f->retention, 3, &accept, &err));
    recorded_load(f, &after);
    assert_false(suspects_is(&after, recorded_head(f, 3)));
    assert_int_equal(suspects_standing(f->repository, &after, chain, NULL), 0);
}

static void test_tags(void **state)
{
    struct recorded *f = *state;
    recorded_tag(f, 2, "second");
    recorded_tag(f, 2, "first-tag"); // which its head has already
    recorded_tag(f, 2, "second");
    recorded_tag(f, 3, "shared");
    recorded_tag(f, 1, "shared");
    _cleanup_records_ struct records records = { 0 };
    recorded_load(f, &records);
    size_t at = 0;
    assert_string_equal(tags_next(&records, recorded_head(f, 2), &at), "first-tag");
    assert_string_equal(tags_next(&records, recorded_head(f, 2), &at), "second");
    assert_null(tags_next(&records, recorded_head(f, 2), &at));
    assert_null(tags_next(&records, recorded_head(f, 2), &at));
    expect_found(f, "first-tag", 2);
    expect_found(f, "second", 2);
    expect_found(f, "latest", 3);
    expect_found(f, "latest~2", 1);
    expect_found(f, "2", 2);
    expect_lost(f, "third", ERROR_NOT_FOUND, "there is no snapshot 'third'");
    expect_lost(f, "shared", ERROR_USAGE, "2 snapshots have the tag 'shared', say which by its number: 1 (2026-11-23T08:00:00Z), 3 (");
    expect_lost(f, "latest~9", ERROR_NOT_FOUND, "latest~9");
    expect_lost(f, "-x", ERROR_USAGE, "option");
}

static void test_what_is_a_tag(void **state)
{
    (void)state;
    struct error err;
    static const char *const good[] = { "change-1234", "v1.2", "2026-11-23", "x", "latest-good", "CHG:77/b", "\xc3\xa9t\xc3\xa9" };
    static const char *const bad[] = { "", "two words", "1234", "-n", "latest", "latest~1", "live", "a\tb", "/srv", "a\x1b[31m", "line\n" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        OK(tags_check(good[i], &err));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(tags_check(bad[i], &err), ERROR_USAGE);
    char longest[257];
    memset(longest, 'x', 256);
    longest[256] = '\0';
    assert_int_equal(tags_check(longest, &err), ERROR_USAGE);
    longest[255] = '\0';
    OK(tags_check(longest, &err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, recorded_setup, recorded_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_hold_and_release), TEST(test_forged_release), TEST(test_other_snapshots), TEST(test_suspects),
        TEST(test_tags), TEST(test_what_is_a_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
