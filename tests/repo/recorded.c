#include "tests/repo/recorded.h"

#include <stdio.h>

#include "bkd/base/bytes.h"
#include "bkd/codec/sshsig.h"
#include "bkd/repo/holds.h"

static const uint8_t chain[16] = { 0xaa };

static void add_signer(struct buf *signers, const char *namespaces, const struct sshkey *key)
{
    buf_addf(signers, "someone namespaces=\"%s\" ", namespaces);
    sshkey_public_format(key->public_key, NULL, signers);
    buf_add_char(signers, '\n');
}

static void put_head(struct recorded *f, struct store *store, const uint8_t repository[16], uint64_t number, uint8_t previous[32])
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

int recorded_setup(void **state)
{
    struct recorded *f = xcalloc(1, sizeof *f);
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

int recorded_teardown(void **state)
{
    struct recorded *f = *state;
    repository_close(f->repository);
    buf_done(&f->host_text);
    buf_done(&f->signers);
    free(f);
    return 0;
}

const struct repository_head *recorded_head(const struct recorded *f, size_t number) { return &f->repository->heads[number - 1]; }

int recorded_append(struct recorded *f, const struct sshkey *key, size_t snapshot, struct record *record, struct error *err)
{
    record->time_ns = UINT64_C(1795420900000000000);
    if (record->by[0] == '\0')
        (void)snprintf(record->by, sizeof record->by, "root@db1");
    return records_append(f->repository, buf_str(&f->signers), key, recorded_head(f, snapshot), record, err);
}

void recorded_tag(struct recorded *f, size_t snapshot, const char *text)
{
    struct error err;
    struct record r = { .kind = RECORD_TAG };
    (void)snprintf(r.tag, sizeof r.tag, "%s", text);
    OK(recorded_append(f, &f->host, snapshot, &r, &err));
}

void recorded_hold(struct recorded *f, size_t snapshot)
{
    struct error err;
    struct record r = { .kind = RECORD_HOLD, .reason = "upgrade" };
    OK(recorded_append(f, &f->host, snapshot, &r, &err));
}

void recorded_load(struct recorded *f, struct records *ret_records)
{
    struct error err;
    OK(records_load(f->repository, buf_str(&f->signers), ret_records, &err));
}

// Ends the holds that stand on a snapshot, signed with `key`.
int recorded_release(struct recorded *f, size_t snapshot, const struct sshkey *key, struct error *err)
{
    const struct records_item *standing[8];
    _cleanup_records_ struct records records = { 0 };
    recorded_load(f, &records);
    size_t n = holds_standing(&records, recorded_head(f, snapshot), standing, 8);
    assert_in_range(n, 1, 8);
    _cleanup_record_ struct record r = { .kind = RECORD_RELEASE, .holds = xcalloc(n, 32), .n_holds = n };
    for (size_t i = 0; i < n; i++)
        memcpy(r.holds[i], standing[i]->sha256, 32);
    return recorded_append(f, key, snapshot, &r, err);
}

// The stored bytes of a record of `key`, changed by the caller and put back.
void recorded_replace(struct recorded *f, const struct sshkey *key, uint64_t number, const struct buf *file)
{
    struct error err;
    uint8_t signer[32];
    struct store *store = f->repository->store;
    records_signer(key->public_key, signer);
    _cleanup_free_ char *name = record_name(signer, number);
    (void)!store->ops->remove(store, name, &err); // may be new
    OK(store->ops->put(store, name, file->data, file->len, &err));
}

void recorded_stored(struct recorded *f, const struct sshkey *key, uint64_t number, struct buf *ret_file)
{
    struct error err;
    uint8_t signer[32];
    records_signer(key->public_key, signer);
    _cleanup_free_ char *name = record_name(signer, number);
    OK(store_get_all(f->repository->store, name, FORMAT_SIGNED_MAX, ret_file, &err));
}

void recorded_expect_problem(struct recorded *f, size_t at, const char *text)
{
    _cleanup_records_ struct records records = { 0 };
    recorded_load(f, &records);
    assert_true(at < records.n);
    assert_false(records.items[at].valid);
    if (strstr(records.items[at].problem, text) == NULL)
        fail_msg("'%s' does not say '%s'", records.items[at].problem, text);
    assert_int_equal(records_count_problems(&records), 1);
}
