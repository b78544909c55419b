#include "restore/deferred.h"

#include <errno.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "bkd/base/bytes.h"
#include "bkd/base/dirchain.h"
#include "bkd/base/inode_flags.h"
#include "restore/existing.h"
#include "restore/replace.h"

enum { SPILL_MEMORY = 4 << 20 };

// Records live in unlinked scratch files of this process only, hence structs as they lie in memory.
struct first_record {
    uint8_t sequence[8]; // big-endian: sorts as bytes
    struct deferred_first first;
};

// Followed by the snapshot's path with its NUL.
struct late_record {
    uint32_t path_len, below_len;
    uint32_t flags;          // files
    struct target_id id;     // files
    struct deferred_dir dir; // directories
};

static const char *late_path(const struct late_record *r) { return (const char *)(r + 1); }
static const char *late_below(const struct late_record *r) { return late_path(r) + r->path_len - r->below_len; }

static int compare_firsts(const void *a, size_t a_len, const void *b, size_t b_len)
{
    (void)a_len, (void)b_len;
    return memcmp(a, b, 8);
}

// Deepest first: what a directory holds comes before the directory.
static int compare_late(const void *a, size_t a_len, const void *b, size_t b_len)
{
    struct late_record x, y;
    (void)a_len, (void)b_len;
    memcpy(&x, a, sizeof x); // records in memory are not aligned
    memcpy(&y, b, sizeof y);
    const char *x_path = (const char *)a + sizeof x + x.path_len - x.below_len,
               *y_path = (const char *)b + sizeof y + y.path_len - y.below_len;
    return manifest_path_compare(y_path, y.below_len, x_path, x.below_len);
}

void deferred_init(struct deferred *d, const struct io *io, int scratch_dirfd, const struct decide_rules *rules)
{
    *d = (struct deferred){
        .io = io,
        .scratch_dirfd = scratch_dirfd,
        .rules = rules,
        .firsts = spill_new(io, scratch_dirfd, compare_firsts, SPILL_MEMORY),
        .flags = spill_new(io, scratch_dirfd, compare_late, SPILL_MEMORY),
        .dirs = spill_new(io, scratch_dirfd, compare_late, SPILL_MEMORY),
    };
}

void deferred_done(struct deferred *d)
{
    spill_free(d->firsts);
    spill_free(d->flags);
    spill_free(d->dirs);
    *d = (struct deferred){ 0 };
}

int deferred_add_first(struct deferred *d, uint64_t sequence, const struct deferred_first *first, struct error *err)
{
    struct first_record record = { .first = *first };
    put_u64be(record.sequence, sequence);
    return spill_add(d->firsts, &record, sizeof record, err);
}

static int add_late(struct spill *spill, struct late_record record, const char *path, size_t below_len, struct error *err)
{
    _cleanup_buf_ struct buf bytes = { 0 };
    record.path_len = (uint32_t)strlen(path);
    record.below_len = (uint32_t)below_len;
    buf_add(&bytes, &record, sizeof record);
    buf_add(&bytes, path, record.path_len + 1);
    return spill_add(spill, bytes.data, bytes.len, err);
}

int deferred_add_flags(struct deferred *d, const char *path, size_t n, const struct target_id *id, uint32_t flags, struct error *err)
{
    return add_late(d->flags, (struct late_record){ .id = *id, .flags = flags }, path, n, err);
}

int deferred_add_dir(struct deferred *d, const char *path, size_t n, const struct deferred_dir *dir, struct error *err)
{
    return add_late(d->dirs, (struct late_record){ .dir = *dir }, path, n, err);
}

// A record at an aligned place, valid until the next one is taken.
static int next_late(struct spill *spill, struct buf *space, const struct late_record **ret_record, struct error *err)
{
    const void *bytes;
    size_t n;
    *ret_record = NULL;
    int r = spill_next(spill, &bytes, &n, err);
    if (r < 0 || bytes == NULL)
        return r;
    buf_reset(space);
    buf_add(space, bytes, n);
    *ret_record = (const struct late_record *)space->data;
    return 0;
}

struct run {
    struct deferred *d;
    struct plan *plan;
    unsigned strip;
    struct target *target;
    struct apply *apply;
    struct report *report;
};

