#include "bkd/engine/intake.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/crypto.h"
#include "bkd/base/log.h"
#include "bkd/engine/intake_parts.h"

void intake_note_problem(struct intake *in, const struct manifest_entry *entry, const char *reason)
{
    struct scan_problem problem = { buf_str(&entry->path), reason };
    in->stats.skipped++;
    in->options->problem(in->options->arg, &problem);
}

void intake_note_progress(struct intake *in, uint64_t bytes, uint64_t files)
{
    in->bytes_done += bytes;
    in->files_done += files;
    in->options->progress(in->options->arg, in->bytes_done, in->files_done);
}

void intake_note_change(struct intake *in, bool is_known, enum texture before, enum texture now, uint64_t size)
{
    struct intake_stats *stats = &in->stats;
    bool turned = is_known && before == TEXTURE_LOOSE && now == TEXTURE_DENSE, dense_new = !is_known && now == TEXTURE_DENSE;
    stats->changed_files++;
    stats->altered_files += is_known;
    stats->turned_files += turned;
    stats->turned_bytes += turned ? size : 0;
    stats->dense_new_files += dense_new;
    stats->dense_new_bytes += dense_new ? size : 0;
}

// ---- what was stored already

static bool is_due(const struct intake *in, const struct place *place) { return renew_is_due(in->options->big.renew, place->object); }

bool intake_keep_stored(struct intake *in, struct manifest_entry *entry, const struct manifest_entry *old, const struct scan_stat *planned,
                        const struct scan_stat *found)
{
    bool untouched = in->options->compare_inode && entry->size == old->size && entry->mtime_s == old->mtime_s && entry->mtime_ns == old->mtime_ns &&
                     found->inode == planned->inode && found->ctime_s == planned->ctime_s && found->ctime_ns == planned->ctime_ns &&
                     (entry->notes & MANIFEST_UNSTABLE) == 0;
    struct versions_needs needs = { 0 };
    struct error ignored; // then what was read is stored
    if (!untouched || (place_is_set(&old->version) && versions_use(in->options->big.versions, &old->version, &needs, &ignored) < 0))
        return false;
    log_warn("the content of '%s' is not what was stored, though its size, times and inode are as they were: the file, or memory, was damaged since. The snapshot "
             "keeps the stored content; compare the two with `bkd diff` and a restore, and write the file anew whichever is right",
             buf_str(&entry->path));
    in->stats.differing_files++;
    entry->has_sha256 = old->has_sha256;
    memcpy(entry->sha256, old->sha256, sizeof entry->sha256);
    entry->at = old->at;
    entry->version = old->version;
    output_need_place(in->options->output, &entry->at);
    output_need(in->options->output, &needs);
    versions_needs_done(&needs);
    return true;
}

// ---- placing one entry

// The places an entry refers to must be in objects this snapshot may build on.
static bool place_usable(const struct intake *in, const struct place *place)
{
    const struct bigfile_context *big = &in->options->big;
    return place->object == 0 || (big->usable(big->usable_arg, place->object) && !is_due(in, place));
}

int intake_place_xattrs(struct intake *in, struct manifest_entry *entry, const uint8_t *text, size_t n, struct error *err)
{
    uint8_t sha256[CRYPTO_SHA256_SIZE];
    int r = 0;
    entry->xattr = (struct place){ 0 };
    if (n == 0)
        return 0;
    crypto_sha256(text, n, sha256);
    if (!known_find(in->options->big.known, KNOWN_XATTR, sha256, &entry->xattr)) {
        r = object_writer_add(in->options->big.writer, "xattr", text, n, &entry->xattr, err);
        if (r == 0)
            r = known_add(in->options->big.known, KNOWN_XATTR, sha256, &entry->xattr, err);
    }
    output_need_place(in->options->output, &entry->xattr);
    return r;
}

