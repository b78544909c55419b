#include "bkd/engine/replicate.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/engine/replicate_send.h"
#include "bkd/repo/exports.h"
#include "bkd/repo/proof.h"
#include "bkd/repo/record.h"
#include "bkd/repo/tombstones.h"

#define NAME_REPOSITORY "bkd-repository"

struct replicate {
    const struct io *io;
    const struct replicate_options *options;
    const struct repository *from;
    struct store *to;
    struct replicate_result *result;
    struct replicate_send *send;
    struct tombstones gone, gone_there; // what need not be here, and at the copy
    uint64_t now_ns;
    uint64_t total_bytes, total_snapshots;
};

static bool is_interrupted(const struct replicate *r) { return r->options->interrupted != NULL && r->options->interrupted(); }

static void tell(const struct replicate *r)
{
    if (r->options->progress != NULL)
        r->options->progress(r->options->arg, r->result->bytes, r->total_bytes, r->result->snapshots, r->total_snapshots);
}

// ---- one snapshot

// `before`: refs of a snapshot that the copy has, or no refs.
static bool is_new(const struct format_ref *ref, const struct format_refs *before)
{
    const struct format_ref *old = format_refs_find(before, ref->object);
    return old == NULL || memcmp(old->sha256, ref->sha256, sizeof ref->sha256) != 0;
}

// Which of a snapshot's objects the copy lacks.
struct presence {
    const struct replicate *r;
    const struct format_refs *refs;
    const size_t *index; // of each name that is asked for, in refs
    bool *is_missing;    // beside refs
};

static int note_presence(void *arg, size_t index, const struct store_found *found, struct error *err)
{
    struct presence *p = arg;
    const struct format_ref *ref = &p->refs->refs[p->index[index]];
    p->is_missing[p->index[index]] = found->result == ERROR_NOT_FOUND;
    if (found->result == 0 && found->size != ref->stored_size) {
        _cleanup_free_ char *name = format_object_name(ref->sha256, p->r->from->info.encrypted);
        return error_set(err, ERROR_INTEGRITY, "'%s' in %s has %llu bytes instead of %llu: it is damaged; move it away and ship again", name, p->r->to->url,
                         (unsigned long long)found->size, (unsigned long long)ref->stored_size);
    }
    if (found->result < 0 && found->result != ERROR_NOT_FOUND)
        *err = *found->why;
    return found->result == ERROR_NOT_FOUND ? 0 : found->result;
}

// Of those that are not among `before` (NULL: of all).
static int find_missing(const struct replicate *r, const struct format_refs *refs, const struct format_refs *before, bool *ret_missing, struct error *err)
{
    char **names = xcalloc(refs->n + 1, sizeof *names);
    size_t *index = xcalloc(refs->n + 1, sizeof *index), n = 0;
    for (size_t i = 0; i < refs->n; i++)
        if (before == NULL || is_new(&refs->refs[i], before)) {
            index[n] = i;
            names[n++] = format_object_name(refs->refs[i].sha256, r->from->info.encrypted);
        }
    struct presence presence = { r, refs, index, ret_missing };
    struct store_many many = { .names = (const char *const *)names, .n = n, .visit = note_presence, .arg = &presence };
    int e = store_get_many(r->to, &many, err);
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
    free(index);
    return e;
}

// What stands at the copy under a name that none of its heads names came from a run that did not end, perhaps because it was not kept as it was sent.
static int prove_present(const struct replicate *r, const struct format_refs *refs, const struct format_refs *before, const bool *is_missing, struct error *err)
{
    int e = 0;
    for (size_t i = 0; e == 0 && i < refs->n; i++) {
        const struct format_ref *ref = &refs->refs[i];
        enum proof_way way;
        if (is_missing[i] || !is_new(ref, before))
            continue;
        if (is_interrupted(r))
            return error_set(err, ERROR_FAILED, "interrupted; the next run goes on from there");
        _cleanup_free_ char *name = format_object_name(ref->sha256, r->from->info.encrypted);
        e = proof_object(r->to, name, ref->stored_size, ref->sha256, true, &way, err);
        if (e == ERROR_INTEGRITY)
            (void)error_prefix(err, "'%s' in %s is not as it was sent; move it away there and ship again", name, r->to->url);
    }
    return e;
}

