#include "restore/entries.h"

#include <errno.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "bkd/base/inode_flags.h"
#include "restore/content.h"
#include "restore/replace.h"
#include "restore/reuse.h"
#include "restore/stream_entries.h"

void entries_done(struct entries *r) { buf_done(&r->skipped); }

static bool is_interrupted(const struct entries *r) { return r->interrupted != NULL && r->interrupted(); }
static bool is_stopped(struct entries *r) { return atomic_load(&r->apply->stop); }

// ---- problems of one entry

// A fault of the stored data: the restore goes on only when asked to.
static int data_fault(struct entries *r, enum report_kind kind, const char *path, const struct error *why, struct error *err)
{
    report_problem(r->report, kind, path, why->text);
    if (r->keep_going && why->code != ERROR_UNREACHABLE)
        return 0;
    *err = *why;
    if (err->code != ERROR_UNREACHABLE && err->code != ERROR_KEY)
        err->code = ERROR_INTEGRITY;
    return error_prefix(err, "'%s'", path);
}

// A fault of the target: goes on unless it would meet every other file as well.
static int target_fault(struct entries *r, const char *path, const struct error *why, struct error *err)
{
    if (why->code == ERROR_NO_SPACE || why->os_errno == EIO || why->os_errno == EROFS) {
        *err = *why;
        return error_prefix(err, "'%s'", path);
    }
    report_problem(r->report, why->code == ERROR_EXISTS ? REPORT_EXISTS : REPORT_FAILED, path, why->text);
    return 0;
}

// The directory an entry belongs into. *ret_dir NULL: reported, go on without it.
static int find_parent(struct entries *r, const char *path, const char *below, struct target_dir **ret_dir, const char **ret_name,
                       struct error *err)
{
    struct error why;
    *ret_dir = NULL;
    int e = target_parent(r->target, below, strlen(below), ret_dir, ret_name, &why);
    if (e == 0)
        return 0;
    *ret_dir = NULL;
    return e == ERROR_INTEGRITY ? data_fault(r, REPORT_REFUSED, path, &why, err) : target_fault(r, path, &why, err);
}

// What becomes of the name. *ret_met false: that was reported, go on without it. In a directory this run made nothing can be in the way.
static int meet(struct entries *r, const struct manifest_entry *e, const struct attrs *attrs, struct target_dir *dir, const char *name,
                struct meeting *ret_meeting, bool *ret_met, struct error *err)
{
    struct error why;
    *ret_meeting = (struct meeting){ .action = DECIDE_CREATE };
    *ret_met = true;
    if (dir->made)
        return 0;
    if (meet_name(r->meet, dir->fd, name, e, attrs, r->plan->sequence, ret_meeting, &why) < 0) {
        *ret_met = false;
        return target_fault(r, buf_str(&e->path), &why, err);
    }
    bool makes_part = e->type == MANIFEST_FILE && (ret_meeting->action == DECIDE_CREATE || ret_meeting->action == DECIDE_REPLACE);
    if (r->meet->rules->resume && !makes_part)
        replace_discard(r->io, dir->fd, apply_part_name(r->apply, r->plan->sequence).name);
    return 0;
}

static void tell_in_the_way(struct entries *r, const char *path, const struct meeting *m)
{
    bool plain = m->action == DECIDE_EXISTS && m->existing.there.exists && r->meet->rules->mode == DECIDE_NEVER;
    report_problem(r->report, REPORT_EXISTS, path, plain ? "" : m->why);
}

// The further names of an inode become links to this one.
static int add_first(struct entries *r, const struct manifest_entry *e, const struct target_id *id, struct error *err)
{
    const struct deferred_first first = { *id, e->mtime_s, e->mtime_ns };
    return e->hardlink.len > 0 ? deferred_add_first(r->deferred, r->plan->sequence, &first, err) : 0;
}