static int open_chain(struct run *run, struct dirchain *chain, struct error *err)
{
    *chain = (struct dirchain){ .io = run->d->io, .root_fd = -1 };
    return io_open(run->d->io, run->target->root->fd, ".", O_RDONLY | O_DIRECTORY, 0, &chain->root_fd, err);
}

static bool is_same(const struct io *io, int dirfd, const char *name, const struct target_id *id)
{
    struct statx st;
    struct error ignored;
    return io_stat(io, dirfd, name, AT_SYMLINK_NOFOLLOW, &st, &ignored) == 0 && st.stx_ino == id->inode &&
           makedev(st.stx_dev_major, st.stx_dev_minor) == id->device;
}

// ---- further names

struct name_at {
    int fd; // of its directory
    const char *name;
};

// The first name as it is by now, of the snapshot's time: what a taken further name is measured against.
static int look_at_first(const struct io *io, const struct name_at *first, const struct deferred_first *known, struct manifest_entry *ret_entry,
                         struct attrs *ret_attrs, struct error *err)
{
    struct existing now;
    struct manifest_entry nothing = { .type = MANIFEST_DIR };
    int r = existing_look(io, first->fd, first->name, &nothing, &now, err);
    if (r < 0)
        return r;
    *ret_entry = (struct manifest_entry){ .type = now.there.type, .size = now.there.size };
    *ret_attrs = (struct attrs){ .mode = now.there.mode,
                                 .uid = now.there.uid,
                                 .gid = now.there.gid,
                                 .mtime_s = known->mtime_s,
                                 .mtime_ns = known->mtime_ns };
    return 0;
}

// What stands under a further name is another file, whatever it holds: it is left, or goes.
static enum decide_action decide_further(struct run *run, const struct name_at *first, const struct deferred_first *known,
                                         const struct name_at *further, struct existing *ret_existing, const char **ret_why, struct error *err)
{
    const struct decide_rules *rules = run->d->rules;
    struct manifest_entry entry;
    struct attrs attrs;
    *ret_why = "";
    if (look_at_first(run->d->io, first, known, &entry, &attrs, err) < 0 ||
        existing_look(run->d->io, further->fd, further->name, &entry, ret_existing, err) < 0)
        return DECIDE_CONFLICT;
    enum decide_action action = decide(rules, &entry, &attrs, &ret_existing->there, ret_why);
    if (action == DECIDE_CREATE || action == DECIDE_EXISTS || action == DECIDE_CONFLICT || (action == DECIDE_LEAVE && rules->mode == DECIDE_IF_NEWER))
        return action;
    return rules->mode == DECIDE_NEVER ? DECIDE_EXISTS : DECIDE_REPLACE;
}

// old NULL: the name is free.
static int put_link(struct run *run, const struct name_at *first, const struct name_at *further, uint64_t sequence, const struct target_id *old,
                    struct error *err)
{
    const struct io *io = run->d->io;
    if (old == NULL)
        return io_link(io, first->fd, first->name, further->fd, further->name, err);
    struct apply_part part = apply_part_name(run->apply, sequence); // the first name has its own by now
    int r = io_link(io, first->fd, first->name, further->fd, part.name, err);
    if (r == ERROR_EXISTS && run->d->rules->resume) {
        replace_discard(io, further->fd, part.name);
        r = io_link(io, first->fd, first->name, further->fd, part.name, err);
    }
    if (r == 0)
        r = replace_name(io, further->fd, part.name, further->name, old, decide_all_but(run->d->rules), err);
    if (r < 0)
        (void)io->unlinkat(io, further->fd, part.name, 0); // a link to what stands under its own name as well
    return r;
}

