#include "bkd/engine/backup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/crypto.h"
#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/base/work.h"
#include "bkd/codec/sshsig.h"
#include "bkd/engine/guard.h"
#include "bkd/engine/intake.h"
#include "bkd/engine/objects.h"
#include "bkd/engine/parent.h"
#include "bkd/engine/state.h"

#define OBJECTS_RESERVED 64u
#define MIN_SIZE_AUTO (256u << 10) // smaller files change whole as a rule, and a recipe each would cost more than it saves

struct run {
    const struct io *io;
    const struct backup_options *options;
    struct state state;
    uint8_t cache_key[SEALED_KEY_SIZE];
    struct sshkey signing_key;
    struct repository *repository;
    struct store *store; // borrowed from the repository
    struct parent parent;
    uint64_t started_ns, started_mono_ns;
    struct objects objects;
    struct spill *overlay;
    struct journal *journal;
    struct previous previous;
    struct known *known;
    struct versions versions;
    struct object_writer *writer;
    struct select_plan *plan;
    struct output output;
    struct intake_stats intake;
    struct bigfile_result manifest;
    uint8_t head_sha256[CRYPTO_SHA256_SIZE]; // of the new head
    struct backup_result result;
};

// ---- what may be referred to

static bool usable(void *arg, uint32_t object)
{
    const struct run *run = arg;
    return objects_usable(&run->objects, object);
}

static bool usable_before(void *arg, uint32_t object)
{
    const struct run *run = arg;
    return objects_usable_before(&run->objects, object);
}

// Numbers are reserved in steps, ahead of their use.
static int reserve_objects(struct run *run, uint32_t next, struct error *err)
{
    return next < run->state.objects ? 0 : state_reserve_objects(&run->state, next + OBJECTS_RESERVED, err);
}

static int object_finished(void *arg, uint32_t number, const uint8_t sha256[32], uint64_t stored_size, struct error *err)
{
    struct run *run = arg;
    objects_add(&run->objects, number, sha256, stored_size);
    int r = reserve_objects(run, number + 1, err);
    return r < 0 ? r : journal_commit_object(run->journal, number, sha256, stored_size, err);
}

// An object the journal of a cut-off run names is used again only when the store has it, byte for byte.
static bool object_is_stored(void *arg, uint32_t number, const uint8_t sha256[32], uint64_t stored_size)
{
    struct run *run = arg;
    if (!objects_check_stored(run->store, run->repository->info.encrypted, sha256, stored_size))
        return false;
    objects_add(&run->objects, number, sha256, stored_size);
    run->result.resumed = true;
    return true;
}

static int piece_is_known(void *arg, const uint8_t sha256[32], const struct place *place, struct error *err)
{
    struct run *run = arg;
    return known_add(run->known, KNOWN_WHOLE, sha256, place, err);
}

// Content of an entry that is kept: account for it, or say that it cannot be relied on.
static bool keep_content(void *arg, const struct manifest_entry *old)
{
    struct run *run = arg;
    if (!objects_usable(&run->objects, old->at.object) && old->at.object != 0)
        return false;
    if (old->xattr.object != 0 && !objects_usable(&run->objects, old->xattr.object))
        return false;
    if (place_is_set(&old->version)) {
        _cleanup_versions_needs_ struct versions_needs needs = { 0 };
        struct error why;
        bool good = versions_use(&run->versions, &old->version, &needs, &why) == 0;
        for (size_t i = 0; good && i < needs.n; i++)
            good = objects_usable(&run->objects, needs.items[i].object);
        if (!good)
            return false;
        output_need(&run->output, &needs);
    }
    output_need_place(&run->output, &old->at);
    output_need_place(&run->output, &old->xattr);
    return true;
}

// ---- opening

