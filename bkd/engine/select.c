#include "bkd/engine/select.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/engine/leftout.h"

enum { WINDOW = 256 << 10, JOIN_MEMORY = 8 << 20 };

struct select_plan {
    const struct io *io;
    int scratch_fd;
    const struct select_options *options;
    select_keep_fn *keep;
    void *keep_arg;
    struct previous *previous;
    struct previous_entry old; // head of the previous stream
    bool has_old, old_loaded;
    bool old_is_held; // a file below today's sources
    bool had_entries; // there was a snapshot, so that something may have been moved
    scan_problem_fn *problem;
    void *problem_arg;
    struct select_counts counts;
    struct buf out;   // plan records not written yet
    struct buf line;
    int fd;           // the plan
    uint64_t size, at;
    struct spill *gone, *fresh; // by inode
    struct spill *moves;        // by path
    struct leftout *leftout;    // directories that get a note
    struct buf window;
    size_t window_at;
    const uint8_t *move; // head of moves
    size_t move_len;
    bool moves_started;
    struct buf item_base, item_line;
    struct select_item item;
};

static int open_scratch(const struct io *io, int dirfd, int *ret_fd, struct error *err)
{
    uint8_t noise[8];
    char name[32] = "plan-";
    io_random(io, noise, sizeof noise);
    format_hex(name + strlen(name), noise, sizeof noise);
    int r = io_open(io, dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, ret_fd, err);
    return r < 0 ? r : io_unlink(io, dirfd, name, 0, err);
}

// Join records: inode (8), then what follows; gone: racy (1), previous record; fresh: previous record with an empty line.
static int compare_inodes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    (void)a_len;
    (void)b_len;
    uint64_t ia = get_u64le(a), ib = get_u64le(b);
    return ia < ib ? -1 : ia > ib;
}

static int add_join(struct spill *join, struct buf *scratch, const struct manifest_entry *e, const struct scan_stat *stat, bool racy, const char *line,
                    size_t line_len, struct error *err)
{
    buf_reset(scratch);
    put_u64le(buf_extend(scratch, 8), stat->inode);
    previous_record(scratch, (const char *)e->path.data, e->path.len, stat, racy, line, line_len);
    return spill_add(join, scratch->data, scratch->len, err);
}

static bool has_content(const struct manifest_entry *e) { return e->type == MANIFEST_FILE && e->size > 0; }

static int add_gone(struct select_plan *p, struct error *err)
{
    const struct manifest_entry *e = p->old.entry;
    if (e->type == MANIFEST_FILE)
        p->counts.gone_files++;
    p->counts.lost_files += p->old_is_held;
    p->counts.lost_loose += p->old_is_held && p->old.stat.texture == TEXTURE_LOOSE;
    return has_content(e) ? add_join(p->gone, &p->line, e, &p->old.stat, p->old.racy, p->old.line, p->old.line_len, err) : 0;
}

static int write_out(struct select_plan *p, struct error *err)
{
    int r = io_write_all(p->io, p->fd, p->out.data, p->out.len, "plan", err);
    p->size += p->out.len;
    buf_reset(&p->out);
    return r;
}

// Plan record: length (4), action (1), stat (21), blocks (8), line length (4), base length (4), line, base.
enum { HEAD = 4 + 1 + PREVIOUS_STAT_SIZE + 8 + 4 + 4 };

static int add_plan(struct select_plan *p, enum select_action action, const struct scan_stat *stat, uint64_t blocks, const char *line, size_t line_len,
                    const char *base, size_t base_len, struct error *err)
{
    uint8_t *head = buf_extend(&p->out, HEAD);
    put_u32le(head, (uint32_t)(HEAD + line_len + base_len));
    head[4] = (uint8_t)action;
    previous_put_stat(head + 5, stat, false);
    put_u64le(head + 26, blocks);
    put_u32le(head + 34, (uint32_t)line_len);
    put_u32le(head + 38, (uint32_t)base_len);
    buf_add(&p->out, line, line_len);
    buf_add(&p->out, base, base_len);
    return p->out.len < WINDOW ? 0 : write_out(p, err);
}

