#include "bkd/history/cataloguing.h"

#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/log.h"
#include "bkd/history/proofs.h"
#include "bkd/host/remembered.h"
#include "bkd/record/copies.h"
#include "bkd/record/snapshots.h"
#include "bkd/repo/suspects.h"

#define CHAIN_SIZE 16
#define NS_PER_S UINT64_C(1000000000)

static int add_head(struct catalogue *c, const struct setup *s, const struct repository_head *head, const struct records *records, struct error *err)
{
    char chain[2 * CHAIN_SIZE + 1], sha256[65];
    format_hex(chain, head->chain, CHAIN_SIZE);
    format_hex(sha256, head->sha256, sizeof head->sha256);
    const struct format_head *h = &head->head;
    struct snapshot_record record = {
        .policy = s->policy.name, .chain = chain, .number = head->number, .time_ns = h->time_ns, .host = h->host, .head_sha256 = sha256, .tag = h->tag,
        .files = h->files, .bytes_source = h->bytes, .bytes_stored = h->stored, .is_incomplete = (h->flags & FORMAT_INCOMPLETE) != 0,
        .is_suspect = suspects_is(records, head),
    };
    return snapshots_add(c, &record, NULL, err);
}

static int add_heads(struct catalogue *c, const struct setup *s, const struct repository *repository, const uint8_t chain[CHAIN_SIZE], uint64_t *ret_snapshots,
                     struct copy *ret_repository, struct error *err)
{
    int r = 0;
    _cleanup_records_ struct records records = { 0 }; // which suspect ones were accepted, and what was proven
    *ret_snapshots = 0;
    if (repository->store != NULL)
        r = records_load(repository, buf_str(&s->signers), &records, err);
    if (r == 0)
        r = proofs_import(c, &s->policy, "", &records, chain, err);
    for (size_t i = 0; r == 0 && i < repository->n_heads; i++) {
        const struct repository_head *head = &repository->heads[i];
        if (!head->valid || memcmp(head->chain, chain, CHAIN_SIZE) != 0)
            continue;
        ++*ret_snapshots;
        ret_repository->snapshot = head->number; // they are sorted
        ret_repository->snapshot_time_ns = ret_repository->arrived_ns = head->head.time_ns;
        r = add_head(c, s, head, &records, err);
    }
    return r;
}

// Where it came from when, as far as the place itself tells.
static int add_copy(struct catalogue *c, const uint8_t chain[CHAIN_SIZE], const struct copy *copy, struct error *err)
{
    int64_t id = 0;
    char text[2 * CHAIN_SIZE + 1];
    format_hex(text, chain, CHAIN_SIZE);
    int r = copies_set(c, copy, &id, err);
    if (r < 0 || copy->snapshot == 0)
        return r;
    return snapshots_arrived_up_to(c, copy->policy, text, copy->snapshot, id, copy->arrived_ns, err);
}

static int add_receipts(struct catalogue *c, const struct setup *s, const uint8_t chain[CHAIN_SIZE], const struct receipts *receipts, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < receipts->n; i++) {
        const struct receipt *receipt = &receipts->items[i];
        if (receipt->chain[0] != '\0')
            continue; // only looked at, by a host that brings nothing there: its repository, which has its row
        struct copy copy = {
            .policy = s->policy.name, .url = receipt->url, .serial = receipt->serial, .role = COPY_OFFSITE, .snapshot = receipt->snapshot,
            .snapshot_time_ns = receipt->snapshot_time_ns, .arrived_ns = receipt->shipped_ns, .failing_since_ns = receipt->failing_since_ns,
            .failures = receipt->failures, .problem = receipt->problem,
        };
        r = add_copy(c, chain, &copy, err);
    }
    return r;
}

static int add_all(struct catalogue *c, const struct setup *s, const struct cataloguing_place *place, const struct repository *repository,
                   const uint8_t chain[CHAIN_SIZE], const struct receipts *receipts, uint64_t *ret_snapshots, struct error *err)
{
    struct copy copy = { .policy = s->policy.name, .url = place->url, .role = place->role };
    int r = add_heads(c, s, repository, chain, ret_snapshots, &copy, err);
    if (r == 0)
        r = add_copy(c, chain, &copy, err);
    return r < 0 ? r : add_receipts(c, s, chain, receipts, err);
}

int cataloguing_all(struct catalogue *c, const struct setup *s, const struct cataloguing_place *place, const struct repository *repository, const uint8_t chain[16],
                    const struct receipts *receipts, uint64_t *ret_snapshots, struct error *err)
{
    int r = catalogue_begin(c, err);
    return r < 0 ? r : catalogue_end(c, add_all(c, s, place, repository, chain, receipts, ret_snapshots, err), err);
}

static struct cataloguing_place repository_of(const struct setup *s) { return (struct cataloguing_place){ .url = s->policy.repository.url, .role = COPY_REPOSITORY }; }

static void tell(const struct setup *s, const struct error *err)
{
    log_warn("policy %s: the catalogue does not know of the newest snapshots and copies yet: %s. The next backup catches up, or `bkd catalogue rebuild`", s->policy.name,
             err->text);
}

void cataloguing_copies(const struct setup *s, const struct repository *repository, const uint8_t chain[16], const struct receipts *receipts)
{
    _cleanup_catalogue_ struct catalogue c = { 0 };
    struct error err;
    uint64_t snapshots;
    struct cataloguing_place place = repository_of(s);
    int r = catalogue_open(s->ctx->io, s->ctx->state_dir, CATALOGUE_WRITE, &c, &err);
    if (r == 0)
        r = cataloguing_all(&c, s, &place, repository, chain, receipts, &snapshots, &err);
    if (r < 0)
        tell(s, &err);
}