static int open_repository(struct run *run, struct error *err)
{
    const struct backup_options *o = run->options;
    struct store *store = NULL;
    int r = store_open(run->io, o->repository, false, &store, err);
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

// An object that is gone or has another size is not built upon: what it held is read and stored again.
static int load_object(struct run *run, const struct format_ref *ref, struct error *err)
{
    struct error why;
    uint64_t size = 0;
    _cleanup_free_ char *name = format_object_name(ref->sha256, run->repository->info.encrypted);
    int r = run->store->ops->size(run->store, name, &size, &why);
    if (r < 0 && r != ERROR_NOT_FOUND && r != ERROR_INTEGRITY) {
        *err = why;
        return r;
    }
    if (r == 0 && size == ref->stored_size) {
        objects_add(&run->objects, ref->object, ref->sha256, ref->stored_size);
        return 0;
    }
    log_error("'%s' in repository '%s' is %s: earlier snapshots that need it cannot be restored whole; run `bkd check`", name, run->store->url,
              r < 0 ? "missing" : "not of its size");
    run->result.damaged_objects++;
    return 0;
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
    for (size_t i = 0; r == 0 && i < refs.n; i++)
        r = load_object(run, &refs.refs[i], err);
    return r;
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

static int open_writer(struct run *run, struct error *err)
{
    const struct backup_options *o = run->options;
    struct object_writer_options options = {
        .store = run->store, .recipients = o->recipients, .n_recipients = o->n_recipients, .level = o->compression_level,
        .jobs = o->jobs, .object_size = run->repository->info.object_size, .first_object = first_object(run), .finished = object_finished, .arg = run,
    };
    memcpy(options.repository, run->repository->info.id, sizeof options.repository);
    memcpy(options.chain, run->parent.chain, sizeof options.chain);
    run->objects.first_own = options.first_object;
    int r = reserve_objects(run, options.first_object, err);
    return r < 0 ? r : object_writer_new(run->io, &options, &run->writer, err);
}

// ---- scan and read

static int scan_and_select(struct run *run, struct error *err)
{
    const struct backup_options *o = run->options;
    struct select_options options = {
        .scan = { .sources = o->sources, .n_sources = o->n_sources, .one_filesystem = o->one_filesystem, .scratch_fd = run->state.dirfd },
        .keep = keep_content, .keep_arg = run, .compare_inode = o->compare_inode,
    };
    uint64_t start = io_monotonic_ns(run->io);
    o->progress(o->arg, "scan", 0, 0, 0, 0);
    struct guard guard;
    int r = guard_begin(&guard, run->io, run->state.dirfd, run->cache_key, o->sources, o->n_sources, o->accept_source_change, err);
    if (r == 0)
        r = output_begin(&run->output, run->io, run->state.dirfd, run->cache_key, run->started_ns, run->journal, err);
    if (r == 0)
        r = select_run(run->io, &options, &run->previous, o->problem, o->arg, &run->plan, err);
    if (r == 0)
        r = guard_check(&guard, select_counts(run->plan), err);
    if (r == 0 && !o->dry_run)
        r = guard_remember(&guard, err);
    guard_done(&guard);
    run->result.scan_ns = io_monotonic_ns(run->io) - start;
    return r;
}

static struct bigfile_context big_context(struct run *run)
{
    const struct backup_options *o = run->options;
    return (struct bigfile_context){
        .io = run->io, .writer = run->writer, .known = run->known, .versions = &run->versions, .journal = run->journal,
        .usable = usable, .usable_arg = run, .block_size = o->delta_block_size, .max_chain = o->delta_max_chain, .max_share_percent = o->delta_max_share_percent,
    };
}

static void note_progress(void *arg, uint64_t bytes, uint64_t files)
{
    struct run *run = arg;
    const struct select_counts *counts = select_counts(run->plan);
    run->options->progress(run->options->arg, "read", bytes, counts->read_bytes, files, counts->read_files);
}

static void pass_problem(void *arg, const struct scan_problem *problem)
{
    struct run *run = arg;
    run->options->problem(run->options->arg, problem);
}

static int read_and_store(struct run *run, struct error *err)
{
    const struct backup_options *o = run->options;
    uint64_t start = io_monotonic_ns(run->io);
    int r = open_writer(run, err);
    if (r < 0)
        return r;
    struct intake_options options = {
        .big = big_context(run), .output = &run->output, .plan = run->plan, .big_size = o->delta_min_size != 0 ? o->delta_min_size : MIN_SIZE_AUTO,
        .jobs = o->jobs, .problem = pass_problem, .progress = note_progress, .arg = run,
    };
    r = intake_run(run->io, &options, &run->intake, err);
    run->result.read_ns = io_monotonic_ns(run->io) - start;
    return r;
}

// The manifest is a file like others: pieces, delta against the last one, a recipe that carries its path index.
static int store_manifest(struct run *run, struct error *err)
{
    int r = sealed_flush(&run->output.manifest, err);
    if (r < 0)
        return r;
    struct bigfile_context context = big_context(run);
    context.journal = NULL;
    struct bigfile *file = NULL;
    uint64_t size = run->output.manifest.size;
    const struct place *base = run->parent.head == NULL ? NULL : &run->parent.head->head.manifest;
    r = bigfile_begin(&context, run->output.manifest.fd, "manifest", size, size, base, &run->output.index, &file, err);
    struct bigfile_job *piece = bigfile_job_new();
    for (uint64_t i = 0; r == 0 && i < bigfile_pieces(file); i++) {
        bool source_failed;
        bigfile_piece(file, i, piece);
        bigfile_piece_work(piece);
        r = bigfile_take(piece, &source_failed, err);
    }
    if (r == 0)
        r = bigfile_finish(file, &run->manifest, err);
    bigfile_job_free(piece);
    bigfile_free(file);
    if (r == 0)
        output_need(&run->output, &run->manifest.needs);
    return r;
}

// ---- commit

static int put_refs(struct run *run, struct format_head *head, struct error *err)
{
    _cleanup_format_refs_ struct format_refs refs = { 0 };
    _cleanup_buf_ struct buf text = { 0 };
    int r = objects_refs(&run->objects, run->parent.chain, &run->output.needs, &refs, err);
    if (r < 0)
        return r;
    format_refs_write(&text, &refs);
    crypto_sha256(text.data, text.len, head->refs);
    head->refs_size = text.len;
    _cleanup_free_ char *name = format_refs_name(head->refs);
    r = run->store->ops->put(run->store, name, text.data, text.len, err);
    return r == ERROR_EXISTS ? 0 : r; // named by its content: the same list was stored before
}

static void fill_head(struct run *run, struct format_head *head)
{
    const struct backup_options *o = run->options;
    const struct repository_head *parent = run->parent.head;
    memcpy(head->repository, run->repository->info.id, sizeof head->repository);
    memcpy(head->chain, run->parent.chain, sizeof head->chain);
    (void)snprintf(head->host, sizeof head->host, "%s", o->host);
    (void)snprintf(head->policy, sizeof head->policy, "%s", o->policy);
    (void)snprintf(head->tag, sizeof head->tag, "%s", o->tag == NULL ? "" : o->tag);
    head->number = run->parent.next_number;
    if (parent != NULL)
        memcpy(head->previous, parent->sha256, sizeof head->previous);
    head->time_ns = run->started_ns;
    head->manifest = run->manifest.version;
    head->manifest_size = run->manifest.size;
    memcpy(head->manifest_sha256, run->manifest.sha256, sizeof head->manifest_sha256);
    memcpy(head->recipe_sha256, run->manifest.is_base ? parent->head.recipe_sha256 : run->manifest.recipe_sha256, sizeof head->recipe_sha256);
    head->next_object = object_writer_next_object(run->writer);
    for (size_t i = 0; i < o->n_recipients && i < FORMAT_RECIPIENTS_MAX; i++) {
        char text[AGE_RECIPIENT_TEXT_SIZE];
        age_recipient_format(&o->recipients[i], text);
        head->recipients[head->n_recipients++] = xstrdup(text);
    }
    head->files = run->result.files;
    head->entries = run->output.entries;
    head->bytes = run->result.bytes_source;
    head->stored = run->result.bytes_stored;
    head->flags = run->result.complete ? 0 : FORMAT_INCOMPLETE;
}

// What no reader would accept is not committed.
static int check_head(const struct buf *text, struct error *err)
{
    _cleanup_format_head_ struct format_head read_back = { 0 };
    int r = format_head_parse(buf_str(text), text->len, &read_back, err);
    return r < 0 ? error_prefix(err, "the new head is not right, nothing was committed") : 0;
}

// From here on the snapshot exists.
static int create_head(struct run *run, const struct format_head *head, struct error *err)
{
    _cleanup_buf_ struct buf file = { 0 };
    uint8_t *sha256 = run->head_sha256;
    format_head_write(&file, head);
    int r = check_head(&file, err);
    if (r < 0)
        return r;
    _cleanup_buf_ struct buf signature = { 0 };
    sshsig_sign(&run->signing_key, FORMAT_NAMESPACE_HEAD, file.data, file.len, &signature);
    buf_add(&file, signature.data, signature.len);
    if (file.len > FORMAT_HEAD_MAX)
        return error_set(err, ERROR_FAILED, "the head would have %zu bytes, more than %u: too many or too long recipients and labels", file.len, FORMAT_HEAD_MAX);
    crypto_sha256(file.data, file.len, sha256);
    struct state_pin pin = { .is_set = true, .number = head->number };
    memcpy(pin.sha256, sha256, sizeof pin.sha256);
    memcpy(pin.repository, head->repository, sizeof pin.repository);
    r = state_set_pending(&run->state, &pin, err);
    _cleanup_free_ char *name = format_head_name(head->chain, head->number);
    if (r == 0)
        r = run->store->ops->put(run->store, name, file.data, file.len, err);
    if (r == ERROR_EXISTS)
        return error_set(err, ERROR_INTEGRITY, "snapshot %llu was created by somebody else meanwhile: this host's identity is used twice", (unsigned long long)head->number);
    return r < 0 ? r : state_set_pin(&run->state, &pin, err);
}

// The manifest and the inode facts are named by the manifest's hash: both generations stay until the new head is certain.
static int save_manifest(struct run *run, struct error *err)
{
    char manifest[PREVIOUS_NAME_SIZE], stat[PREVIOUS_NAME_SIZE];
    previous_names(run->manifest.sha256, manifest, stat);
    int r = sealed_commit_as(&run->output.manifest, manifest, err);
    if (r == 0)
        r = sealed_commit_as(&run->output.stat, stat, err);
    return r;
}

struct generation {
    struct run *run;
    char manifest[PREVIOUS_NAME_SIZE], stat[PREVIOUS_NAME_SIZE];
};

static int drop_old(void *arg, const char *name, unsigned char type, struct error *err)
{
    struct generation *g = arg;
    (void)type;
    (void)err;
    bool ours = strncmp(name, "manifest-", 9) == 0 || strncmp(name, "stat-", 5) == 0;
    if (ours && strcmp(name, g->manifest) != 0 && strcmp(name, g->stat) != 0)
        (void)g->run->io->unlinkat(g->run->io, g->run->state.dirfd, name, 0); // tried again next time
    return 0;
}

// After the commit nothing here may fail the run: caches that are not tidied are tidied next time.
static void tidy_caches(struct run *run)
{
    struct error why;
    struct generation g = { .run = run };
    previous_names(run->manifest.sha256, g.manifest, g.stat);
    int r = known_save(run->known, run->head_sha256, &why);
    journal_remove(run->journal);
    if (r == 0)
        r = state_reserve_objects(&run->state, object_writer_next_object(run->writer), &why);
    if (r == 0)
        r = fs_list_dir(run->io, run->state.dirfd, ".", drop_old, &g, &why);
    if (r == 0)
        r = versions_sweep(&run->versions, &why);
    if (r < 0)
        log_warn("the local cache was not tidied: %s", why.text);
}

static void fill_result(struct run *run)
{
    struct backup_result *result = &run->result;
    const struct select_counts *counts = select_counts(run->plan);
    struct object_writer_stats stats = { 0 };
    if (run->writer != NULL)
        object_writer_stats(run->writer, &stats);
    bool is_read = run->writer != NULL; // else a dry run: what the scan saw
    result->files = is_read ? run->output.files : counts->files;
    result->entries = is_read ? run->output.entries : counts->entries;
    result->bytes_source = is_read ? run->output.bytes : counts->bytes;
    result->gone_files = counts->gone_files - (counts->moved_files < counts->gone_files ? counts->moved_files : counts->gone_files);
    result->moved_files = counts->moved_files;
    result->changed_files = run->intake.changed_files;
    result->bytes_read = run->intake.bytes_read;
    result->unstable_files = run->intake.unstable_files;
    result->vanished = run->intake.gone;
    result->skipped = run->intake.skipped + counts->problems;
    result->bytes_stored = stats.stored_bytes;
    result->objects = stats.objects;
    result->compress_ns = stats.compress_ns;
    result->complete = result->skipped == 0 && result->unstable_files == 0;
}

static int commit(struct run *run, struct error *err)
{
    uint64_t start = io_monotonic_ns(run->io);
    const struct backup_options *o = run->options;
    o->progress(o->arg, "commit", 0, 0, 0, 0);
    _cleanup_format_head_ struct format_head head = { 0 };
    int r = store_manifest(run, err);
    if (r == 0)
        r = object_writer_finish(run->writer, err);
    fill_result(run);
    if (r == 0)
        r = put_refs(run, &head, err);
    if (r == 0)
        r = save_manifest(run, err);
    fill_head(run, &head);
    if (r == 0)
        r = create_head(run, &head, err);
    if (r < 0)
        return r;
    run->result.snapshot = head.number;
    tidy_caches(run);
    run->result.commit_ns = io_monotonic_ns(run->io) - start;
    return 0;
}

// A dry run ends with the plan, gone through once: moves show only then.
static int only_plan(struct run *run, struct error *err)
{
    const struct select_item *item;
    int r;
    do
        r = select_next(run->plan, &item, err);
    while (r == 0 && item != NULL);
    fill_result(run);
    run->result.bytes_read = select_counts(run->plan)->read_bytes;
    run->result.changed_files = select_counts(run->plan)->read_files;
    return r;
}

static int run_steps(struct run *run, struct error *err)
{
    const struct backup_options *o = run->options;
    int r = state_open(run->io, o->state_dir, o->policy, &run->state, err);
    if (r == 0)
        r = sshkey_parse(o->signing_key, o->signing_key_len, &run->signing_key, err);
    if (r == 0)
        r = open_repository(run, err);
    if (r == 0)
        r = load_parent_objects(run, err);
    if (r == 0)
        r = open_caches(run, err);
    if (r == 0)
        r = scan_and_select(run, err);
    if (r < 0 || o->dry_run)
        return r < 0 ? r : only_plan(run, err);
    if (!run->state.has_chain || memcmp(run->state.chain, run->parent.chain, sizeof run->parent.chain) != 0) // from now on this is the chain, also should this run be cut off
        r = state_set_chain(&run->state, run->parent.chain, err);
    if (r == 0)
        r = read_and_store(run, err);
    return r < 0 ? r : commit(run, err);
}

static void close_all(struct run *run)
{
    object_writer_free(run->writer);
    select_free(run->plan);
    output_done(&run->output);
    versions_needs_done(&run->manifest.needs);
    previous_done(&run->previous);
    journal_close(run->journal);
    known_free(run->known);
    versions_done(&run->versions);
    spill_free(run->overlay);
    objects_done(&run->objects);
    repository_close(run->repository);
    sshkey_done(&run->signing_key);
    state_close(&run->state);
}

int backup_run(const struct io *io, const struct backup_options *options, struct backup_result *ret_result, struct error *err)
{
    struct backup_options o = *options;
    if (o.jobs == 0)
        o.jobs = work_processors();
    struct run run = { .io = io, .options = &o, .output = { .manifest = { .fd = -1 }, .stat = { .fd = -1 } } };
    run.started_ns = io_realtime_ns(io);
    run.started_mono_ns = io_monotonic_ns(io);
    int r = run_steps(&run, err);
    run.result.duration_ns = io_monotonic_ns(io) - run.started_mono_ns;
    close_all(&run);
    if (r == 0)
        *ret_result = run.result;
    return r;
}
