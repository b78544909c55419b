#include "bkd/repo/records.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/codec/sshsig.h"

#define SIGNER_HEX 64u
#define APPEND_TRIES 16 // somebody else may sign with the same key at the same time: then the next number is ours

void records_signer(const uint8_t public_key[CURVE_KEY_SIZE], uint8_t ret_signer[32])
{
    _cleanup_buf_ struct buf blob = { 0 };
    sshkey_blob_write(public_key, &blob);
    crypto_sha256(blob.data, blob.len, ret_signer);
}

const char *records_namespace(enum record_kind kind)
{
    bool gives_up = kind == RECORD_RELEASE || kind == RECORD_ACCEPT || kind == RECORD_TOMBSTONE || kind == RECORD_REVIVE;
    return gives_up ? FORMAT_NAMESPACE_RETENTION : FORMAT_NAMESPACE_RECORD;
}

// ---- judging one

// What a later bkd says in a kind of its own may be signed for either purpose.
static int verify_signature(const struct signers *signers, const struct record *record, const void *file, size_t text_len, size_t n,
                            uint8_t ret_public[CURVE_KEY_SIZE], struct error *err)
{
    const char *armored = (const char *)file + text_len, *name_space = records_namespace(record->kind);
    const struct signers_entry *entry = NULL;
    struct error ignored;
    int e = sshsig_check(name_space, file, text_len, armored, n - text_len, ret_public, err);
    if (e < 0 && record->kind == RECORD_OTHER &&
        sshsig_check(FORMAT_NAMESPACE_RETENTION, file, text_len, armored, n - text_len, ret_public, &ignored) == 0) {
        name_space = FORMAT_NAMESPACE_RETENTION;
        e = 0;
    }
    return e < 0 ? e : signers_find(signers, ret_public, name_space, record->time_ns / 1000000000, NULL, &entry, err);
}

static int check_file(const struct repository *r, const struct signers *signers, const void *file, size_t n, const struct records_item *item,
                      struct record *parsed, struct error *err)
{
    size_t text_len = n;
    uint8_t public_key[CURVE_KEY_SIZE], signer[32];
    int e = 0;
    if (n > FORMAT_SIGNED_MAX)
        return error_set(err, ERROR_FORMAT, "%zu bytes, more than the %u a record may have", n, FORMAT_SIGNED_MAX);
    if (signers != NULL || sshsig_split(file, n, &text_len))
        e = format_split_signed(file, n, &text_len, err);
    if (e == 0)
        e = record_parse(file, text_len, parsed, err);
    if (e == 0 && signers != NULL)
        e = verify_signature(signers, parsed, file, text_len, n, public_key, err);
    if (e < 0)
        return e;
    if (signers != NULL)
        records_signer(public_key, signer);
    if (signers != NULL && memcmp(signer, item->signer, sizeof signer) != 0)
        return error_set(err, ERROR_INTEGRITY, "it is signed by another key than the one it is filed under");
    if (memcmp(parsed->repository, r->info.id, sizeof parsed->repository) != 0)
        return error_set(err, ERROR_INTEGRITY, "it belongs to another repository");
    if (parsed->number != item->number)
        return error_set(err, ERROR_INTEGRITY, "it is not the record its name says (%llu)", (unsigned long long)parsed->number);
    return 0;
}

static void judge(const struct repository *r, const struct signers *signers, const void *file, size_t n, struct records_item *item)
{
    struct error err = { 0 };
    _cleanup_record_ struct record parsed = { 0 };
    crypto_sha256(file, n, item->sha256);
    if (check_file(r, signers, file, n, item, &parsed, &err) < 0) {
        item->problem = xstrdup(err.text);
        return;
    }
    item->valid = true;
    item->record = parsed;
    parsed = (struct record){ 0 };
}

struct judging {
    const struct repository *repository;
    const struct signers *signers;
    struct records_item *items;
};

static int judge_file(void *arg, size_t index, const struct store_found *file, struct error *err)
{
    const struct judging *all = arg;
    struct records_item *item = &all->items[index];
    (void)err;
    if (file->result < 0)
        item->problem = xstrdup(file->why->text);
    else
        judge(all->repository, all->signers, file->data, (size_t)file->size, item);
    return 0;
}

static int read_items(const struct repository *r, const struct signers *signers, struct records_item *items, size_t n, struct error *err)
{
    struct judging all = { r, signers, items };
    char **names = xcalloc(n + 1, sizeof *names);
    for (size_t i = 0; i < n; i++)
        names[i] = record_name(items[i].signer, items[i].number);
    struct store_many many = { .names = (const char *const *)names, .n = n, .max = FORMAT_SIGNED_MAX, .visit = judge_file, .arg = &all };
    int e = store_get_many(r->store, &many, err);
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return e;
}

