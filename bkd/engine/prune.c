#include "bkd/engine/prune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/clock.h"
#include "bkd/repo/holds.h"
#include "bkd/repo/suspects.h"
#include "bkd/repo/whole.h"

#define SECOND UINT64_C(1000000000)
#define YEAR_NS (UINT64_C(365) * 86400 * SECOND)

// ---- what is there

struct names {
    uint8_t (*items)[32];
    size_t n;
};

static int note_refs(void *arg, const char *name, uint64_t size, struct error *err)
{
    struct names *found = arg;
    uint8_t sha256[32];
    (void)size, (void)err;
    if (strncmp(name, "refs/", 5) != 0 || !parse_hex(name + 5, strlen(name + 5), sha256, sizeof sha256))
        return 0;
    found->items = xrealloc(found->items, (found->n + 1) * sizeof *found->items);
    memcpy(found->items[found->n++], sha256, sizeof sha256);
    return 0;
}

static int compare_hashes(const void *a, const void *b) { return memcmp(a, b, 32); }

static bool has(const struct names *names, const uint8_t sha256[32])
{
    return names->n > 0 && bsearch(sha256, names->items, names->n, sizeof *names->items, compare_hashes) != NULL;
}

// ---- deciding

static int read_due(const struct prune_options *o, struct prune_item *item, struct error *err)
{
    struct store *store = o->repository->store;
    uint64_t received_ns;
    item->due_ns = item->tombstone->after_ns;
    if (!o->trust_receipts || o->min_grace_s == 0 || store->ops->modified == NULL)
        return 0;
    _cleanup_free_ char *name = record_name(item->tombstone->signer, item->tombstone->record);
    int e = store->ops->modified(store, name, &received_ns, err);
    if (e == 0 && received_ns + o->min_grace_s * SECOND > item->due_ns)
        item->due_ns = received_ns + o->min_grace_s * SECOND;
    return e;
}

static int read_receipt(const struct prune_options *o, struct prune_item *item, struct error *err)
{
    struct store *store = o->repository->store;
    if (!o->trust_receipts || store->ops->modified == NULL)
        return 0;
    _cleanup_free_ char *name = format_head_name(item->head->chain, item->head->number);
    return store->ops->modified(store, name, &item->keep.received_ns, err);
}

// A signed proof says that it was restored.
static bool is_proven(const struct records *records, const struct repository_head *head)
{
    const struct records_item *const *of_snapshot;
    size_t n = records_of(records, head, &of_snapshot);
    for (size_t i = 0; i < n; i++)
        if (of_snapshot[i]->record.kind == RECORD_PROOF && of_snapshot[i]->record.proof.is_proven && records_concerns(of_snapshot[i], head))
            return true;
    return false;
}

static int fill_item(const struct prune_options *o, const struct prune_plan *plan, const struct names *refs, struct prune_item *item, struct error *err)
{
    const struct repository_head *head = item->head;
    item->keep.number = head->number;
    item->tombstone = tombstones_giving_up(&plan->tombstones, head);
    item->gone = !has(refs, head->head.refs);
    if (item->gone && !tombstones_excuse(&plan->tombstones, head, o->clock.now_ns))
        return error_set(err, ERROR_INTEGRITY, "snapshot %llu in %s lacks its list of objects, and nobody gave it up: nothing is removed before it is known why; run `bkd check`",
                         (unsigned long long)head->number, o->repository->store->url);
    item->keep.time_ns = head->head.time_ns;
    item->keep.complete = (head->head.flags & FORMAT_INCOMPLETE) == 0;
    item->keep.suspect = suspects_is(&plan->records, head) && (o->home == NULL || suspects_is(&plan->home_records, head));
    item->keep.held = holds_is_held(&plan->records, head) || (o->home != NULL && holds_is_held(&plan->home_records, head));
    item->keep.verified = (o->verified != 0 && head->number == o->verified) || is_proven(&plan->records, head) || (o->home != NULL && is_proven(&plan->home_records, head));
    int e = item->gone || item->tombstone == NULL ? 0 : read_due(o, item, err);
    return item->gone || e < 0 ? e : read_receipt(o, item, err);
}

static int find_items(const struct prune_options *o, struct prune_plan *plan, struct error *err)
{
    struct names refs = { 0 };
    const struct repository *r = o->repository;
    int e = r->store->ops->list(r->store, "refs", note_refs, &refs, err);
    if (refs.n > 0)
        qsort(refs.items, refs.n, sizeof *refs.items, compare_hashes);
    plan->items = xcalloc(r->n_heads + 1, sizeof *plan->items);
    for (size_t i = 0; e == 0 && i < r->n_heads; i++) {
        if (!r->heads[i].valid || memcmp(r->heads[i].chain, o->chain, sizeof o->chain) != 0)
            continue;
        plan->items[plan->n].head = &r->heads[i];
        e = fill_item(o, plan, &refs, &plan->items[plan->n++], err);
    }
    free(refs.items);
    return e;
}

