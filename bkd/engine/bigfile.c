#include "bkd/engine/bigfile_parts.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/crypto.h"
#include "bkd/base/log.h"
#include "bkd/codec/ranges.h"
#include "bkd/engine/extents.h"

// Beyond this many bytes of holes a whole-file hash would cost more than the data; the pieces' hashes remain.
#define HASHED_HOLES_MAX (UINT64_C(256) << 20)
// Tags take 1/256 of a file's size, holes included. Beyond this much of holes (256 MiB of tags for nothing) the data is stored whole instead.
#define TAGGED_HOLES_MAX (UINT64_C(64) << 30)
// A stream that outgrew what was expected of it has a larger signature than a file of its size; beyond this much memory it is not searched.
#define SEARCH_MEMORY_MAX (UINT64_C(4) * DELTA_SIGNATURE_MEMORY)

// ---- beginning

static bool needs_usable(const struct bigfile *f, const struct versions_needs *needs)
{
    for (size_t i = 0; i < needs->n; i++)
        if (!f->ctx->usable(f->ctx->usable_arg, needs->items[i].object))
            return false;
    return true;
}

static bool load_version(const struct bigfile *f, const struct place *place, struct versions_base *ret_base)
{
    struct error why;
    if (versions_load(f->ctx->versions, place, f->ctx->block_size != 0 ? UINT64_MAX : SEARCH_MEMORY_MAX, ret_base, &why) < 0) {
        log_debug("'%s' does not build on an earlier version: %s", f->name, why.text);
        return false;
    }
    if (needs_usable(f, &ret_base->needs))
        return true;
    versions_base_done(ret_base);
    return false;
}

static struct ancestry ancestry_of(const struct versions_base *base)
{
    return (struct ancestry){ .chain = base->recipe.chain, .steps = base->needs.steps, .delta_bytes = base->needs.delta_bytes };
}

// The version before must not be built on: its anchor instead, or none.
static void choose_anchor(struct bigfile *f, const struct ancestry *previous)
{
    struct versions_base anchor = { 0 };
    struct ancestry at_anchor;
    f->whole = true;
    if (f->base.needs.steps == 0 || !load_version(f, &f->base.needs.anchor, &anchor))
        return;
    at_anchor = ancestry_of(&anchor);
    if (ancestry_choose(&f->ctx->ancestry, f->base.recipe.size, previous, &at_anchor) != ANCESTRY_ANCHOR) {
        versions_base_done(&anchor);
        return;
    }
    versions_base_done(&f->base);
    f->base = anchor;
    f->on_anchor = true;
    f->whole = false;
}

static void load_base(struct bigfile *f, const struct place *base)
{
    f->has_base = load_version(f, base, &f->base);
    if (!f->has_base)
        return;
    struct ancestry previous = ancestry_of(&f->base);
    if (ancestry_choose(&f->ctx->ancestry, f->base.recipe.size, &previous, NULL) != ANCESTRY_PREVIOUS)
        choose_anchor(f, &previous);
    f->search.search = f->base.search;
}

static int begin_cache(struct bigfile *f, uint64_t expected_size, struct error *err)
{
    if (extents_hole_bytes(&f->recipe, f->size) > TAGGED_HOLES_MAX)
        return 0;
    struct version_cache_info *info = &f->cache_info;
    memcpy(info->version_id, f->recipe.id, sizeof info->version_id);
    info->signature_block = f->ctx->block_size != 0 ? f->ctx->block_size : delta_block_size(expected_size, 0);
    if (f->has_base && f->base.cache != NULL)
        memcpy(info->key, version_cache_info(f->base.cache)->key, sizeof info->key);
    else
        io_random(f->ctx->io, info->key, sizeof info->key);
    return versions_begin_cache(f->ctx->versions, info, &f->cache, err);
}

// Takes f: frees it when it fails.
static int begin(struct bigfile *f, uint64_t expected_size, const struct place *base, struct bigfile **ret_file, struct error *err)
{
    f->writer = f->ctx->writer;
    io_random(f->ctx->io, f->recipe.id, sizeof f->recipe.id);
    if (base != NULL && place_is_set(base))
        load_base(f, base);
    f->hash_whole = extents_hole_bytes(&f->recipe, f->size) <= HASHED_HOLES_MAX;
    file_hash_init(&f->hash);
    turns_init(&f->hashing);
    int r = begin_cache(f, expected_size, err);
    if (r == 0)
        r = bigfile_make_zeros(f, err);
    if (r < 0) {
        bigfile_free(f);
        return r;
    }
    f->compares = f->cache != NULL;
    *ret_file = f;
    return 0;
}

