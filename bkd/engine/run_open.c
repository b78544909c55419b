#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/crypto.h"
#include "bkd/base/log.h"
#include "bkd/engine/run.h"

#define OBJECTS_RESERVED 64u
#define OBJECTS_UNDER_WAY 8u
#define CLOCK_GAP_NS (UINT64_C(400) * 24 * 3600 * 1000000000) // longer without a backup is rather a clock than a holiday

bool run_usable(void *arg, uint32_t object)
{
    const struct run *run = arg;
    return objects_usable(&run->objects, object);
}

static bool usable_before(void *arg, uint32_t object)
{
    const struct run *run = arg;
    return objects_usable_before(&run->objects, object) && !renew_is_due(&run->renew, object);
}

// Numbers are reserved in steps, ahead of their use. Several objects may be under way: of each writer one is filled, one on its way through the stages
// and one or two being put.
static int reserve_objects(struct run *run, uint32_t next, struct error *err)
{
    return next + OBJECTS_UNDER_WAY < run->state.objects ? 0 : state_reserve_objects(&run->state, next + OBJECTS_RESERVED, err);
}

static int object_finished(void *arg, const struct format_ref *object, struct error *err)
{
    struct run *run = arg;
    objects_add(&run->objects, object);
    return reserve_objects(run, object_writer_next_object(run->writer), err);
}

// Journaled before it is put: a run that is killed right after would store all of it again. Replaying looks whether the store has it.
static int object_sealed(void *arg, const struct format_ref *object, struct error *err)
{
    struct run *run = arg;
    return journal_commit_object(run->journal, object, err);
}

// An object the journal of a cut-off run names is used again only when the store has it, byte for byte.
static bool object_is_stored(void *arg, const struct format_ref *object)
{
    struct run *run = arg;
    if (!objects_check_stored(run->store, run->repository->info.encrypted, object))
        return false;
    objects_add(&run->objects, object);
    run->result.resumed = true;
    return true;
}

static int piece_is_known(void *arg, const uint8_t sha256[32], const struct place *place, struct error *err)
{
    struct run *run = arg;
    // Where two objects were under way, one may not have become whole.
    return objects_usable(&run->objects, place->object) ? known_add(run->known, KNOWN_WHOLE, sha256, place, err) : 0;
}

// Reading it again is a cost as well, though a small one beside storing it.
#define READING_SHARE 16

static bool is_to_renew(struct run *run, const struct manifest_entry *old, const struct versions_needs *needs)
{
    _cleanup_recipe_ struct recipe recipe = { 0 };
    struct error ignored; // without its recipe a file is left where it is
    struct renew *renew = &run->renew;
    if (renew_any_due(renew, needs))
        return versions_read_recipe(&run->versions, &old->version, &recipe, &ignored) == 0 && renew_spend(renew, renew_cost(renew, &recipe) + old->size / READING_SHARE);
    if (renew_is_due(renew, old->at.object))
        return renew_spend(renew, old->at.length);
    return renew_is_due(renew, old->xattr.object) && renew_spend(renew, old->xattr.length + old->size / READING_SHARE);
}

static bool place_usable(const struct run *run, const struct place *place) { return place->object == 0 || objects_usable(&run->objects, place->object); }

enum select_verdict run_keep_content(void *arg, const struct manifest_entry *old)
{
    struct run *run = arg;
    _cleanup_versions_needs_ struct versions_needs needs = { 0 };
    struct error why;
    bool good = place_usable(run, &old->at) && place_usable(run, &old->xattr);
    if (good && place_is_set(&old->version))
        good = versions_use(&run->versions, &old->version, &needs, &why) == 0;
    for (size_t i = 0; good && i < needs.n; i++)
        good = objects_usable(&run->objects, needs.items[i].object);
    if (!good)
        return SELECT_DOUBT;
    if (is_to_renew(run, old, &needs))
        return SELECT_STORE_ANEW;
    output_need(&run->output, &needs);
    output_need_place(&run->output, &old->at);
    output_need_place(&run->output, &old->xattr);
    return SELECT_RELY;
}

static int open_repository(struct run *run, struct error *err)
{
    const struct backup_options *o = run->options;
    struct store *store = NULL;
    int r = store_open(run->io, o->repository, o->access, false, &store, err);
    if (r == 0)
        r = repository_open(run->io, store, o->signers, &run->repository, err);
    if (r < 0)
        return r;
    run->store = run->repository->store;
    if (run->repository->info.writing_needs_newer)
        return error_set(err, ERROR_USAGE, "repository '%s' was made or changed by a newer bkd, this one may only read it; install the newer one", o->repository);
    if (run->repository->info.encrypted != (o->n_recipients > 0))
        return error_set(err, ERROR_USAGE, "repository '%s' was made with encryption %s, the policy says otherwise; correct `encryption`, or use a new repository",
                         o->repository, run->repository->info.encrypted ? "age" : "none");
    r = parent_find(run->io, &run->state, run->repository, o->host, o->policy, &run->parent, err);
    if (r == 0)
        state_cache_key(&run->state, run->repository->info.id, run->parent.chain, run->cache_key);
    return r;
}