static bool is_to_decide(const struct prune_item *item) { return !item->gone && !item->half; }

// Those that are gone take no place in any period.
static void decide(const struct prune_options *o, struct prune_plan *plan)
{
    static const struct keep_rules none = { 0 };
    struct keep_snapshot *present = xcalloc(plan->n + 1, sizeof *present);
    size_t n = 0;
    for (size_t i = 0; i < plan->n; i++)
        if (is_to_decide(&plan->items[i]))
            present[n++] = plan->items[i].keep;
    keep_decide(o->rules == NULL ? &none : o->rules, &o->clock, present, n, &plan->keep);
    n = 0;
    for (size_t i = 0; i < plan->n; i++)
        if (is_to_decide(&plan->items[i]))
            plan->items[i].keep = present[n++];
    free(present);
}

// Without rules of its own a store does what tombstones say, but for what never goes.
static bool may_go(const struct prune_options *o, const struct prune_item *item)
{
    unsigned reasons = item->keep.reasons;
    if (item->half)
        return true;
    return o->rules != NULL ? reasons == 0 : item->tombstone != NULL && (reasons & ~(unsigned)(KEEP_ALL | KEEP_DOUBT)) == 0;
}

// What was given up, and would stay now (a hold, a wider rule, a suspect snapshot), may be on its way already.
static int find_halves(const struct prune_options *o, struct prune_plan *plan, bool *ret_found, struct error *err)
{
    int e = 0;
    *ret_found = false;
    for (size_t i = 0; e == 0 && i < plan->n; i++) {
        struct prune_item *item = &plan->items[i];
        bool is_whole;
        if (!is_to_decide(item) || item->tombstone == NULL || item->due_ns > o->clock.now_ns || may_go(o, item))
            continue;
        e = whole_check(o->repository, item->head, &is_whole, err);
        if (e < 0 || is_whole)
            continue;
        item->half = *ret_found = true;
        item->keep.reasons = 0;
    }
    return e;
}

static int decide_all(const struct prune_options *o, struct prune_plan *plan, struct error *err)
{
    int e = 0;
    for (bool again = true; e == 0 && again;) {
        decide(o, plan);
        e = find_halves(o, plan, &again, err);
    }
    return e;
}

static void count_item(const struct prune_options *o, struct prune_plan *plan, struct prune_item *item)
{
    const struct tombstone *stone = item->tombstone;
    bool goes = !item->gone && may_go(o, item), waits = goes && stone != NULL && item->due_ns > o->clock.now_ns;
    item->due = goes && stone != NULL && !waits;
    plan->gone += item->gone;
    plan->to_give_up += goes && stone == NULL;
    plan->to_revive += o->rules != NULL && !item->gone && !goes && stone != NULL;
    plan->due += item->due;
    plan->waiting += waits;
    if (waits && (plan->next_due_ns == 0 || item->due_ns < plan->next_due_ns))
        plan->next_due_ns = item->due_ns;
}

// Nights without changes have one list of objects: while a snapshot that stays has the same, there is nothing to remove.
static bool is_shared(const struct prune_plan *plan, const struct prune_item *item)
{
    for (size_t i = 0; i < plan->n; i++)
        if (!plan->items[i].gone && !plan->items[i].due && memcmp(plan->items[i].head->head.refs, item->head->head.refs, 32) == 0)
            return true;
    return false;
}

static void let_go_of_shared(struct prune_plan *plan)
{
    for (size_t i = 0; i < plan->n; i++) {
        if (!plan->items[i].due || !is_shared(plan, &plan->items[i]))
            continue;
        plan->items[i].due = false;
        plan->items[i].gone = true;
        plan->due--;
        plan->gone++;
    }
}

static int read_all(const struct prune_options *o, struct prune_plan *plan, struct error *err)
{
    uint8_t store[STORE_ID_SIZE];
    int e = records_load(o->repository, o->signers, &plan->records, err);
    if (e == 0 && o->home != NULL)
        e = records_load(o->home, o->signers, &plan->home_records, err);
    if (e < 0)
        return e;
    e = store_id_read(o->repository->store, store, err);
    if (e == 0)
        tombstones_collect(&plan->records, store, &plan->tombstones);
    return e == ERROR_NOT_FOUND ? 0 : e;
}

int prune_plan(const struct prune_options *o, struct prune_plan *ret_plan, struct error *err)
{
    _cleanup_prune_plan_ struct prune_plan plan = { 0 };
    int e = read_all(o, &plan, err);
    if (e == 0)
        e = find_items(o, &plan, err);
    if (e == 0)
        e = decide_all(o, &plan, err);
    if (e < 0)
        return e;
    for (size_t i = 0; i < plan.n; i++)
        count_item(o, &plan, &plan.items[i]);
    let_go_of_shared(&plan);
    *ret_plan = plan;
    plan = (struct prune_plan){ 0 };
    return 0;
}