static bool same_ctime(const struct scan_stat *a, const struct scan_stat *b) { return a->ctime_s == b->ctime_s && a->ctime_ns == b->ctime_ns; }

static bool same_mtime(const struct manifest_entry *a, const struct manifest_entry *b) { return a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns; }

static bool is_unchanged(const struct select_plan *p, const struct manifest_entry *now, const struct scan_stat *stat)
{
    const struct manifest_entry *old = p->old.entry;
    if (now->type != old->type || now->size != old->size || !same_mtime(now, old))
        return false;
    if (p->old.racy)
        return false;
    return !p->options->compare_inode || (p->old.stat.inode == stat->inode && same_ctime(&p->old.stat, stat));
}

static bool same_buf(const struct buf *a, const struct buf *b) { return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0); }

// Everything the line says of an entry whose content is unchanged.
static bool same_metadata(const struct manifest_entry *a, const struct manifest_entry *b)
{
    return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && same_buf(&a->user, &b->user) && same_buf(&a->group, &b->group) &&
           same_mtime(a, b) && same_buf(&a->target, &b->target) && a->device_major == b->device_major && a->device_minor == b->device_minor &&
           same_buf(&a->hardlink, &b->hardlink) && ((a->notes ^ b->notes) & ~(uint32_t)MANIFEST_PREALLOCATED) == 0 && a->source == b->source;
}

static void take_content(struct manifest_entry *now, const struct manifest_entry *old)
{
    now->has_sha256 = old->has_sha256;
    memcpy(now->sha256, old->sha256, sizeof now->sha256);
    now->at = old->at;
    now->version = old->version;
    now->xattr = old->xattr;
    now->flags = old->flags;
    now->notes |= old->notes & MANIFEST_PREALLOCATED;
}

static int keep(struct select_plan *p, const struct manifest_entry *now, const struct scan_stat *found, struct error *err)
{
    const struct manifest_entry *old = p->old.entry;
    struct scan_stat stat = *found;
    stat.texture = p->old.stat.texture;
    if ((old->notes & MANIFEST_UNSTABLE) == 0 && same_metadata(now, old))
        return add_plan(p, SELECT_KEEP, &stat, 0, p->old.line, p->old.line_len, NULL, 0, err);
    struct manifest_entry e = *now; // shares the strings, which formatting only reads
    take_content(&e, old);
    buf_reset(&p->line);
    manifest_format(&p->line, &e);
    return add_plan(p, SELECT_KEEP, &stat, 0, buf_str(&p->line), p->line.len - 1, NULL, 0, err);
}

// Bytes a read will move: holes cost nothing.
static uint64_t read_cost(const struct manifest_entry *e, uint64_t blocks) { return e->size < blocks || blocks == 0 ? e->size : blocks; }

static void count_renewal(struct select_plan *p, uint64_t bytes)
{
    p->counts.renew_files++;
    p->counts.renew_bytes += bytes;
}

static int to_read(struct select_plan *p, const struct manifest_entry *now, const struct scan_stat *found, uint64_t blocks, bool is_known, bool renew,
                   struct error *err)
{
    struct scan_stat stat = *found;
    stat.texture = is_known ? p->old.stat.texture : TEXTURE_UNKNOWN;
    buf_reset(&p->line);
    manifest_format(&p->line, now);
    bool content = now->type == MANIFEST_FILE;
    if (content) {
        p->counts.read_files++;
        p->counts.read_bytes += read_cost(now, blocks);
    }
    if (content && renew)
        count_renewal(p, read_cost(now, blocks));
    int r = add_plan(p, !content ? SELECT_ATTRS : renew ? SELECT_RENEW : SELECT_READ, &stat, blocks, buf_str(&p->line), p->line.len - 1, is_known ? p->old.line : NULL,
                     is_known ? p->old.line_len : 0, err);
    if (r == 0 && !is_known && has_content(now) && p->had_entries)
        r = add_join(p->fresh, &p->line, now, &stat, false, NULL, 0, err);
    return r;
}