static void make_link(struct run *run, const struct name_at *first, const struct name_at *further, const struct plan_link *link,
                      const struct deferred_first *known)
{
    const struct io *io = run->d->io;
    struct existing existing = { 0 };
    struct error err = { 0 };
    const char *why;
    enum decide_action action = decide_further(run, first, known, further, &existing, &why, &err);
    if (run->d->rules->mode == DECIDE_IF_NEWER && run->report->told != NULL)
        told_add(run->report->told, TOLD_LEFT, link->further); // this name or the first may stay because of its time, whatever it holds
    bool taken = action == DECIDE_REPLACE, linked = existing.there.exists && target_id_equal(&existing.id, &known->id);
    if (action == DECIDE_LEAVE || linked) { // a link that an interrupted run made, or that never was another file
        run->report->left++;
        return;
    }
    int r = taken || action == DECIDE_CREATE ? 0 : ERROR_EXISTS;
    if (r == 0)
        r = put_link(run, first, further, link->first_sequence, taken ? &existing.id : NULL, &err);
    if (r == ERROR_EXISTS) {
        report_problem(run->report, REPORT_EXISTS, link->further, action == DECIDE_EXISTS ? "" : err.code != ERROR_NONE ? err.text : why);
        return;
    }
    // Between looking and linking the name may have changed hands: then the new name goes again.
    if (r == 0 && !is_same(io, further->fd, further->name, &known->id)) {
        (void)io->unlinkat(io, further->fd, further->name, 0); // at worst an own new name of somebody's own file stays
        r = error_set(&err, ERROR_FAILED, "its first name '%s' was replaced during the restore", link->first);
    }
    if (r < 0) {
        report_problem(run->report, REPORT_FAILED, link->further, err.text);
        return;
    }
    run->report->hard_links++;
    run->report->replaced += taken;
}

static void link_name(struct run *run, struct dirchain *from, struct dirchain *to, const struct plan_link *link,
                      const struct deferred_first *known)
{
    const char *first_path = plan_strip(link->first, run->strip), *further_path = plan_strip(link->further, run->strip);
    struct name_at first, further;
    struct error err;
    if (first_path == NULL || further_path == NULL)
        return; // above the target; told when it was met
    int r = dirchain_parent(from, first_path, &first.fd, &first.name, &err);
    if (r == 0)
        r = dirchain_parent(to, further_path, &further.fd, &further.name, &err);
    if (r == 0 && !is_same(run->d->io, first.fd, first.name, &known->id))
        r = error_set(&err, ERROR_FAILED, "its first name '%s' was replaced during the restore", link->first);
    if (r < 0)
        report_problem(run->report, REPORT_FAILED, link->further, err.text);
    else
        make_link(run, &first, &further, link, known);
}

// The first name was not restored. When the further one is taken as well, that is what to say.
static void tell_no_first(struct run *run, struct dirchain *to, const struct plan_link *link)
{
    const char *further = plan_strip(link->further, run->strip), *name;
    struct statx st;
    struct error ignored;
    int dirfd;
    if (further != NULL && dirchain_parent(to, further, &dirfd, &name, &ignored) == 0 &&
        io_stat(run->d->io, dirfd, name, AT_SYMLINK_NOFOLLOW, &st, &ignored) == 0) {
        report_problem(run->report, REPORT_EXISTS, link->further, "");
        return;
    }
    _cleanup_free_ char *why = xasprintf("it is the same file as '%s', which was not restored", link->first);
    report_problem(run->report, REPORT_SKIPPED, link->further, why);
}

// Both streams ascend by the first name's sequence.
static int link_names(struct run *run, struct error *err)
{
    _cleanup_dirchain_ struct dirchain from = { .root_fd = -1 };
    _cleanup_dirchain_ struct dirchain to = { .root_fd = -1 };
    const void *record = NULL;
    size_t n;
    uint64_t have = 0;
    struct first_record first = { 0 };
    struct plan_link link;
    bool more;
    int r = plan_links_rewind(run->plan, err);
    if (r == 0)
        r = spill_sort(run->d->firsts, err);
    if (r == 0)
        r = open_chain(run, &from, err);
    if (r == 0)
        r = open_chain(run, &to, err);
    while (r == 0 && (r = plan_links_next(run->plan, &link, &more, err)) == 0 && more && !atomic_load(&run->apply->stop)) {
        while (r == 0 && have < link.first_sequence) {
            r = spill_next(run->d->firsts, &record, &n, err);
            if (r == 0 && record != NULL)
                memcpy(&first, record, sizeof first);
            have = r == 0 && record != NULL ? get_u64be(first.sequence) : UINT64_MAX;
        }
        if (r < 0)
            break;
        if (have == link.first_sequence)
            link_name(run, &from, &to, &link, &first.first);
        else
            tell_no_first(run, &to, &link);
    }
    return r;
}

