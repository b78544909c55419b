#include "restore/reread.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/dirchain.h"
#include "restore/content.h"
#include "restore/existing.h"

struct pass {
    const struct reread *r;
    struct snapshot *snapshot;
    struct dirchain chain;
    struct buf piece;
};

// ---- content

static const char *read_piece(struct pass *p, int fd, const struct recipe_piece *piece, uint64_t offset)
{
    const struct reread *r = p->r;
    struct error ignored; // a disk that does not read is told as what differs
    uint8_t sha256[CRYPTO_SHA256_SIZE];
    size_t n = 0;
    buf_reset(&p->piece);
    if (io_pread_full(r->io, fd, buf_extend(&p->piece, piece->length), piece->length, offset, "piece", &n, &ignored) < 0)
        return "its content cannot be read";
    if (n != piece->length)
        return "it is shorter than the snapshot's";
    if (piece->kind == RECIPE_HOLE) {
        for (size_t i = 0; i < n; i++)
            if (p->piece.data[i] != 0)
                return "its content is not that of the snapshot";
        return NULL;
    }
    crypto_sha256(p->piece.data, n, sha256);
    return memcmp(sha256, piece->sha256, sizeof sha256) == 0 ? NULL : "its content is not that of the snapshot";
}

// A file of which the snapshot has no hash as a whole, mostly holes.
static const char *read_pieces(struct pass *p, int fd, const struct manifest_entry *e)
{
    _cleanup_recipe_ struct recipe recipe = { 0 };
    struct error ignored; // it was read when the file was restored
    uint64_t offset = 0;
    const char *what = NULL;
    if (content_pieces(p->snapshot, e, &recipe, &ignored) < 0)
        return "its recipe cannot be read again";
    for (size_t i = 0; what == NULL && i < recipe.n_pieces; i++) {
        what = read_piece(p, fd, &recipe.pieces[i], offset);
        offset += recipe.pieces[i].length;
    }
    return what;
}

static const char *read_content(struct pass *p, int fd, const struct manifest_entry *e)
{
    bool equal = false;
    struct error ignored; // a disk that does not read is told as what differs
    if (e->size == 0) // that it is empty was seen, and the snapshot has no hash of nothing
        return NULL;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); // it is synced: from here on the disk answers
    if (!e->has_sha256)
        return read_pieces(p, fd, e);
    if (existing_content_of(p->r->io, fd, e, &equal, &ignored) < 0)
        return "its content cannot be read";
    return equal ? NULL : "its content is not that of the snapshot";
}

// ---- everything else

static const char *compare_look(const struct reread *r, const struct manifest_entry *e, const struct attrs *attrs, const struct decide_there *there,
                                bool metadata)
{
    if (!there->exists)
        return "it is not there";
    if (there->type != e->type)
        return "it is of another type";
    if (e->type == MANIFEST_FILE && there->size != e->size)
        return "it has another size";
    if (there->other_target)
        return "it leads elsewhere";
    if ((e->type == MANIFEST_CHAR || e->type == MANIFEST_BLOCK) &&
        (there->device_major != e->device_major || there->device_minor != e->device_minor))
        return "it is another device";
    return metadata && !decide_metadata_equal(r->rules, attrs, there) ? "its mode, owner or time is not that of the snapshot" : NULL;
}

static const char *compare_attributes(const struct reread *r, int fd, const struct attrs *attrs)
{
    const char *text = NULL;
    size_t n = 0;
    struct error ignored; // it was read when the file was restored
    if (attrs->xattr.length > 0 && apply_xattr(r->apply, r->apply->n_workers - 1, &attrs->xattr, &text, &n, &ignored) < 0)
        return "the record of its attributes cannot be read again";
    return existing_xattrs_equal(fd, text, n, r->apply->self->untrusted) ? NULL : "its extended attributes or ACL are not those of the snapshot";
}