// An entry that stays as it is; the further names of its inode become links to it.
static int leave(struct entries *r, const struct manifest_entry *e, const struct meeting *m, struct error *err)
{
    r->report->left++;
    if (r->report->told != NULL && r->meet->rules->mode == DECIDE_IF_NEWER)
        told_add(r->report->told, TOLD_LEFT, buf_str(&e->path)); // because of its time, whatever it holds
    if (e->type == MANIFEST_FILE)
        progress_add(r->windows->progress, 1, e->size);
    return add_first(r, e, &m->existing.id, err);
}

// ---- entries

static int defer_dir(struct entries *r, const struct manifest_entry *e, const char *path, size_t n, struct target_dir *dir, bool existed,
                     struct error *err)
{
    struct deferred_dir late = {
        .id = dir->id, .clear_acl = dir->imposes_acl, .existed = existed, .above = e->source == MANIFEST_NO_SOURCE
    };
    attrs_of_entry(r->names, r->self, e, &late.attrs);
    return deferred_add_dir(r->deferred, path, n, &late, err);
}

static void skip_below(struct entries *r, const char *path)
{
    buf_reset(&r->skipped);
    buf_add_str(&r->skipped, path);
}

// A new directory takes the place of what is no directory.
static int exchange_for_dir(struct entries *r, struct target_dir *parent, const char *name, const struct meeting *m, struct error *err)
{
    struct apply_part part = apply_part_name(r->apply, r->plan->sequence);
    int got = io_mkdir(r->io, parent->fd, part.name, 0700, err);
    if (got == 0)
        got = replace_name(r->io, parent->fd, part.name, name, &m->existing.id, NULL, err);
    if (got < 0)
        (void)r->io->unlinkat(r->io, parent->fd, part.name, AT_REMOVEDIR); // the failure is what gets reported
    return got;
}

static int enter_dir(struct entries *r, const struct manifest_entry *e, enum plan_role role, const char *path, const char *below,
                     const struct meeting *m, struct error *err)
{
    struct target_dir *dir = NULL;
    struct error why;
    int got = target_mkdir(r->target, below, strlen(below), &dir, &why);
    if (got < 0) {
        skip_below(r, path);
        return target_fault(r, path, &why, err);
    }
    if (m->action == DECIDE_REPLACE) {
        target_claim(r->target, dir);
        r->report->replaced++;
    }
    bool existed = !dir->made && !m->existing.there.ours;
    if (!existed && (e->flags & FS_CASEFOLD_FL) != 0)
        (void)r->io->setflags(r->io, dir->fd, e->flags, FS_CASEFOLD_FL); // only while it is empty; at the end it is looked at again
    if (existed && (m->action != DECIDE_METADATA || role == PLAN_ANCESTOR)) { // what a restore of parts passes on its way keeps its own
        r->report->existing_dirs++;
        return 0;
    }
    r->report->dirs += !existed;
    return defer_dir(r, e, path, strlen(below), dir, existed, err);
}

static int restore_dir(struct entries *r, const struct manifest_entry *e, enum plan_role role, const char *path, const char *below,
                       struct error *err)
{
    struct target_dir *parent;
    const char *name;
    struct attrs attrs;
    struct meeting m;
    struct error why;
    bool met;
    int got = find_parent(r, path, below, &parent, &name, err);
    if (got < 0 || parent == NULL)
        return got;
    attrs_of_entry(r->names, r->self, e, &attrs);
    got = meet(r, e, &attrs, parent, name, &m, &met, err);
    if (got < 0)
        return got;
    if (!met) {
        skip_below(r, path);
        return 0;
    }
    if (m.action == DECIDE_EXISTS || m.action == DECIDE_CONFLICT || (m.action == DECIDE_REPLACE && role == PLAN_ANCESTOR)) {
        skip_below(r, path);
        report_problem(r->report, REPORT_EXISTS, path, "the target has something else than a directory of this name");
        return 0;
    }
    if (m.action == DECIDE_REPLACE && exchange_for_dir(r, parent, name, &m, &why) < 0) {
        skip_below(r, path);
        return target_fault(r, path, &why, err);
    }
    return enter_dir(r, e, role, path, below, &m, err);
}

static mode_t type_of(enum manifest_type type)
{
    switch (type) {
    case MANIFEST_LINK:
        return S_IFLNK;
    case MANIFEST_CHAR:
        return S_IFCHR;
    case MANIFEST_BLOCK:
        return S_IFBLK;
    default:
        return S_IFIFO;
    }
}

