#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/crypto.h"
#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/codec/sshsig.h"
#include "bkd/engine/run.h"

enum { HASH_CHUNK = 1 << 20 };

static int hash_manifest(struct run *run, uint8_t ret_sha256[CRYPTO_SHA256_SIZE], struct error *err)
{
    _cleanup_crypto_sha256_ struct crypto_sha256 hash;
    _cleanup_free_ char *chunk = xmalloc(HASH_CHUNK);
    crypto_sha256_init(&hash);
    int r = 0;
    for (uint64_t at = 0; r == 0 && at < run->output.manifest.size;) {
        uint64_t left = run->output.manifest.size - at;
        size_t want = left < HASH_CHUNK ? (size_t)left : HASH_CHUNK, got = 0;
        r = io_pread_full(run->io, run->output.manifest.fd, chunk, want, at, "manifest", &got, err);
        if (r == 0 && got < want)
            r = error_set(err, ERROR_FAILED, "the local manifest was cut short");
        crypto_sha256_update(&hash, chunk, got);
        at += got;
    }
    if (r == 0)
        crypto_sha256_final(&hash, ret_sha256);
    return r;
}

// When nothing has changed the last manifest serves again, however long the line of versions is that it ends.
static int use_last_manifest(struct run *run, bool *ret_used, struct error *err)
{
    const struct format_head *last = run->parent.head == NULL ? NULL : &run->parent.head->head;
    struct bigfile_result same = { .is_base = true, .has_sha256 = true };
    struct error ignored; // it is stored then
    if (last == NULL || last->manifest_size != run->output.manifest.size)
        return 0;
    int r = hash_manifest(run, same.sha256, err);
    if (r < 0 || memcmp(same.sha256, last->manifest_sha256, sizeof same.sha256) != 0)
        return r;
    bool good = versions_use(&run->versions, &last->manifest, &same.needs, &ignored) == 0 && !renew_any_due(&run->renew, &same.needs);
    for (size_t i = 0; good && i < same.needs.n; i++)
        good = run_usable(run, same.needs.items[i].object);
    if (!good) {
        versions_needs_done(&same.needs);
        return 0;
    }
    same.version = last->manifest;
    same.size = last->manifest_size;
    run->manifest = same;
    output_need(&run->output, &same.needs);
    *ret_used = true;
    return 0;
}

