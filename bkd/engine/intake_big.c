// What is stored as versions: big files, and streams. Their pieces go through the queue; the last one ends its file.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/crypto.h"
#include "bkd/engine/intake_parts.h"

void intake_free_big(struct intake *in, struct intake_big *big)
{
    struct intake_big **link = &in->under_way;
    while (*link != big)
        link = &(*link)->next;
    *link = big->next;
    bigfile_free(big->file);
    source_file_close(&big->source, in->io);
    manifest_entry_done(&big->entry);
    manifest_entry_done(&big->old);
    buf_done(&big->xattrs);
    free(big);
}

static int begin_big(struct intake *in, struct intake_big *big, struct error *err)
{
    const struct place *base = place_is_set(&big->old.version) ? &big->old.version : NULL;
    int r = bigfile_begin(&in->options->big, big->source.fd, buf_str(&big->entry.path), big->entry.size, base, NULL, &big->file, err);
    if (r < 0)
        return r;
    // What an unchanged file costs was taken from the budget when it was chosen; a file that is read anyway is renewed when there is budget left.
    uint64_t cost = bigfile_renewal_cost(big->file);
    big->is_anew = big->is_anew || big->is_renewal || (cost > 0 && renew_spend(in->options->big.renew, cost));
    return big->is_anew ? bigfile_renew(big->file, err) : 0;
}

// Reads a file again in this thread, at its place in the order; what is stored already is found to be.
static int read_again(struct intake *in, struct intake_big *big, struct bigfile_result *ret_result, bool *ret_source_failed, struct error *err)
{
    bigfile_free(big->file);
    big->file = NULL;
    int r = begin_big(in, big, err);
    struct bigfile_job *piece = bigfile_job_new();
    for (uint64_t i = 0; r == 0 && i < bigfile_pieces(big->file); i++) {
        bigfile_piece(big->file, i, piece);
        bigfile_piece_work(piece, in->options->big.lap);
        r = bigfile_take(piece, ret_source_failed, err);
    }
    bigfile_job_free(piece);
    return r < 0 ? r : bigfile_finish(big->file, ret_result, err);
}

// A file that changed while it was read is read again, and in the end taken as it was read, with a note.
static int read_until_quiet(struct intake *in, struct intake_big *big, struct bigfile_result *result, bool *ret_source_failed, struct error *err)
{
    struct manifest_entry *entry = &big->entry;
    int r = bigfile_finish(big->file, result, err);
    for (int try = 1; r == 0; try++) {
        bool changed = false;
        struct error ignored; // a file that cannot be asked any more is stored as it was read
        uint64_t read_size = result->size;
        enum source_file_result seen = source_file_changed(&big->source, in->io, in->own.names, &changed, &ignored);
        bool unstable = seen == SOURCE_FILE_READ && (changed || result->short_read);
        if (!unstable || try == SOURCE_FILE_TRIES || entry->size == 0) {
            entry->notes |= unstable ? MANIFEST_UNSTABLE : 0;
            entry->size = read_size;
            break;
        }
        versions_needs_done(&result->needs);
        r = read_again(in, big, result, ret_source_failed, err);
    }
    return r;
}

static void use_version(struct intake *in, struct intake_big *big, struct bigfile_result *result)
{
    struct manifest_entry *entry = &big->entry;
    entry->version = result->version;
    entry->has_sha256 = result->has_sha256;
    memcpy(entry->sha256, result->sha256, sizeof entry->sha256);
    in->stats.bytes_read += result->bytes_read;
    bool same = result->has_sha256 ? big->old.has_sha256 && memcmp(big->old.sha256, result->sha256, sizeof result->sha256) == 0 : result->all_same;
    in->stats.renewed_files += result->is_anew;
    in->stats.renewed_bytes += result->anew_bytes;
    if (!result->is_base && !(result->is_anew && same))
        intake_note_change(in, big->old.path.len > 0, big->before, result->texture, result->size);
    big->source.stat.texture = result->texture;
    output_need(in->options->output, &result->needs);
    versions_needs_done(&result->needs);
}

static int finish_entry(struct intake *in, struct intake_big *big, struct error *err)
{
    static const struct scan_stat look_again = { 0 }; // no inode: it is read again next time
    int r = intake_place_xattrs(in, &big->entry, big->xattrs.data, big->xattrs.len, err);
    return r < 0 ? r : intake_finish_entry(in, &big->entry, big->partly ? &look_again : &big->source.stat, err);
}

// Read as unchanged, and not what was stored. (Of files that are mostly holes there is no hash of the whole.)
static bool is_different(const struct intake_big *big, const struct bigfile_result *result)
{
    return big->is_renewal && result->has_sha256 && big->old.has_sha256 && memcmp(result->sha256, big->old.sha256, sizeof result->sha256) != 0;
}