int bigfile_begin(const struct bigfile_context *ctx, int fd, const char *name, uint64_t size, const struct place *base,
                  const struct recipe *index_from, struct bigfile **ret_file, struct error *err)
{
    struct bigfile *f = xcalloc(1, sizeof *f);
    *f = (struct bigfile){ .ctx = ctx, .fd = fd, .name = xstrdup(name), .size = size, .all_same = true };
    f->pieces = size / RECIPE_PIECE_SIZE + (size % RECIPE_PIECE_SIZE != 0);
    extents_find(ctx->io, fd, size, &f->recipe);
    for (size_t i = 0; index_from != NULL && i < index_from->n_index; i++)
        recipe_add_index(&f->recipe, index_from->index[i].offset, index_from->index[i].path, strlen(index_from->index[i].path));
    return begin(f, size, base, ret_file, err);
}

int bigfile_begin_stream(const struct bigfile_context *ctx, const char *name, uint64_t expected_size, const struct place *base, struct bigfile **ret_file,
                         struct error *err)
{
    struct bigfile *f = xcalloc(1, sizeof *f);
    *f = (struct bigfile){ .ctx = ctx, .fd = -1, .name = xstrdup(name), .all_same = true };
    return begin(f, expected_size, base, ret_file, err);
}

void bigfile_free(struct bigfile *f)
{
    if (f == NULL)
        return;
    if (f->has_base)
        versions_base_done(&f->base);
    version_cache_abort(&f->cache);
    recipe_done(&f->recipe);
    versions_needs_done(&f->needs);
    versions_needs_done(&f->taken);
    file_hash_done(&f->hash);
    turns_done(&f->hashing);
    free(f->name);
    free(f);
}

uint64_t bigfile_renewal_cost(const struct bigfile *f)
{
    return f->has_base && renew_any_due(f->ctx->renew, &f->base.needs) ? renew_cost(f->ctx->renew, &f->base.recipe) : 0;
}

int bigfile_renew(struct bigfile *f, struct error *err)
{
    int r = f->ctx->open_renewer(f->ctx->usable_arg, err);
    if (r < 0)
        return r;
    f->writer = f->ctx->renew->writer;
    f->anew = f->whole = true;
    return 0;
}

uint64_t bigfile_pieces(const struct bigfile *f) { return f->pieces; }

// ---- placing, in order

static void use_place(struct versions_needs *needs, const struct place *place)
{
    if (place->object != 0)
        versions_needs_add(needs, place->object, place->length);
}

static void copy_ranges(struct recipe_piece *to, const struct place *ranges, size_t n)
{
    to->ranges = xcalloc(n, sizeof *ranges);
    memcpy(to->ranges, ranges, n * sizeof *ranges);
    to->n_ranges = (uint32_t)n;
}

static int base_piece(void *arg, uint64_t index, const struct place **ret_items, size_t *ret_count, struct error *err)
{
    struct { struct bigfile *f; struct place scratch; } *view = arg;
    if (index >= view->f->base.recipe.n_pieces)
        return error_set(err, ERROR_FORMAT, "'%s': the base version has no piece %llu", view->f->name, (unsigned long long)index);
    recipe_piece_ranges(&view->f->base.recipe.pieces[index], &view->scratch, ret_items, ret_count);
    return 0;
}

// A placeholder stands for the delta member until it is known that its ranges fit, and so that it is stored at all.
#define PLACEHOLDER UINT32_MAX