static int make_special(struct entries *r, const struct manifest_entry *e, struct target_dir *dir, const char *name)
{
    if (e->type == MANIFEST_LINK)
        return r->io->symlinkat(r->io, buf_str(&e->target), dir->fd, name);
    return r->io->mknodat(r->io, dir->fd, name, type_of(e->type) | 0600, makedev(e->device_major, e->device_minor));
}

static int not_made(struct entries *r, const struct manifest_entry *e, int os_errno, struct error *err)
{
    bool device = e->type == MANIFEST_CHAR || e->type == MANIFEST_BLOCK;
    if (os_errno != EPERM && os_errno != EOPNOTSUPP && os_errno != EIO) // the last: what some say instead; it would end the restore
        return error_set_errno(err, os_errno, "make it");
    r->report->impossible++;
    return error_set(err, ERROR_FAILED, device && !r->self->root ? "only root may make devices" : "the target's file system has no such type of file");
}

static void special_attributes(struct entries *r, const struct manifest_entry *e, struct target_dir *dir, const char *name,
                               struct attrs_loss *loss)
{
    struct attrs attrs;
    struct error err;
    bool is_link = e->type == MANIFEST_LINK;
    struct attrs_object object = {
        .fd = -1, .mode = 0600, .plain_owner = dir->plain_owner, .is_link = is_link, .clear_acl = dir->imposes_acl && !is_link
    };
    attrs_of_entry(r->names, r->self, e, &attrs);
    if (attrs.xattr.length > 0 && apply_xattr(r->apply, r->apply->n_workers - 1, &attrs.xattr, &object.xattr_text, &object.n, &err) < 0)
        buf_addf(&loss->why, "extended attributes: %s", err.text);
    attrs_apply_at(r->io, dir->fd, name, type_of(e->type), &object, &attrs, r->self, loss);
}

// Made aside, so that the name never stands for something without its owner and mode.
static int put_special(struct entries *r, const struct manifest_entry *e, struct target_dir *dir, const char *name, const struct meeting *m,
                       struct attrs_loss *loss, struct error *err)
{
    struct apply_part part = apply_part_name(r->apply, r->plan->sequence);
    bool taken = m->existing.there.exists;
    if (make_special(r, e, dir, part.name) < 0)
        return not_made(r, e, errno, err);
    special_attributes(r, e, dir, part.name, loss);
    int got = replace_name(r->io, dir->fd, part.name, name, taken ? &m->existing.id : NULL, decide_all_but(r->meet->rules), err);
    if (got < 0)
        (void)r->io->unlinkat(r->io, dir->fd, part.name, 0); // the failure is what gets reported
    else
        r->report->replaced += taken;
    return got;
}

static int make_anew(struct entries *r, const struct manifest_entry *e, const char *path, struct target_dir *dir, const char *name,
                     const struct meeting *m, struct error *err)
{
    struct statx st;
    struct error why;
    struct attrs_loss loss = { 0 };
    if (put_special(r, e, dir, name, m, &loss, &why) < 0) {
        attrs_loss_done(&loss);
        return target_fault(r, path, &why, err);
    }
    r->report->owners += loss.owner;
    *(e->type == MANIFEST_LINK ? &r->report->links : &r->report->others) += 1;
    report_inexact(r->report, path, buf_str(&loss.why), buf_str(&loss.stripped));
    attrs_loss_done(&loss);
    if (e->hardlink.len == 0)
        return 0;
    int got = io_stat(r->io, dir->fd, name, AT_SYMLINK_NOFOLLOW, &st, err);
    struct target_id id = { makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_ino };
    return got < 0 ? got : add_first(r, e, &id, err);
}

