#include "bkd/engine/prune.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/repo/heads.h"
#include "bkd/repo/run_markers.h"

#define LEFTOVER_NS (UINT64_C(7) * 86400 * 1000000000) // a run that was cut off finds what it stored for so long

enum { REFS_AT_ONCE = 32 };

// A stored file, and who needs it.
struct stored {
    uint8_t sha256[32];
    uint64_t size_bytes;
    bool needed; // by a snapshot that stays
    bool due;    // by one that goes
};

struct files {
    struct stored *items; // sorted by hash
    size_t n;
};

struct removal {
    const struct prune_options *options;
    const struct prune_plan *plan;
    const struct repository *repository;
    struct run_markers runs;
    struct files objects, refs;
    struct prune_removed *removed;
    uint64_t last_arrival_ns; // of heads
};

// ---- what is stored

static void add_file(struct files *files, const uint8_t sha256[32], uint64_t size)
{
    if ((files->n & (files->n - 1)) == 0) // grows at powers of two
        files->items = xrealloc(files->items, (files->n == 0 ? 1 : 2 * files->n) * sizeof *files->items);
    files->items[files->n] = (struct stored){ .size_bytes = size };
    memcpy(files->items[files->n++].sha256, sha256, 32);
}

// "objects/ab/ab….tar.zst[.age]"
static int note_object(void *arg, const char *name, uint64_t size, struct error *err)
{
    struct removal *r = arg;
    uint8_t sha256[32];
    (void)err;
    if (strlen(name) < 11 + 64 || !parse_hex(name + 11, 64, sha256, sizeof sha256))
        return 0;
    _cleanup_free_ char *expected = format_object_name(sha256, r->repository->info.encrypted);
    if (strcmp(expected, name) == 0)
        add_file(&r->objects, sha256, size);
    return 0;
}

static int note_refs(void *arg, const char *name, uint64_t size, struct error *err)
{
    struct removal *r = arg;
    uint8_t sha256[32];
    (void)err;
    if (strncmp(name, "refs/", 5) == 0 && parse_hex(name + 5, strlen(name + 5), sha256, sizeof sha256))
        add_file(&r->refs, sha256, size);
    return 0;
}

static int compare_stored(const void *a, const void *b) { return memcmp(((const struct stored *)a)->sha256, ((const struct stored *)b)->sha256, 32); }

static int list_files(struct removal *r, struct error *err)
{
    struct store *store = r->repository->store;
    int e = store->ops->list(store, "objects", note_object, r, err);
    if (e == 0)
        e = store->ops->list(store, "refs", note_refs, r, err);
    if (r->objects.n > 0)
        qsort(r->objects.items, r->objects.n, sizeof *r->objects.items, compare_stored);
    if (r->refs.n > 0)
        qsort(r->refs.items, r->refs.n, sizeof *r->refs.items, compare_stored);
    return e;
}

static struct stored *find(const struct files *files, const uint8_t sha256[32])
{
    struct stored key;
    memcpy(key.sha256, sha256, sizeof key.sha256);
    return files->n == 0 ? NULL : bsearch(&key, files->items, files->n, sizeof *files->items, compare_stored);
}

// ---- who needs it

static int compare_heads(const void *head, const void *item)
{
    const struct repository_head *a = head, *b = ((const struct prune_item *)item)->head;
    return a < b ? -1 : a > b;
}

// The plan's items are in the order of the repository's heads.
static bool is_due(const struct removal *r, const struct repository_head *head)
{
    const struct prune_plan *plan = r->plan;
    const struct prune_item *item = plan->n == 0 ? NULL : bsearch(head, plan->items, plan->n, sizeof *plan->items, compare_heads);
    return item != NULL && item->due && !run_markers_need(&r->runs, head);
}

static void mark(struct removal *r, const struct format_head *head, const struct format_refs *refs, bool due)
{
    struct stored *file = find(&r->refs, head->refs);
    *(due ? &file->due : &file->needed) = true;
    for (size_t i = 0; i < refs->n; i++) {
        file = find(&r->objects, refs->refs[i].sha256);
        if (file == NULL)
            continue; // of one that goes: the time before got so far. Of others: `bkd check` tells
        *(due ? &file->due : &file->needed) = true;
        file->size_bytes = refs->refs[i].stored_size;
    }
}

// Refs of a snapshot that stays must be read: what is not known to be needed would be removed.
static int mark_some(struct removal *r, const struct format_head *const *heads, const bool *due, size_t n, struct error *err)
{
    struct repository_refs found[REFS_AT_ONCE] = { 0 };
    int e = repository_read_refs_many(r->repository, heads, n, found, err);
    for (size_t i = 0; i < n; i++) {
        if (e == 0 && found[i].result == 0)
            mark(r, heads[i], &found[i].refs, due[i]);
        else if (e == 0)
            e = error_set(err, (enum error_code)found[i].result, "%s; nothing was removed, run `bkd check`", found[i].why);
        repository_refs_done(&found[i]);
    }
    return e;
}

