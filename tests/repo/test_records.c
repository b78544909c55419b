// Signed records in a store: adding, judging, void and forked numbers, who may sign what; which snapshots are held; tags.
#include "tests/repo/made.h"

#include <stdio.h>

#include "bkd/base/bytes.h"
#include "bkd/codec/sshsig.h"
#include "bkd/repo/holds.h"
#include "bkd/repo/suspects.h"
#include "bkd/repo/tags.h"
#include "bkd/repo/verify_records.h"

static const uint8_t chain[16] = { 0xaa };

// A repository of three snapshots; the second has the tag "first-tag" in its head, the third is suspect.
struct fixture {
    struct sshkey host, retention, stranger;
    struct buf host_text, signers;
    struct repository *repository;
};

static void add_signer(struct buf *signers, const char *namespaces, const struct sshkey *key)
{
    buf_addf(signers, "someone namespaces=\"%s\" ", namespaces);
    sshkey_public_format(key->public_key, NULL, signers);
    buf_add_char(signers, '\n');
}

static void put_head(struct fixture *f, struct store *store, const uint8_t repository[16], uint64_t number, uint8_t previous[32])
{
    struct error err;
    struct format_head h = { .number = number, .host = "db1", .policy = "erp", .time_ns = UINT64_C(1795420800000000000), .manifest = { 1, 0, 10 }, .next_object = 2 };
    _cleanup_buf_ struct buf file = { 0 }, signature = { 0 };
    _cleanup_free_ char *name = format_head_name(chain, number);
    memcpy(h.repository, repository, sizeof h.repository);
    memcpy(h.chain, chain, sizeof h.chain);
    memcpy(h.previous, previous, sizeof h.previous);
    if (number == 2)
        (void)snprintf(h.tag, sizeof h.tag, "first-tag");
    h.flags = number == 3 ? FORMAT_SUSPECT : 0;
    format_head_write(&file, &h);
    sshsig_sign(&f->host, FORMAT_NAMESPACE_HEAD, file.data, file.len, &signature);
    buf_add(&file, signature.data, signature.len);
    OK(store->ops->put(store, name, file.data, file.len, &err));
    crypto_sha256(file.data, file.len, previous);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct store *store = store_memory_new();
    struct error err;
    uint8_t previous[32] = { 0 };
    sshkey_new(io_real(), &f->host);
    sshkey_new(io_real(), &f->retention);
    sshkey_new(io_real(), &f->stranger);
    sshkey_format(io_real(), &f->host, "host", &f->host_text);
    add_signer(&f->signers, "bkd-repository@v1,bkd-head@v1,bkd-record@v1,bkd-recover@v1", &f->host);
    add_signer(&f->signers, "bkd-retention@v1", &f->retention);
    struct format_repository info = { .id = { 1, 2, 3 }, .created_ns = UINT64_C(1795420800000000000), .piece_size = 16777216, .object_size = 134217728 };
    OK(repository_create(io_real(), store, &info, (const char *)f->host_text.data, f->host_text.len, "x", "y", &err));
    for (uint64_t number = 1; number <= 3; number++)
        put_head(f, store, info.id, number, previous);
    OK(repository_open(io_real(), store, buf_str(&f->signers), &f->repository, &err));
    assert_int_equal(f->repository->n_heads, 3);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    repository_close(f->repository);
    buf_done(&f->host_text);
    buf_done(&f->signers);
    free(f);
    return 0;
}

static const struct repository_head *head(const struct fixture *f, size_t number) { return &f->repository->heads[number - 1]; }

static int append(struct fixture *f, const struct sshkey *key, size_t snapshot, struct record *record, struct error *err)
{
    record->time_ns = UINT64_C(1795420900000000000);
    if (record->by[0] == '\0')
        (void)snprintf(record->by, sizeof record->by, "root@db1");
    return records_append(f->repository, buf_str(&f->signers), key, head(f, snapshot), record, err);
}

