#include "restore/entries.h"

#include <errno.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "restore/content.h"

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

static bool is_taken(struct entries *r, struct target_dir *dir, const char *name)
{
    struct statx st;
    return !dir->made && r->io->statx(r->io, dir->fd, name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st) == 0;
}

// ---- entries

static int defer_dir(struct entries *r, const struct manifest_entry *e, const char *path, size_t n, struct target_dir *dir,
                     struct error *err)
{
    struct deferred_dir late = { .id = dir->id, .clear_acl = dir->imposes_acl, .above = e->source == MANIFEST_NO_SOURCE };
    attrs_of_entry(r->names, r->self, e, &late.attrs);
    return deferred_add_dir(r->deferred, path, n, &late, err);
}

static int restore_dir(struct entries *r, const struct manifest_entry *e, const char *path, const char *below, struct error *err)
{
    struct target_dir *dir = NULL;
    struct error why;
    int got = target_mkdir(r->target, below, strlen(below), &dir, &why);
    if (got == ERROR_INTEGRITY)
        return data_fault(r, REPORT_REFUSED, path, &why, err);
    if (got < 0) {
        buf_reset(&r->skipped);
        buf_add_str(&r->skipped, path);
        return target_fault(r, path, &why, err);
    }
    if (!dir->made) {
        r->report->existing_dirs++;
        return 0;
    }
    r->report->dirs++;
    return defer_dir(r, e, path, strlen(below), dir, err);
}

static int make_special(struct entries *r, const struct manifest_entry *e, struct target_dir *dir, const char *name)
{
    static const mode_t types[] = { ['p'] = S_IFIFO, ['c'] = S_IFCHR, ['b'] = S_IFBLK };
    if (e->type == MANIFEST_LINK)
        return r->io->symlinkat(r->io, buf_str(&e->target), dir->fd, name);
    return r->io->mknodat(r->io, dir->fd, name, types[e->type] | e->mode, makedev(e->device_major, e->device_minor));
}

static void special_attributes(struct entries *r, const struct manifest_entry *e, struct target_dir *dir, const char *name,
                               struct attrs_loss *loss)
{
    struct attrs attrs;
    const char *text = NULL;
    size_t n = 0;
    struct error err;
    attrs_of_entry(r->names, r->self, e, &attrs);
    if (attrs.xattr.length > 0 && apply_xattr(r->apply, r->apply->n_workers - 1, &attrs.xattr, &text, &n, &err) < 0)
        buf_addf(&loss->why, "extended attributes: %s", err.text);
    attrs_apply_at(r->io, dir->fd, name, &attrs, r->self, text, n, loss);
}

// Symbolic links, FIFOs, devices.
static int restore_special(struct entries *r, const struct manifest_entry *e, const char *path, const char *below, struct error *err)
{
    struct target_dir *dir;
    const char *name;
    struct statx st;
    struct error why;
    struct attrs_loss loss = { 0 };
    int got = find_parent(r, path, below, &dir, &name, err);
    if (got < 0 || dir == NULL)
        return got;
    if (make_special(r, e, dir, name) < 0) {
        if (errno == EPERM && e->type != MANIFEST_LINK)
            (void)error_set(&why, ERROR_FAILED, "only root may make devices");
        else
            (void)error_set_errno(&why, errno, "make it");
        return target_fault(r, path, &why, err);
    }
    special_attributes(r, e, dir, name, &loss);
    r->report->owners += loss.owner;
    *(e->type == MANIFEST_LINK ? &r->report->links : &r->report->others) += 1;
    if (loss.why.len > 0)
        report_problem(r->report, REPORT_METADATA, path, buf_str(&loss.why));
    buf_done(&loss.why);
    if (e->hardlink.len == 0)
        return 0;
    got = io_stat(r->io, dir->fd, name, AT_SYMLINK_NOFOLLOW, &st, err);
    struct target_id id = { makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_ino };
    return got < 0 ? got : deferred_add_first(r->deferred, r->plan->sequence, &id, err);
}

static int add_pieces(struct entries *r, struct apply_file *f, struct error *err)
{
    const struct recipe *recipe = &f->recipe;
    uint64_t offset = 0;
    atomic_store(&f->pieces_left, (unsigned)recipe->n_pieces);
    f->sparse = recipe->n_extents > 0;
    if (recipe->n_pieces > 1 || recipe->pieces[0].kind == RECIPE_HOLE)
        apply_begin(r->apply, f); // a file of one piece is made by the worker that has it, so that not thousands are open
    for (size_t i = 0; i < recipe->n_pieces; i++) {
        const struct recipe_piece *piece = &recipe->pieces[i];
        struct place scratch;
        const struct place *ranges;
        size_t n;
        if (is_stopped(r) || is_interrupted(r))
            return windows_give_up(r->windows, f, 0, err);
        if (piece->kind == RECIPE_HOLE) {
            apply_hole(r->apply, r->apply->n_workers - 1, f, (uint32_t)i, piece->length);
            r->report->holes += piece->length;
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
    if (e->at.length > 0) {
        fetch_add_piece(w, f, 0, 0, (uint32_t)e->size, e->sha256, &e->at, 1, false);
        fetch_own(w, f);
        return 0;
    }
    bool whole = false;
    got = content_recipe(r->snapshot, r->compare, e, true, &f->recipe, &whole, &why);
    if (got == 0 && whole)
        f->whole = compare_whole_new(r->timing, (uint32_t)f->recipe.n_pieces);
    if (got == 0)
        return add_pieces(r, f, err);
    got = data_fault(r, REPORT_LOST, f->path, &why, err);
    apply_file_free(f);
    return got;
}

static int restore_file(struct entries *r, const struct manifest_entry *e, const char *path, const char *below, struct error *err)
{
    struct target_dir *dir;
    const char *name;
    struct error why;
    if (content_check_entry(e, &why) < 0)
        return data_fault(r, REPORT_REFUSED, path, &why, err);
    int got = find_parent(r, path, below, &dir, &name, err);
    if (got < 0 || dir == NULL)
        return got;
    if (is_taken(r, dir, name)) {
        report_problem(r->report, REPORT_EXISTS, path, "");
        return 0;
    }
    struct apply_file *f = apply_file_new(dir, path, name);
    attrs_of_entry(r->names, r->self, e, &f->attrs);
    f->size = e->size;
    f->sequence = r->plan->sequence;
    f->has_sha256 = e->has_sha256;
    memcpy(f->sha256, e->sha256, sizeof f->sha256);
    f->leader = e->hardlink.len > 0;
    return add_content(r, e, f, err);
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
    if (!stands_for_target || !r->target->root->made || r->root_claimed)
        return 0;
    r->root_claimed = true;
    r->report->dirs++;
    return defer_dir(r, e, path, 0, r->target->root, err);
}

static int restore_entry(struct entries *r, const struct manifest_entry *e, enum plan_role role, bool later, struct error *err)
{
    const char *path = buf_str(&e->path);
    if (*path != '/') {
        r->report->streams++;
        return 0;
    }
    const char *below = plan_strip(path, r->strip);
    if (below == NULL)
        return restore_root(r, e, path, role, err);
    if (later) // made as a hard link at the end
        return 0;
    if (r->skipped.len > 0 && manifest_path_below(path, e->path.len, buf_str(&r->skipped), r->skipped.len)) {
        report_problem(r->report, REPORT_SKIPPED, path, "its directory could not be made");
        return 0;
    }
    switch (e->type) {
    case MANIFEST_DIR:
        return restore_dir(r, e, path, below, err);
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