static void scratch_done(struct repository_head *scratch)
{
    free(scratch->problem);
    format_head_done(&scratch->head);
    *scratch = (struct repository_head){ 0 };
}

// A head that is void for this reader may be one that another signers file believes: what it names stays. *ret_head is NULL when it says nothing at all.
static int unsigned_head(struct removal *r, const struct repository_head *head, struct repository_head *scratch, const struct format_head **ret_head, struct error *err)
{
    _cleanup_buf_ struct buf file = { 0 };
    _cleanup_free_ char *name = format_head_name(head->chain, head->number);
    scratch_done(scratch);
    memcpy(scratch->chain, head->chain, sizeof scratch->chain);
    scratch->number = head->number;
    int e = store_get_all(r->repository->store, name, FORMAT_HEAD_MAX, &file, err);
    if (e == 0)
        heads_judge(r->repository, NULL, file.data, file.len, scratch);
    *ret_head = scratch->valid ? &scratch->head : NULL;
    return e == ERROR_FORMAT || e == ERROR_NOT_FOUND ? 0 : e;
}

// Heads whose refs are read together.
struct batch {
    const struct format_head *heads[REFS_AT_ONCE];
    struct repository_head scratch[REFS_AT_ONCE]; // of those that are void
    bool due[REFS_AT_ONCE];
    size_t n;
};

static int take_head(struct removal *r, const struct repository_head *head, struct batch *batch, struct error *err)
{
    const struct format_head *text = &head->head;
    int e = head->valid ? 0 : unsigned_head(r, head, &batch->scratch[batch->n], &text, err);
    if (e < 0 || text == NULL)
        return e;
    if (find(&r->refs, text->refs) == NULL)
        return !head->valid || tombstones_excuse(&r->plan->tombstones, head, r->options->clock.now_ns)
                   ? 0
                   : error_set(err, ERROR_INTEGRITY, "snapshot %llu of policy %s on %s lacks its list of objects, and nobody gave it up; nothing was removed, run `bkd check`",
                               (unsigned long long)head->number, text->policy, text->host);
    batch->heads[batch->n] = text;
    batch->due[batch->n++] = is_due(r, head);
    return 0;
}

static int mark_all(struct removal *r, struct error *err)
{
    struct batch batch = { 0 };
    int e = 0;
    for (size_t i = 0; e == 0 && i < r->repository->n_heads; i++) {
        e = take_head(r, &r->repository->heads[i], &batch, err);
        if (e == 0 && (batch.n == REFS_AT_ONCE || i + 1 == r->repository->n_heads)) {
            e = mark_some(r, batch.heads, batch.due, batch.n, err);
            batch.n = 0;
        }
    }
    for (size_t i = 0; i < REFS_AT_ONCE; i++)
        scratch_done(&batch.scratch[i]);
    return e;
}

// ---- removing

static int check_interrupted(const struct removal *r, struct error *err)
{
    if (r->options->interrupted != NULL && r->options->interrupted())
        return error_set(err, ERROR_FAILED, "interrupted; the next time goes on from there");
    return 0;
}

static int remove_file(struct removal *r, const char *name, uint64_t size, struct error *err)
{
    int e = check_interrupted(r, err);
    if (e < 0)
        return e;
    e = r->repository->store->ops->remove(r->repository->store, name, err);
    if (e == 0 && r->options->progress != NULL)
        r->options->progress(r->options->arg, 1, size);
    return e == ERROR_NOT_FOUND ? 0 : e; // somebody else removes, too
}

static int remove_due(struct removal *r, struct error *err)
{
    int e = 0;
    for (size_t i = 0; e == 0 && i < r->objects.n; i++) {
        const struct stored *o = &r->objects.items[i];
        _cleanup_free_ char *name = o->due && !o->needed ? format_object_name(o->sha256, r->repository->info.encrypted) : NULL;
        if (name == NULL)
            continue;
        e = remove_file(r, name, o->size_bytes, err);
        r->removed->objects += e == 0;
        r->removed->bytes += e == 0 ? o->size_bytes : 0;
    }
    for (size_t i = 0; e == 0 && i < r->refs.n; i++) { // last: while they are there, the next time knows what is to go
        const struct stored *refs = &r->refs.items[i];
        _cleanup_free_ char *name = refs->due && !refs->needed ? format_refs_name(refs->sha256) : NULL;
        if (name != NULL)
            e = remove_file(r, name, 0, err);
    }
    return e;
}

// ---- what runs that were killed left

static bool modified(const struct removal *r, const char *name, uint64_t *ret_ns)
{
    struct store *store = r->repository->store;
    struct error ignored;
    return store->ops->modified != NULL && store->ops->modified(store, name, ret_ns, &ignored) == 0;
}

