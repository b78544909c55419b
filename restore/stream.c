#include "restore/stream.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/work.h"
#include "restore/content.h"

enum { JOBS_MAX = 512 };

struct member {
    struct manifest_entry entry;
    struct recipe recipe;
    struct buf first, xattr;
    bool later;
};

// One piece, or a member without content. A member belongs to its last job.
struct job {
    struct snapshot *snapshot;
    struct member *member;
    size_t piece;
    bool starts, ends;
    uint8_t *data; // NULL = nothing to decode
    int result;
    struct error error;
};

struct stream {
    const struct stream_source *source;
    const struct stream_sink *sink;
    struct work_pool *pool;
    size_t in_flight;
    uint8_t *zeros; // of a piece that is a hole, made when first needed
    struct place xattr_place; // neighbours often share attributes
    struct buf xattr;
};

static void member_free(struct member *m)
{
    manifest_entry_done(&m->entry);
    recipe_done(&m->recipe);
    buf_done(&m->first);
    buf_done(&m->xattr);
    free(m);
}

static void job_free(struct stream *s, struct job *j)
{
    if (j->data != NULL)
        s->in_flight -= j->member->recipe.pieces[j->piece].length;
    if (j->ends)
        member_free(j->member);
    free(j->data);
    free(j);
}

static void run_job(void *arg, unsigned worker)
{
    struct job *j = arg;
    (void)worker;
    if (j->data != NULL)
        j->result = content_piece(j->snapshot, &j->member->recipe.pieces[j->piece], j->data, &j->error);
}

// ---- giving

static int give_begin(struct stream *s, const struct member *m, struct error *err)
{
    struct stream_member member = { .entry = &m->entry, .xattr_text = buf_str(&m->xattr), .xattr_n = m->xattr.len };
    if (m->entry.type == MANIFEST_FILE && !m->later)
        member.recipe = &m->recipe;
    if (m->later)
        member.first = buf_str(&m->first);
    return s->sink->begin(s->sink->arg, &member, err);
}

static int give(struct stream *s, const struct job *j, struct error *err)
{
    const struct recipe *recipe = &j->member->recipe;
    const struct recipe_piece *piece = recipe->n_pieces > 0 ? &recipe->pieces[j->piece] : NULL;
    int r = j->starts ? give_begin(s, j->member, err) : 0;
    if (r == 0 && j->result < 0) {
        *err = j->error;
        r = error_prefix(err, "'%s'", buf_str(&j->member->entry.path));
    }
    if (r == 0 && piece != NULL)
        r = s->sink->data(s->sink->arg, j->data != NULL ? j->data : s->zeros, piece->length, err);
    return r == 0 && j->ends ? s->sink->end(s->sink->arg, err) : r;
}

static int give_next(struct stream *s, struct error *err)
{
    struct job *j = work_next(s->pool);
    int r = give(s, j, err);
    job_free(s, j);
    return r;
}

// ---- taking

static int submit(struct stream *s, const struct job *job, bool hole, struct error *err)
{
    const struct recipe *recipe = &job->member->recipe;
    size_t length = recipe->n_pieces > 0 ? recipe->pieces[job->piece].length : 0;
    void *data = NULL;
    int r = 0;
    while (r == 0 && work_count(s->pool) > 0 && (work_count(s->pool) >= JOBS_MAX || s->in_flight + length > STREAM_IN_FLIGHT))
        r = give_next(s, err);
    if (r == 0 && length > 0 && !hole)
        r = io_alloc(s->source->io, length, "a piece", &data, err);
    if (r == 0 && hole && s->zeros == NULL)
        s->zeros = xcalloc(1, RECIPE_PIECE_SIZE);
    if (r < 0)
        return r;
    struct job *j = xmalloc(sizeof *j);
    *j = *job;
    j->data = data;
    if (data != NULL)
        s->in_flight += length;
    work_submit(s->pool, run_job, j);
    return 0;
}

// Hands a member over to the jobs of its pieces.
static int submit_member(struct stream *s, struct member *m, struct error *err)
{
    size_t n = m->recipe.n_pieces > 0 ? m->recipe.n_pieces : 1;
    for (size_t i = 0; i < n; i++) {
        bool hole = m->recipe.n_pieces > 0 && m->recipe.pieces[i].kind == RECIPE_HOLE;
        struct job job = { .snapshot = s->source->snapshot, .member = m, .piece = i, .starts = i == 0, .ends = i + 1 == n };
        int r = submit(s, &job, hole, err);
        if (r == 0)
            continue;
        while (work_count(s->pool) > 0) // jobs of this member must not outlive it
            job_free(s, work_next(s->pool));
        member_free(m);
        return r;
    }
    return 0;
}

static int read_xattr(struct stream *s, struct member *m, struct error *err)
{
    const struct place *place = &m->entry.xattr;
    if (place->length == 0)
        return 0;
    if (memcmp(&s->xattr_place, place, sizeof *place) != 0) {
        s->xattr_place = (struct place){ 0 };
        buf_reset(&s->xattr);
        int r = content_xattr(s->source->snapshot->reader, place, &s->xattr, err);
        if (r < 0)
            return error_prefix(err, "extended attributes");
        s->xattr_place = *place;
    }
    buf_add(&m->xattr, s->xattr.data, s->xattr.len);
    return 0;
}

static int take_entry(struct stream *s, const struct manifest_entry *e, bool later, struct error *err)
{
    struct member *m = xcalloc(1, sizeof *m);
    int r = 0;
    manifest_entry_copy(&m->entry, e);
    m->later = later;
    if (later)
        buf_add_str(&m->first, plan_first_name(s->source->plan));
    else
        r = read_xattr(s, m, err);
    if (r == 0 && !later && e->type == MANIFEST_FILE)
        r = content_pieces(s->source->snapshot, e, &m->recipe, err);
    if (r == 0)
        return submit_member(s, m, err);
    if (r == ERROR_FORMAT || r == ERROR_NOT_FOUND)
        err->code = ERROR_INTEGRITY;
    (void)error_prefix(err, "'%s'", buf_str(&e->path));
    member_free(m);
    return err->code;
}

static int take_all(struct stream *s, struct error *err)
{
    const struct stream_source *source = s->source;
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    int r = plan_rewind(source->plan, err);
    while (r == 0 && (r = plan_next(source->plan, &e, &role, &later, err)) == 0 && e != NULL) {
        if (source->interrupted != NULL && source->interrupted())
            return error_set(err, ERROR_FAILED, "interrupted; what was written is not complete");
        r = take_entry(s, e, later, err);
    }
    while (r == 0 && work_count(s->pool) > 0)
        r = give_next(s, err);
    return r;
}

int stream_run(const struct stream_source *source, const struct stream_sink *sink, struct error *err)
{
    struct stream s = { .source = source, .sink = sink, .pool = work_new(source->jobs > 0 ? source->jobs : work_processors()) };
    int r = take_all(&s, err);
    while (work_count(s.pool) > 0)
        job_free(&s, work_next(s.pool));
    work_free(s.pool);
    buf_done(&s.xattr);
    free(s.zeros);
    return r;
}