static int place_delta(struct bigfile *f, struct bigfile_job *job, struct recipe_piece *piece, bool *ret_fits, struct error *err)
{
    struct { struct bigfile *f; struct place scratch; } view = { .f = f };
    struct ranges_base base = { .piece = base_piece, .arg = &view, .size = f->base.recipe.size };
    struct place member = { .object = PLACEHOLDER, .length = job->piece.delta.len };
    _cleanup_ranges_ struct ranges ranges = { 0 };
    int r = ranges_resolve(&base, &job->piece.commands, &member, RECIPE_RANGES_MAX, &ranges, ret_fits, err);
    if (r < 0 || !*ret_fits)
        return r;
    r = object_writer_add(f->writer, "delta", job->piece.delta.data, job->piece.delta.len, &member, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ranges.count; i++) {
        if (ranges.items[i].object != PLACEHOLDER)
            continue;
        ranges.items[i].object = member.object;
        ranges.items[i].offset += member.offset;
    }
    piece->kind = RECIPE_DELTA;
    piece->member = member;
    copy_ranges(piece, ranges.items, ranges.count);
    use_place(&f->needs, &member);
    f->needs.delta_bytes += member.length;
    f->uses_base = true;
    return 0;
}

static int place_whole(struct bigfile *f, const struct bigfile_job *job, struct recipe_piece *piece, struct error *err)
{
    int r = 0;
    piece->kind = RECIPE_WHOLE;
    if (!known_find(f->ctx->known, KNOWN_WHOLE, job->sha256, &piece->member) || piece->member.length != job->length) {
        r = object_writer_add(f->writer, "whole", job->space.data, job->length, &piece->member, err);
        if (r == 0)
            r = known_add(f->ctx->known, KNOWN_WHOLE, job->sha256, &piece->member, err);
        if (r == 0 && f->ctx->journal != NULL)
            r = journal_add_piece(f->ctx->journal, job->sha256, &piece->member, err);
        f->anew_bytes += f->anew ? job->length : 0;
    }
    use_place(&f->needs, &piece->member);
    return r;
}

static int place_same(struct bigfile *f, const struct bigfile_job *job, struct recipe_piece *piece, struct error *err)
{
    const struct recipe_piece *old = &f->base.recipe.pieces[job->index];
    bool stays = !f->anew || !renew_is_due(f->ctx->renew, old->member.object);
    if (old->kind == RECIPE_HOLE || (old->kind == RECIPE_WHOLE && stays)) {
        piece->kind = old->kind;
        piece->member = old->member;
        use_place(&f->taken, &old->member);
        return 0;
    }
    if (f->whole)
        return place_whole(f, job, piece, err);
    piece->kind = RECIPE_SAME;
    copy_ranges(piece, old->ranges, old->n_ranges);
    f->uses_base = true;
    return 0;
}

static int place_piece(struct bigfile *f, struct bigfile_job *job, struct error *err)
{
    struct recipe_piece piece = { .length = job->length };
    memcpy(piece.sha256, job->sha256, sizeof piece.sha256);
    struct place known;
    bool done = false;
    int r = 0;
    f->all_same = f->all_same && job->same;
    if (job->is_hole) {
        piece.kind = RECIPE_HOLE;
        done = true;
    } else if (job->same) {
        r = place_same(f, job, &piece, err);
        done = true;
    } else if (job->has_delta && !f->whole && !known_find(f->ctx->known, KNOWN_WHOLE, job->sha256, &known)) {
        r = place_delta(f, job, &piece, &done, err);
    }
    if (r == 0 && !done)
        r = place_whole(f, job, &piece, err);
    if (r < 0) {
        free(piece.ranges);
        return r;
    }
    *recipe_add_piece(&f->recipe) = piece;
    return 0;
}

int bigfile_take(struct bigfile_job *job, bool *ret_source_failed, struct error *err)
{
    struct bigfile *f = job->file;
    *ret_source_failed = job->status < 0;
    if (job->status < 0) {
        *err = job->err;
        return job->status;
    }
    uint64_t offset = job->index * RECIPE_PIECE_SIZE;
    uint32_t expected = f->size - offset < RECIPE_PIECE_SIZE ? (uint32_t)(f->size - offset) : RECIPE_PIECE_SIZE;
    if (f->short_read || job->length < expected) {
        // What lies behind the new end is not part of this version, and its tags would not fit the size announced.
        version_cache_abort(&f->cache);
        if (f->short_read || job->length == 0) {
            f->short_read = true;
            return 0;
        }
        f->short_read = true;
    }
    f->position += job->length;
    f->bytes_read += job->is_hole ? 0 : job->length;
    texture_add(&f->texture, job->texture);
    if (job->belied) {
        log_warn("what is kept on this host of '%s' is damaged: a piece was unchanged by its tags, and is not by its hash. It is stored again, and the "
                 "file is stored whole next time",
                 f->name);
        version_cache_abort(&f->cache);
    }
    int r = place_piece(f, job, err);
    if (r == 0 && f->cache != NULL) {
        r = version_cache_add(f->cache, job->tags, (size_t)sameplace_count(job->length), job->entries.data, job->entries.len / DELTA_SIGNATURE_ENTRY, err);
        if (r < 0) { // a cache that cannot be written costs a whole file next time, not this run
            log_warn("'%s' will be stored whole next time: %s", f->name, err->text);
            version_cache_abort(&f->cache);
            r = 0;
        }
    }
    return r;
}