static int import_own(struct catalogue *c, const struct setup *s, const struct repository *repository, const uint8_t chain[16], struct error *err)
{
    _cleanup_records_ struct records records = { 0 };
    int r = records_load(repository, buf_str(&s->signers), &records, err);
    return r < 0 ? r : proofs_import(c, &s->policy, "", &records, chain, err);
}

void cataloguing_proofs(const struct setup *s, const struct repository *repository, struct store *copy, const uint8_t chain[16])
{
    _cleanup_catalogue_ struct catalogue c = { 0 };
    struct error err;
    int r = catalogue_open(s->ctx->io, s->ctx->state_dir, CATALOGUE_WRITE, &c, &err);
    if (r == 0 && copy == NULL)
        r = import_own(&c, s, repository, chain, &err);
    else if (r == 0)
        r = proofs_import_copy(&c, &s->policy, repository, copy, buf_str(&s->signers), chain, &err);
    if (r < 0)
        log_warn("policy %s: what other hosts proved at '%s' is not taken in: %s", s->policy.name, copy == NULL ? repository->store->url : copy->url, err.text);
}

// The head as the run that made it knows it, without reading the repository again.
static struct repository_head head_of(const struct setup *s, const struct backup_result *result, const char *tag)
{
    struct repository_head head = { .number = result->snapshot, .valid = true };
    memcpy(head.chain, result->chain, sizeof head.chain);
    memcpy(head.sha256, result->head_sha256, sizeof head.sha256);
    head.head.time_ns = result->time_ns;
    head.head.files = result->files;
    head.head.bytes = result->bytes_source;
    head.head.stored = result->bytes_stored;
    head.head.flags = (result->complete ? 0u : FORMAT_INCOMPLETE) | (result->night.suspect ? FORMAT_SUSPECT : 0u);
    (void)memccpy(head.head.host, s->host, '\0', sizeof head.head.host - 1);
    (void)memccpy(head.head.tag, tag == NULL ? "" : tag, '\0', sizeof head.head.tag - 1);
    return head;
}

static int add_newest(struct catalogue *c, const struct setup *s, const struct backup_result *result, const char *tag, struct error *err)
{
    struct repository_head head = head_of(s, result, tag);
    struct repository one = { .heads = &head, .n_heads = 1 };
    struct receipts none = { 0 };
    struct cataloguing_place place = repository_of(s);
    uint64_t snapshots;
    return cataloguing_all(c, s, &place, &one, result->chain, &none, &snapshots, err);
}

static int catch_up(struct catalogue *c, const struct setup *s, struct error *err)
{
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_receipts_ struct receipts receipts = { .lock_fd = -1 };
    uint8_t chain[CHAIN_SIZE];
    uint64_t snapshots;
    struct cataloguing_place place = repository_of(s);
    int r = setup_open_repository(s, &repository, err);
    if (r == 0)
        r = setup_find_chain(s, repository, chain, err);
    if (r == 0)
        r = receipts_open(s->ctx->io, s->ctx->state_dir, s->policy.name, false, &receipts, err);
    return r < 0 ? r : cataloguing_all(c, s, &place, repository, chain, &receipts, &snapshots, err);
}

static int note_schedule(struct catalogue *c, const struct setup *s, struct error *err)
{
    static const char *const actions[] = { "backup", "verify" };
    int64_t ignored, now_s = (int64_t)(io_realtime_ns(s->ctx->io) / NS_PER_S);
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof actions / sizeof *actions; i++)
        r = remembered_schedule(c, &s->policy, actions[i], now_s, &ignored, err);
    return r;
}

void cataloguing_schedule(const struct setup *s)
{
    _cleanup_catalogue_ struct catalogue c = { 0 };
    struct error err;
    if (s->policy.schedule.count + s->policy.verify.schedule.count == 0)
        return;
    int r = catalogue_open(s->ctx->io, s->ctx->state_dir, CATALOGUE_WRITE, &c, &err);
    if (r == 0)
        r = note_schedule(&c, s, &err);
    if (r < 0)
        log_warn("policy %s: since when its schedule holds is not in the catalogue: %s. It counts from when the daemon or `bkd run --due` first sees it", s->policy.name, err.text);
}

void cataloguing_snapshot(const struct setup *s, const struct backup_result *result, const char *tag)
{
    _cleanup_catalogue_ struct catalogue c = { 0 };
    char chain[2 * CHAIN_SIZE + 1];
    uint64_t highest = 0;
    struct error err;
    format_hex(chain, result->chain, CHAIN_SIZE);
    int r = catalogue_open(s->ctx->io, s->ctx->state_dir, CATALOGUE_WRITE, &c, &err);
    if (r == 0)
        r = snapshots_highest(&c, s->policy.name, chain, &highest, &err);
    if (r == 0 && highest == 0 && result->snapshot > 1)
        log_info("policy %s: the catalogue is new here, and earlier runs are not in it; `bkd catalogue rebuild -i IDENTITY` brings back what was exported beside the repository",
                 s->policy.name);
    if (r == 0)
        r = highest + 1 < result->snapshot ? catch_up(&c, s, &err) : add_newest(&c, s, result, tag, &err);
    if (r == 0)
        r = note_schedule(&c, s, &err);
    if (r < 0)
        tell(s, &err);
}
