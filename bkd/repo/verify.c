#include "bkd/repo/verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/base/work.h"
#include "bkd/codec/sshsig.h"
#include "bkd/repo/exports.h"
#include "bkd/repo/tombstones.h"
#include "bkd/repo/verify_data.h"
#include "bkd/repo/verify_exports.h"
#include "bkd/repo/verify_records.h"

enum { SAMPLE_BYTES = 64 << 20, IN_FLIGHT = 4 };

// An object that snapshots of one chain need.
struct needed {
    uint32_t object;
    uint8_t sha256[32];
    uint64_t size;
    uint64_t first, last, count; // snapshots
    size_t chain;
    bool present, wrong_size;
};

struct chain {
    const struct repository_head *newest; // valid
    struct needed *objects;               // ascending by number
    size_t n_objects;
    const struct repository_head **heads; // valid, with refs that could be read
    size_t n_heads;
};

struct leftover {
    char *name;
    uint64_t size;
};

enum { REFS_AT_ONCE = 32 };

struct verify {
    const struct io *io;
    struct repository *repository;
    const struct verify_options *options;
    struct verify_totals *totals;
    struct tombstones tombstones;
    struct chain *chains;
    size_t n_chains;
    struct needed **by_name; // all objects by SHA-256
    size_t n_by_name;
    struct leftover *leftovers; // objects nobody needs
    size_t n_leftovers;
    char **refs; // names of refs files
    size_t n_refs;
};

static void tell(struct verify *v, enum verify_severity severity, const char *file, const char *snapshots, const char *reason)
{
    struct verify_finding finding = { .severity = severity, .file = file, .reason = reason, .snapshots = snapshots };
    *(severity == VERIFY_ALARM ? &v->totals->alarms : &v->totals->notes) += 1;
    v->options->finding(v->options->arg, &finding);
}

static void progress(struct verify *v, uint64_t files, uint64_t bytes)
{
    if (v->options->progress != NULL)
        v->options->progress(v->options->arg, files, bytes);
}

static int check_interrupted(struct verify *v, struct error *err)
{
    if (v->options->interrupted != NULL && v->options->interrupted())
        return error_set(err, ERROR_FAILED, "interrupted: the check is not complete");
    return 0;
}

// ---- heads and refs

static char *describe(const struct verify *v, const struct needed *o)
{
    const struct format_head *h = &v->chains[o->chain].newest->head;
    if (o->first == o->last)
        return xasprintf("%" PRIu64 " of policy %s, host %s", o->first, h->policy, h->host);
    return xasprintf("%" PRIu64 " of those from %" PRIu64 " to %" PRIu64 " of policy %s, host %s", o->count, o->first, o->last, h->policy,
                     h->host);
}

// Merges a snapshot's refs into what the chain needs; both ascend by number.
static int merge_refs(struct verify *v, struct chain *c, const struct repository_head *head, const struct format_refs *refs,
                      const char *name)
{
    struct needed *merged = xcalloc(c->n_objects + refs->n + 1, sizeof *merged);
    size_t n = 0, i = 0, k = 0;
    int contradictions = 0;
    while (i < c->n_objects || k < refs->n) {
        if (k == refs->n || (i < c->n_objects && c->objects[i].object < refs->refs[k].object)) {
            merged[n++] = c->objects[i++];
            continue;
        }
        const struct format_ref *ref = &refs->refs[k++];
        if (i < c->n_objects && c->objects[i].object == ref->object) {
            struct needed o = c->objects[i++];
            contradictions += memcmp(o.sha256, ref->sha256, sizeof o.sha256) != 0 || o.size != ref->stored_size;
            o.last = head->number;
            o.count++;
            merged[n++] = o;
            continue;
        }
        merged[n] = (struct needed){ .object = ref->object,
                                     .size = ref->stored_size,
                                     .first = head->number,
                                     .last = head->number,
                                     .count = 1,
                                     .chain = (size_t)(c - v->chains) };
        memcpy(merged[n++].sha256, ref->sha256, sizeof ref->sha256);
    }
    free(c->objects);
    c->objects = merged;
    c->n_objects = n;
    if (contradictions > 0)
        tell(v, VERIFY_ALARM, name, NULL, "gives objects other names than earlier snapshots of its chain do");
    return contradictions;
}