// ---- flags and directories

static int open_same(struct run *run, struct dirchain *chain, const struct late_record *record, const struct target_id *id, int *ret_fd, struct error *err)
{
    int dirfd;
    const char *name;
    int r = dirchain_parent(chain, late_below(record), &dirfd, &name, err);
    return r < 0 ? r : existing_open(run->d->io, dirfd, name, id, ret_fd, err);
}

static void apply_flags(struct run *run, struct dirchain *chain, const struct late_record *record)
{
    const struct io *io = run->d->io;
    struct error err;
    struct attrs_loss loss = { 0 };
    int fd = -1;
    if (open_same(run, chain, record, &record->id, &fd, &err) < 0)
        buf_addf(&loss.why, "inode flags: %s", err.text);
    else
        attrs_set_flags(io, fd, record->flags & INODE_FLAGS_LATE, &loss);
    report_inexact(run->report, late_path(record), buf_str(&loss.why), buf_str(&loss.stripped));
    attrs_loss_done(&loss);
    io_close_quietly(io, &fd);
}

static void apply_dir(struct run *run, struct dirchain *chain, const struct late_record *record)
{
    const struct io *io = run->d->io;
    const struct attrs *attrs = &record->dir.attrs;
    unsigned planner = run->apply->n_workers - 1;
    struct error err;
    struct attrs_loss loss = { 0 };
    // A directory made in a setgid one has that bit too: its mode is always set.
    struct attrs_object object = { .fd = -1, .mode = UINT32_MAX, .is_dir = true, .clear_acl = record->dir.clear_acl };
    if (open_same(run, chain, record, &record->dir.id, &object.fd, &err) < 0) {
        report_problem(run->report, REPORT_METADATA, late_path(record), err.text);
        return;
    }
    if (attrs->xattr.length > 0 && apply_xattr(run->apply, planner, &attrs->xattr, &object.xattr_text, &object.n, &err) < 0)
        buf_addf(&loss.why, "extended attributes: %s", err.text);
    if (record->dir.existed)
        existing_remove_xattrs(io, object.fd, object.xattr_text, object.n, run->apply->self->untrusted);
    attrs_apply(io, &object, attrs, run->apply->self, &loss);
    attrs_set_flags(io, object.fd, attrs->flags & INODE_FLAGS_LATE, &loss);
    if (loss.owner)
        *(record->dir.above ? &run->report->owners_above : &run->report->owners) += 1;
    report_inexact(run->report, late_path(record), buf_str(&loss.why), buf_str(&loss.stripped));
    attrs_loss_done(&loss);
    io_close_quietly(io, &object.fd);
}

static int apply_all(struct run *run, struct spill *spill, void (*one)(struct run *, struct dirchain *, const struct late_record *),
                     struct error *err)
{
    _cleanup_dirchain_ struct dirchain chain = { .root_fd = -1 };
    _cleanup_buf_ struct buf space = { 0 };
    const struct late_record *record;
    int r = spill_sort(spill, err);
    if (r == 0)
        r = open_chain(run, &chain, err);
    while (r == 0 && (r = next_late(spill, &space, &record, err)) == 0 && record != NULL)
        one(run, &chain, record);
    return r;
}

static struct run run_of(struct deferred *d, const struct deferred_context *c)
{
    return (struct run){ .d = d, .plan = c->plan, .strip = c->strip, .target = c->target, .apply = c->apply, .report = c->report };
}

int deferred_link(struct deferred *d, const struct deferred_context *context, struct error *err)
{
    struct run run = run_of(d, context);
    uint64_t since = timing_now(context->apply->timing);
    int r = link_names(&run, err);
    (void)timing_add(context->apply->timing, TIMING_METADATA, since, 0);
    return r;
}

int deferred_finish(struct deferred *d, const struct deferred_context *context, struct error *err)
{
    struct run run = run_of(d, context);
    uint64_t since = timing_now(context->apply->timing);
    int r = apply_all(&run, d->flags, apply_flags, err);
    if (r == 0)
        r = apply_all(&run, d->dirs, apply_dir, err);
    (void)timing_add(context->apply->timing, TIMING_METADATA, since, 0);
    return r;
}