static void plan_renewal(struct run *run, const struct format_refs *refs)
{
    const struct backup_options *o = run->options;
    uint64_t bytes = run->parent.head->head.bytes;
    struct renewal_rule rule = { .min_live_percent = o->renewal_min_live_percent, .budget_bytes = o->renewal_budget_bytes };
    if (rule.budget_bytes == 0)
        rule.budget_bytes = bytes / 100 * o->renewal_budget_percent;
    renew_load(&run->renew, run->io, run->state.dirfd, run->cache_key);
    renew_plan(&run->renew, &rule, refs);
}

struct loading {
    struct run *run;
    const struct format_refs *refs;
    char **names; // beside refs
};

// An object that is gone or has another size is not built upon: what it held is read and stored again.
static int load_object(void *arg, size_t index, const struct store_found *found, struct error *err)
{
    const struct loading *loading = arg;
    const struct format_ref *ref = &loading->refs->refs[index];
    struct run *run = loading->run;
    if (found->result < 0 && found->result != ERROR_NOT_FOUND && found->result != ERROR_INTEGRITY) {
        *err = *found->why;
        return found->result;
    }
    if (found->result == 0 && found->size == ref->stored_size) {
        objects_add(&run->objects, ref);
        return 0;
    }
    log_error("'%s' in repository '%s' is %s: earlier snapshots that need it cannot be restored whole; run `bkd check`", loading->names[index], run->store->url,
              found->result < 0 ? "missing" : "not of its size");
    run->result.damaged_objects++;
    return 0;
}

// All sizes at once: one after the other they would cost a round trip each.
static int load_objects(struct run *run, const struct format_refs *refs, struct error *err)
{
    struct loading loading = { .run = run, .refs = refs, .names = xcalloc(refs->n + 1, sizeof *loading.names) };
    for (size_t i = 0; i < refs->n; i++)
        loading.names[i] = format_object_name(refs->refs[i].sha256, run->repository->info.encrypted);
    struct store_many many = { .names = (const char *const *)loading.names, .n = refs->n, .visit = load_object, .arg = &loading };
    int r = store_get_many(run->store, &many, err);
    for (size_t i = 0; i < refs->n; i++)
        free(loading.names[i]);
    free(loading.names);
    return r;
}

static int load_parent_objects(struct run *run, struct error *err)
{
    if (run->parent.head == NULL)
        return 0;
    _cleanup_format_refs_ struct format_refs refs = { 0 };
    int r = repository_read_refs(run->repository, &run->parent.head->head, &refs, err);
    if (r == ERROR_INTEGRITY || r == ERROR_FORMAT) { // not a snapshot to build on: everything is read and stored again
        log_error("snapshot %llu cannot be built on: %s; run `bkd check`", (unsigned long long)run->parent.head->number, err->text);
        run->result.damaged_objects++;
        return 0;
    }
    if (r < 0)
        return r;
    run->has_parent_refs = true;
    plan_renewal(run, &refs);
    return load_objects(run, &refs, err);
}

static uint32_t first_object(const struct run *run)
{
    uint32_t first = run->parent.head == NULL ? 1 : run->parent.head->head.next_object;
    for (uint32_t i = first; i < run->objects.n; i++)
        if (run->objects.items[i].stored_size > 0)
            first = i + 1;
    return first > run->state.objects ? first : run->state.objects;
}

// A journal is good only on top of the snapshot it was begun after: elsewhere the numbers in it belong to other objects.
static void journal_key(const struct run *run, uint8_t ret_key[SEALED_KEY_SIZE])
{
    const struct repository_head *head = run->parent.head;
    const uint8_t *after = head == NULL ? run->parent.chain : head->sha256;
    crypto_hmac_sha256(run->cache_key, sizeof run->cache_key, after, head == NULL ? sizeof run->parent.chain : sizeof head->sha256, ret_key);
}

static int open_caches(struct run *run, struct error *err)
{
    const struct io *io = run->io;
    int dirfd = run->state.dirfd;
    uint8_t key[SEALED_KEY_SIZE];
    journal_key(run, key);
    run->overlay = spill_new(io, dirfd, previous_compare_records, 8 << 20);
    int r = known_open(io, dirfd, run->parent.head == NULL ? NULL : run->parent.head->sha256, run->cache_key, usable_before, run, &run->known, err);
    if (r == 0)
        r = versions_open(&run->versions, io, dirfd, run->cache_key, err);
    struct journal_replay replay = { object_is_stored, piece_is_known, run, run->overlay };
    if (r == 0)
        r = journal_open(io, dirfd, key, &replay, &run->journal, err);
    if (r == 0)
        r = spill_sort(run->overlay, err);
    const uint8_t *manifest = run->parent.head == NULL ? NULL : run->parent.head->head.manifest_sha256;
    if (r == 0)
        r = previous_open(&run->previous, io, dirfd, run->cache_key, manifest, run->overlay, err);
    if (r == 0 && run->parent.head != NULL && !run->previous.has_manifest)
        log_warn("no local copy of the last manifest: every file is read again, and stored again where it is not known to be");
    return r;
}

