#include "bkd/engine/renew.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"

#define NAME "filled"
#define SMALL (1u << 20)
enum { RECORD = 12, FILE_MAX = 256 << 20 }; // record: object (4, LE), bytes (8, LE); ascending

void renew_load(struct renew *r, const struct io *io, int dirfd, const uint8_t key[SEALED_KEY_SIZE])
{
    struct error ignored; // as if it were missing
    _cleanup_buf_ struct buf data = { 0 };
    *r = (struct renew){ 0 };
    if (sealed_read(io, dirfd, NAME, key, FILE_MAX, &data, &ignored) < 0)
        return;
    for (size_t at = 0; at + RECORD <= data.len; at += RECORD)
        versions_needs_add(&r->filled, get_u32le(data.data + at), get_u64le(data.data + at + 4));
}

void renew_done(struct renew *r)
{
    versions_needs_done(&r->filled);
    object_writer_free(r->writer);
    free(r->due);
    *r = (struct renew){ 0 };
}

// What was put into it. Without a note of it, at least what it has stored.
static uint64_t bytes_of(const struct renew *r, const struct format_ref *ref)
{
    const struct versions_need *noted = versions_needs_find(&r->filled, ref->object);
    if (noted != NULL)
        return noted->used;
    return ref->used > ref->stored_size ? ref->used : ref->stored_size;
}

void renew_plan(struct renew *r, const struct renewal_rule *rule, const struct format_refs *refs)
{
    r->rule = *rule;
    if (rule->min_live_percent == 0 || refs->n == 0)
        return;
    struct renewal_object *objects = xcalloc(refs->n, sizeof *objects);
    for (size_t i = 0; i < refs->n; i++)
        objects[i] = (struct renewal_object){ .number = refs->refs[i].object, .bytes = bytes_of(r, &refs->refs[i]), .used_bytes = refs->refs[i].used };
    size_t chosen = renewal_choose(rule, objects, refs->n);
    if (chosen > 0) {
        r->n = refs->refs[refs->n - 1].object + 1;
        r->due = xcalloc(r->n, sizeof *r->due);
    }
    for (size_t i = 0; i < chosen; i++)
        r->due[objects[i].number] = true;
    free(objects);
}

bool renew_is_due(const struct renew *r, uint32_t object) { return object < r->n && r->due[object]; }

bool renew_any_due(const struct renew *r, const struct versions_needs *needs)
{
    bool any = false;
    for (size_t i = 0; r->n > 0 && i < needs->n && !any; i++)
        any = renew_is_due(r, needs->items[i].object);
    return any;
}

uint64_t renew_cost(const struct renew *r, const struct recipe *recipe)
{
    uint64_t cost = 0;
    for (size_t i = 0; i < recipe->n_pieces; i++) {
        const struct recipe_piece *piece = &recipe->pieces[i];
        bool stays = piece->kind == RECIPE_HOLE || (piece->kind == RECIPE_WHOLE && !renew_is_due(r, piece->member.object));
        cost += stays ? 0 : piece->length;
    }
    return cost;
}

bool renew_spend(struct renew *r, uint64_t cost)
{
    if (r->spent >= r->rule.budget_bytes || (cost > SMALL && cost > r->rule.budget_bytes - r->spent))
        return false;
    r->spent += cost;
    return true;
}

int renew_save(const struct renew *r, const struct io *io, int dirfd, const uint8_t key[SEALED_KEY_SIZE], const struct format_refs *refs, uint32_t first_own,
               struct error *err)
{
    _cleanup_buf_ struct buf data = { 0 };
    for (size_t i = 0; i < refs->n; i++) {
        const struct format_ref *ref = &refs->refs[i];
        uint8_t *record = buf_extend(&data, RECORD);
        put_u32le(record, ref->object);
        put_u64le(record + 4, ref->object >= first_own ? ref->used : bytes_of(r, ref));
    }
    return sealed_write(io, dirfd, NAME, key, data.data, data.len, err);
}