static int send_missing(struct replicate *r, const struct format_refs *refs, const bool *is_missing, struct error *err)
{
    int e = 0;
    for (size_t i = 0; e == 0 && i < refs->n; i++) {
        if (!is_missing[i])
            continue;
        if (is_interrupted(r))
            return error_set(err, ERROR_FAILED, "interrupted; the copy has all that was brought whole, and the next run goes on from there");
        e = replicate_send_object(r->send, &refs->refs[i], err);
        tell(r);
    }
    if (e == 0)
        e = replicate_send_objects_end(r->send, err);
    tell(r);
    return e;
}

static int bring_objects(struct replicate *r, const struct format_refs *refs, const struct format_refs *before, struct error *err)
{
    bool *is_missing = xcalloc(refs->n + 1, sizeof *is_missing);
    int e = find_missing(r, refs, before, is_missing, err);
    if (e == 0 && r->options->prove_present)
        e = prove_present(r, refs, before, is_missing, err);
    if (e == 0)
        e = send_missing(r, refs, is_missing, err);
    free(is_missing);
    return e;
}

// What comes next is stored as differences to these objects: a snapshot on top of what is not there would be none.
static int bring_lost_objects(struct replicate *r, const struct format_refs *refs, struct error *err)
{
    bool *is_missing = xcalloc(refs->n + 1, sizeof *is_missing);
    int e = find_missing(r, refs, NULL, is_missing, err);
    for (size_t i = 0; e == 0 && i < refs->n; i++)
        r->result->lost_objects += is_missing[i];
    if (e == 0 && !r->options->dry_run)
        e = send_missing(r, refs, is_missing, err);
    free(is_missing);
    return e;
}

// ---- records

struct names {
    char **items;
    size_t n;
};

static int note_name(void *arg, const char *name, uint64_t size, struct error *err)
{
    struct names *names = arg;
    (void)size, (void)err;
    names->items = xrealloc(names->items, (names->n + 1) * sizeof *names->items);
    names->items[names->n++] = xstrdup(name);
    return 0;
}

static void names_done(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->items[i]);
    free(names->items);
}
#define _cleanup_names_ __attribute__((cleanup(names_done)))

// By length first: the numbers of one signer, in the order in which they were given.
static int compare_names(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    size_t m = strlen(x), n = strlen(y);
    return m != n ? (m < n ? -1 : 1) : strcmp(x, y);
}

static int list_sorted(struct store *store, const char *dir, struct names *ret_names, struct error *err)
{
    int e = store->ops->list(store, dir, note_name, ret_names, err);
    if (e == 0 && ret_names->n > 1)
        qsort(ret_names->items, ret_names->n, sizeof *ret_names->items, compare_names);
    return e;
}

// Small files that are never changed: those that the copy lacks.
static int bring_dir(struct replicate *r, const char *dir, size_t max, uint64_t *count, struct error *err)
{
    _cleanup_names_ struct names here = { 0 }, there = { 0 };
    int e = list_sorted(r->from->store, dir, &here, err);
    if (e == 0)
        e = list_sorted(r->to, dir, &there, err);
    for (size_t i = 0; e == 0 && i < here.n; i++) {
        if (there.n > 0 && bsearch(&here.items[i], there.items, there.n, sizeof *there.items, compare_names) != NULL)
            continue;
        if (!r->options->dry_run)
            e = replicate_send_file(r->send, here.items[i], max, false, err);
        *count += e == 0;
    }
    return e;
}