static bool is_below_sources(const struct select_plan *p, const char *path, size_t n)
{
    for (size_t i = 0; i < p->options->scan.n_sources; i++)
        if (manifest_path_below(path, n, p->options->scan.sources[i].path, strlen(p->options->scan.sources[i].path)))
            return true;
    return false;
}

// By path: the numbers of sources change when the policy does.
static void count_previous(struct select_plan *p)
{
    const struct manifest_entry *e = p->old.entry;
    p->old_is_held = e->type == MANIFEST_FILE && is_below_sources(p, buf_str(&e->path), e->path.len);
    for (size_t i = 0; i < p->options->scan.n_sources; i++) {
        const char *source = p->options->scan.sources[i].path;
        p->counts.previous_source_entries[i] += manifest_path_below(buf_str(&e->path), e->path.len, source, strlen(source));
    }
    p->counts.held_files += p->old_is_held;
    p->counts.held_bytes += p->old_is_held ? e->size : 0;
}

static int load_old(struct select_plan *p, struct error *err)
{
    int r = previous_next(p->previous, &p->has_old, &p->old, err);
    if (r == 0 && p->has_old)
        count_previous(p);
    return r;
}

// Goes on in the previous stream to the path of this entry: what it passes is gone. *ret_is_known: the entry was there before.
static int pass_gone(struct select_plan *p, const struct manifest_entry *now, bool *ret_is_known, struct error *err)
{
    int c = -1;
    while (p->has_old && (c = manifest_path_compare(p->old.entry->path.data, p->old.entry->path.len, now->path.data, now->path.len)) < 0) {
        int r = add_gone(p, err);
        r = r < 0 ? r : load_old(p, err);
        if (r < 0)
            return r;
    }
    *ret_is_known = p->has_old && c == 0;
    return 0;
}

static int visit(void *arg, const struct manifest_entry *now, const struct scan_stat *stat, uint32_t links, uint64_t blocks, struct error *err)
{
    struct select_plan *p = arg;
    (void)links;
    if (p->options->interrupted != NULL && p->options->interrupted())
        return error_set(err, ERROR_FAILED, "interrupted; nothing was stored");
    p->counts.entries++;
    if (now->type == MANIFEST_FILE) {
        p->counts.files++;
        p->counts.bytes += now->size;
    }
    if (now->source != MANIFEST_NO_SOURCE)
        p->counts.source_entries[now->source]++;
    bool is_known;
    int r = pass_gone(p, now, &is_known, err);
    if (r < 0 || !is_known)
        return r < 0 ? r : to_read(p, now, stat, blocks, false, false, err);
    bool same_type = p->old.entry->type == now->type;
    enum select_verdict verdict = is_unchanged(p, now, stat) ? p->keep(p->keep_arg, p->old.entry) : SELECT_DOUBT;
    r = verdict == SELECT_RELY ? keep(p, now, stat, err) : to_read(p, now, stat, blocks, same_type, verdict == SELECT_STORE_ANEW, err);
    return r < 0 ? r : load_old(p, err);
}

// What a command writes is never known before, but the version before is what it probably continues.
static int visit_stream(struct select_plan *p, const struct manifest_entry *now, struct error *err)
{
    struct scan_stat no_inode = { 0 };
    bool is_known;
    int r = pass_gone(p, now, &is_known, err);
    if (r < 0)
        return r;
    p->counts.entries++;
    p->counts.streams++;
    p->counts.stream_bytes += is_known ? p->old.entry->size : 0;
    no_inode.texture = is_known ? p->old.stat.texture : TEXTURE_UNKNOWN;
    buf_reset(&p->line);
    manifest_format(&p->line, now);
    r = add_plan(p, SELECT_STREAM, &no_inode, 0, buf_str(&p->line), p->line.len - 1, is_known ? p->old.line : NULL, is_known ? p->old.line_len : 0, err);
    return r < 0 || !is_known ? r : load_old(p, err);
}

static void note_problem(void *arg, const struct scan_problem *problem)
{
    struct select_plan *p = arg;
    p->counts.problems++;
    p->problem(p->problem_arg, problem);
}