static int finish_big(struct intake *in, struct intake_big *big, struct error *err)
{
    struct bigfile_result result = { 0 };
    struct manifest_entry *entry = &big->entry;
    bool source_failed = false;
    int r = read_until_quiet(in, big, &result, &source_failed, err);
    if (r < 0 && source_failed) {
        intake_note_problem(in, entry, err->text);
        intake_free_big(in, big);
        return 0;
    }
    if (r < 0)
        return r;
    if (result.hole_bytes > 0 && big->source.blocks_bytes >= entry->size) // space reserved and never written
        entry->notes |= MANIFEST_PREALLOCATED;
    if (is_different(big, &result) && intake_keep_stored(in, entry, &big->old, &big->planned, &big->source.stat))
        versions_needs_done(&result.needs);
    else
        use_version(in, big, &result);
    r = finish_entry(in, big, err);
    intake_note_progress(in, 0, 1);
    intake_free_big(in, big);
    return r;
}

int intake_place_piece(struct intake *in, struct intake_job *job, struct error *err)
{
    struct intake_big *big = job->big;
    bool source_failed = false;
    struct error why;
    int r = big->failed ? 0 : bigfile_take(job->piece, &source_failed, &why);
    if (r < 0 && source_failed) {
        intake_note_problem(in, &big->entry, why.text);
        big->failed = true;
    } else if (r < 0) {
        *err = why;
        return r;
    }
    intake_note_progress(in, bigfile_job_length(job->piece), 0);
    if (--big->left > 0)
        return 0;
    if (!big->failed)
        return finish_big(in, big, err);
    intake_free_big(in, big);
    return 0;
}

static struct bigfile_job *take_job(struct intake *in) { return in->n_idle_pieces > 0 ? in->idle_piece[--in->n_idle_pieces] : bigfile_job_new(); }

static int submit_pieces(struct intake *in, struct intake_big *big, struct error *err)
{
    int r = begin_big(in, big, err);
    if (r < 0)
        return r;
    uint64_t pieces = bigfile_pieces(big->file);
    big->left = pieces;
    for (uint64_t i = 0; r == 0 && i < pieces; i++) {
        struct bigfile_job *piece = take_job(in);
        bigfile_piece(big->file, i, piece);
        r = intake_lend_space(in, piece, bigfile_job_memory(piece), err);
        if (r < 0)
            bigfile_job_free(piece);
        else
            r = intake_submit(in, NULL, piece, big, err);
    }
    return r;
}

// A new big file that begins as one that is stored is probably a copy, or a moved file: that version is its base then.
static void guess_base(struct intake *in, struct intake_big *big, const void *first, size_t n)
{
    uint8_t sha256[CRYPTO_SHA256_SIZE];
    if (bigfile_head(first, n, sha256))
        (void)known_find(in->options->big.known, KNOWN_HEAD, sha256, &big->old.version);
}

// Space that is reserved and not written is a hole only until it is read: then its pages are in memory, and ext4 takes them for data.
static bool reading_hides_holes(const struct intake *in, const struct intake_big *big, size_t n)
{
    if (big->source.blocks_bytes < big->entry.size)
        return false;
    off_t hole = in->io->lseek(in->io, big->source.fd, 0, SEEK_HOLE);
    return hole >= 0 && (uint64_t)hole < n;
}

static void guess_base_of_file(struct intake *in, struct intake_big *big)
{
    uint8_t data[BIGFILE_HEAD];
    size_t n = big->entry.size < sizeof data ? (size_t)big->entry.size : sizeof data, got = 0;
    struct error ignored;
    if (!reading_hides_holes(in, big, n) && io_pread_full(in->io, big->source.fd, data, n, 0, buf_str(&big->entry.path), &got, &ignored) == 0 && got == n)
        guess_base(in, big, data, n);
}

static int parse_big(struct intake *in, const struct select_item *item, struct intake_big **ret_big, struct error *err)
{
    struct intake_big *big = xcalloc(1, sizeof *big);
    big->source.fd = -1;
    big->next = in->under_way;
    in->under_way = big;
    big->is_renewal = item->action == SELECT_RENEW;
    big->planned = item->stat;
    int r = manifest_parse(item->line, item->line_len, &big->entry, err);
    if (r == 0 && item->base_len > 0)
        r = manifest_parse(item->base, item->base_len, &big->old, err);
    big->before = item->stat.texture;
    *ret_big = big;
    return r;
}