// The writer whose open object holds the content.
static struct object_writer *writer_of(const struct intake *in, const struct manifest_entry *entry)
{
    struct object_writer *renewer = in->options->big.renew->writer;
    uint32_t object = place_is_set(&entry->version) ? entry->version.object : entry->at.object;
    return renewer != NULL && object_writer_open_object(renewer) == object ? renewer : in->options->big.writer;
}

int intake_finish_entry(struct intake *in, struct manifest_entry *entry, const struct scan_stat *stat, struct error *err)
{
    int r = output_entry(in->options->output, entry, stat, &in->line, err);
    if ((entry->notes & MANIFEST_UNSTABLE) != 0)
        in->stats.unstable_files++;
    if (r == 0 && entry->type == MANIFEST_FILE && entry->size > 0)
        r = object_writer_note_entry(writer_of(in, entry), buf_str(&in->line), in->line.len, err);
    return r;
}

// A version that stores the same bytes already, of this very path before or of any other.
static bool use_known_version(struct intake *in, struct manifest_entry *entry, const struct place *version, struct error *err)
{
    struct versions_needs needs = { 0 };
    bool good = versions_use(in->options->big.versions, version, &needs, err) == 0 && !renew_any_due(in->options->big.renew, &needs);
    for (size_t i = 0; good && i < needs.n; i++)
        good = in->options->big.usable(in->options->big.usable_arg, needs.items[i].object);
    if (good) {
        entry->version = *version;
        output_need(in->options->output, &needs);
    }
    versions_needs_done(&needs);
    return good;
}

// Content that is stored nowhere, or nowhere that lasts.
static int store_content(struct intake *in, struct batch_item *item, bool is_renewal, const uint8_t *data, struct error *err)
{
    const struct bigfile_context *big = &in->options->big;
    struct manifest_entry *entry = &item->entry;
    int r = is_renewal ? big->open_renewer(big->usable_arg, err) : 0;
    if (r == 0)
        r = object_writer_add(is_renewal ? big->renew->writer : big->writer, "whole", data, item->data_len, &entry->at, err);
    if (r == 0)
        r = known_add(big->known, KNOWN_WHOLE, entry->sha256, &entry->at, err);
    in->stats.renewed_bytes += is_renewal ? item->data_len : 0;
    return r;
}

static int place_content(struct intake *in, struct batch_item *item, const struct manifest_entry *old, const uint8_t *data, struct error *err)
{
    struct manifest_entry *entry = &item->entry;
    const struct intake_options *o = in->options;
    struct place known;
    entry->has_sha256 = true;
    memcpy(entry->sha256, item->sha256, sizeof entry->sha256);
    bool same = old != NULL && old->has_sha256 && old->size == entry->size && memcmp(old->sha256, entry->sha256, sizeof entry->sha256) == 0;
    if (!same && item->action == SELECT_RENEW && intake_keep_stored(in, entry, old, &item->planned, &item->stat))
        return 0;
    bool is_renewal = same && (item->action == SELECT_RENEW || is_due(in, &old->at));
    in->stats.renewed_files += is_renewal;
    if (!same)
        intake_note_change(in, old != NULL, item->before, item->stat.texture, entry->size);
    if (same && place_is_set(&old->at) && place_usable(in, &old->at)) {
        entry->at = old->at;
    } else if (known_find(o->big.known, KNOWN_WHOLE, entry->sha256, &known) && known.length == entry->size) {
        entry->at = known;
    } else if ((same && place_is_set(&old->version) && use_known_version(in, entry, &old->version, err)) ||
               (known_find(o->big.known, KNOWN_VERSION, entry->sha256, &known) && use_known_version(in, entry, &known, err))) {
        return 0;
    } else {
        int r = store_content(in, item, is_renewal, data, err);
        if (r < 0)
            return r;
    }
    output_need_place(o->output, &entry->at);
    return 0;
}

