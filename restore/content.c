#include "restore/content.h"

#include <string.h>

#include "bkd/base/crypto.h"

int content_check_entry(const struct manifest_entry *e, struct error *err)
{
    bool good = e->size == 0 ||
                (e->at.length > 0 ? e->at.length == e->size && e->size <= RECIPE_PIECE_SIZE && e->has_sha256 : place_is_set(&e->version));
    return good ? 0 : error_set(err, ERROR_INTEGRITY, "the manifest does not say where its content is");
}

static int believe(struct snapshot *snapshot, const struct manifest_entry *e, const struct recipe *recipe, bool may_hash_whole,
                   bool *ret_whole, struct error *err)
{
    bool authentic = false;
    *ret_whole = false;
    if (recipe->size != e->size || (e->has_sha256 && (!recipe->has_sha256 || memcmp(recipe->sha256, e->sha256, sizeof e->sha256) != 0)))
        return error_set(err, ERROR_INTEGRITY, "its recipe is not that of this file");
    if (recipe->n_pieces == 1 && e->has_sha256)
        return memcmp(recipe->pieces[0].sha256, e->sha256, sizeof e->sha256) == 0
                   ? 0
                   : error_set(err, ERROR_INTEGRITY, "its recipe contradicts the manifest");
    int r = object_reader_authentic(snapshot->reader, e->version.object, &authentic, err);
    if (r < 0 || authentic)
        return r;
    *ret_whole = e->has_sha256 && may_hash_whole;
    return *ret_whole ? 0 : error_set(err, ERROR_INTEGRITY, "its recipe stands in a damaged object");
}

int content_recipe(struct snapshot *snapshot, const struct manifest_entry *e, bool may_hash_whole, struct recipe *ret_recipe,
                   bool *ret_whole, struct error *err)
{
    _cleanup_recipe_ struct recipe recipe = { 0 };
    int r = snapshot_read_recipe(snapshot, &e->version, &recipe, err);
    if (r == 0)
        r = believe(snapshot, e, &recipe, may_hash_whole, ret_whole, err);
    if (r < 0)
        return r;
    *ret_recipe = recipe;
    recipe = (struct recipe){ 0 };
    return 0;
}

int content_pieces(struct snapshot *snapshot, const struct manifest_entry *e, struct recipe *ret_recipe, struct error *err)
{
    bool whole;
    int r = content_check_entry(e, err);
    if (r < 0)
        return r;
    if (e->size > 0 && e->at.length == 0)
        return content_recipe(snapshot, e, false, ret_recipe, &whole, err);
    *ret_recipe = (struct recipe){ .size = e->size };
    if (e->size == 0)
        return 0;
    struct recipe_piece *piece = recipe_add_piece(ret_recipe);
    piece->kind = RECIPE_WHOLE;
    piece->length = (uint32_t)e->at.length;
    piece->member = e->at;
    memcpy(piece->sha256, e->sha256, sizeof piece->sha256);
    return 0;
}

int content_xattr(struct object_reader *reader, const struct place *place, struct buf *ret_text, struct error *err)
{
    bool authentic = false;
    if (place->length > CONTENT_XATTR_MAX)
        return error_set(err, ERROR_INTEGRITY, "%llu bytes of them are refused", (unsigned long long)place->length);
    int r = object_reader_authentic(reader, place->object, &authentic, err);
    if (r == 0 && !authentic)
        r = error_set(err, ERROR_INTEGRITY, "they stand in object %u, which is damaged, and nothing else has a hash of them", place->object);
    if (r < 0)
        return r;
    size_t before = ret_text->len;
    r = object_reader_read(reader, place, buf_extend(ret_text, (size_t)place->length), err);
    if (r < 0)
        ret_text->len = before;
    return r;
}

int content_piece(struct snapshot *snapshot, const struct recipe_piece *piece, void *data, struct error *err)
{
    struct place scratch;
    const struct place *ranges;
    size_t n;
    uint8_t *to = data, sha256[CRYPTO_SHA256_SIZE];
    recipe_piece_ranges(piece, &scratch, &ranges, &n);
    object_reader_expect(snapshot->reader, ranges, n);
    for (size_t i = 0; i < n; to += ranges[i].length, i++) {
        if (ranges[i].object == 0) {
            memset(to, 0, ranges[i].length);
            continue;
        }
        int r = object_reader_read(snapshot->reader, &ranges[i], to, err);
        if (r < 0)
            return r;
    }
    crypto_sha256(data, piece->length, sha256);
    if (memcmp(sha256, piece->sha256, sizeof sha256) != 0)
        return error_set(err, ERROR_INTEGRITY, "its bytes do not have the recorded SHA-256");
    return 0;
}
