#include "bkd/repo/tombstones.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"

static bool is_of(const struct record *record, enum record_kind kind, const uint8_t store[STORE_ID_SIZE])
{
    return record->kind == kind && memcmp(record->store, store, STORE_ID_SIZE) == 0;
}

static bool names_snapshot(const struct record *record, const struct tombstone *t)
{
    size_t low = 0, high = record->n_snapshots;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (record->snapshots[middle].number < t->number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < record->n_snapshots && record->snapshots[low].number == t->number && memcmp(record->snapshots[low].head, t->head, sizeof t->head) == 0;
}

static bool names_tombstone(const struct record *revive, const struct tombstone *t)
{
    for (size_t i = 0; i < revive->n_holds; i++)
        if (memcmp(revive->holds[i], t->sha256, sizeof t->sha256) == 0)
            return true;
    return false;
}

static bool is_revived(const struct records *records, const struct tombstones *all, const struct tombstone *t)
{
    for (size_t i = 0; i < records->n; i++) {
        const struct record *record = &records->items[i].record;
        if (records->items[i].valid && is_of(record, RECORD_REVIVE, all->store) && memcmp(record->chain, t->chain, sizeof t->chain) == 0 &&
            names_snapshot(record, t) && names_tombstone(record, t))
            return true;
    }
    return false;
}

static void take_record(const struct records *records, const struct records_item *item, struct tombstones *all)
{
    const struct record *record = &item->record;
    all->items = xrealloc(all->items, (all->n + record->n_snapshots + 1) * sizeof *all->items);
    for (size_t i = 0; i < record->n_snapshots; i++) {
        struct tombstone t = { .number = record->snapshots[i].number, .absent = record->kind == RECORD_ABSENT, .time_ns = record->time_ns, .after_ns = record->after_ns };
        memcpy(t.chain, record->chain, sizeof t.chain);
        memcpy(t.head, record->snapshots[i].head, sizeof t.head);
        memcpy(t.sha256, item->sha256, sizeof t.sha256);
        memcpy(t.signer, item->signer, sizeof t.signer);
        t.record = item->number;
        if (t.absent || !is_revived(records, all, &t))
            all->items[all->n++] = t;
    }
}

static int compare_places(const uint8_t chain_a[16], uint64_t a, const uint8_t chain_b[16], uint64_t b)
{
    int order = memcmp(chain_a, chain_b, 16);
    return order != 0 ? order : a < b ? -1 : a > b;
}

static int compare(const void *a, const void *b)
{
    const struct tombstone *x = a, *y = b;
    int order = compare_places(x->chain, x->number, y->chain, y->number);
    return order != 0 ? order : x->after_ns < y->after_ns ? -1 : x->after_ns > y->after_ns;
}

void tombstones_collect(const struct records *records, const uint8_t store[STORE_ID_SIZE], struct tombstones *ret_tombstones)
{
    struct tombstones all = { .has_store = true };
    memcpy(all.store, store, sizeof all.store);
    for (size_t i = 0; i < records->n; i++) {
        const struct records_item *item = &records->items[i];
        if (item->valid && (is_of(&item->record, RECORD_TOMBSTONE, store) || is_of(&item->record, RECORD_ABSENT, store)))
            take_record(records, item, &all);
    }
    if (all.n > 0)
        qsort(all.items, all.n, sizeof *all.items, compare);
    *ret_tombstones = all;
}

int tombstones_load(const struct repository *r, struct tombstones *ret_tombstones, struct error *err)
{
    _cleanup_records_ struct records records = { 0 };
    uint8_t store[STORE_ID_SIZE];
    int e = store_id_read(r->store, store, err);
    if (e == ERROR_NOT_FOUND) {
        *ret_tombstones = (struct tombstones){ 0 };
        return 0;
    }
    if (e == 0)
        e = records_load(r, r->signers, &records, err);
    if (e == 0)
        tombstones_collect(&records, store, ret_tombstones);
    return e;
}

void tombstones_done(struct tombstones *t)
{
    free(t->items);
    *t = (struct tombstones){ 0 };
}

static const struct tombstone *find(const struct tombstones *t, const struct repository_head *head, bool with_absences)
{
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_places(t->items[middle].chain, t->items[middle].number, head->chain, head->number) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < t->n && compare_places(t->items[low].chain, t->items[low].number, head->chain, head->number) == 0; low++)
        if (memcmp(t->items[low].head, head->sha256, sizeof head->sha256) == 0 && (with_absences || !t->items[low].absent))
            return &t->items[low];
    return NULL;
}

const struct tombstone *tombstones_of(const struct tombstones *t, const struct repository_head *head) { return find(t, head, true); }

const struct tombstone *tombstones_giving_up(const struct tombstones *t, const struct repository_head *head) { return find(t, head, false); }

bool tombstones_excuse(const struct tombstones *t, const struct repository_head *head, uint64_t now_ns)
{
    const struct tombstone *stone = head->valid ? tombstones_of(t, head) : NULL;
    return stone != NULL && stone->after_ns <= now_ns;
}

bool tombstones_explain(const struct tombstones *t, const struct repository_head *head, uint64_t now_ns, struct buf *out)
{
    char given_up[CLOCK_TEXT_MAX], after[CLOCK_TEXT_MAX];
    if (!tombstones_excuse(t, head, now_ns))
        return false;
    const struct tombstone *stone = tombstones_of(t, head);
    clock_format_utc(given_up, stone->time_ns, false);
    clock_format_utc(after, stone->after_ns, false);
    if (stone->absent)
        buf_add_str(out, "its data never got to this copy: it had been removed where it came from");
    else
        buf_addf(out, "it was removed by rule: given up %s, its data went after %s", given_up, after);
    return true;
}