int intake_take_big(struct intake *in, const struct select_item *item, struct error *err)
{
    struct intake_big *big;
    struct error why;
    int r = parse_big(in, item, &big, err);
    if (r < 0)
        return r;
    enum source_file_result result = source_file_open(&big->source, &in->own.chain, in->own.names, &big->entry, &why);
    in->own.touched += big->source.touched;
    if (result == SOURCE_FILE_READ && source_file_attrs(&big->source, in->io, &big->xattrs, &why) != SOURCE_FILE_READ) {
        intake_note_problem(in, &big->entry, why.text);
        big->partly = true;
    }
    if (result == SOURCE_FILE_READ && big->entry.size > 0) {
        if (!place_is_set(&big->old.version))
            guess_base_of_file(in, big);
        return submit_pieces(in, big, err);
    }
    if (result == SOURCE_FILE_READ) { // emptied since it was planned
        r = intake_drain(in, err);
        intake_note_change(in, big->old.path.len > 0, big->before, TEXTURE_UNKNOWN, 0);
        if (r == 0)
            r = finish_entry(in, big, err);
    } else if (result == SOURCE_FILE_PROBLEM) {
        intake_note_problem(in, &big->entry, why.text);
    } else {
        in->stats.gone++;
    }
    intake_free_big(in, big);
    return r;
}

// ---- streams

static int begin_stream(struct intake *in, struct intake_big *big, const void *first, size_t n, struct error *err)
{
    bool is_all = n < RECIPE_PIECE_SIZE;
    uint64_t expected = big->old.size > 0 ? big->old.size + big->old.size / 4 : STREAM_SIZE_GUESS;
    if (!place_is_set(&big->old.version))
        guess_base(in, big, first, n);
    const struct place *base = place_is_set(&big->old.version) ? &big->old.version : NULL;
    return bigfile_begin_stream(&in->options->big, buf_str(&big->entry.path), is_all ? n : expected, base, &big->file, err);
}

// The next piece of what the command writes; none at its end.
static int submit_stream_piece(struct intake *in, struct intake_big *big, struct stream *stream, bool *ret_more, struct error *err)
{
    struct bigfile_job *piece = take_job(in);
    size_t n = 0;
    int r = intake_lend_space(in, piece, RECIPE_PIECE_SIZE, err);
    uint8_t *space = bigfile_job_space(piece)->data;
    if (r == 0)
        r = stream_read(stream, space, RECIPE_PIECE_SIZE, &n, err);
    if (r == 0 && n > 0 && big->file == NULL)
        r = begin_stream(in, big, space, n, err);
    if (r == 0 && n > 0 && bigfile_pieces(big->file) == RECIPE_PIECES_MAX)
        r = error_set(err, ERROR_FAILED, "'%s' is longer than a file can be", buf_str(&big->entry.path));
    *ret_more = n == RECIPE_PIECE_SIZE;
    if (r < 0 || n == 0) {
        spare_give(&in->spaces, bigfile_job_space(piece));
        bigfile_job_free(piece);
        return r;
    }
    bigfile_stream_piece(big->file, piece, (uint32_t)n);
    big->left++;
    return intake_submit(in, NULL, piece, big, err);
}

static int finish_stream(struct intake *in, struct intake_big *big, struct error *err)
{
    struct bigfile_result result = { 0 };
    int r = intake_drain(in, err);
    if (r == 0 && big->file != NULL)
        r = bigfile_finish(big->file, &result, err);
    if (r < 0)
        return r;
    big->entry.size = result.size;
    if (big->file != NULL)
        use_version(in, big, &result);
    else if (big->old.path.len == 0 || big->old.size > 0)
        intake_note_change(in, big->old.path.len > 0, big->before, TEXTURE_UNKNOWN, 0);
    r = intake_finish_entry(in, &big->entry, &big->source.stat, err);
    intake_note_progress(in, 0, 1);
    intake_free_big(in, big);
    return r;
}

// Runs the command. Its file becomes an entry only when the command ended well; else the run fails.
int intake_take_stream(struct intake *in, const struct select_item *item, struct error *err)
{
    _cleanup_stream_ struct stream *stream = NULL;
    struct intake_big *big;
    bool more = true;
    // What was read before is placed first: should the command fail, the next run need not read it again.
    int r = intake_drain(in, err);
    if (r == 0)
        r = parse_big(in, item, &big, err);
    if (r < 0)
        return r;
    big->left = 1;
    const struct stream_source *source = stream_find(in->options->streams, in->options->n_streams, buf_str(&big->entry.path));
    const struct stream_watch watch = { in->options->said, in->options->arg, in->options->interrupted };
    r = stream_start(in->io, source, &watch, &stream, err);
    in->stats.stream_failed = r < 0;
    while (r == 0 && more)
        r = submit_stream_piece(in, big, stream, &more, err);
    if (r < 0)
        return r;
    r = stream_end(stream, err);
    in->stats.stream_failed = r < 0;
    return r < 0 ? r : finish_stream(in, big, err);
}