static void tag(struct fixture *f, size_t snapshot, const char *text)
{
    struct error err;
    struct record r = { .kind = RECORD_TAG };
    (void)snprintf(r.tag, sizeof r.tag, "%s", text);
    OK(append(f, &f->host, snapshot, &r, &err));
}

static void hold(struct fixture *f, size_t snapshot)
{
    struct error err;
    struct record r = { .kind = RECORD_HOLD, .reason = "upgrade" };
    OK(append(f, &f->host, snapshot, &r, &err));
}

static void load(struct fixture *f, struct records *ret_records)
{
    struct error err;
    OK(records_load(f->repository, buf_str(&f->signers), ret_records, &err));
}

// Ends the holds that stand on a snapshot, signed with `key`.
static int release(struct fixture *f, size_t snapshot, const struct sshkey *key, struct error *err)
{
    const struct records_item *standing[8];
    _cleanup_records_ struct records records = { 0 };
    load(f, &records);
    size_t n = holds_standing(&records, head(f, snapshot), standing, 8);
    assert_in_range(n, 1, 8);
    _cleanup_record_ struct record r = { .kind = RECORD_RELEASE, .holds = xcalloc(n, 32), .n_holds = n };
    for (size_t i = 0; i < n; i++)
        memcpy(r.holds[i], standing[i]->sha256, 32);
    return append(f, key, snapshot, &r, err);
}

// The stored bytes of a record of `key`, changed by the caller and put back.
static void replace(struct fixture *f, const struct sshkey *key, uint64_t number, const struct buf *file)
{
    struct error err;
    uint8_t signer[32];
    struct store *store = f->repository->store;
    records_signer(key->public_key, signer);
    _cleanup_free_ char *name = record_name(signer, number);
    (void)!store->ops->remove(store, name, &err); // may be new
    OK(store->ops->put(store, name, file->data, file->len, &err));
}

static void stored(struct fixture *f, const struct sshkey *key, uint64_t number, struct buf *ret_file)
{
    struct error err;
    uint8_t signer[32];
    records_signer(key->public_key, signer);
    _cleanup_free_ char *name = record_name(signer, number);
    OK(store_get_all(f->repository->store, name, FORMAT_SIGNED_MAX, ret_file, &err));
}

static void expect_problem(struct fixture *f, size_t at, const char *text)
{
    _cleanup_records_ struct records records = { 0 };
    load(f, &records);
    assert_true(at < records.n);
    assert_false(records.items[at].valid);
    if (strstr(records.items[at].problem, text) == NULL)
        fail_msg("'%s' does not say '%s'", records.items[at].problem, text);
    assert_int_equal(records_count_problems(&records), 1);
}

// ---- adding and judging