// The manifest is a file like others: pieces, delta against the last one, a recipe that carries its path index.
static int store_manifest(struct run *run, struct error *err)
{
    bool done = false;
    int r = sealed_flush(&run->output.manifest, err);
    if (r == 0)
        r = use_last_manifest(run, &done, err);
    if (r < 0 || done)
        return r;
    struct bigfile_context context = run_big_context(run);
    context.journal = NULL;
    struct bigfile *file = NULL;
    uint64_t size = run->output.manifest.size;
    const struct place *base = run->parent.head == NULL ? NULL : &run->parent.head->head.manifest;
    r = bigfile_begin(&context, run->output.manifest.fd, "manifest", size, base, &run->output.index, &file, err);
    uint64_t cost = r == 0 ? bigfile_renewal_cost(file) : 0;
    if (cost > 0 && renew_spend(&run->renew, cost))
        r = bigfile_renew(file, err);
    struct bigfile_job *piece = bigfile_job_new();
    for (uint64_t i = 0; r == 0 && i < bigfile_pieces(file); i++) {
        bool source_failed;
        bigfile_piece(file, i, piece);
        bigfile_piece_work(piece, &run->lap);
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

static void remember_filled(struct run *run, const struct format_refs *refs)
{
    struct error why;
    if (renew_save(&run->renew, run->io, run->state.dirfd, run->cache_key, refs, run->objects.first_own, &why) < 0)
        log_warn("how full objects are was not noted, so they are emptied later than they might be: %s", why.text);
}

static int put_refs(struct run *run, struct format_head *head, struct error *err)
{
    _cleanup_format_refs_ struct format_refs refs = { 0 };
    _cleanup_buf_ struct buf text = { 0 };
    int r = objects_refs(&run->objects, run->parent.chain, &run->output.needs, &refs, err);
    if (r < 0)
        return r;
    remember_filled(run, &refs);
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
    head->flags = (run->result.complete ? 0u : FORMAT_INCOMPLETE) | (run->result.night.suspect ? FORMAT_SUSPECT : 0u);
}

// What no reader would accept is not committed.
static int check_head(const struct buf *text, struct error *err)
{
    _cleanup_format_head_ struct format_head read_back = { 0 };
    int r = format_head_parse(buf_str(text), text->len, &read_back, err);
    return r < 0 ? error_prefix(err, "the new head is not right, nothing was committed") : 0;
}

// The parent may be known as pending only: the run that created it was cut off before it became the pin. That must not be forgotten now,
// or being cut off once more would make this host's own snapshot look like another's.
static int confirm_pending(struct run *run, struct error *err)
{
    const struct state_pin *pending = &run->state.pending;
    const struct repository_head *parent = run->parent.head;
    bool is_parent = parent != NULL && pending->is_set && pending->number == parent->number && memcmp(pending->sha256, parent->sha256, sizeof pending->sha256) == 0;
    bool is_pin = run->state.pin.is_set && memcmp(pending->sha256, run->state.pin.sha256, sizeof pending->sha256) == 0;
    return is_parent && !is_pin ? state_set_pin(&run->state, pending, err) : 0;
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
    r = confirm_pending(run, err);
    if (r == 0)
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
    char manifest[PREVIOUS_NAME_SIZE], stat[PREVIOUS_NAME_SIZE], known[KNOWN_NAME_SIZE];
};

static bool begins(const char *name, const char *with) { return strncmp(name, with, strlen(with)) == 0; }

// Caches of other snapshots, and what killed runs were writing: this one holds the lock.
static bool is_left_over(const struct generation *g, const char *name)
{
    if (strcmp(name, g->manifest) == 0 || strcmp(name, g->stat) == 0 || strcmp(name, g->known) == 0)
        return false;
    return begins(name, "manifest-") || begins(name, "stat-") || begins(name, "known-") || begins(name, "spill-") || begins(name, "plan-") ||
           strstr(name, ".part-") != NULL;
}

static int drop_old(void *arg, const char *name, unsigned char type, struct error *err)
{
    struct generation *g = arg;
    (void)type;
    (void)err;
    if (is_left_over(g, name))
        (void)g->run->io->unlinkat(g->run->io, g->run->state.dirfd, name, 0); // tried again next time
    return 0;
}

// After the commit nothing here may fail the run: caches that are not tidied are tidied next time.
static void tidy_caches(struct run *run)
{
    struct error why;
    struct generation g = { .run = run };
    previous_names(run->manifest.sha256, g.manifest, g.stat);
    known_name(run->head_sha256, g.known);
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

int run_finish_writers(struct run *run, struct error *err)
{
    int r = run->renew.writer == NULL ? 0 : object_writer_finish(run->renew.writer, err);
    return r < 0 ? r : object_writer_finish(run->writer, err);
}

void run_fill_result(struct run *run)
{
    struct backup_result *result = &run->result;
    const struct select_counts *counts = select_counts(run->plan);
    struct object_writer_stats stats = { 0 }, anew = { 0 };
    if (run->writer != NULL)
        object_writer_stats(run->writer, &stats);
    if (run->renew.writer != NULL)
        object_writer_stats(run->renew.writer, &anew);
    bool is_read = run->writer != NULL; // else a dry run: what the scan saw
    result->files = is_read ? run->output.files : counts->files;
    result->entries = is_read ? run->output.entries : counts->entries;
    result->bytes_source = is_read ? run->output.bytes : counts->bytes;
    result->gone_files = counts->gone_files - (counts->moved_files < counts->gone_files ? counts->moved_files : counts->gone_files);
    result->moved_files = counts->moved_files;
    result->streams = counts->streams;
    result->changed_files = run->intake.changed_files;
    result->bytes_read = run->intake.bytes_read;
    result->unstable_files = run->intake.unstable_files;
    result->vanished = run->intake.gone;
    result->touched_files = run->intake.touched;
    memcpy(result->excluded, counts->excluded, sizeof result->excluded);
    result->skipped = run->intake.skipped + counts->problems;
    result->bytes_stored = stats.stored_bytes + anew.stored_bytes;
    result->objects = stats.objects + anew.objects;
    result->renewed_files = is_read ? run->intake.renewed_files : counts->renew_files;
    result->renewed_bytes = is_read ? run->intake.renewed_bytes : counts->renew_bytes;
    result->differing_files = run->intake.differing_files;
    result->complete = result->skipped == 0 && result->unstable_files == 0;
}

#define CLOCK_OFF_NS (INT64_C(300) * 1000000000)

// How much room there is, and what time it is there: asked once the snapshot is safe, and no reason to fail.
static void ask_place(struct run *run, const struct format_head *head)
{
    struct backup_result *result = &run->result;
    struct error ignored;
    uint64_t there_ns = 0;
    _cleanup_free_ char *name = format_head_name(head->chain, head->number);
    if (store_space(run->store, &result->store_free, &result->store_total, &ignored) < 0)
        result->store_free = result->store_total = 0;
    if (!run->store->far || run->store->ops->modified == NULL || run->store->ops->modified(run->store, name, &there_ns, &ignored) < 0)
        return;
    result->store_clock_off_ns = (int64_t)there_ns - (int64_t)io_realtime_ns(run->io);
    if (result->store_clock_off_ns > CLOCK_OFF_NS || result->store_clock_off_ns < -CLOCK_OFF_NS)
        log_warn("the clock of '%s' is %lld s %s this host's: one of the two is wrong", run->store->url, (long long)llabs(result->store_clock_off_ns / 1000000000),
                 result->store_clock_off_ns > 0 ? "ahead of" : "behind");
}

int run_commit(struct run *run, struct error *err)
{
    uint64_t start = io_monotonic_ns(run->io);
    const struct backup_options *o = run->options;
    o->progress(o->arg, "commit", 0, 0, 0, 0);
    _cleanup_format_head_ struct format_head head = { 0 };
    int r = store_manifest(run, err);
    if (r == 0)
        r = run_finish_writers(run, err);
    run_fill_result(run);
    if (r == 0)
        run_judge(run);
    if (r == 0)
        r = put_refs(run, &head, err);
    if (r == 0)
        r = save_manifest(run, err);
    fill_head(run, &head);
    if (r == 0)
        r = run_check_parent(run, err);
    if (r == 0)
        r = create_head(run, &head, err);
    if (r < 0)
        return r;
    run->result.snapshot = head.number;
    ask_place(run, &head);
    run_remember_night(run);
    run->result.time_ns = head.time_ns;
    memcpy(run->result.chain, head.chain, sizeof head.chain);
    memcpy(run->result.head_sha256, run->head_sha256, sizeof run->head_sha256);
    tidy_caches(run);
    run->result.commit_ns = io_monotonic_ns(run->io) - start;
    return 0;
}