// ---- which there are

// "records/<64 hex>/<number>"; other names are not records and are passed over.
static int visit(void *arg, const char *name, uint64_t size, struct error *err)
{
    (void)size;
    (void)err;
    struct records *found = arg;
    struct records_item item = { 0 };
    size_t n = strlen(name), prefix = strlen("records/"), number = prefix + SIGNER_HEX + 1;
    if (n <= number || strncmp(name, "records/", prefix) != 0 || name[number - 1] != '/' ||
        !parse_hex(name + prefix, SIGNER_HEX, item.signer, sizeof item.signer) || !parse_u64(name + number, n - number, INT64_MAX, &item.number) ||
        item.number == 0)
        return 0;
    if ((found->n & (found->n - 1)) == 0) // grows at powers of two
        found->items = xrealloc(found->items, (found->n == 0 ? 1 : 2 * found->n) * sizeof *found->items);
    found->items[found->n++] = item;
    return 0;
}

static int by_signer_and_number(const void *a, const void *b)
{
    const struct records_item *x = a, *y = b;
    int order = memcmp(x->signer, y->signer, sizeof x->signer);
    return order != 0 ? order : x->number < y->number ? -1 : x->number > y->number;
}

static int list(const struct repository *r, const char *dir, struct records *ret_found, struct error *err)
{
    int e = r->store->ops->list(r->store, dir, visit, ret_found, err);
    if (ret_found->n > 0)
        qsort(ret_found->items, ret_found->n, sizeof *ret_found->items, by_signer_and_number);
    return e;
}

// ---- order

static int by_signer_and_previous(const void *a, const void *b)
{
    const struct records_item *x = *(struct records_item *const *)a, *y = *(struct records_item *const *)b;
    int order = memcmp(x->signer, y->signer, sizeof x->signer);
    return order != 0 ? order : memcmp(x->record.previous, y->record.previous, sizeof x->record.previous);
}

static void mark_forks(struct records *records)
{
    struct records_item **valid = xcalloc(records->n + 1, sizeof(struct records_item *));
    size_t count = 0;
    for (size_t i = 0; i < records->n; i++)
        if (records->items[i].valid)
            valid[count++] = &records->items[i];
    qsort(valid, count, sizeof *valid, by_signer_and_previous);
    for (size_t i = 1; i < count; i++)
        if (by_signer_and_previous(&valid[i - 1], &valid[i]) == 0)
            valid[i - 1]->fork = valid[i]->fork = true;
    free(valid);
}

static void check_order(struct records *records)
{
    static const uint8_t none[32] = { 0 };
    const struct records_item *before = NULL;
    for (size_t i = 0; i < records->n; i++) {
        struct records_item *item = &records->items[i];
        if (i > 0 && memcmp(item->signer, records->items[i - 1].signer, sizeof item->signer) != 0)
            before = NULL;
        if (!item->valid)
            continue;
        item->chain_broken = memcmp(item->record.previous, before == NULL ? none : before->sha256, sizeof none) != 0;
        before = item;
    }
    mark_forks(records);
}

static int compare_snapshots(const uint8_t chain_a[16], uint64_t a, const uint8_t chain_b[16], uint64_t b)
{
    int order = memcmp(chain_a, chain_b, 16);
    return order != 0 ? order : a < b ? -1 : a > b;
}

// Within a snapshot by place in items, so that the order is always the same.
static int by_snapshot(const void *a, const void *b)
{
    const struct records_item *x = *(const struct records_item *const *)a, *y = *(const struct records_item *const *)b;
    int order = compare_snapshots(x->record.chain, x->record.snapshot, y->record.chain, y->record.snapshot);
    return order != 0 ? order : x < y ? -1 : x > y;
}

static void index_snapshots(struct records *records)
{
    records->by_snapshot = xcalloc(records->n + 1, sizeof(const struct records_item *));
    for (size_t i = 0; i < records->n; i++)
        if (records->items[i].valid && records->items[i].record.kind != RECORD_OTHER && !record_names_several(records->items[i].record.kind))
            records->by_snapshot[records->n_by_snapshot++] = &records->items[i];
    qsort(records->by_snapshot, records->n_by_snapshot, sizeof *records->by_snapshot, by_snapshot);
}

// ---- all of them

int records_load(const struct repository *r, const char *signers, struct records *ret_records, struct error *err)
{
    _cleanup_records_ struct records records = { 0 };
    _cleanup_signers_ struct signers trusted = { 0 };
    int e = signers == NULL ? 0 : signers_parse(signers, strlen(signers), &trusted, err);
    if (e == 0)
        e = list(r, "records", &records, err);
    if (e == 0)
        e = read_items(r, signers == NULL ? NULL : &trusted, records.items, records.n, err);
    if (e < 0)
        return e;
    check_order(&records);
    index_snapshots(&records);
    *ret_records = records;
    records = (struct records){ 0 };
    return 0;
}