// ---- the end

static void add_needs(struct bigfile *f, const struct versions_needs *more)
{
    for (size_t i = 0; i < more->n; i++)
        versions_needs_add(&f->needs, more->items[i].object, more->items[i].used);
    f->needs.delta_bytes += more->delta_bytes;
}

static int keep_base(struct bigfile *f, struct bigfile_result *result, struct error *err)
{
    result->is_base = true;
    result->version = f->base.place;
    versions_needs_done(&f->needs);
    version_cache_abort(&f->cache);
    return versions_use(f->ctx->versions, &f->base.place, &result->needs, err);
}

static int store_recipe(struct bigfile *f, struct bigfile_result *result, struct error *err)
{
    struct recipe *recipe = &f->recipe;
    _cleanup_buf_ struct buf text = { 0 };
    if (f->short_read)
        extents_cut(recipe, f->position);
    recipe->size = f->position;
    recipe->has_sha256 = result->has_sha256;
    memcpy(recipe->sha256, result->sha256, sizeof recipe->sha256);
    recipe->chain = 1;
    if (f->uses_base) {
        recipe->has_base = true;
        memcpy(recipe->base_id, f->base.recipe.id, sizeof recipe->base_id);
        recipe->base = f->base.place;
        recipe->chain = f->base.recipe.chain + 1;
        if (!f->on_anchor) {
            f->needs.steps = f->base.needs.steps + 1;
            f->needs.anchor = f->base.needs.steps == 0 ? f->base.place : f->base.needs.anchor;
        }
    }
    add_needs(f, f->uses_base ? &f->base.needs : &f->taken);
    recipe_format(&text, recipe);
    int r = object_writer_add(f->writer, "recipe", text.data, text.len, &result->version, err);
    if (r < 0)
        return r;
    use_place(&f->needs, &result->version);
    crypto_sha256(text.data, text.len, result->recipe_sha256);
    result->recipe_size = text.len;
    struct error cache_error;
    bool has_cache = f->cache != NULL && version_cache_close(&f->cache, f->position, result->sha256, &cache_error) == 0;
    r = versions_save(f->ctx->versions, &result->version, &text, &f->needs, has_cache ? recipe->id : NULL, err);
    if (r == 0 && result->has_sha256)
        r = known_add(f->ctx->known, KNOWN_VERSION, result->sha256, &result->version, err);
    if (r == 0 && f->has_head)
        r = known_add(f->ctx->known, KNOWN_HEAD, f->head_sha256, &result->version, err);
    if (r == 0)
        r = versions_use(f->ctx->versions, &result->version, &result->needs, err);
    return r;
}

int bigfile_finish(struct bigfile *f, struct bigfile_result *ret_result, struct error *err)
{
    struct bigfile_result result = { .size = f->position, .short_read = f->short_read, .bytes_read = f->bytes_read, .has_sha256 = f->hash_whole,
                                    .texture = texture_whole(&f->texture),
                                    .hole_bytes = extents_hole_bytes(&f->recipe, f->position) };
    if (f->hash_whole)
        file_hash_final(&f->hash, result.sha256);
    result.is_anew = f->anew;
    result.all_same = f->all_same;
    bool says_less = f->hash_whole && !f->base.recipe.has_sha256; // than the entry will: a restore would not believe it
    bool same_as_base = !f->anew && f->has_base && !says_less && f->all_same && f->position == f->base.recipe.size && !f->short_read && extents_equal(&f->recipe, &f->base.recipe);
    int r = same_as_base ? keep_base(f, &result, err) : store_recipe(f, &result, err);
    result.anew_bytes = f->anew_bytes;
    if (r == 0)
        *ret_result = result;
    else
        versions_needs_done(&result.needs);
    return r;
}