// A directory stays an entry, as it was scanned, whatever became of it since: what was found in it could not be restored without.
static int keep_directory(struct intake *in, const struct batch *b, struct batch_item *item, struct error *err)
{
    int r = manifest_parse(buf_str(&b->text) + item->line, item->line_len, &item->entry, err);
    item->stat = (struct scan_stat){ 0 }; // no inode: it is looked at again next time
    return r < 0 ? r : intake_finish_entry(in, &item->entry, &item->stat, err);
}

static int place_item(struct intake *in, struct batch *b, struct batch_item *item, struct error *err)
{
    struct manifest_entry *entry = &item->entry, old = { 0 };
    if (item->result != SOURCE_FILE_READ) {
        if (item->result == SOURCE_FILE_PROBLEM)
            intake_note_problem(in, entry, item->problem);
        else
            in->stats.gone++;
        return entry->type == MANIFEST_DIR ? keep_directory(in, b, item, err) : 0;
    }
    if (item->problem != NULL) {
        intake_note_problem(in, entry, item->problem);
        item->stat = (struct scan_stat){ 0 }; // no inode: it is read again next time
    }
    int r = 0;
    const uint8_t *content = b->content.data;
    if (select_reads(item->action))
        in->stats.bytes_read += item->data_len;
    if (item->base_len > 0)
        r = manifest_parse(buf_str(&b->text) + item->base, item->base_len, &old, err);
    if (r == 0)
        r = intake_place_xattrs(in, entry, content + item->xattrs, item->xattrs_len, err);
    if (r == 0 && entry->type == MANIFEST_FILE && item->data_len > 0)
        r = place_content(in, item, item->base_len > 0 ? &old : NULL, content + item->data, err);
    else if (entry->type == MANIFEST_FILE && (item->base_len == 0 || old.size > 0))
        intake_note_change(in, item->base_len > 0, item->before, TEXTURE_UNKNOWN, 0);
    manifest_entry_done(&old);
    return r < 0 ? r : intake_finish_entry(in, entry, &item->stat, err);
}

static int place_batch(struct intake *in, struct batch *b, struct error *err)
{
    uint64_t bytes = 0, files = 0;
    for (size_t i = 0; i < b->count; i++) {
        struct batch_item *item = &b->items[i];
        int r = item->action == SELECT_KEEP
                    ? output_keep(in->options->output, buf_str(&b->text) + item->line, item->line_len, &item->stat, err)
                    : place_item(in, b, item, err);
        if (r < 0)
            return r;
        bytes += item->data_len;
        files += select_reads(item->action);
    }
    if (files > 0)
        intake_note_progress(in, bytes, files);
    return 0;
}

// ---- the queue

static void work_job(void *arg, unsigned worker)
{
    struct intake_job *job = arg;
    struct profile_lap lap;
    profile_begin(&lap, job->in->options->big.lap->profile, job->in->io, PROFILE_READ);
    if (job->batch != NULL)
        batch_work(job->batch, &job->in->workers[worker], &lap);
    else
        bigfile_piece_work(job->piece, &lap);
    profile_end(&lap);
}

static void recycle_batch(struct intake *in, struct batch *batch)
{
    if (in->n_idle_batches < INTAKE_IDLE_MAX) {
        batch_reset(batch);
        in->idle_batch[in->n_idle_batches++] = batch;
    } else {
        batch_free(batch);
    }
}

static void recycle_piece(struct intake *in, struct bigfile_job *piece)
{
    in->n_pieces--;
    spare_give(&in->spaces, bigfile_job_space(piece));
    size_t delta = bigfile_job_trim(piece, in->jobs <= 2 ? INTAKE_DELTA_KEPT : INTAKE_DELTA_KEPT_MANY);
    in->delta_expected = delta > in->delta_expected / 2 ? delta : in->delta_expected / 2;
    if (in->n_idle_pieces < INTAKE_PIECES_MAX)
        in->idle_piece[in->n_idle_pieces++] = piece;
    else
        bigfile_job_free(piece);
}