static void take_head(struct verify *v, struct chain *c, const struct repository_head *head, const struct repository_refs *found)
{
    _cleanup_free_ char *name = format_refs_name(head->head.refs);
    _cleanup_free_ char *snapshot = xasprintf("%" PRIu64 " of policy %s, host %s", head->number, head->head.policy, head->head.host);
    c->newest = head;
    v->totals->snapshots++;
    if (found->result < 0) {
        tell(v, VERIFY_ALARM, name, snapshot, found->why);
        return;
    }
    (void)merge_refs(v, c, head, &found->refs, name);
    uint64_t bytes = 0;
    for (size_t i = 0; i < found->refs.n; i++)
        bytes += found->refs.refs[i].stored_size;
    v->totals->newest_bytes = bytes; // heads of a chain ascend
    c->heads = xrealloc(c->heads, (c->n_heads + 1) * sizeof(const struct repository_head *));
    c->heads[c->n_heads++] = head;
}

static void tell_head(struct verify *v, const struct repository_head *head)
{
    _cleanup_free_ char *name = format_head_name(head->chain, head->number);
    if (!head->valid)
        tell(v, VERIFY_ALARM, name, NULL, head->problem != NULL ? head->problem : "is not a valid head");
    if (head->fork)
        tell(v, VERIFY_ALARM, name, NULL,
             "another valid head has the same predecessor: two hosts sign with one key, or a host was set back");
    if (head->chain_broken)
        tell(v, VERIFY_ALARM, name, NULL, "does not continue the head before it: heads were removed or exchanged");
}

// Refs are read for as many heads at once, and taken in the order of the heads.
static int take_some_heads(struct verify *v, const struct repository_head *const *heads, size_t n, struct error *err)
{
    const struct format_head *asked[REFS_AT_ONCE];
    struct repository_refs found[REFS_AT_ONCE] = { 0 };
    for (size_t i = 0; i < n; i++)
        asked[i] = &heads[i]->head;
    int r = repository_read_refs_many(v->repository, asked, n, found, err);
    for (size_t i = 0; i < n; i++) {
        struct chain *c = v->n_chains > 0 ? &v->chains[v->n_chains - 1] : NULL;
        if (c == NULL || memcmp(c->newest->chain, heads[i]->chain, sizeof heads[i]->chain) != 0)
            c = &v->chains[v->n_chains++];
        if (r == 0)
            take_head(v, c, heads[i], &found[i]);
        else
            c->newest = heads[i];
        repository_refs_done(&found[i]);
    }
    return r;
}

// What signed tombstones gave up need not be there.
static int load_tombstones(struct verify *v, struct error *err)
{
    struct error why;
    int r = tombstones_load(v->repository, &v->tombstones, &why);
    if (r == ERROR_INTEGRITY)
        tell(v, VERIFY_ALARM, STORE_ID_FILE, NULL, why.text);
    else if (r < 0)
        *err = why;
    return r == ERROR_INTEGRITY ? 0 : r;
}

static bool is_needed(struct verify *v, const struct repository_head *head)
{
    bool is_pruned = tombstones_excuse(&v->tombstones, head, io_realtime_ns(v->io));
    v->totals->pruned += is_pruned;
    return head->valid && !is_pruned;
}

static int take_heads(struct verify *v, struct error *err)
{
    const struct repository *repository = v->repository;
    const struct repository_head *some[REFS_AT_ONCE];
    size_t n = 0;
    int r = load_tombstones(v, err);
    v->chains = xcalloc(repository->n_heads + 1, sizeof *v->chains);
    for (size_t i = 0; r == 0 && i < repository->n_heads; i++) {
        tell_head(v, &repository->heads[i]);
        if (is_needed(v, &repository->heads[i]))
            some[n++] = &repository->heads[i];
        if (n == REFS_AT_ONCE || (n > 0 && i + 1 == repository->n_heads)) {
            r = take_some_heads(v, some, n, err);
            n = 0;
        }
    }
    v->totals->chains = v->n_chains;
    return r;
}

