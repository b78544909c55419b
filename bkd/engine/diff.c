#include "bkd/engine/diff.h"

#include <string.h>

struct diff {
    const struct diff_options *options;
    struct diff_counts counts;
    const struct manifest_entry *a, *b;
    const struct live_entry *live; // b comes from here
    struct buf text_a, text_b;
};

// ---- the two streams

static bool is_wanted(const struct diff_options *o, const struct manifest_entry *e)
{
    bool wanted = o->n_paths == 0;
    for (size_t i = 0; !wanted && i < o->n_paths; i++)
        wanted = manifest_path_below(buf_str(&e->path), e->path.len, o->paths[i], strlen(o->paths[i]));
    // What is no file cannot be compared with the files.
    return wanted && (o->live == NULL || e->path.data[0] == '/');
}

static int next_a(struct diff *d, struct error *err)
{
    int r;
    do
        r = manifest_reader_next(d->options->a, &d->a, err);
    while (r == 0 && d->a != NULL && !is_wanted(d->options, d->a));
    return r;
}

static int next_b(struct diff *d, struct error *err)
{
    int r;
    do {
        if (d->options->b != NULL) {
            r = manifest_reader_next(d->options->b, &d->b, err);
            continue;
        }
        r = live_next(d->options->live, &d->live, err);
        d->b = r == 0 && d->live != NULL ? d->live->entry : NULL;
    } while (r == 0 && d->b != NULL && !is_wanted(d->options, d->b));
    return r;
}

// ---- one pair

static bool same_place(const struct place *a, const struct place *b) { return a->object == b->object && a->offset == b->offset && a->length == b->length; }

static bool same_bytes(const struct buf *a, const struct buf *b) { return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0); }

static int read_text(struct diff *d, diff_text_fn *read, const struct place *place, struct buf *text, struct error *err)
{
    buf_reset(text);
    return place_is_set(place) ? read(d->options->text_arg, place, text, err) : 0;
}

// Both know where their attributes are stored. Equal texts lie at one place as a rule.
static int compare_stored_xattrs(struct diff *d, bool *ret_same, struct error *err)
{
    const struct diff_options *o = d->options;
    const struct place *a = &d->a->xattr, *b = &d->b->xattr;
    *ret_same = same_place(a, b);
    if (*ret_same || !place_is_set(a) || !place_is_set(b) || o->text_a == NULL || o->text_b == NULL)
        return 0;
    int r = read_text(d, o->text_a, a, &d->text_a, err);
    if (r == 0)
        r = read_text(d, o->text_b, b, &d->text_b, err);
    *ret_same = r == 0 && same_bytes(&d->text_a, &d->text_b);
    return r;
}

// d->text_b holds the live file's attributes.
static int compare_read_xattrs(struct diff *d, bool *ret_same, struct error *err)
{
    struct place place;
    *ret_same = (d->text_b.len > 0) == place_is_set(&d->a->xattr);
    if (!*ret_same || d->text_b.len == 0)
        return 0;
    if (live_find_xattrs(d->options->live, &d->text_b, &place) && same_place(&place, &d->a->xattr))
        return 0;
    *ret_same = false;
    if (d->options->text_a == NULL)
        return 0;
    int r = read_text(d, d->options->text_a, &d->a->xattr, &d->text_a, err);
    *ret_same = r == 0 && same_bytes(&d->text_a, &d->text_b);
    return r;
}

static bool is_recorded_same(const struct manifest_entry *a, const struct manifest_entry *b)
{
    if (a->has_sha256 && b->has_sha256)
        return memcmp(a->sha256, b->sha256, sizeof a->sha256) == 0;
    return a->has_sha256 == b->has_sha256 && same_place(&a->at, &b->at) && same_place(&a->version, &b->version);
}

// Is this file of equal size to be read? Without a cache only its time says that it may have changed.
static bool must_hash(const struct diff *d)
{
    if (!d->a->has_sha256)
        return false;
    if (d->options->content)
        return true;
    if (d->live->is_known)
        return false;
    return live_has_cache(d->options->live) || d->a->mtime_s != d->b->mtime_s || d->a->mtime_ns != d->b->mtime_ns;
}

// Most of it is holes: it has no hash of the whole, and is read when that is asked for.
static bool must_compare_pieces(const struct diff *d) { return !d->a->has_sha256 && d->options->content && place_is_set(&d->a->version); }

static int compare_live_content(struct diff *d, bool *ret_same, struct error *err)
{
    uint8_t sha256[32];
    if (must_compare_pieces(d)) {
        int r = live_has_content(d->options->live, d->b, &d->a->version, ret_same, err);
        if (r == 0 && d->options->progress != NULL)
            d->options->progress(d->options->arg, 1, d->b->size);
        return r;
    }
    if (!must_hash(d)) {
        *ret_same = d->live->is_known ? is_recorded_same(d->a, d->b) : d->a->mtime_s == d->b->mtime_s && d->a->mtime_ns == d->b->mtime_ns;
        return 0;
    }
    int r = live_hash(d->options->live, d->b, sha256, err);
    *ret_same = r == 0 && memcmp(sha256, d->a->sha256, sizeof sha256) == 0;
    if (r == 0 && d->options->progress != NULL)
        d->options->progress(d->options->arg, 1, d->b->size);
    return r;
}