static void recycle(struct intake *in, struct intake_job *job)
{
    if (job->batch != NULL)
        recycle_batch(in, job->batch);
    else
        recycle_piece(in, job->piece);
    free(job);
}

static int place_next(struct intake *in, struct error *err)
{
    profile_pause(in->options->big.lap);
    struct intake_job *job = work_next(in->pool);
    profile_resume(in->options->big.lap, PROFILE_STARVED);
    int r = job->batch != NULL ? place_batch(in, job->batch, err) : intake_place_piece(in, job, err);
    recycle(in, job);
    return r;
}

// Of few sizes, so that what one piece had is soon of use for another.
static size_t space_size(size_t bytes)
{
    size_t size = INTAKE_SPACE_MIN;
    while (size < bytes)
        size *= 2;
    return size;
}

// Pieces keep processors busy, not disks: one for each job and one more, as long as they and their deltas are small.
static bool has_room(const struct intake *in, size_t bytes)
{
    size_t with_deltas = in->spaces.lent + space_size(bytes) + (in->n_pieces + 1) * in->delta_expected;
    return in->n_pieces == 0 || (in->n_pieces <= in->jobs && spare_has_room(&in->spaces, space_size(bytes)) && with_deltas <= INTAKE_PIECES_BYTES);
}

int intake_lend_space(struct intake *in, struct bigfile_job *piece, size_t bytes, struct error *err)
{
    int r = 0;
    while (r == 0 && !has_room(in, bytes))
        r = place_next(in, err);
    if (r == 0 && bytes > 0)
        *bigfile_job_space(piece) = spare_take(&in->spaces, space_size(bytes));
    return r;
}

int intake_submit(struct intake *in, struct batch *batch, struct bigfile_job *piece, struct intake_big *big, struct error *err)
{
    int r = 0;
    if (in->options->interrupted != NULL && in->options->interrupted())
        r = error_set(err, ERROR_FAILED, "interrupted; there is no new snapshot, and the next run goes on from what was stored");
    while (r == 0 && work_count(in->pool) > work_threads(in->pool))
        r = place_next(in, err);
    if (r < 0) {
        batch_free(batch);
        bigfile_job_free(piece);
        return r;
    }
    struct intake_job *job = xcalloc(1, sizeof *job);
    *job = (struct intake_job){ .in = in, .batch = batch, .piece = piece, .big = big };
    in->n_pieces += piece != NULL;
    work_submit(in->pool, work_job, job);
    return 0;
}

int intake_drain(struct intake *in, struct error *err)
{
    int r = 0;
    while (r == 0 && work_count(in->pool) > 0)
        r = place_next(in, err);
    return r;
}

static int submit_batch(struct intake *in, struct error *err)
{
    if (in->filling == NULL || in->filling->count == 0)
        return 0;
    return intake_submit(in, TAKE(in->filling), NULL, NULL, err);
}

static int add_to_batch(struct intake *in, const struct select_item *item, uint64_t size, struct error *err)
{
    if (in->filling == NULL)
        in->filling = in->n_idle_batches > 0 ? in->idle_batch[--in->n_idle_batches] : batch_new();
    batch_add(in->filling, item, size);
    return batch_is_full(in->filling) ? submit_batch(in, err) : 0;
}

// Size of a planned entry, without parsing the whole line.
static uint64_t line_size(const struct select_item *item)
{
    uint64_t size = 0;
    const char *key = memmem(item->line, item->line_len, " size=", 6);
    for (const char *p = key == NULL ? NULL : key + 6; p != NULL && p < item->line + item->line_len && *p >= '0' && *p <= '9'; p++)
        size = size * 10 + (uint64_t)(*p - '0');
    return size;
}