static void fill_writer_options(struct run *run, struct object_writer_options *ret_options)
{
    const struct backup_options *o = run->options;
    *ret_options = (struct object_writer_options){
        .store = run->store, .recipients = o->recipients, .n_recipients = o->n_recipients, .level = o->compression_level,
        .jobs = o->jobs, .object_size = run->repository->info.object_size, .finished = object_finished,
        .sealed = object_sealed, .arg = run, .lap = &run->lap,
        .first_level = o->night_level, .first_bytes = o->night_level != 0 && run->parent.head != NULL ? BACKUP_NIGHT_BYTES : 0,
    };
    memcpy(ret_options->repository, run->repository->info.id, sizeof ret_options->repository);
    memcpy(ret_options->chain, run->parent.chain, sizeof ret_options->chain);
}

int run_open_renewer(void *arg, struct error *err)
{
    struct run *run = arg;
    struct object_writer_options options;
    fill_writer_options(run, &options);
    options.numbers_of = run->writer;
    return run->renew.writer != NULL ? 0 : object_writer_new(run->io, &options, &run->renew.writer, err);
}

int run_open_writer(struct run *run, struct error *err)
{
    struct object_writer_options options;
    fill_writer_options(run, &options);
    options.first_object = first_object(run);
    run->objects.first_own = options.first_object;
    int r = reserve_objects(run, options.first_object, err);
    // From now on this is the chain, also should this run be cut off.
    if (r == 0 && (!run->state.has_chain || memcmp(run->state.chain, run->parent.chain, sizeof run->parent.chain) != 0))
        r = state_set_chain(&run->state, run->parent.chain, err);
    return r < 0 ? r : object_writer_new(run->io, &options, &run->writer, err);
}

struct bigfile_context run_big_context(struct run *run)
{
    const struct backup_options *o = run->options;
    return (struct bigfile_context){
        .io = run->io, .lap = &run->lap, .writer = run->writer, .renew = &run->renew, .open_renewer = run_open_renewer, .known = run->known, .versions = &run->versions, .journal = run->journal,
        .usable = run_usable, .usable_arg = run, .block_size = o->delta_block_size,
        .ancestry = { .max_chain = o->delta_max_chain, .max_share_percent = o->delta_max_share_percent },
    };
}

// The snapshots' order is that of their numbers, whatever the clocks said; but who reads times, and retention, should know.
static void look_at_clock(const struct run *run)
{
    const struct repository_head *last = run->parent.head;
    char now[CLOCK_TEXT_MAX], then[CLOCK_TEXT_MAX];
    uint64_t now_ns = run->started_ns, then_ns = last == NULL ? now_ns : last->head.time_ns;
    clock_format_utc(now, now_ns, false);
    clock_format_utc(then, then_ns, false);
    if (now_ns < then_ns)
        log_warn("this host's clock says %s, but the last snapshot is of %s: one of the two is wrong. The backup goes on; retention will not. Set the clock (timedatectl)", now, then);
    else if (now_ns - then_ns > CLOCK_GAP_NS)
        log_warn("this host's clock says %s, and the last snapshot is of %s: if it was not so long ago, set the clock (timedatectl)", now, then);
}

int run_lock(struct run *run, struct error *err) { return state_open(run->io, run->options->state_dir, run->options->policy, &run->state, err); }

int run_open(struct run *run, struct error *err)
{
    const struct backup_options *o = run->options;
    int r = sshkey_parse(o->signing_key, o->signing_key_len, &run->signing_key, err);
    if (r == 0)
        r = open_repository(run, err);
    if (r == 0 && !o->dry_run)
        r = run_mark(run, err);
    if (r == 0)
        r = load_parent_objects(run, err);
    if (r == 0)
        look_at_clock(run);
    return r < 0 ? r : open_caches(run, err);
}

void run_close(struct run *run)
{
    renew_done(&run->renew);
    object_writer_free(run->writer);
    select_free(run->plan);
    for (size_t i = 0; run->streams != NULL && i < run->options->n_streams; i++)
        manifest_entry_done(&run->streams[i]);
    free(run->streams);
    output_done(&run->output);
    versions_needs_done(&run->manifest.needs);
    previous_done(&run->previous);
    journal_close(run->journal);
    known_free(run->known);
    versions_done(&run->versions);
    spill_free(run->overlay);
    objects_done(&run->objects);
    run_unmark(run);
    repository_close(run->repository);
    sshkey_done(&run->signing_key);
}

void run_unlock(struct run *run) { state_close(&run->state); }