static int compare_needed(const void *a, const void *b)
{
    return memcmp((*(struct needed *const *)a)->sha256, (*(struct needed *const *)b)->sha256, 32);
}

static void index_objects(struct verify *v)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n_chains; i++)
        n += v->chains[i].n_objects;
    v->by_name = xcalloc(n + 1, sizeof(struct needed *));
    for (size_t i = 0; i < v->n_chains; i++)
        for (size_t k = 0; k < v->chains[i].n_objects; k++)
            v->by_name[v->n_by_name++] = &v->chains[i].objects[k];
    qsort(v->by_name, n, sizeof(struct needed *), compare_needed);
}

// ---- what is stored

static struct needed *find_needed(struct verify *v, const uint8_t sha256[32])
{
    struct needed key, *pointer = &key;
    memcpy(key.sha256, sha256, sizeof key.sha256);
    struct needed **found = bsearch(&pointer, v->by_name, v->n_by_name, sizeof(struct needed *), compare_needed);
    return found == NULL ? NULL : *found;
}

// "objects/ab/ab….tar.zst[.age]"
static bool parse_object_name(const struct verify *v, const char *name, uint8_t ret_sha256[32])
{
    if (strlen(name) < 11 + 64 || !parse_hex(name + 11, 64, ret_sha256, 32))
        return false;
    _cleanup_free_ char *expected = format_object_name(ret_sha256, v->repository->info.encrypted);
    return strcmp(expected, name) == 0;
}

static int see_object(struct verify *v, const char *name, uint64_t size, struct error *err)
{
    uint8_t sha256[32];
    if (!parse_object_name(v, name, sha256)) {
        v->totals->unknown_files++;
        tell(v, VERIFY_NOTE, name, NULL, "is not a file bkd stores");
        return 0;
    }
    int r = size == UINT64_MAX ? v->repository->store->ops->size(v->repository->store, name, &size, err) : 0;
    if (r < 0)
        return r;
    struct needed *o = find_needed(v, sha256);
    if (o == NULL) {
        v->leftovers = xrealloc(v->leftovers, (v->n_leftovers + 1) * sizeof *v->leftovers);
        v->leftovers[v->n_leftovers++] = (struct leftover){ .name = xstrdup(name), .size = size };
        v->totals->leftover_files++;
        v->totals->leftover_bytes += size;
        return 0;
    }
    o->present = true;
    if (size != o->size) {
        o->wrong_size = true;
        _cleanup_free_ char *snapshots = describe(v, o);
        _cleanup_free_ char *reason = xasprintf("has %" PRIu64 " bytes instead of %" PRIu64, size, o->size);
        tell(v, VERIFY_ALARM, name, snapshots, reason);
    }
    return 0;
}

static bool is_head_name(const char *name)
{
    uint8_t chain[16];
    uint64_t number;
    return strlen(name) > 39 && parse_hex(name + 6, 32, chain, 16) && name[38] == '/' &&
           parse_u64(name + 39, strlen(name + 39), UINT64_MAX, &number);
}

static bool is_record_name(const char *name)
{
    uint8_t signer[32];
    uint64_t number;
    return strlen(name) > 73 && parse_hex(name + 8, 64, signer, 32) && name[72] == '/' &&
           parse_u64(name + 73, strlen(name + 73), UINT64_MAX, &number);
}