// Symbolic links, FIFOs, devices. One with other metadata is made anew: it costs nothing, and nothing is changed by its name.
static int restore_special(struct entries *r, const struct manifest_entry *e, const char *path, const char *below, struct error *err)
{
    struct target_dir *dir;
    const char *name;
    struct attrs attrs;
    struct meeting m;
    bool met;
    if (r->self->untrusted && (e->type == MANIFEST_CHAR || e->type == MANIFEST_BLOCK)) {
        report_problem(r->report, REPORT_STRIPPED, path, "a device; it is left out");
        return 0;
    }
    int got = find_parent(r, path, below, &dir, &name, err);
    if (got < 0 || dir == NULL)
        return got;
    attrs_of_entry(r->names, r->self, e, &attrs);
    got = meet(r, e, &attrs, dir, name, &m, &met, err);
    if (got < 0 || !met)
        return got;
    if (m.action == DECIDE_LEAVE)
        return leave(r, e, &m, err);
    if (m.action == DECIDE_EXISTS || m.action == DECIDE_CONFLICT) {
        tell_in_the_way(r, path, &m);
        return 0;
    }
    return make_anew(r, e, path, dir, name, &m, err);
}

// Is the piece in the target already? Where not, the file is made ready to be changed: what goes wrong there is the file's own failure, and
// its pieces pass by.
static bool keep_piece(struct entries *r, struct apply_file *f, const struct recipe_piece *piece, uint64_t offset)
{
    struct error err;
    bool hole = piece->kind == RECIPE_HOLE;
    if (!hole && reuse_piece(r->apply, f, offset, piece->length, piece->sha256))
        return true;
    if (reuse_claim(r->apply, f, &err) < 0 || (hole && reuse_hole(r->apply, f, offset, piece->length, &err) < 0)) {
        apply_fail(r->apply, f, &err);
        return true;
    }
    return false;
}

// A piece that goes through no window.
static void count_passed(const struct entries *r, const struct recipe_piece *piece)
{
    if (piece->kind != RECIPE_HOLE || r->counts_holes)
        progress_add(r->windows->progress, 0, piece->length);
}

static int add_pieces(struct entries *r, struct apply_file *f, struct error *err)
{
    const struct recipe *recipe = &f->recipe;
    uint64_t offset = 0;
    atomic_store(&f->pieces_left, (unsigned)recipe->n_pieces);
    f->sparse = recipe->n_extents > 0;
    if (!f->reused && (recipe->n_pieces > 1 || recipe->pieces[0].kind == RECIPE_HOLE))
        apply_begin(r->apply, f); // a file of one piece is made by the worker that has it, so that not thousands are open
    for (size_t i = 0; i < recipe->n_pieces; i++) {
        const struct recipe_piece *piece = &recipe->pieces[i];
        struct place scratch;
        const struct place *ranges;
        size_t n;
        if (is_stopped(r) || is_interrupted(r))
            return windows_give_up(r->windows, f, 0, err);
        if (f->reused && keep_piece(r, f, piece, offset)) {
            apply_piece_over(r->apply, r->apply->n_workers - 1, f);
            count_passed(r, piece);
        } else if (piece->kind == RECIPE_HOLE) {
            apply_hole(r->apply, r->apply->n_workers - 1, f, (uint32_t)i, offset, piece->length);
            r->report->holes += piece->length;
            count_passed(r, piece);
        } else {
            int e = windows_need_room(r->windows, piece->length, err);
            if (e < 0)
                return windows_give_up(r->windows, f, e, err);
            recipe_piece_ranges(piece, &scratch, &ranges, &n);
            fetch_add_piece(windows_filling(r->windows), f, (uint32_t)i, offset, piece->length, piece->sha256, ranges, n, f->whole != NULL);
        }
        offset += piece->length;
    }
    fetch_own(windows_filling(r->windows), f);
    return 0;
}