static int bring_records(struct replicate *r, struct error *err) { return bring_dir(r, "records", FORMAT_SIGNED_MAX, &r->result->records, err); }

// A copy of everything has the catalogue's exports, too. (A shipped one gets the newest: exports_copy.)
static int bring_exports(struct replicate *r, struct error *err)
{
    uint64_t count = 0;
    return bring_dir(r, "catalogue", EXPORTS_MAX, &count, err);
}

int replicate_records(const struct io *io, const struct repository *from, struct store *to, uint64_t *ret_brought, struct error *err)
{
    const struct replicate_options options = { .from = from, .to = to };
    struct replicate_result result = { 0 };
    struct replicate r = { .io = io, .options = &options, .from = from, .to = to, .result = &result };
    r.send = replicate_send_new(io, from, to, PROOF_NONE, &result);
    int e = bring_records(&r, err);
    if (e == 0)
        e = replicate_send_flush(r.send, err);
    replicate_send_free(r.send);
    *ret_brought = result.records;
    return e;
}

// ---- the repository itself

// The same one, or none yet: then it is the last of what makes a repository of the place.
static int bring_description(struct replicate *r, struct error *err)
{
    static const char *const by_hand[] = { "recover.sh", "recover.sh.sig", "RECOVER.txt", "RECOVER.txt.sig" };
    _cleanup_buf_ struct buf here = { 0 }, there = { 0 };
    struct error why;
    int e = store_get_all(r->to, NAME_REPOSITORY, FORMAT_SIGNED_MAX, &there, &why);
    if (e == 0)
        e = store_get_all(r->from->store, NAME_REPOSITORY, FORMAT_SIGNED_MAX, &here, &why);
    if (e == 0)
        return there.len == here.len && memcmp(there.data, here.data, here.len) == 0
                   ? 0
                   : error_set(err, ERROR_INTEGRITY, "'%s' in %s is not that of %s", NAME_REPOSITORY, r->to->url, r->from->store->url);
    if (e != ERROR_NOT_FOUND || r->options->dry_run) {
        *err = why;
        return e == ERROR_NOT_FOUND ? 0 : e;
    }
    for (size_t i = 0; i < sizeof by_hand / sizeof *by_hand; i++) {
        e = replicate_send_file(r->send, by_hand[i], FORMAT_SIGNED_MAX, false, err);
        if (e < 0 && e != ERROR_NOT_FOUND) // a repository without it is a repository
            return e;
    }
    return replicate_send_file(r->send, NAME_REPOSITORY, FORMAT_SIGNED_MAX, true, err);
}

// ---- what was removed by rule

// Records count at the copy as they do here.
static int load_tombstones(struct replicate *r, struct error *err)
{
    const struct repository copy = { .io = r->io, .store = r->to, .info = r->from->info, .signers = r->from->signers };
    r->now_ns = io_realtime_ns(r->io);
    int e = tombstones_load(r->from, &r->gone, err);
    return e < 0 ? e : tombstones_load(&copy, &r->gone_there, err);
}

// A copy without a name could be given that of another by whoever gets hold of this host later: then tombstones that are none of its own would count there.
static int name_copy(struct replicate *r, struct error *err)
{
    uint8_t store[STORE_ID_SIZE];
    bool is_needed = r->options->absent != NULL && !r->options->dry_run && !r->gone_there.has_store;
    return is_needed ? store_id_ensure(r->io, r->to, store, err) : 0;
}

static bool has_data(const struct replicate *r, const struct repository_head *head) { return head->valid && !tombstones_excuse(&r->gone, head, r->now_ns); }

static int share_name(struct replicate *r, struct error *err)
{
    _cleanup_buf_ struct buf name = { 0 };
    int e = store_get_all(r->from->store, STORE_ID_FILE, FORMAT_SIGNED_MAX, &name, err);
    if (e == 0)
        e = r->to->ops->put(r->to, STORE_ID_FILE, name.data, name.len, err);
    return e == ERROR_NOT_FOUND || e == ERROR_EXISTS ? 0 : e; // it needs none, or has its own
}

