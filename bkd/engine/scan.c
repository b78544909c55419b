#include "bkd/engine/scan.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>

#include "bkd/base/buf.h"
#include "bkd/engine/scan_ahead.h"

// A directory between the root and the place the walk has come to.
struct level {
    struct scan_part *part; // at hand; owned
    size_t next;            // entry of it
    size_t path_len;        // of the directory
};

struct walk {
    const struct scan_options *options;
    const struct scan_callbacks *callbacks;
    struct scan_names *owners;
    struct scan_ahead *ahead;
    struct manifest_entry entry;
    struct buf path; // of the entry at hand, absolute; "" stands for the root
    struct level *levels;
    size_t depth, cap;
};

static const char *path_of(const struct walk *w) { return w->path.len == 0 ? "/" : buf_str(&w->path); }

static void set_path(struct walk *w, size_t dir_len, const char *name)
{
    w->path.len = dir_len;
    if (w->depth > 1) { // else it is the root
        buf_add_char(&w->path, '/');
        buf_add_str(&w->path, name);
    }
    (void)buf_extend(&w->path, 0); // ends the text here
}

static void report(struct walk *w, const char *reason)
{
    struct scan_problem problem = { path_of(w), reason };
    w->callbacks->problem(w->callbacks->arg, &problem);
}

static int report_excluded(struct walk *w, const struct scan_found *found, struct exclude_verdict verdict, bool stays, struct error *err)
{
    struct scan_excluded excluded = { .path = path_of(w), .source = found->source, .type = found->is_dir ? MANIFEST_DIR : manifest_type_of(found->st.stx_mode),
                                      .size = found->st.stx_size, .verdict = verdict, .stays = stays };
    return w->callbacks->excluded == NULL ? 0 : w->callbacks->excluded(w->callbacks->arg, &excluded, err);
}

static void push(struct walk *w, struct scan_part *part)
{
    if (w->depth == w->cap) {
        w->cap = w->cap == 0 ? 32 : 2 * w->cap;
        w->levels = xrealloc(w->levels, w->cap * sizeof *w->levels);
    }
    w->levels[w->depth++] = (struct level){ .part = part, .path_len = w->path.len };
}

static int status_of(const struct scan_part *part, struct error *err)
{
    if (part->status < 0)
        *err = part->err;
    return part->status;
}

// Hands the entry out.
static int take_entry(struct walk *w, const struct scan_part *part, const struct scan_found *found, const struct statx *st, struct exclude_verdict cut,
                      struct error *err)
{
    struct manifest_entry *e = &w->entry;
    struct scan_stat stat;
    manifest_entry_reset(e);
    buf_add_str(&e->path, path_of(w));
    scan_fill_entry(w->owners, st, e, &stat);
    e->source = found->is_parent ? MANIFEST_NO_SOURCE : found->source;
    e->notes |= cut.reason == EXCLUDE_NOT ? 0 : cut.reason == EXCLUDE_MARKER ? MANIFEST_EXCLUDED : MANIFEST_MOUNT;
    buf_add(&e->target, part->text.data + found->target, found->target_len);
    int r = w->callbacks->visit(w->callbacks->arg, e, &stat, st->stx_nlink, st->stx_blocks * 512, err);
    if (r == 0 && cut.reason != EXCLUDE_NOT)
        r = report_excluded(w, found, cut, true, err);
    return r;
}

// Hands the directory out and goes into it.
static int enter(struct walk *w, const struct scan_part *part, const struct scan_found *found, struct error *err)
{
    struct scan_part *below = scan_ahead_next(w->ahead);
    int r = status_of(below, err);
    if (r == 0 && below->problem != NULL)
        report(w, below->problem);
    if (r == 0 && !below->gone)
        r = take_entry(w, part, found, below->opened ? &below->st : &found->st, below->cut, err);
    push(w, below);
    return r;
}

// An entry of the deepest level.
static int tell_entry(struct walk *w, const struct scan_part *part, const struct scan_found *found, size_t dir_len, struct error *err)
{
    set_path(w, dir_len, buf_str(&part->text) + found->name);
    if (found->fate == SCAN_LEFT_OUT)
        return report_excluded(w, found, found->verdict, false, err);
    if (found->fate == SCAN_UNREADABLE)
        report(w, found->problem);
    if (found->fate != SCAN_TAKEN)
        return 0;
    return scan_ahead_enters(found) ? enter(w, part, found, err) : take_entry(w, part, found, &found->st, found->verdict, err);
}

// The entries of the part at hand are told: goes on with the next part of the directory, or leaves it.
static int end_part(struct walk *w, struct error *err)
{
    struct level *level = &w->levels[w->depth - 1];
    struct scan_part *part = level->part;
    bool is_last = part->is_last;
    int r = status_of(part, err);
    if (r < 0)
        return r;
    scan_ahead_drop(w->ahead, part);
    if (is_last) {
        w->depth--;
        return 0;
    }
    level->part = scan_ahead_next(w->ahead);
    level->next = 0;
    w->path.len = level->path_len;
    (void)buf_extend(&w->path, 0); // ends the text here
    if (level->part->problem != NULL)
        report(w, level->part->problem);
    return 0;
}

static int walk_all(struct walk *w, struct error *err)
{
    push(w, scan_ahead_next(w->ahead));
    int r = 0;
    while (r == 0 && w->depth > 0) {
        struct level *level = &w->levels[w->depth - 1];
        const struct scan_part *part = level->part;
        r = level->next < part->n ? tell_entry(w, part, &part->found[level->next++], level->path_len, err) : end_part(w, err);
    }
    return r;
}

int scan_run(const struct io *io, const struct scan_options *options, const struct scan_callbacks *callbacks, struct error *err)
{
    if (options->n_sources == 0)
        return 0;
    struct walk w = { .options = options, .callbacks = callbacks, .owners = scan_names_new(), .ahead = scan_ahead_new(io, options, err) };
    int r = w.ahead == NULL ? (int)err->code : walk_all(&w, err);
    while (w.depth > 0)
        scan_ahead_drop(w.ahead, w.levels[--w.depth].part);
    scan_ahead_free(w.ahead);
    free(w.levels);
    buf_done(&w.path);
    manifest_entry_done(&w.entry);
    scan_names_free(w.owners);
    return r;
}

int scan_filesystem(const struct io *io, const char *path, struct scan_filesystem *ret_fs, struct error *err)
{
    int fd = -1;
    int r = io_open(io, AT_FDCWD, path, O_PATH | O_NOFOLLOW, 0, &fd, err);
    if (r < 0)
        return r;
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0)
        r = error_set_errno(err, errno, "file system of '%s'", path);
    io_close_quietly(io, &fd);
    if (r < 0)
        return r;
    uint64_t id = 0;
    // Only these derive f_fsid from the UUID on disk; others number their mounts or devices.
    if (fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == BTRFS_SUPER_MAGIC)
        memcpy(&id, &fs.f_fsid, sizeof id < sizeof fs.f_fsid ? sizeof id : sizeof fs.f_fsid);
    *ret_fs = (struct scan_filesystem){ .type = (uint64_t)fs.f_type, .id = id };
    return 0;
}