static int see_file(void *arg, const char *name, uint64_t size, struct error *err)
{
    static const char *const roots[] = { "bkd-repository", STORE_ID_FILE, "bkd-copy", "recover.sh", "recover.sh.sig", "RECOVER.txt", "RECOVER.txt.sig" };
    struct verify *v = arg;
    uint8_t sha256[32];
    if (strncmp(name, "objects/", 8) == 0)
        return see_object(v, name, size, err);
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++)
        if (strcmp(name, roots[i]) == 0)
            return 0;
    if ((strncmp(name, "heads/", 6) == 0 && is_head_name(name)) || (strncmp(name, "records/", 8) == 0 && is_record_name(name)) ||
        strncmp(name, "runs/", 5) == 0 || exports_is_name(name))
        return 0;
    if (strncmp(name, "refs/", 5) == 0 && parse_hex(name + 5, strlen(name + 5), sha256, 32)) {
        v->refs = xrealloc(v->refs, (v->n_refs + 1) * sizeof *v->refs);
        v->refs[v->n_refs++] = xstrdup(name);
        return 0;
    }
    v->totals->unknown_files++;
    tell(v, VERIFY_NOTE, name, NULL, "is not a file bkd stores");
    return 0;
}

static void tell_missing(struct verify *v)
{
    for (size_t i = 0; i < v->n_by_name; i++) {
        const struct needed *o = v->by_name[i];
        bool twin = i > 0 && memcmp(v->by_name[i - 1]->sha256, o->sha256, 32) == 0; // two chains, one object
        v->totals->objects += !twin;
        v->totals->object_bytes += twin ? 0 : o->size;
        if (o->present || twin)
            continue;
        _cleanup_free_ char *name = format_object_name(o->sha256, v->repository->info.encrypted);
        _cleanup_free_ char *snapshots = describe(v, o);
        tell(v, VERIFY_ALARM, name, snapshots, "is missing");
    }
    if (v->n_leftovers > 0) {
        _cleanup_free_ char *reason = xasprintf(
            "%zu objects are not needed by any valid snapshot (left by runs that were killed, or by a run under way, or of snapshots that `bkd prune` is yet to remove)", v->n_leftovers);
        tell(v, VERIFY_NOTE, "objects/", NULL, reason);
    }
}

// ---- hashing

struct hash_job {
    struct verify *v;
    char *name;
    uint64_t size;
    const struct needed *needed; // NULL: a leftover
    uint8_t expected[32];
    bool read; // where the place does not hash it
    enum proof_way way;
    int result;
    struct error err;
};

static void run_hash(void *arg, unsigned worker)
{
    struct hash_job *job = arg;
    (void)worker;
    job->result = proof_object(job->v->repository->store, job->name, job->size, job->expected, job->read, &job->way, &job->err);
}

static void count_proof(struct verify *v, const struct hash_job *job)
{
    struct verify_totals *t = v->totals;
    uint64_t *files = job->way == PROOF_BY_SERVER ? &t->far_files : job->way == PROOF_BY_SIZE ? &t->sized_files : &t->hashed_files;
    uint64_t *bytes = job->way == PROOF_BY_SERVER ? &t->far_bytes : job->way == PROOF_BY_SIZE ? &t->sized_bytes : &t->hashed_bytes;
    *files += 1;
    *bytes += job->size;
    progress(v, 1, job->size);
}

static int take_hash(struct verify *v, struct work_pool *pool, struct error *err)
{
    struct hash_job *job = work_next(pool);
    int r = 0;
    if (job->result == ERROR_UNREACHABLE) {
        *err = job->err;
        r = job->result;
    } else if (job->result < 0) {
        _cleanup_free_ char *snapshots = job->needed == NULL ? NULL : describe(v, job->needed);
        tell(v, VERIFY_ALARM, job->name, snapshots, job->err.text);
    }
    count_proof(v, job);
    free(job->name);
    free(job);
    return r;
}

// A sample: SAMPLE_BYTES out of all, object by object; everything where that is no more.
static bool is_read(const struct verify *v)
{
    uint64_t total = v->totals->object_bytes + v->totals->leftover_bytes;
    uint8_t noise[8];
    if (v->options->reading != PROOF_SAMPLE)
        return v->options->reading == PROOF_FULL;
    io_random(v->io, noise, sizeof noise);
    return total <= SAMPLE_BYTES || get_u64le(noise) % total < SAMPLE_BYTES;
}