static const char *look_again(struct pass *p, const struct manifest_entry *e, const char *below, bool metadata, bool content)
{
    const struct reread *r = p->r;
    struct existing now = { 0 };
    struct attrs attrs;
    struct error ignored; // what cannot be reached is not there
    int dirfd, fd = -1;
    const char *name;
    if (dirchain_parent(&p->chain, below, &dirfd, &name, &ignored) < 0 || existing_look(r->io, dirfd, name, e, &now, &ignored) < 0)
        return "it is not there";
    attrs_of_entry(r->names, r->apply->self, e, &attrs);
    const char *what = compare_look(r, e, &attrs, &now.there, metadata);
    if (what != NULL || (e->type != MANIFEST_FILE && e->type != MANIFEST_DIR))
        return what;
    if (existing_open(r->io, dirfd, name, &now.id, &fd, &ignored) < 0) // one's own file without permission to read, or a disk that fails
        return "it cannot be read";
    if (metadata)
        what = compare_attributes(r, fd, &attrs);
    if (what == NULL && content && e->type == MANIFEST_FILE)
        what = read_content(p, fd, e);
    io_close_quietly(r->io, &fd);
    return what;
}

// Directories that stood before keep what they had, but for those an overwriting restore was asked for.
static int keeps_its_own(const struct reread *r, const struct manifest_entry *e, enum plan_role role, bool *ret_keeps, struct error *err)
{
    bool existed = false;
    *ret_keeps = false;
    if (e->type != MANIFEST_DIR)
        return 0;
    int got = survey_existed(r->survey, r->plan->sequence, &existed, err);
    bool overwrites = r->rules->mode == DECIDE_IF_CHANGED || r->rules->mode == DECIDE_ALWAYS;
    bool overwritten = overwrites && role == PLAN_SELECTED && e->source != MANIFEST_NO_SOURCE;
    *ret_keeps = existed && !overwritten;
    return got;
}

static int verify_entry(struct pass *p, const struct manifest_entry *e, enum plan_role role, bool later, struct error *err)
{
    const struct reread *r = p->r;
    const char *below = plan_strip(buf_str(&e->path), r->strip);
    uint64_t since = timing_now(r->apply->timing);
    enum told_kind told;
    bool keeps;
    if (below == NULL || e->type == MANIFEST_SOCKET)
        return 0;
    int got = keeps_its_own(r, e, role, &keeps, err);
    if (got == 0)
        got = told_ask(r->told, buf_str(&e->path), &told, err);
    if (got < 0 || told == TOLD_LEFT)
        return got;
    const char *what = look_again(p, e, below, !keeps && told == TOLD_NOTHING, !later);
    if (what != NULL)
        report_problem(r->report, REPORT_DIFFERS, buf_str(&e->path), what);
    r->report->verified++;
    bool read = e->type == MANIFEST_FILE && !later;
    (void)timing_add(r->apply->timing, TIMING_VERIFY, since, read ? e->size : 0);
    progress_add(r->progress, read, read ? e->size : 0);
    return 0;
}

int reread_run(const struct reread *r, struct snapshot *snapshot, struct error *err)
{
    struct pass p = { .r = r, .snapshot = snapshot, .chain = { .io = r->io, .root_fd = -1 } };
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    int got = io_open(r->io, r->target_fd, ".", O_PATH | O_DIRECTORY, 0, &p.chain.root_fd, err);
    if (got == 0)
        got = plan_rewind(r->plan, err);
    if (got == 0)
        got = survey_rewind(r->survey, err);
    if (got == 0)
        got = told_rewind(r->told, err);
    while (got == 0 && (got = plan_next(r->plan, &e, &role, &later, err)) == 0 && e != NULL) {
        got = verify_entry(&p, e, role, later, err);
        if (r->interrupted != NULL && r->interrupted())
            got = error_set(err, ERROR_FAILED, "interrupted while what was restored was read again; all of it is in place");
    }
    dirchain_done(&p.chain);
    buf_done(&p.piece);
    return got;
}