static int count_excluded(void *arg, const struct scan_excluded *excluded, struct error *err)
{
    struct select_plan *p = arg;
    p->counts.excluded[excluded->verdict.reason]++;
    p->counts.source_excluded[excluded->source] += excluded->verdict.reason < EXCLUDE_FILESYSTEM;
    return excluded->stays ? 0 : leftout_add(p->leftout, excluded->path, err);
}

// Sizes and times of gone and fresh records with one inode agree: the move record is the path, and the gone entry's record.
static int join_pair(struct select_plan *p, const struct buf *gone, const uint8_t *fresh, size_t fresh_len, struct error *err)
{
    (void)fresh_len;
    const uint8_t *g = gone->data + 8, *f = fresh + 8;
    size_t g_path = get_u32le(g), f_path = get_u32le(f);
    struct scan_stat g_stat, f_stat;
    bool g_racy, f_racy;
    previous_get_stat(g + 4 + g_path, &g_stat, &g_racy);
    previous_get_stat(f + 4 + f_path, &f_stat, &f_racy);
    size_t line_at = 4 + g_path + PREVIOUS_STAT_SIZE;
    buf_reset(&p->line);
    previous_record(&p->line, (const char *)f + 4, f_path, &g_stat, g_racy || !same_ctime(&g_stat, &f_stat), (const char *)g + line_at,
                    gone->len - 8 - line_at);
    return spill_add(p->moves, p->line.data, p->line.len, err);
}

// A gone file that has a new name is not lost.
static void count_found(struct select_plan *p, const uint8_t *gone)
{
    const uint8_t *record = gone + 8;
    struct scan_stat stat;
    bool racy;
    size_t path_len = get_u32le(record);
    if (!is_below_sources(p, (const char *)record + 4, path_len))
        return;
    previous_get_stat(record + 4 + path_len, &stat, &racy);
    p->counts.lost_files--;
    p->counts.lost_loose -= stat.texture == TEXTURE_LOOSE;
}

static int join_moves(struct select_plan *p, struct error *err)
{
    _cleanup_buf_ struct buf held = { 0 };
    const void *gone = NULL, *fresh = NULL;
    size_t gone_len = 0, fresh_len = 0;
    bool is_found = false; // this gone one, by an earlier new one
    if (spill_count(p->gone) == 0)
        return spill_sort(p->moves, err); // nothing was moved
    int r = spill_sort(p->gone, err);
    if (r == 0)
        r = spill_sort(p->fresh, err);
    if (r == 0)
        r = spill_next(p->gone, &gone, &gone_len, err);
    if (r == 0)
        r = spill_next(p->fresh, &fresh, &fresh_len, err);
    while (r == 0 && gone != NULL && fresh != NULL) {
        uint64_t gi = get_u64le(gone), fi = get_u64le(fresh);
        if (gi == fi) {
            buf_reset(&held);
            buf_add(&held, gone, gone_len);
            r = join_pair(p, &held, fresh, fresh_len, err);
            if (!is_found)
                count_found(p, held.data);
            is_found = true;
        }
        if (r == 0 && gi < fi) {
            r = spill_next(p->gone, &gone, &gone_len, err);
            is_found = false;
        } else if (r == 0) {
            r = spill_next(p->fresh, &fresh, &fresh_len, err);
        }
    }
    return r < 0 ? r : spill_sort(p->moves, err);
}