static int submit_hash(struct verify *v, struct work_pool *pool, char *name_taken, uint64_t size, const struct needed *needed,
                       struct error *err)
{
    struct hash_job *job = xcalloc(1, sizeof *job);
    *job = (struct hash_job){ .v = v, .name = name_taken, .size = size, .needed = needed, .read = is_read(v), .way = PROOF_BY_READING };
    if (!parse_object_name(v, job->name, job->expected))
        memset(job->expected, 0, sizeof job->expected);
    int r = check_interrupted(v, err);
    while (r == 0 && work_count(pool) >= IN_FLIGHT * (size_t)work_threads(pool))
        r = take_hash(v, pool, err);
    work_submit(pool, run_hash, job);
    return r;
}

static int hash_objects(struct verify *v, struct error *err)
{
    if (v->options->quick)
        return 0;
    if (v->options->phase != NULL)
        v->options->phase(v->options->arg, "hash", v->totals->objects + v->n_leftovers,
                          v->totals->object_bytes + v->totals->leftover_bytes);
    struct work_pool *pool = work_new(v->options->jobs > 0 ? v->options->jobs : work_processors());
    int r = 0;
    for (size_t i = 0; r == 0 && i < v->n_by_name; i++) {
        const struct needed *o = v->by_name[i];
        if (o->present && !o->wrong_size && (i == 0 || memcmp(v->by_name[i - 1]->sha256, o->sha256, 32) != 0))
            r = submit_hash(v, pool, format_object_name(o->sha256, v->repository->info.encrypted), o->size, o, err);
    }
    for (size_t i = 0; r == 0 && i < v->n_leftovers; i++)
        r = submit_hash(v, pool, xstrdup(v->leftovers[i].name), v->leftovers[i].size, NULL, err);
    struct error ignored;
    while (work_count(pool) > 0) {
        int got = take_hash(v, pool, r < 0 ? &ignored : err);
        r = r < 0 ? r : got;
    }
    work_free(pool);
    return r;
}

// ---- small files

static int check_refs_file(void *arg, size_t index, const struct store_found *file, struct error *err)
{
    struct verify *v = arg;
    uint8_t expected[32], sha256[32];
    (void)err;
    crypto_sha256(file->data, file->result == 0 ? (size_t)file->size : 0, sha256);
    bool good = file->result == 0 && parse_hex(v->refs[index] + 5, 64, expected, 32) && memcmp(sha256, expected, 32) == 0;
    if (!good)
        tell(v, VERIFY_ALARM, v->refs[index], NULL,
             file->result < 0 ? file->why->text : "its bytes do not have the SHA-256 of its name: it was changed or the disk is failing");
    v->totals->hashed_files++;
    v->totals->hashed_bytes += file->result == 0 ? file->size : 0;
    return 0;
}

static int check_refs_files(struct verify *v, struct error *err)
{
    struct store_many many = { .names = (const char *const *)v->refs, .n = v->n_refs, .max = FORMAT_REFS_MAX, .visit = check_refs_file, .arg = v };
    return store_get_many(v->repository->store, &many, err);
}

static int check_signed(struct verify *v, const struct signers *signers, const char *name, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_buf_ struct buf signature = { 0 };
    _cleanup_free_ char *signature_name = xasprintf("%s.sig", name);
    struct error why;
    int r = store_get_all(v->repository->store, name, 1 << 20, &text, &why);
    const char *file = name;
    if (r == 0) {
        file = signature_name;
        r = store_get_all(v->repository->store, signature_name, SSHSIG_ARMOR_MAX, &signature, &why);
    }
    if (r == 0 && signers != NULL) {
        file = name;
        r = sshsig_verify(signers, NULL, FORMAT_NAMESPACE_RECOVER, v->repository->info.created_ns / 1000000000u, text.data, text.len,
                          signature.data, signature.len, NULL, &why);
    }
    if (r == ERROR_UNREACHABLE) {
        *err = why;
        return r;
    }
    if (r < 0)
        tell(v, VERIFY_ALARM, file, NULL, r == ERROR_NOT_FOUND ? "is missing" : why.text);
    v->totals->hashed_files++;
    return 0;
}