static void test_append(void **state)
{
    struct fixture *f = *state;
    _cleanup_records_ struct records none = { 0 }, records = { 0 };
    load(f, &none);
    assert_int_equal(none.n, 0);
    tag(f, 1, "one");
    hold(f, 2);
    tag(f, 2, "two");
    load(f, &records);
    assert_int_equal(records.n, 3);
    assert_int_equal(records.n_by_snapshot, 3);
    assert_int_equal(records_count_problems(&records), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(records.items[i].number, i + 1);
    assert_memory_equal(records.items[2].record.previous, records.items[1].sha256, 32);
    assert_memory_equal(records.items[2].record.head, head(f, 2)->sha256, 32);
}

// The name of a signer's folder is what stock tools make of its public key.
static void test_signer(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;
    struct error err;
    struct record r = { .kind = RECORD_TAG, .tag = "x" };
    assert_int_equal(append(f, &f->stranger, 1, &r, &err), ERROR_KEY);
    assert_non_null(strstr(err.text, "not among the signers"));
    assert_int_equal(append(f, &f->retention, 1, &r, &err), ERROR_KEY);
    hold(f, 1);
    assert_int_equal(release(f, 1, &f->host, &err), ERROR_KEY); // the backed up host must not be able to
    assert_non_null(strstr(err.text, "may not sign for this purpose"));
    _cleanup_records_ struct records records = { 0 };
    load(f, &records);
    assert_int_equal(records.n, 1);
    assert_true(holds_is_held(&records, head(f, 1)));
}

static void test_torn_number_is_passed_over(void **state)
{
    struct fixture *f = *state;
    _cleanup_buf_ struct buf file = { 0 };
    tag(f, 1, "one");
    tag(f, 1, "two");
    stored(f, &f->host, 2, &file);
    file.len /= 2;
    replace(f, &f->host, 2, &file);
    expect_problem(f, 1, "cut off");
    tag(f, 1, "three");
    _cleanup_records_ struct records records = { 0 };
    load(f, &records);
    assert_int_equal(records.n, 3);
    assert_true(records.items[2].valid);
    assert_int_equal(records.items[2].number, 3);
    assert_false(records.items[2].chain_broken);
    assert_memory_equal(records.items[2].record.previous, records.items[0].sha256, 32);
}

static void test_tampered(void **state)
{
    struct fixture *f = *state;
    _cleanup_buf_ struct buf file = { 0 };
    tag(f, 1, "one");
    stored(f, &f->host, 1, &file);
    *(char *)memmem(file.data, file.len, "tag one", 7) = 'T';
    replace(f, &f->host, 1, &file);
    expect_problem(f, 0, "wrong tag");
    *(char *)memmem(file.data, file.len, "Tag one", 7) = 't';
    ((char *)memmem(file.data, file.len, "tag one", 7))[4] = 'O';
    replace(f, &f->host, 1, &file);
    expect_problem(f, 0, "does not belong to these bytes");
}

static void test_filed_under_another(void **state)
{
    struct fixture *f = *state;
    _cleanup_buf_ struct buf file = { 0 };
    tag(f, 1, "one");
    stored(f, &f->host, 1, &file);
    replace(f, &f->retention, 1, &file);
    _cleanup_records_ struct records records = { 0 };
    load(f, &records);
    assert_int_equal(records.n, 2);
    assert_int_equal(records.items[0].valid + records.items[1].valid, 1);
    const struct records_item *wrong = records.items[0].valid ? &records.items[1] : &records.items[0];
    assert_non_null(strstr(wrong->problem, "another key"));
    _cleanup_buf_ struct buf again = { 0 };
    buf_add(&again, file.data, file.len);
    replace(f, &f->host, 2, &again); // under another number
    _cleanup_records_ struct records more = { 0 };
    load(f, &more);
    assert_int_equal(records_count_problems(&more), 2);
}

static void test_other_repository(void **state)
{
    struct fixture *f = *state;
    f->repository->info.id[0] = 9;
    tag(f, 1, "one");
    f->repository->info.id[0] = 1;
    expect_problem(f, 0, "another repository");
}

static void test_fork_and_break(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct store *store = f->repository->store;
    uint8_t signer[32];
    records_signer(f->host.public_key, signer);
    for (int i = 0; i < 3; i++)
        tag(f, 1, i == 0 ? "a" : i == 1 ? "b" : "c");
    _cleanup_free_ char *second = record_name(signer, 2), *third = record_name(signer, 3), *fourth = record_name(signer, 4);
    _cleanup_buf_ struct buf file = { 0 };
    stored(f, &f->host, 2, &file);
    // A clone of the host, that knows only the first record, writes its own second one.
    OK(store->ops->remove(store, second, &err));
    OK(store->ops->remove(store, third, &err));
    hold(f, 2);
    _cleanup_buf_ struct buf clone = { 0 };
    stored(f, &f->host, 2, &clone);
    replace(f, &f->host, 2, &file);
    // As the fourth it is not believed: its text says two.
    OK(store->ops->put(store, fourth, clone.data, clone.len, &err));
    _cleanup_records_ struct records renamed = { 0 };
    load(f, &renamed);
    assert_int_equal(renamed.n, 3);
    assert_false(renamed.items[2].valid);
    OK(store->ops->remove(store, fourth, &err));
    // Records that are gone from the middle.
    tag(f, 1, "d");
    OK(store->ops->remove(store, second, &err));
    _cleanup_records_ struct records broken = { 0 };
    load(f, &broken);
    assert_int_equal(broken.n, 2);
    assert_false(broken.items[0].chain_broken);
    assert_true(broken.items[1].chain_broken);
    assert_int_equal(records_count_problems(&broken), 1);
}

// Two valid records with one predecessor: both count, both are told.
static void test_twins(void **state)
{
    struct fixture *f = *state;
    _cleanup_buf_ struct buf text = { 0 }, signature = { 0 };
    struct record r = { .kind = RECORD_HOLD, .by = "clone", .number = 2, .snapshot = 3, .time_ns = UINT64_C(1795420900000000000) };
    hold(f, 1);
    memcpy(r.repository, f->repository->info.id, 16);
    memcpy(r.chain, chain, 16);
    memcpy(r.head, head(f, 3)->sha256, 32);
    record_write(&text, &r); // previous: none, as the first one says
    sshsig_sign(&f->host, FORMAT_NAMESPACE_RECORD, text.data, text.len, &signature);
    buf_add(&text, signature.data, signature.len);
    replace(f, &f->host, 2, &text);
    _cleanup_records_ struct records records = { 0 };
    load(f, &records);
    assert_true(records.items[0].valid && records.items[0].fork);
    assert_true(records.items[1].valid && records.items[1].fork);
    assert_true(holds_is_held(&records, head(f, 1)));
    assert_true(holds_is_held(&records, head(f, 3)));
}

static void put_unknown(struct fixture *f, const struct sshkey *key, const char *name_space, uint64_t number)
{
    _cleanup_buf_ struct buf text = { 0 }, signature = { 0 };
    buf_add_str(&text, "bkd-record/1\n");
    lines_add_hex(&text, "repository", f->repository->info.id, 16);
    buf_addf(&text, "number %llu\nprevious %064d\ntime 2026-11-23T09:00:00Z\nby x\nkind witness\nanything at all\n", (unsigned long long)number, 0);
    sshsig_sign(key, name_space, text.data, text.len, &signature);
    buf_add(&text, signature.data, signature.len);
    replace(f, key, number, &text);
}

static void test_unknown_kind(void **state)
{
    struct fixture *f = *state;
    put_unknown(f, &f->host, FORMAT_NAMESPACE_RECORD, 1);
    put_unknown(f, &f->retention, FORMAT_NAMESPACE_RETENTION, 1);
    tag(f, 1, "after");
    _cleanup_records_ struct records records = { 0 };
    load(f, &records);
    assert_int_equal(records.n, 3);
    assert_int_equal(records_count_problems(&records), 0);
    assert_int_equal(records.n_by_snapshot, 1);
    size_t at = 0;
    assert_string_equal(tags_next(&records, head(f, 1), &at), "after");
    put_unknown(f, &f->host, FORMAT_NAMESPACE_HEAD, 3);
    _cleanup_records_ struct records more = { 0 };
    load(f, &more);
    assert_int_equal(records_count_problems(&more), 1);
}

static void test_believing_all(void **state)
{
    struct fixture *f = *state;
    struct error err;
    hold(f, 1);
    _cleanup_buf_ struct buf file = { 0 };
    stored(f, &f->host, 1, &file);
    file.len = (size_t)((uint8_t *)memmem(file.data, file.len, SSHSIG_BEGIN, strlen(SSHSIG_BEGIN)) - file.data);
    replace(f, &f->stranger, 1, &file); // without any signature
    _cleanup_records_ struct records records = { 0 };
    OK(records_load(f->repository, NULL, &records, &err));
    assert_int_equal(records.n, 2);
    assert_true(records.items[0].valid && records.items[1].valid);
    _cleanup_records_ struct records judged = { 0 };
    load(f, &judged);
    assert_int_equal(records_count_problems(&judged), 1);
}

// ---- holds

static void test_hold_and_release(void **state)
{
    struct fixture *f = *state;
    struct error err;
    hold(f, 2);
    hold(f, 2);
    hold(f, 3);
    _cleanup_records_ struct records before = { 0 };
    load(f, &before);
    assert_false(holds_is_held(&before, head(f, 1)));
    assert_int_equal(holds_standing(&before, head(f, 2), NULL, 0), 2);
    OK(release(f, 2, &f->retention, &err));
    _cleanup_records_ struct records after = { 0 };
    load(f, &after);
    assert_int_equal(after.n, 4);
    assert_int_equal(records_count_problems(&after), 0);
    assert_false(holds_is_held(&after, head(f, 2)));
    assert_true(holds_is_held(&after, head(f, 3)));
    hold(f, 2); // anew
    _cleanup_records_ struct records again = { 0 };
    load(f, &again);
    assert_int_equal(holds_standing(&again, head(f, 2), NULL, 0), 1);
}

// A release signed by the host's key, in either namespace, ends nothing.
static void test_forged_release(void **state)
{
    struct fixture *f = *state;
    static const char *const spaces[] = { FORMAT_NAMESPACE_RECORD, FORMAT_NAMESPACE_RETENTION };
    hold(f, 2);
    for (size_t i = 0; i < 2; i++) {
        _cleanup_records_ struct records records = { 0 };
        load(f, &records);
        const struct records_item *standing[1];
        assert_int_equal(holds_standing(&records, head(f, 2), standing, 1), 1);
        _cleanup_record_ struct record r = { .kind = RECORD_RELEASE, .holds = xcalloc(1, 32), .n_holds = 1, .number = 2 + i, .snapshot = 2, .by = "thief",
                                             .time_ns = UINT64_C(1795420900000000000) };
        memcpy(r.repository, f->repository->info.id, 16);
        memcpy(r.previous, standing[0]->sha256, 32);
        memcpy(r.chain, chain, 16);
        memcpy(r.head, head(f, 2)->sha256, 32);
        memcpy(r.holds[0], standing[0]->sha256, 32);
        _cleanup_buf_ struct buf text = { 0 }, signature = { 0 };
        record_write(&text, &r);
        sshsig_sign(&f->host, spaces[i], text.data, text.len, &signature);
        buf_add(&text, signature.data, signature.len);
        replace(f, &f->host, 2 + i, &text);
        _cleanup_records_ struct records after = { 0 };
        load(f, &after);
        assert_true(holds_is_held(&after, head(f, 2)));
        assert_int_equal(records_count_problems(&after), i + 1);
    }
}

// A release of one snapshot does not end the holds of another, and a hold on a head that was exchanged is told.
static void test_other_snapshots(void **state)
{
    struct fixture *f = *state;
    struct error err;
    hold(f, 1);
    hold(f, 2);
    _cleanup_records_ struct records records = { 0 };
    load(f, &records);
    const struct records_item *standing[1];
    assert_int_equal(holds_standing(&records, head(f, 1), standing, 1), 1);
    _cleanup_record_ struct record r = { .kind = RECORD_RELEASE, .holds = xcalloc(1, 32), .n_holds = 1 };
    memcpy(r.holds[0], standing[0]->sha256, 32);
    OK(append(f, &f->retention, 2, &r, &err));
    _cleanup_records_ struct records after = { 0 };
    load(f, &after);
    assert_true(holds_is_held(&after, head(f, 1)));
    assert_true(holds_is_held(&after, head(f, 2)));
    f->repository->heads[0].sha256[0] ^= 1; // exchanged: what is said of the head that was does not count for it
    assert_false(holds_is_held(&after, head(f, 1)));
    OK(append(f, &f->retention, 1, &r, &err));
    f->repository->heads[0].sha256[0] ^= 1;
    _cleanup_records_ struct records again = { 0 };
    load(f, &again);
    assert_true(holds_is_held(&again, head(f, 1)));
}

// ---- tags

static void expect_found(struct fixture *f, const char *text, uint64_t number)
{
    struct error err;
    const struct repository_head *found = NULL;
    OK(tags_find(f->repository, buf_str(&f->signers), NULL, text, &found, &err));
    assert_int_equal(found->number, number);
}

static void expect_lost(struct fixture *f, const char *text, int code, const char *why)
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
    struct fixture *f = *state;
    struct error err;
    const struct repository_head *first = NULL;
    struct record accept = { .kind = RECORD_ACCEPT, .reason = "photos were moved" }, other = { .kind = RECORD_ACCEPT };
    assert_int_equal(append(f, &f->host, 3, &accept, &err), ERROR_KEY);
    OK(append(f, &f->retention, 2, &other, &err));
    _cleanup_records_ struct records before = { 0 }, after = { 0 };
    load(f, &before);
    assert_false(suspects_is(&before, head(f, 2)));
    assert_true(suspects_is(&before, head(f, 3)));
    assert_int_equal(suspects_standing(f->repository, &before, chain, &first), 1);
    assert_int_equal(first->number, 3);
    OK(append(f, &f->retention, 3, &accept, &err));
    load(f, &after);
    assert_false(suspects_is(&after, head(f, 3)));
    assert_int_equal(suspects_standing(f->repository, &after, chain, NULL), 0);
}