void prune_plan_done(struct prune_plan *plan)
{
    free(plan->items);
    tombstones_done(&plan->tombstones);
    records_done(&plan->records);
    records_done(&plan->home_records);
    *plan = (struct prune_plan){ 0 };
}

// ---- the clock

int prune_check_clock(const struct prune_options *o, const struct prune_plan *plan, bool clock_is_right, struct error *err)
{
    uint64_t latest = 0, now = o->clock.now_ns;
    char then[CLOCK_TEXT_MAX], here[CLOCK_TEXT_MAX];
    for (size_t i = 0; i < o->repository->n_heads; i++)
        if (o->repository->heads[i].valid && o->repository->heads[i].head.time_ns > latest)
            latest = o->repository->heads[i].head.time_ns;
    for (size_t i = 0; i < plan->records.n; i++)
        if (plan->records.items[i].valid && plan->records.items[i].record.time_ns > latest)
            latest = plan->records.items[i].record.time_ns;
    clock_format_utc(then, latest, false);
    clock_format_utc(here, now, false);
    if (latest > now && !clock_is_right)
        return error_set(err, ERROR_FAILED, "this host's clock says %s, but the newest snapshot or record says %s: nothing is removed by a clock that may be wrong; set it right "
                         "(`timedatectl` shows it), or when it is right: --clock-is-right", here, then);
    if (latest > 0 && now > latest + YEAR_NS && !clock_is_right)
        return error_set(err, ERROR_FAILED, "this host's clock says %s, more than a year after the newest snapshot (%s): nothing is removed by a clock that may be wrong; make a "
                         "backup, set the clock right, or when it is right: --clock-is-right", here, then);
    return 0;
}

// ---- giving up and taking back

// Adds what is given up (or taken back) of the plan from *at on, as many as one record names.
static void fill_record(const struct prune_options *o, const struct prune_plan *plan, size_t *at, struct record *record)
{
    bool revive = record->kind == RECORD_REVIVE;
    record->snapshots = xcalloc(RECORD_SNAPSHOTS_MAX, sizeof *record->snapshots);
    record->holds = xcalloc(RECORD_SNAPSHOTS_MAX, sizeof *record->holds);
    for (; *at < plan->n && record->n_snapshots < RECORD_SNAPSHOTS_MAX; ++*at) {
        const struct prune_item *item = &plan->items[*at];
        if (item->gone || may_go(o, item) == revive || (item->tombstone != NULL) != revive)
            continue;
        struct record_snapshot *s = &record->snapshots[record->n_snapshots++];
        s->number = item->head->number;
        memcpy(s->head, item->head->sha256, sizeof s->head);
        size_t k = 0;
        while (revive && k < record->n_holds && memcmp(record->holds[k], item->tombstone->sha256, 32) != 0)
            k++;
        if (revive && k == record->n_holds)
            memcpy(record->holds[record->n_holds++], item->tombstone->sha256, 32);
    }
}

static int write_records(const struct prune_options *o, const struct prune_plan *plan, const struct prune_giving *g, const uint8_t store[STORE_ID_SIZE],
                         enum record_kind kind, struct error *err)
{
    int e = 0;
    for (size_t at = 0; e == 0;) {
        _cleanup_record_ struct record record = { .kind = kind, .time_ns = o->clock.now_ns };
        record.after_ns = o->clock.now_ns + (g->grace_s + 1) * SECOND; // records tell whole seconds
        memcpy(record.store, store, sizeof record.store);
        memcpy(record.chain, o->chain, sizeof record.chain);
        (void)snprintf(record.by, sizeof record.by, "%s", g->by);
        (void)snprintf(record.reason, sizeof record.reason, "%s", g->reason);
        fill_record(o, plan, &at, &record);
        if (record.n_snapshots == 0)
            break;
        e = records_append_several(o->home == NULL ? o->repository : o->home, o->signers, g->key, &record, err);
    }
    return e;
}

int prune_give_up(const struct prune_options *o, const struct prune_plan *plan, const struct prune_giving *g, struct error *err)
{
    uint8_t store[STORE_ID_SIZE];
    if (o->rules == NULL || plan->to_give_up + plan->to_revive == 0)
        return 0;
    int e = store_id_ensure(o->repository->io, o->repository->store, store, err);
    if (e == 0 && plan->to_revive > 0)
        e = write_records(o, plan, g, store, RECORD_REVIVE, err);
    if (e == 0 && plan->to_give_up > 0)
        e = write_records(o, plan, g, store, RECORD_TOMBSTONE, err);
    return e;
}