int select_run(const struct io *io, const struct select_options *options, struct previous *previous, scan_problem_fn *problem, void *problem_arg,
               struct select_plan **ret_plan, struct error *err)
{
    _cleanup_select_plan_ struct select_plan *p = xcalloc(1, sizeof *p);
    int scratch = options->scan.scratch_fd;
    *p = (struct select_plan){ .io = io, .scratch_fd = scratch, .options = options, .previous = previous, .problem = problem, .problem_arg = problem_arg, .fd = -1,
                                .keep = options->keep, .keep_arg = options->keep_arg };
    p->counts.source_entries = xcalloc(options->scan.n_sources, sizeof(uint64_t));
    p->counts.previous_source_entries = xcalloc(options->scan.n_sources, sizeof(uint64_t));
    p->counts.source_excluded = xcalloc(options->scan.n_sources, sizeof(uint64_t));
    p->gone = spill_new(io, scratch, compare_inodes, JOIN_MEMORY);
    p->fresh = spill_new(io, scratch, compare_inodes, JOIN_MEMORY);
    p->moves = spill_new(io, scratch, previous_compare_records, JOIN_MEMORY);
    p->leftout = leftout_new(io, scratch);
    struct scan_callbacks callbacks = { .visit = visit, .problem = note_problem, .arg = p, .excluded = count_excluded };
    int r = open_scratch(io, scratch, &p->fd, err);
    if (r == 0)
        r = load_old(p, err);
    p->had_entries = p->has_old;
    if (r == 0)
        r = scan_run(io, &options->scan, &callbacks, err);
    for (size_t i = 0; r == 0 && i < options->n_streams; i++)
        r = visit_stream(p, &options->streams[i], err);
    while (r == 0 && p->has_old) {
        r = add_gone(p, err);
        r = r < 0 ? r : load_old(p, err);
    }
    if (r == 0)
        r = write_out(p, err);
    if (r == 0)
        r = join_moves(p, err);
    if (r == 0)
        r = leftout_sort(p->leftout, err);
    if (r < 0)
        return r;
    p->options = NULL; // the caller's, only borrowed for the run
    p->previous = NULL;
    *ret_plan = TAKE(p);
    return 0;
}

void select_free(struct select_plan *p)
{
    if (p == NULL)
        return;
    io_close_quietly(p->io, &p->fd);
    spill_free(p->gone);
    spill_free(p->fresh);
    spill_free(p->moves);
    leftout_free(p->leftout);
    buf_done(&p->out);
    buf_done(&p->line);
    buf_done(&p->window);
    buf_done(&p->item_base);
    buf_done(&p->item_line);
    free(p->counts.source_entries);
    free(p->counts.previous_source_entries);
    free(p->counts.source_excluded);
    free(p);
}

void free_select_planp(struct select_plan **plan) { select_free(*plan); }
const struct select_counts *select_counts(const struct select_plan *plan) { return &plan->counts; }

static int fill_window(struct select_plan *p, size_t need, struct error *err)
{
    size_t left = p->window.len - p->window_at;
    if (left >= need)
        return 0;
    if (left > 0)
        memmove(p->window.data, p->window.data + p->window_at, left);
    p->window.len = left;
    p->window_at = 0;
    size_t want = need > WINDOW ? need : WINDOW, got = 0;
    want = p->size - p->at < want ? (size_t)(p->size - p->at) : want;
    buf_reserve(&p->window, want);
    int r = io_pread_full(p->io, p->fd, p->window.data + left, want, p->at, "plan", &got, err);
    if (r < 0)
        return r;
    (void)buf_extend(&p->window, got);
    p->at += got;
    return p->window.len >= need ? 0 : error_set(err, ERROR_INTEGRITY, "the scratch file of the plan was cut short");
}

static int next_move(struct select_plan *p, struct error *err)
{
    const void *record = NULL;
    int r = spill_next(p->moves, &record, &p->move_len, err);
    p->move = record;
    return r;
}

// Gives a new file what was found out about its move: taken over as it is, or the old content as base.
static int apply_move(struct select_plan *p, struct error *err)
{
    struct manifest_entry now = { 0 }, old = { 0 };
    size_t path_len = get_u32le(p->move), line_at = 4 + path_len + PREVIOUS_STAT_SIZE;
    struct scan_stat stat;
    bool must_read;
    previous_get_stat(p->move + 4 + path_len, &stat, &must_read);
    buf_reset(&p->item_base);
    buf_add(&p->item_base, p->move + line_at, p->move_len - line_at);
    int r = manifest_parse(p->item.line, p->item.line_len, &now, err);
    if (r == 0)
        r = manifest_parse(buf_str(&p->item_base), p->item_base.len, &old, err);
    p->item.stat.texture = stat.texture;
    bool same = r == 0 && now.size == old.size && same_mtime(&now, &old);
    enum select_verdict verdict = same && !must_read ? p->keep(p->keep_arg, &old) : SELECT_DOUBT;
    if (verdict == SELECT_RELY) {
        take_content(&now, &old);
        buf_reset(&p->item_line);
        manifest_format(&p->item_line, &now);
        p->item.action = SELECT_KEEP;
        p->item.line = buf_str(&p->item_line);
        p->item.line_len = p->item_line.len - 1;
        p->counts.moved_files++;
        p->counts.read_files--;
        p->counts.read_bytes -= read_cost(&now, p->item.blocks_bytes);
    } else if (r == 0) {
        p->item.base = buf_str(&p->item_base);
        p->item.base_len = p->item_base.len;
    }
    if (verdict == SELECT_STORE_ANEW) {
        p->item.action = SELECT_RENEW;
        count_renewal(p, read_cost(&now, p->item.blocks_bytes));
    }
    manifest_entry_done(&now);
    manifest_entry_done(&old);
    return r;
}