// Writes down which of the heads that will be brought come without their data.
static int note_absent(struct replicate *r, const uint8_t chain[16], const struct repository_head *const *heads, size_t n, struct error *err)
{
    uint8_t store[STORE_ID_SIZE];
    if (n == 0 || r->options->dry_run || r->options->absent == NULL)
        return 0;
    int e = store_id_ensure(r->io, r->to, store, err);
    return e < 0 ? e : r->options->absent(r->options->arg, chain, store, heads, n, err);
}

// ---- chains

// Numbers of a chain's heads at the copy, ascending.
struct numbers {
    uint64_t *items;
    size_t n;
};

static int note_number(void *arg, const char *name, uint64_t size, struct error *err)
{
    struct numbers *numbers = arg;
    const char *slash = strrchr(name, '/');
    uint64_t number;
    (void)size, (void)err;
    if (slash == NULL || !parse_u64(slash + 1, strlen(slash + 1), INT64_MAX, &number))
        return 0; // no head
    numbers->items = xrealloc(numbers->items, (numbers->n + 1) * sizeof *numbers->items);
    numbers->items[numbers->n++] = number;
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int list_numbers(struct replicate *r, const uint8_t chain[16], struct numbers *ret_numbers, struct error *err)
{
    char hex[33];
    format_hex(hex, chain, 16);
    _cleanup_free_ char *dir = xasprintf("heads/%s", hex);
    int e = r->to->ops->list(r->to, dir, note_number, ret_numbers, err);
    if (e == 0 && ret_numbers->n > 1)
        qsort(ret_numbers->items, ret_numbers->n, sizeof *ret_numbers->items, compare_numbers);
    return e;
}

static bool has_number(const struct numbers *numbers, uint64_t number)
{
    return numbers->n > 0 && bsearch(&number, numbers->items, numbers->n, sizeof number, compare_numbers) != NULL;
}

// The chain's heads here: [*ret_first, *ret_end) of from->heads.
static void find_chain(const struct repository *from, const uint8_t chain[16], size_t *ret_first, size_t *ret_end)
{
    size_t i = 0;
    while (i < from->n_heads && memcmp(from->heads[i].chain, chain, 16) != 0)
        i++;
    *ret_first = i;
    while (i < from->n_heads && memcmp(from->heads[i].chain, chain, 16) == 0)
        i++;
    *ret_end = i;
}

// A copy that has what this repository never wrote is somebody else's work, or this one was rolled back.
static int check_known(const struct replicate *r, const struct numbers *there, size_t first, size_t end, struct error *err)
{
    for (size_t k = 0; k < there->n; k++) {
        size_t i = first;
        while (i < end && r->from->heads[i].number != there->items[k])
            i++;
        if (i == end)
            return error_set(err, ERROR_INTEGRITY, "%s has snapshot %llu, which %s does not: either this repository was rolled back, or two hosts use one identity. Nothing was "
                             "shipped; look at both with `bkd-restore list`", r->to->url, (unsigned long long)there->items[k], r->from->store->url);
    }
    return 0;
}

// The newest head that both have must be the same file.
static int check_newest(struct replicate *r, const struct repository_head *newest, struct error *err)
{
    _cleanup_buf_ struct buf file = { 0 };
    _cleanup_free_ char *name = format_head_name(newest->chain, newest->number);
    uint8_t digest[CRYPTO_SHA256_SIZE];
    int e = store_get_all(r->to, name, FORMAT_HEAD_MAX, &file, err);
    if (e < 0)
        return e;
    crypto_sha256(file.data, file.len, digest);
    if (memcmp(digest, newest->sha256, sizeof digest) != 0)
        return error_set(err, ERROR_INTEGRITY, "snapshot %llu in %s is not the one of %s: it was changed, or damaged; nothing was shipped", (unsigned long long)newest->number,
                         r->to->url, r->from->store->url);
    return 0;
}

// A head may have got its name beside refs that were there already, and were others.
static int prove_refs(struct replicate *r, const struct repository_head *head, struct error *err)
{
    _cleanup_buf_ struct buf file = { 0 };
    _cleanup_free_ char *name = format_refs_name(head->head.refs);
    uint8_t digest[CRYPTO_SHA256_SIZE];
    int e = store_get_all(r->to, name, (size_t)head->head.refs_size, &file, err);
    if (e == ERROR_NOT_FOUND && !r->options->dry_run)
        return replicate_send_file(r->send, name, FORMAT_REFS_MAX, false, err);
    crypto_sha256(file.data, file.len, digest);
    if (e == ERROR_FORMAT || (e == 0 && memcmp(digest, head->head.refs, sizeof digest) != 0))
        return error_set(err, ERROR_INTEGRITY, "'%s' in %s is damaged; move it away there and ship again", name, r->to->url);
    return e;
}

// Objects (the manifest's among them), then the refs that name them.
static int bring_data(struct replicate *r, const struct repository_head *head, struct format_refs *before, struct error *err)
{
    _cleanup_format_refs_ struct format_refs refs = { 0 };
    _cleanup_free_ char *refs_name = format_refs_name(head->head.refs);
    int e = repository_read_refs(r->from, &head->head, &refs, err);
    if (e == 0 && !r->options->dry_run)
        e = bring_objects(r, &refs, before, err);
    if (e == 0 && !r->options->dry_run)
        e = replicate_send_file(r->send, refs_name, FORMAT_REFS_MAX, false, err);
    if (e < 0)
        return e;
    format_refs_done(before);
    *before = refs;
    refs = (struct format_refs){ 0 };
    return 0;
}

// Heads the copy lacks, oldest first. *before: refs of the last head that it has by now.
static int bring_missing(struct replicate *r, const struct numbers *there, size_t first, size_t end, struct format_refs *before, struct error *err)
{
    uint64_t highest = there->n == 0 ? 0 : there->items[there->n - 1];
    bool with_records = false;
    for (size_t i = first; i < end; i++) {
        const struct repository_head *head = &r->from->heads[i];
        if (!head->valid || has_number(there, head->number)) {
            if (head->valid)
                replicate_send_note_latest(r->result, head);
            continue;
        }
        r->result->lost += head->number < highest || head->number <= r->options->shipped_before;
        int e = has_data(r, head) ? bring_data(r, head, before, err) : 0;
        if (e == 0 && !with_records)
            e = bring_records(r, err);
        with_records = true;
        if (e == 0 && !r->options->dry_run)
            e = replicate_send_head(r->send, head, err);
        if (e < 0)
            return error_prefix(err, "snapshot %llu", (unsigned long long)head->number);
        r->result->absent += !has_data(r, head);
        if (r->options->dry_run) {
            r->result->snapshots++;
            replicate_send_note_latest(r->result, head);
        }
        tell(r);
    }
    return with_records ? 0 : bring_records(r, err);
}

static int note_missing_absent(struct replicate *r, const uint8_t chain[16], const struct numbers *there, size_t first, size_t end, struct error *err)
{
    const struct repository_head **absent = xcalloc(end - first + 1, sizeof(const struct repository_head *));
    size_t n = 0;
    for (size_t i = first; i < end; i++)
        if (r->from->heads[i].valid && !has_data(r, &r->from->heads[i]) && !has_number(there, r->from->heads[i].number))
            absent[n++] = &r->from->heads[i];
    int e = note_absent(r, chain, absent, n, err);
    free(absent);
    return e;
}

// What will be sent, for the progress; refs of what cannot be read are left to the real pass.
static void count_missing(struct replicate *r, const struct numbers *there, size_t first, size_t end, const struct format_refs *have)
{
    _cleanup_format_refs_ struct format_refs before = { 0 };
    struct error ignored;
    bool begun = false;
    for (size_t i = first; i < end; i++) {
        const struct repository_head *head = &r->from->heads[i];
        _cleanup_format_refs_ struct format_refs refs = { 0 };
        if (!has_data(r, head) || has_number(there, head->number) || repository_read_refs(r->from, &head->head, &refs, &ignored) < 0)
            continue;
        for (size_t k = 0; k < refs.n; k++)
            if (is_new(&refs.refs[k], begun ? &before : have))
                r->total_bytes += refs.refs[k].stored_size;
        r->total_snapshots++;
        begun = true;
        format_refs_done(&before);
        before = refs;
        refs = (struct format_refs){ 0 };
    }
}

// The newest head that both have is compared; the newest of which both should have the data is what the next ones build on.
static int look_at_common(struct replicate *r, const struct numbers *there, size_t first, size_t end, struct format_refs *before, struct error *err)
{
    const struct repository_head *newest = NULL, *base = NULL;
    for (size_t i = first; i < end; i++) {
        const struct repository_head *head = &r->from->heads[i];
        if (!head->valid || !has_number(there, head->number))
            continue;
        newest = head;
        base = has_data(r, head) && !tombstones_excuse(&r->gone_there, head, r->now_ns) ? head : base;
    }
    int e = newest == NULL ? 0 : check_newest(r, newest, err);
    if (e < 0 || base == NULL)
        return e;
    if (r->options->prove_present)
        e = prove_refs(r, base, err);
    if (e == 0)
        e = repository_read_refs(r->from, &base->head, before, err);
    return e < 0 ? e : bring_lost_objects(r, before, err);
}

static int bring_chain(struct replicate *r, const uint8_t chain[16], struct error *err)
{
    struct numbers there = { 0 };
    _cleanup_format_refs_ struct format_refs before = { 0 };
    size_t first, end;
    find_chain(r->from, chain, &first, &end);
    int e = list_numbers(r, chain, &there, err);
    if (e == 0)
        e = check_known(r, &there, first, end, err);
    if (e == 0)
        e = look_at_common(r, &there, first, end, &before, err);
    if (e == 0)
        e = note_missing_absent(r, chain, &there, first, end, err);
    if (e == 0) {
        count_missing(r, &there, first, end, &before);
        tell(r);
        e = bring_missing(r, &there, first, end, &before, err);
    }
    free(there.items);
    return e;
}

static int bring_all(struct replicate *r, struct error *err)
{
    int e = bring_description(r, err);
    if (e == 0 && r->options->absent == NULL && !r->options->dry_run)
        e = share_name(r, err);
    if (e == 0)
        e = load_tombstones(r, err);
    if (e == 0)
        e = name_copy(r, err);
    if (e == 0 && r->options->chain != NULL)
        return bring_chain(r, r->options->chain, err);
    for (size_t i = 0; e == 0 && i < r->from->n_heads; i++)
        if (i == 0 || memcmp(r->from->heads[i].chain, r->from->heads[i - 1].chain, 16) != 0)
            e = bring_chain(r, r->from->heads[i].chain, err);
    return e < 0 ? e : bring_exports(r, err);
}

int replicate_run(const struct io *io, const struct replicate_options *options, struct replicate_result *ret_result, struct error *err)
{
    *ret_result = (struct replicate_result){ 0 };
    struct replicate r = { .io = io, .options = options, .from = options->from, .to = options->to, .result = ret_result };
    r.send = replicate_send_new(io, options->from, options->to, options->proof, ret_result);
    int e = bring_all(&r, err);
    if (e == 0)
        e = replicate_send_flush(r.send, err);
    replicate_send_free(r.send);
    tombstones_done(&r.gone);
    tombstones_done(&r.gone_there);
    tell(&r);
    return e;
}