static void test_tags(void **state)
{
    struct fixture *f = *state;
    tag(f, 2, "second");
    tag(f, 2, "first-tag"); // which its head has already
    tag(f, 2, "second");
    tag(f, 3, "shared");
    tag(f, 1, "shared");
    _cleanup_records_ struct records records = { 0 };
    load(f, &records);
    size_t at = 0;
    assert_string_equal(tags_next(&records, head(f, 2), &at), "first-tag");
    assert_string_equal(tags_next(&records, head(f, 2), &at), "second");
    assert_null(tags_next(&records, head(f, 2), &at));
    assert_null(tags_next(&records, head(f, 2), &at));
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

static struct told findings(struct fixture *f, uint64_t *ret_count)
{
    struct error err;
    struct told told = { 0 };
    OK(verify_records_run(f->repository, buf_str(&f->signers), count_finding, &told, ret_count, &err));
    return told;
}

// A copy that has not all heads yet, or not this chain.
static void test_check_of_a_copy(void **state)
{
    struct fixture *f = *state;
    uint64_t count;
    tag(f, 1, "one");
    tag(f, 3, "three");
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
    struct fixture *f = *state;
    uint64_t count = 9;
    assert_int_equal(findings(f, &count).alarms, 0);
    assert_int_equal(count, 0);
    tag(f, 1, "one");
    hold(f, 2);
    assert_int_equal(findings(f, &count).alarms, 0);
    assert_int_equal(count, 2);
    f->repository->heads[1].sha256[0] ^= 1; // another head under that number
    assert_int_equal(findings(f, &count).alarms, 1);
    _cleanup_buf_ struct buf file = { 0 };
    stored(f, &f->host, 1, &file);
    file.data[20] ^= 1;
    replace(f, &f->host, 1, &file); // void; and the second one no longer continues it
    assert_int_equal(findings(f, &count).alarms, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_append),        TEST(test_signer),          TEST(test_wrong_key_writes_nothing), TEST(test_torn_number_is_passed_over),
        TEST(test_tampered),      TEST(test_filed_under_another), TEST(test_other_repository),     TEST(test_fork_and_break),
        TEST(test_twins),         TEST(test_unknown_kind),    TEST(test_believing_all),            TEST(test_hold_and_release),
        TEST(test_forged_release), TEST(test_other_snapshots), TEST(test_tags),                    TEST(test_what_is_a_tag),
        TEST(test_check),         TEST(test_check_of_a_copy),    TEST(test_suspects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