static int add_content(struct entries *r, const struct manifest_entry *e, struct apply_file *f, struct error *err)
{
    struct error why;
    int got = windows_need_room(r->windows, e->at.length > 0 ? (uint32_t)e->at.length : 0, err);
    if (got < 0) {
        apply_file_free(f);
        return got;
    }
    struct fetch *w = windows_filling(r->windows);
    if (e->size == 0) {
        fetch_add_empty(w, f);
        fetch_own(w, f);
        return 0;
    }
    if (e->at.length > 0 && !f->reused) {
        fetch_add_piece(w, f, 0, 0, (uint32_t)e->size, e->sha256, &e->at, 1, false);
        fetch_own(w, f);
        return 0;
    }
    bool whole = false;
    if (f->reused) // what is there is only changed for a recipe that was proved beforehand
        got = content_pieces(r->snapshot, e, &f->recipe, &why);
    else
        got = content_recipe(r->snapshot, e, true, &f->recipe, &whole, &why);
    if (got == 0 && whole)
        f->whole = compare_whole_new(r->timing, (uint32_t)f->recipe.n_pieces);
    if (got == 0)
        return add_pieces(r, f, err);
    got = data_fault(r, REPORT_LOST, f->path, &why, err);
    apply_file_free(f);
    return got;
}

// The content is right already.
static int put_metadata_right(struct entries *r, const struct manifest_entry *e, const char *path, struct target_dir *dir, const char *name,
                              const struct attrs *attrs, const struct meeting *m, struct error *err)
{
    struct error why;
    struct attrs_loss loss = { 0 };
    struct attrs_object object = { .fd = -1, .mode = UINT32_MAX };
    if (existing_open(r->io, dir->fd, name, &m->existing.id, &object.fd, &why) < 0)
        return target_fault(r, path, &why, err);
    if (attrs->xattr.length > 0 && apply_xattr(r->apply, r->apply->n_workers - 1, &attrs->xattr, &object.xattr_text, &object.n, &why) < 0)
        buf_addf(&loss.why, "extended attributes: %s", why.text);
    else
        existing_remove_xattrs(r->io, object.fd, object.xattr_text, object.n, r->self->untrusted);
    attrs_apply(r->io, &object, attrs, r->self, &loss);
    io_close_quietly(r->io, &object.fd);
    r->report->updated++;
    r->report->owners += loss.owner;
    report_inexact(r->report, path, buf_str(&loss.why), buf_str(&loss.stripped));
    attrs_loss_done(&loss);
    progress_add(r->windows->progress, 1, e->size);
    return add_first(r, e, &m->existing.id, err);
}

static int put_file(struct entries *r, const struct manifest_entry *e, const char *path, struct target_dir *dir, const char *name,
                    const struct attrs *attrs, const struct meeting *m, struct error *err)
{
    struct apply_file *f = apply_file_new(dir, path, name);
    f->attrs = *attrs;
    f->size = e->size;
    f->sequence = r->plan->sequence;
    f->existed = f->replaces = m->action == DECIDE_REPLACE;
    f->old_all_but = f->replaces ? decide_all_but(r->meet->rules) : NULL;
    f->old = m->existing.id;
    f->has_sha256 = e->has_sha256;
    memcpy(f->sha256, e->sha256, sizeof f->sha256);
    f->leader = e->hardlink.len > 0;
    f->preallocated = (e->notes & MANIFEST_PREALLOCATED) != 0;
    bool large = e->size >= REUSE_MIN, is_file = f->existed && m->existing.there.type == MANIFEST_FILE;
    if (large && !(r->apply->resume && reuse_part(r->apply, f)) && r->in_place_delta && is_file)
        (void)reuse_existing(r->apply, f); // what cannot be read is replaced as a whole
    return add_content(r, e, f, err);
}

static int restore_file(struct entries *r, const struct manifest_entry *e, const char *path, const char *below, struct error *err)
{
    struct target_dir *dir;
    const char *name;
    struct attrs attrs;
    struct meeting m;
    struct error why;
    bool met;
    if (content_check_entry(e, &why) < 0)
        return data_fault(r, REPORT_REFUSED, path, &why, err);
    int got = find_parent(r, path, below, &dir, &name, err);
    if (got < 0 || dir == NULL)
        return got;
    attrs_of_entry(r->names, r->self, e, &attrs);
    got = meet(r, e, &attrs, dir, name, &m, &met, err);
    if (got < 0 || !met)
        return got;
    switch (m.action) {
    case DECIDE_LEAVE:
        return leave(r, e, &m, err);
    case DECIDE_METADATA:
        return put_metadata_right(r, e, path, dir, name, &attrs, &m, err);
    case DECIDE_EXISTS:
    case DECIDE_CONFLICT:
        tell_in_the_way(r, path, &m);
        return 0;
    default:
        return put_file(r, e, path, dir, name, &attrs, &m, err);
    }
}