static int path_of_item(const struct select_plan *p, struct buf *ret_path, struct error *err)
{
    const char *space = memchr(p->item.line, ' ', p->item.line_len);
    if (space == NULL || !manifest_unescape(ret_path, p->item.line, (size_t)(space - p->item.line)))
        return error_set(err, ERROR_INTEGRITY, "the plan holds a line without a path");
    return 0;
}

static bool is_directory(const struct select_item *item)
{
    const char *space = memchr(item->line, ' ', item->line_len);
    return space != NULL && space + 1 < item->line + item->line_len && space[1] == MANIFEST_DIR;
}

// A directory of which something was left out says so.
static int add_note(struct select_plan *p, struct error *err)
{
    _cleanup_buf_ struct buf path = { 0 };
    _cleanup_manifest_entry_ struct manifest_entry e = { 0 };
    bool noted = false;
    int r = path_of_item(p, &path, err);
    if (r == 0)
        r = leftout_has(p->leftout, path.data, path.len, &noted, err);
    if (r == 0 && noted)
        r = manifest_parse(p->item.line, p->item.line_len, &e, err);
    if (r < 0 || !noted)
        return r;
    e.notes |= MANIFEST_EXCLUDED;
    buf_reset(&p->item_line);
    manifest_format(&p->item_line, &e);
    p->item.line = buf_str(&p->item_line);
    p->item.line_len = p->item_line.len - 1;
    return 0;
}

static int match_move(struct select_plan *p, struct error *err)
{
    _cleanup_buf_ struct buf path = { 0 };
    int r = path_of_item(p, &path, err), c = 1;
    while (r == 0 && p->move != NULL && (c = manifest_path_compare(p->move + 4, get_u32le(p->move), path.data, path.len)) < 0)
        r = next_move(p, err);
    return r == 0 && p->move != NULL && c == 0 ? apply_move(p, err) : r;
}

int select_next(struct select_plan *p, const struct select_item **ret_item, struct error *err)
{
    if (!p->moves_started) {
        p->moves_started = true;
        int r = next_move(p, err);
        if (r < 0)
            return r;
    }
    if (p->at == p->size && p->window_at == p->window.len) {
        *ret_item = NULL;
        return 0;
    }
    int r = fill_window(p, 4, err);
    if (r == 0)
        r = fill_window(p, get_u32le(p->window.data + p->window_at), err);
    if (r < 0)
        return r;
    const uint8_t *head = p->window.data + p->window_at;
    bool racy;
    p->item = (struct select_item){ .action = (enum select_action)head[4], .blocks_bytes = get_u64le(head + 26) };
    previous_get_stat(head + 5, &p->item.stat, &racy);
    p->item.line_len = get_u32le(head + 34);
    p->item.base_len = get_u32le(head + 38);
    p->item.line = (const char *)head + HEAD;
    p->item.base = p->item.line + p->item.line_len;
    p->window_at += get_u32le(head);
    if (p->item.action == SELECT_READ && p->item.base_len == 0 && p->move != NULL)
        r = match_move(p, err);
    else if (is_directory(&p->item))
        r = add_note(p, err);
    *ret_item = &p->item;
    return r;
}