static int compare_content(struct diff *d, uint32_t *fields, struct error *err)
{
    bool same = true;
    int r = 0;
    if (d->a->type != MANIFEST_FILE || d->a->size == 0 || (*fields & DIFFER_CONTENT) != 0)
        return 0;
    if (d->live == NULL)
        same = is_recorded_same(d->a, d->b);
    else
        r = compare_live_content(d, &same, err);
    *fields |= r == 0 && !same ? DIFFER_CONTENT : 0;
    return r;
}

static int compare_attrs(struct diff *d, uint32_t *fields, struct error *err)
{
    bool same = true;
    uint32_t flags = d->b->flags;
    int r = 0;
    if (d->live == NULL || d->live->is_known) {
        r = compare_stored_xattrs(d, &same, err);
    } else {
        buf_reset(&d->text_b);
        r = live_attrs(d->options->live, d->b, &d->text_b, &flags, err);
        if (r == 0)
            r = compare_read_xattrs(d, &same, err);
    }
    *fields |= r == 0 ? (same ? 0 : DIFFER_XATTRS) | (flags == d->a->flags ? 0 : DIFFER_FLAGS) : 0;
    return r;
}

static int compare_pair(struct diff *d, uint32_t *ret_fields, struct error *err)
{
    *ret_fields = differ_entries(d->a, d->b);
    if ((*ret_fields & DIFFER_TYPE) != 0)
        return 0;
    int r = compare_content(d, ret_fields, err);
    return r < 0 ? r : compare_attrs(d, ret_fields, err);
}

// ---- all

static void count(struct diff_counts *counts, const struct diff_change *c)
{
    uint64_t size = c->sign == '-' ? c->a->size : c->b->size;
    counts->added += c->sign == '+';
    counts->removed += c->sign == '-';
    counts->changed += c->sign == 'M';
    counts->metadata += c->sign == 'm';
    *(c->sign == '+' ? &counts->added_bytes : c->sign == '-' ? &counts->removed_bytes : &counts->changed_bytes) += c->sign == 'm' ? 0 : size;
}

// The way to a source is only looked at while the source is there.
static bool is_lost_way(const struct diff *d) { return d->options->live != NULL && d->a->source == MANIFEST_NO_SOURCE; }

static int tell(struct diff *d, char sign, uint32_t fields, struct error *err)
{
    if (sign == '-' && is_lost_way(d))
        return 0;
    struct diff_change change = { sign, fields, sign == '+' ? NULL : d->a, sign == '-' ? NULL : d->b };
    count(&d->counts, &change);
    return d->options->change(d->options->arg, &change, err);
}

// Only the live tree changes under our hands: what cannot be read there is told, what went away meanwhile is removed.
static int compare_both(struct diff *d, struct error *err)
{
    struct error why;
    uint32_t fields = 0;
    int r = compare_pair(d, &fields, &why);
    if (r == ERROR_NOT_FOUND && d->live != NULL)
        return tell(d, '-', 0, err);
    bool is_local = (r == ERROR_FAILED && why.os_errno != 0) || (r == ERROR_FORMAT && must_compare_pieces(d));
    if (r < 0 && (d->live == NULL || !is_local)) {
        *err = why;
        return r;
    }
    if (r < 0) {
        struct scan_problem problem = { buf_str(&d->b->path), why.text };
        d->counts.problems++;
        d->options->problem(d->options->arg, &problem);
    }
    return fields == 0 ? 0 : tell(d, (fields & DIFFER_WHAT) != 0 ? 'M' : 'm', fields, err);
}

static int merge(struct diff *d, struct error *err)
{
    int r = next_a(d, err);
    if (r == 0)
        r = next_b(d, err);
    while (r == 0 && (d->a != NULL || d->b != NULL)) {
        int order = d->a == NULL   ? 1
                    : d->b == NULL ? -1
                                   : manifest_path_compare(d->a->path.data, d->a->path.len, d->b->path.data, d->b->path.len);
        r = order == 0 ? compare_both(d, err) : tell(d, order < 0 ? '-' : '+', 0, err);
        if (r == 0 && order <= 0)
            r = next_a(d, err);
        if (r == 0 && order >= 0)
            r = next_b(d, err);
    }
    return r;
}

int diff_run(const struct diff_options *options, struct diff_counts *ret_counts, struct error *err)
{
    struct diff d = { .options = options };
    int r = merge(&d, err);
    buf_done(&d.text_a);
    buf_done(&d.text_b);
    *ret_counts = d.counts;
    return r;
}