// What has no component left after --strip-components: a directory may stand for the target itself.
static int restore_root(struct entries *r, const struct manifest_entry *e, const char *path, enum plan_role role, struct error *err)
{
    if (e->type != MANIFEST_DIR) {
        if (role == PLAN_SELECTED)
            report_problem(r->report, REPORT_SKIPPED, path, "--strip-components leaves nothing of its path");
        return 0;
    }
    _cleanup_free_ char *child = xasprintf("%s/x", strcmp(path, "/") == 0 ? "" : path);
    bool stands_for_target = plan_strip(child, r->strip) != NULL;
    if (!stands_for_target || (!r->root_made && !r->root_wanted) || r->root_claimed)
        return 0;
    r->root_claimed = true;
    r->report->dirs++;
    return defer_dir(r, e, path, 0, r->target->root, !r->root_made, err);
}

// Streams come last in the manifest. Their directory is no entry: it is made before the first of them.
static int restore_stream(struct entries *r, const struct manifest_entry *e, const char *path, struct error *err)
{
    struct target_dir *dir = NULL;
    struct error why;
    if (r->leave_streams) {
        r->report->streams++;
        return 0;
    }
    if (!r->has_stream_dir && target_mkdir(r->target, STREAM_ENTRIES_DIR, strlen(STREAM_ENTRIES_DIR), &dir, &why) < 0) {
        skip_below(r, STREAM_ENTRIES_DIR);
        return target_fault(r, path, &why, err);
    }
    r->has_stream_dir = true;
    return restore_file(r, e, path, path, err);
}

// A further name that an interrupted run made may be a link to what the first name was before power was lost. Where nothing is overwritten it
// would stay so: it goes, and is made again at the end.
static int forget_further(struct entries *r, const char *below, struct error *err)
{
    const struct decide_rules *rules = r->meet->rules;
    struct target_dir *dir;
    const char *name;
    struct error ignored; // where its directory is not, it is not
    bool existed = true;
    if (!rules->resume || !rules->doubt || rules->mode != DECIDE_NEVER)
        return 0;
    int got = survey_existed(r->meet->survey, r->plan->sequence, &existed, err);
    if (got == 0 && !existed && target_parent(r->target, below, strlen(below), &dir, &name, &ignored) == 0)
        (void)r->io->unlinkat(r->io, dir->fd, name, 0); // what cannot go is told when the link is made
    return got;
}

static int restore_entry(struct entries *r, const struct manifest_entry *e, enum plan_role role, bool later, struct error *err)
{
    const char *path = buf_str(&e->path);
    const char *below = plan_strip(path, r->strip);
    if (below == NULL)
        return restore_root(r, e, path, role, err);
    if (later) // made as a hard link at the end
        return forget_further(r, below, err);
    if (r->skipped.len > 0 && manifest_path_below(path, e->path.len, buf_str(&r->skipped), r->skipped.len)) {
        report_problem(r->report, REPORT_SKIPPED, path, "its directory could not be made");
        return 0;
    }
    if (*path != '/')
        return restore_stream(r, e, path, err);
    switch (e->type) {
    case MANIFEST_DIR:
        return restore_dir(r, e, role, path, below, err);
    case MANIFEST_FILE:
        return restore_file(r, e, path, below, err);
    case MANIFEST_SOCKET:
        r->report->sockets++;
        return 0;
    default:
        return restore_special(r, e, path, below, err);
    }
}

int entries_restore(struct entries *r, struct error *err)
{
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    int got = plan_rewind(r->plan, err);
    while (got == 0 && !is_stopped(r) && (got = plan_next(r->plan, &e, &role, &later, err)) == 0 && e != NULL) {
        got = restore_entry(r, e, role, later, err);
        if (is_interrupted(r))
            atomic_store(&r->apply->stop, true);
    }
    return got;
}
