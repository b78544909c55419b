// Signed records in a store: adding, judging, void and forked numbers, who may sign what; what a check tells of them.
#include "tests/repo/recorded.h"

#include <stdio.h>

#include "bkd/base/bytes.h"
#include "bkd/codec/sshsig.h"
#include "bkd/repo/holds.h"
#include "bkd/repo/tags.h"
#include "bkd/repo/verify_records.h"

static const uint8_t chain[16] = { 0xaa };

// ---- adding and judging

static void test_append(void **state)
{
    struct recorded *f = *state;
    _cleanup_records_ struct records none = { 0 }, records = { 0 };
    recorded_load(f, &none);
    assert_int_equal(none.n, 0);
    recorded_tag(f, 1, "one");
    recorded_hold(f, 2);
    recorded_tag(f, 2, "two");
    recorded_load(f, &records);
    assert_int_equal(records.n, 3);
    assert_int_equal(records.n_by_snapshot, 3);
    assert_int_equal(records_count_problems(&records), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(records.items[i].number, i + 1);
    assert_memory_equal(records.items[2].record.previous, records.items[1].sha256, 32);
    assert_memory_equal(records.items[2].record.head, recorded_head(f, 2)->sha256, 32);
}

// The name of a signer's folder is what stock tools make of its public key.
static void test_signer(void **state)
{
    struct recorded *f = *state;
    uint8_t signer[32];
    char hex[65], command[256], line[65] = "";
    _cleanup_buf_ struct buf public = { 0 };
    records_signer(f->host.public_key, signer);
    format_hex(hex, signer, 32);
    sshkey_public_format(f->host.public_key, NULL, &public);
    (void)snprintf(command, sizeof command, "echo '%s' | cut -d' ' -f2 | base64 -d | sha256sum", buf_str(&public));
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_int_equal(fread(line, 1, 64, pipe), 64);
    (void)pclose(pipe);
    assert_string_equal(line, hex);
}

static void test_wrong_key_writes_nothing(void **state)
{
    struct recorded *f = *state;
    struct error err;
    struct record r = { .kind = RECORD_TAG, .tag = "x" };
    assert_int_equal(recorded_append(f, &f->stranger, 1, &r, &err), ERROR_KEY);
    assert_non_null(strstr(err.text, "not among the signers"));
    assert_int_equal(recorded_append(f, &f->retention, 1, &r, &err), ERROR_KEY);
    recorded_hold(f, 1);
    assert_int_equal(recorded_release(f, 1, &f->host, &err), ERROR_KEY); // the backed up host must not be able to
    assert_non_null(strstr(err.text, "may not sign for this purpose"));
    _cleanup_records_ struct records records = { 0 };
    recorded_load(f, &records);
    assert_int_equal(records.n, 1);
    assert_true(holds_is_held(&records, recorded_head(f, 1)));
}

static void test_torn_number_is_passed_over(void **state)
{
    struct recorded *f = *state;
    _cleanup_buf_ struct buf file = { 0 };
    recorded_tag(f, 1, "one");
    recorded_tag(f, 1, "two");
    recorded_stored(f, &f->host, 2, &file);
    file.len /= 2;
    recorded_replace(f, &f->host, 2, &file);
    recorded_expect_problem(f, 1, "cut off");
    recorded_tag(f, 1, "three");
    _cleanup_records_ struct records records = { 0 };
    recorded_load(f, &records);
    assert_int_equal(records.n, 3);
    assert_true(records.items[2].valid);
    assert_int_equal(records.items[2].number, 3);
    assert_false(records.items[2].chain_broken);
    assert_memory_equal(records.items[2].record.previous, records.items[0].sha256, 32);
}

static void test_tampered(void **state)
{
    struct recorded *f = *state;
    _cleanup_buf_ struct buf file = { 0 };
    recorded_tag(f, 1, "one");
    recorded_stored(f, &f->host, 1, &file);
    *(char *)memmem(file.data, file.len, "tag one", 7) = 'T';
    recorded_replace(f, &f->host, 1, &file);
    recorded_expect_problem(f, 0, "wrong tag");
    *(char *)memmem(file.data, file.len, "Tag one", 7) = 't';
    ((char *)memmem(file.data, file.len, "tag one", 7))[4] = 'O';
    recorded_replace(f, &f->host, 1, &file);
    recorded_expect_problem(f, 0, "does not belong to these bytes");
}

static void test_filed_under_another(void **state)
{
    struct recorded *f = *state;
    _cleanup_buf_ struct buf file = { 0 };
    recorded_tag(f, 1, "one");
    recorded_stored(f, &f->host, 1, &file);
    recorded_replace(f, &f->retention, 1, &file);
    _cleanup_records_ struct records records = { 0 };
    recorded_load(f, &records);
    assert_int_equal(records.n, 2);
    assert_int_equal(records.items[0].valid + records.items[1].valid, 1);
    const struct records_item *wrong = records.items[0].valid ? &records.items[1] : &records.items[0];
    assert_non_null(strstr(wrong->problem, "another key"));
    _cleanup_buf_ struct buf again = { 0 };
    buf_add(&again, file.data, file.len);
    recorded_replace(f, &f->host, 2, &again); // under another number
    _cleanup_records_ struct records more = { 0 };
    recorded_load(f, &more);
    assert_int_equal(records_count_problems(&more), 2);
}

static void test_other_repository(void **state)
{
    struct recorded *f = *state;
    f->repository->info.id[0] = 9;
    recorded_tag(f, 1, "one");
    f->repository->info.id[0] = 1;
    recorded_expect_problem(f, 0, "another repository");
}

static void test_fork_and_break(void **state)
{
    struct recorded *f = *state;
    struct error err;
    struct store *store = f->repository->store;
    uint8_t signer[32];
    records_signer(f->host.public_key, signer);
    for (int i = 0; i < 3; i++)
        recorded_tag(f, 1, i == 0 ? "a" : i == 1 ? "b" : "c");
    _cleanup_free_ char *second = record_name(signer, 2), *third = record_name(signer, 3), *fourth = record_name(signer, 4);
    _cleanup_buf_ struct buf file = { 0 };
    recorded_stored(f, &f->host, 2, &file);
    // A clone of the host, that knows only the first record, writes its own second one.
    OK(store->ops->remove(store, second, &err));
    OK(store->ops->remove(store, third, &err));
    recorded_hold(f, 2);
    _cleanup_buf_ struct buf clone = { 0 };
    recorded_stored(f, &f->host, 2, &clone);
    recorded_replace(f, &f->host, 2, &file);
    // As the fourth it is not believed: its text says two.
    OK(store->ops->put(store, fourth, clone.data, clone.len, &err));
    _cleanup_records_ struct records renamed = { 0 };
    recorded_load(f, &renamed);
    assert_int_equal(renamed.n, 3);
    assert_false(renamed.items[2].valid);
    OK(store->ops->remove(store, fourth, &err));
    // Records that are gone from the middle.
    recorded_tag(f, 1, "d");
    OK(store->ops->remove(store, second, &err));
    _cleanup_records_ struct records broken = { 0 };
    recorded_load(f, &broken);
    assert_int_equal(broken.n, 2);
    assert_false(broken.items[0].chain_broken);
    assert_true(broken.items[1].chain_broken);
    assert_int_equal(records_count_problems(&broken), 1);
}

// Two valid records with one predecessor: both count, both are told.
static void test_twins(void **state)
{
    struct recorded *f = *state;
    _cleanup_buf_ struct buf text = { 0 }, signature = { 0 };
    struct record r = { .kind = RECORD_HOLD, .by = "clone", .number = 2, .snapshot = 3, .time_ns = UINT64_C(1795420900000000000) };
    recorded_hold(f, 1);
    memcpy(r.repository, f->repository->info.id, 16);
    memcpy(r.chain, chain, 16);
    memcpy(r.head, recorded_head(f, 3)->sha256, 32);
    record_write(&text, &r); // previous: none, as the first one says
    sshsig_sign(&f->host, FORMAT_NAMESPACE_RECORD, text.data, text.len, &signature);
    buf_add(&text, signature.data, signature.len);
    recorded_replace(f, &f->host, 2, &text);
    _cleanup_records_ struct records records = { 0 };
    recorded_load(f, &records);
    assert_true(records.items[0].valid && records.items[0].fork);
    assert_true(records.items[1].valid && records.items[1].fork);
    assert_true(holds_is_held(&records, recorded_head(f, 1)));
    assert_true(holds_is_held(&records, recorded_head(f, 3)));
}

static void put_unknown(struct recorded *f, const struct sshkey *key, const char *name_space, uint64_t number)
{
    _cleanup_buf_ struct buf text = { 0 }, signature = { 0 };
    buf_add_str(&text, "bkd-record/1\n");
    lines_add_hex(&text, "repository", f->repository->info.id, 16);
    buf_addf(&text, "number %llu\nprevious %064d\ntime 2026-11-23T09:00:00Z\nby x\nkind witness\nanything at all\n", (unsigned long long)number, 0);
    sshsig_sign(key, name_space, text.data, text.len, &signature);
    buf_add(&text, signature.data, signature.len);
    recorded_replace(f, key, number, &text);
}

static void test_unknown_kind(void **state)
{
    struct recorded *f = *state;
    put_unknown(f, &f->host, FORMAT_NAMESPACE_RECORD, 1);
    put_unknown(f, &f->retention, FORMAT_NAMESPACE_RETENTION, 1);
    recorded_tag(f, 1, "after");
    _cleanup_records_ struct records records = { 0 };
    recorded_load(f, &records);
    assert_int_equal(records.n, 3);
    assert_int_equal(records_count_problems(&records), 0);
    assert_int_equal(records.n_by_snapshot, 1);
    size_t at = 0;
    assert_string_equal(tags_next(&records, recorded_head(f, 1), &at), "after");
    put_unknown(f, &f->host, FORMAT_NAMESPACE_HEAD, 3);
    _cleanup_records_ struct records more = { 0 };
    recorded_load(f, &more);
    assert_int_equal(records_count_problems(&more), 1);
}

static void test_believing_all(void **state)
{
    struct recorded *f = *state;
    struct error err;
    recorded_hold(f, 1);
    _cleanup_buf_ struct buf file = { 0 };
    recorded_stored(f, &f->host, 1, &file);
    file.len = (size_t)((uint8_t *)memmem(file.data, file.len, SSHSIG_BEGIN, strlen(SSHSIG_BEGIN)) - file.data);
    recorded_replace(f, &f->stranger, 1, &file); // without any signature
    _cleanup_records_ struct records records = { 0 };
    OK(records_load(f->repository, NULL, &records, &err));
    assert_int_equal(records.n, 2);
    assert_true(records.items[0].valid && records.items[1].valid);
    _cleanup_records_ struct records judged = { 0 };
    recorded_load(f, &judged);
    assert_int_equal(records_count_problems(&judged), 1);
}

// ---- what a check tells

struct told {
    size_t alarms, notes;
};

static void count_finding(void *arg, bool is_alarm, const char *file, const char *reason)
{
    struct told *told = arg;
    assert_int_equal(strncmp(file, "records/", 8), 0);
    assert_true(reason[0] != '\0');
    told->alarms += is_alarm;
    told->notes += !is_alarm;
}

static struct told findings(struct recorded *f, uint64_t *ret_count)
{
    struct error err;
    struct told told = { 0 };
    OK(verify_records_run(f->repository, buf_str(&f->signers), count_finding, &told, ret_count, &err));
    return told;
}

// A copy that has not all heads yet, or not this chain.
static void test_check_of_a_copy(void **state)
{
    struct recorded *f = *state;
    uint64_t count;
    recorded_tag(f, 1, "one");
    recorded_tag(f, 3, "three");
    size_t all = f->repository->n_heads;
    f->repository->n_heads = 2;
    struct told lagging = findings(f, &count);
    f->repository->n_heads = 0;
    struct told other = findings(f, &count);
    f->repository->n_heads = all;
    assert_int_equal(lagging.alarms, 0);
    assert_int_equal(lagging.notes, 1);
    assert_int_equal(other.alarms, 0);
    assert_int_equal(other.notes, 2);
}

static void test_check(void **state)
{
    struct recorded *f = *state;
    uint64_t count = 9;
    assert_int_equal(findings(f, &count).alarms, 0);
    assert_int_equal(count, 0);
    recorded_tag(f, 1, "one");
    recorded_hold(f, 2);
    assert_int_equal(findings(f, &count).alarms, 0);
    assert_int_equal(count, 2);
    f->repository->heads[1].sha256[0] ^= 1; // another head under that number
    assert_int_equal(findings(f, &count).alarms, 1);
    _cleanup_buf_ struct buf file = { 0 };
    recorded_stored(f, &f->host, 1, &file);
    file.data[20] ^= 1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, recorded_setup, recorded_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_append), TEST(test_signer), TEST(test_wrong_key_writes_nothing), TEST(test_torn_number_is_passed_over),
        TEST(test_tampered), TEST(test_filed_under_another), TEST(test_other_repository), TEST(test_fork_and_break),
        TEST(test_twins), TEST(test_unknown_kind), TEST(test_believing_all), TEST(test_check_of_a_copy),
        TEST(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