// When the last head got here, by the place's own clock: what came later may be of a run or a shipping under way, whatever this host's clock says.
static uint64_t find_last_arrival(const struct removal *r)
{
    const struct repository *repository = r->repository;
    uint64_t last = 0, arrived;
    for (size_t i = 0; i < repository->n_heads; i++) {
        bool is_newest = i + 1 == repository->n_heads || memcmp(repository->heads[i].chain, repository->heads[i + 1].chain, sizeof repository->heads[i].chain) != 0;
        _cleanup_free_ char *name = is_newest ? format_head_name(repository->heads[i].chain, repository->heads[i].number) : NULL;
        if (name != NULL && modified(r, name, &arrived) && arrived > last)
            last = arrived;
    }
    return last;
}

static bool is_old(const struct removal *r, const char *name)
{
    uint64_t then_ns;
    return modified(r, name, &then_ns) && then_ns + LEFTOVER_NS < r->options->clock.now_ns && then_ns + LEFTOVER_NS < r->last_arrival_ns;
}

static int count_head(void *arg, const char *name, uint64_t size, struct error *err)
{
    const char *slash = strrchr(name, '/');
    uint64_t number;
    (void)size, (void)err;
    *(size_t *)arg += slash != NULL && parse_u64(slash + 1, strlen(slash + 1), INT64_MAX, &number) && number > 0;
    return 0;
}

// A run that began, or ended, since this prune looked may need what a killed one left: it goes on from there. Markers first: a run makes its head, then takes
// its marker away.
static int is_anybody_at_work(struct removal *r, bool *ret_at_work, struct error *err)
{
    _cleanup_run_markers_ struct run_markers runs = { 0 };
    size_t heads = 0;
    int e = run_markers_load(r->repository, r->options->clock.now_ns, &runs, err);
    if (e == 0)
        e = r->repository->store->ops->list(r->repository->store, "heads", count_head, &heads, err);
    *ret_at_work = run_markers_any_alive(&runs) || heads != r->repository->n_heads;
    return e;
}

static int remove_left_object(struct removal *r, struct stored *o, const char *name, struct error *err)
{
    if (o->size_bytes == UINT64_MAX && r->repository->store->ops->size(r->repository->store, name, &o->size_bytes, err) < 0)
        o->size_bytes = 0;
    int e = remove_file(r, name, o->size_bytes, err);
    r->removed->left_objects += e == 0;
    r->removed->left_bytes += e == 0 ? o->size_bytes : 0;
    return e;
}

static int remove_leftovers(struct removal *r, struct error *err)
{
    int e = 0;
    bool at_work = run_markers_any_alive(&r->runs);
    r->last_arrival_ns = find_last_arrival(r);
    for (size_t i = 0; e == 0 && !at_work && i < r->objects.n; i++) {
        struct stored *o = &r->objects.items[i];
        _cleanup_free_ char *name = o->needed || o->due ? NULL : format_object_name(o->sha256, r->repository->info.encrypted);
        if (name == NULL || !is_old(r, name))
            continue;
        e = is_anybody_at_work(r, &at_work, err);
        if (e == 0 && !at_work)
            e = remove_left_object(r, o, name, err);
    }
    for (size_t i = 0; e == 0 && !at_work && i < r->refs.n; i++) {
        const struct stored *refs = &r->refs.items[i];
        _cleanup_free_ char *name = refs->needed || refs->due ? NULL : format_refs_name(refs->sha256);
        if (name == NULL || !is_old(r, name))
            continue;
        e = is_anybody_at_work(r, &at_work, err);
        if (e == 0 && !at_work)
            e = remove_file(r, name, 0, err);
    }
    for (size_t i = 0; e == 0 && !at_work && i < r->runs.n; i++)
        if (is_old(r, r->runs.items[i].name))
            e = remove_file(r, r->runs.items[i].name, 0, err);
    return e;
}

// A place that lets nothing be removed answers so at the first file: that is how a copy should be, and no failure.
static int take_refusal(struct removal *r, int e, const struct error *err)
{
    bool nothing = r->removed->objects + r->removed->left_objects == 0;
    struct error ignored;
    if (e != ERROR_FAILED || !nothing || !r->repository->store->far || check_interrupted(r, &ignored) < 0)
        return e;
    r->removed->refused = true;
    r->removed->why = *err;
    return 0;
}

int prune_remove(const struct prune_options *options, const struct prune_plan *plan, struct prune_removed *ret_removed, struct error *err)
{
    *ret_removed = (struct prune_removed){ 0 };
    struct removal r = { .options = options, .plan = plan, .repository = options->repository, .removed = ret_removed };
    int e = run_markers_load(r.repository, options->clock.now_ns, &r.runs, err);
    if (e == 0)
        e = list_files(&r, err);
    if (e == 0)
        e = mark_all(&r, err);
    if (e == 0)
        e = take_refusal(&r, remove_due(&r, err), err);
    if (e == 0 && !ret_removed->refused)
        e = take_refusal(&r, remove_leftovers(&r, err), err);
    for (size_t i = 0; e == 0 && !ret_removed->refused && i < plan->n; i++)
        ret_removed->snapshots += is_due(&r, plan->items[i].head);
    free(r.objects.items);
    free(r.refs.items);
    run_markers_done(&r.runs);
    return e;
}