void records_done(struct records *records)
{
    for (size_t i = 0; i < records->n; i++) {
        free(records->items[i].problem);
        record_done(&records->items[i].record);
    }
    free(records->items);
    free(records->by_snapshot);
    *records = (struct records){ 0 };
}

size_t records_count_problems(const struct records *records)
{
    size_t n = 0;
    for (size_t i = 0; i < records->n; i++)
        n += !records->items[i].valid || records->items[i].fork || records->items[i].chain_broken;
    return n;
}

bool records_concerns(const struct records_item *item, const struct repository_head *head)
{
    return compare_snapshots(item->record.chain, item->record.snapshot, head->chain, head->number) == 0 &&
           memcmp(item->record.head, head->sha256, sizeof head->sha256) == 0;
}

size_t records_of(const struct records *records, const struct repository_head *head, const struct records_item *const **ret_first)
{
    size_t low = 0, high = records->n_by_snapshot;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct record *at = &records->by_snapshot[middle]->record;
        if (compare_snapshots(at->chain, at->snapshot, head->chain, head->number) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_first = records->by_snapshot + low;
    while (high < records->n_by_snapshot) {
        const struct record *at = &records->by_snapshot[high]->record;
        if (compare_snapshots(at->chain, at->snapshot, head->chain, head->number) != 0)
            break;
        high++;
    }
    return high - low;
}

// ---- adding one

// The number after the highest there is, and the hash of the last valid record.
static int find_end(const struct repository *r, const struct signers *signers, const uint8_t signer[32], struct record *record, struct error *err)
{
    char hex[SIGNER_HEX + 1];
    format_hex(hex, signer, 32);
    _cleanup_free_ char *dir = xasprintf("records/%s", hex);
    _cleanup_records_ struct records own = { 0 };
    int e = list(r, dir, &own, err);
    record->number = own.n == 0 ? 1 : own.items[own.n - 1].number + 1;
    memset(record->previous, 0, sizeof record->previous);
    for (size_t i = own.n; e == 0 && i-- > 0;) {
        e = read_items(r, signers, &own.items[i], 1, err);
        if (e < 0 || !own.items[i].valid)
            continue;
        memcpy(record->previous, own.items[i].sha256, sizeof record->previous);
        break;
    }
    return e;
}

// What no reader would believe is not written.
static int check_own(const struct repository *r, const struct signers *signers, const struct buf *file, const uint8_t signer[32], uint64_t number,
                     struct error *err)
{
    struct records_item item = { .number = number };
    memcpy(item.signer, signer, sizeof item.signer);
    judge(r, signers, file->data, file->len, &item);
    int e = item.valid ? 0 : error_set(err, ERROR_KEY, "the record would not be believed, so nothing was written: %s", item.problem);
    free(item.problem);
    record_done(&item.record);
    return e;
}

static int put_next(const struct repository *r, const struct signers *signers, const struct sshkey *key, struct record *record, struct error *err)
{
    uint8_t signer[32];
    _cleanup_buf_ struct buf file = { 0 }, signature = { 0 };
    records_signer(key->public_key, signer);
    int e = find_end(r, signers, signer, record, err);
    if (e < 0)
        return e;
    record_write(&file, record);
    sshsig_sign(key, records_namespace(record->kind), file.data, file.len, &signature);
    buf_add(&file, signature.data, signature.len);
    e = check_own(r, signers, &file, signer, record->number, err);
    _cleanup_free_ char *name = record_name(signer, record->number);
    return e < 0 ? e : r->store->ops->put(r->store, name, file.data, file.len, err);
}

int records_append_several(const struct repository *r, const char *signers, const struct sshkey *key, struct record *record, struct error *err)
{
    _cleanup_signers_ struct signers trusted = { 0 };
    int e = signers_parse(signers, strlen(signers), &trusted, err);
    memcpy(record->repository, r->info.id, sizeof record->repository);
    for (int i = 0; e == 0 && i < APPEND_TRIES; i++) {
        e = put_next(r, &trusted, key, record, err);
        if (e != ERROR_EXISTS)
            return e;
        e = 0;
    }
    return e < 0 ? e : error_set(err, ERROR_BUSY, "%d records in a row were written by somebody else with this key", APPEND_TRIES);
}

int records_append(const struct repository *r, const char *signers, const struct sshkey *key, const struct repository_head *head,
                   struct record *record, struct error *err)
{
    memcpy(record->chain, head->chain, sizeof record->chain);
    memcpy(record->head, head->sha256, sizeof record->head);
    record->snapshot = head->number;
    return records_append_several(r, signers, key, record, err);
}