static void tell_record(void *arg, bool is_alarm, const char *file, const char *reason)
{
    tell(arg, is_alarm ? VERIFY_ALARM : VERIFY_NOTE, file, NULL, reason);
}

static int check_small_files(struct verify *v, struct error *err)
{
    _cleanup_signers_ struct signers signers = { 0 };
    const char *text = v->options->signers;
    int r = text == NULL ? 0 : signers_parse(text, strlen(text), &signers, err);
    const struct signers *known = text == NULL ? NULL : &signers;
    if (r == 0)
        r = check_signed(v, known, "recover.sh", err);
    if (r == 0)
        r = check_signed(v, known, "RECOVER.txt", err);
    if (r == 0)
        r = verify_records_run(v->repository, text, tell_record, v, &v->totals->records, err);
    if (r == 0 && text != NULL && !v->options->quick && v->options->reading != PROOF_NONE)
        r = verify_exports_run(v->repository, text, tell_record, v, err);
    return r < 0 ? r : check_refs_files(v, err);
}

// ---- content

static int read_chain(struct verify *v, const struct chain *c, struct error *err)
{
    const struct repository_head *only = v->options->only;
    struct format_refs refs = { .refs = xcalloc(c->n_objects + 1, sizeof *refs.refs), .n = c->n_objects };
    memcpy(refs.chain, c->newest->chain, sizeof refs.chain);
    for (size_t i = 0; i < c->n_objects; i++) {
        refs.refs[i] = (struct format_ref){ .object = c->objects[i].object, .stored_size = c->objects[i].size };
        memcpy(refs.refs[i].sha256, c->objects[i].sha256, 32);
    }
    struct verify_data data = { .io = v->io,
                                .repository = v->repository,
                                .options = v->options,
                                .totals = v->totals,
                                .refs = &refs,
                                .heads = only != NULL ? &only : c->heads,
                                .n_heads = only != NULL ? 1 : c->n_heads };
    int r = verify_data_run(&data, err);
    format_refs_done(&refs);
    return r;
}

static int read_data(struct verify *v, struct error *err)
{
    const uint8_t *wanted = v->options->only != NULL ? v->options->only->chain : v->options->chain;
    int r = 0;
    for (size_t i = 0; r == 0 && v->options->read_data && i < v->n_chains; i++)
        if (wanted == NULL || memcmp(wanted, v->chains[i].newest->chain, 16) == 0)
            r = read_chain(v, &v->chains[i], err);
    return r;
}

static void free_all(struct verify *v)
{
    tombstones_done(&v->tombstones);
    for (size_t i = 0; i < v->n_chains; i++) {
        free(v->chains[i].objects);
        free(v->chains[i].heads);
    }
    free(v->chains);
    free(v->by_name);
    for (size_t i = 0; i < v->n_leftovers; i++)
        free(v->leftovers[i].name);
    free(v->leftovers);
    for (size_t i = 0; i < v->n_refs; i++)
        free(v->refs[i]);
    free(v->refs);
}

int verify_run(const struct io *io, struct repository *repository, const struct verify_options *options, struct verify_totals *ret_totals,
               struct error *err)
{
    struct verify_totals totals = { 0 };
    struct verify v = { .io = io, .repository = repository, .options = options, .totals = &totals };
    int r = take_heads(&v, err);
    index_objects(&v);
    if (r == 0)
        r = repository->store->ops->list(repository->store, "", see_file, &v, err);
    if (r == 0)
        tell_missing(&v);
    if (r == 0)
        r = check_small_files(&v, err);
    if (r == 0)
        r = hash_objects(&v, err);
    if (r == 0)
        r = read_data(&v, err);
    free_all(&v);
    *ret_totals = totals;
    return r;
}