static int feed(struct intake *in, struct error *err)
{
    for (;;) {
        const struct select_item *item;
        int r = select_next(in->options->plan, &item, err);
        if (r < 0)
            return r;
        if (item == NULL)
            break;
        uint64_t size = select_reads(item->action) ? line_size(item) : 0;
        bool sparse = size > 65536 && item->blocks_bytes < size / 2, is_stream = item->action == SELECT_STREAM;
        if (is_stream || (select_reads(item->action) && (size >= in->options->big_size || sparse))) {
            // Entries come out in the order of the queue: what was collected goes first.
            r = submit_batch(in, err);
            if (r == 0)
                r = is_stream ? intake_take_stream(in, item, err) : intake_take_big(in, item, err);
        } else {
            r = add_to_batch(in, item, size, err);
        }
        if (r < 0)
            return r;
    }
    int r = submit_batch(in, err);
    return r < 0 ? r : intake_drain(in, err);
}

static int open_worker(struct batch_worker *w, const struct intake *in, struct error *err)
{
    const struct intake_options *o = in->options;
    *w = (struct batch_worker){ .io = in->io, .names = scan_names_new(), .small_max = o->big_size > (4u << 20) ? o->big_size : 4u << 20 };
    int r = dirchain_init(&w->chain, in->io, "/", err);
    for (size_t i = 0; r == 0 && i < o->n_sources; i++)
        if (o->sources[i].read_from != NULL)
            dirchain_alias(&w->chain, o->sources[i].path, o->sources[i].read_from);
    return r;
}

static void close_worker(struct batch_worker *w)
{
    if (w->io == NULL)
        return;
    dirchain_done(&w->chain);
    scan_names_free(w->names);
}

// After a failure: waits for the workers and forgets what they made.
static void drop_queue(struct intake *in)
{
    struct intake_job *job;
    while ((job = work_next(in->pool)) != NULL)
        recycle(in, job);
    while (in->under_way != NULL)
        intake_free_big(in, in->under_way);
}

// A cold disk answers many at the same time: threads that read small files mostly wait. What they hold is bounded by small batches, and by descriptors.
static unsigned readers_for(unsigned jobs)
{
    unsigned readers = INTAKE_READERS * jobs;
    readers = readers > INTAKE_READERS_MAX ? INTAKE_READERS_MAX : readers;
    return readers > jobs ? readers : jobs;
}

int intake_run(const struct io *io, const struct intake_options *options, struct intake_stats *ret_stats, struct error *err)
{
    struct intake in = { .io = io, .options = options };
    unsigned jobs = options->jobs == 0 ? 1 : options->jobs, readers = readers_for(jobs);
    in.jobs = jobs;
    in.delta_expected = RECIPE_PIECE_SIZE;
    in.pool = work_new(readers);
    spare_init(&in.spaces, (size_t)(jobs < INTAKE_PIECES_MAX ? jobs + 1 : INTAKE_PIECES_MAX) * RECIPE_PIECE_SIZE);
    work_profile(in.pool, options->big.lap->profile, io, PROFILE_READ);
    profile_threads(options->big.lap->profile, PROFILE_HASH, jobs);
    profile_threads(options->big.lap->profile, PROFILE_DELTA, jobs);
    in.workers = xcalloc(readers, sizeof *in.workers);
    int r = open_worker(&in.own, &in, err);
    for (unsigned i = 0; r == 0 && i < readers; i++)
        r = open_worker(&in.workers[i], &in, err);
    if (r == 0)
        r = feed(&in, err);
    drop_queue(&in);
    work_free(in.pool);
    in.stats.touched = in.own.touched;
    for (unsigned i = 0; i < readers; i++) {
        in.stats.touched += in.workers[i].touched;
        close_worker(&in.workers[i]);
    }
    close_worker(&in.own);
    batch_free(in.filling);
    while (in.n_idle_batches > 0)
        batch_free(in.idle_batch[--in.n_idle_batches]);
    while (in.n_idle_pieces > 0)
        bigfile_job_free(in.idle_piece[--in.n_idle_pieces]);
    spare_done(&in.spaces);
    free(in.workers);
    buf_done(&in.line);
    *ret_stats = in.stats;
    return r;
}
