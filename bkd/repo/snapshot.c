#include "bkd/repo/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/crypto.h"
#include "bkd/repo/tombstones.h"

#define CACHE_BYTES (24u << 20) // decoded frames: a few for each thread that reads; a restore comes back only to the last few

// Whatever a signed head names must be as it says.
static int not_as_signed(const struct snapshot *s, struct error *err)
{
    if (err->code == ERROR_FORMAT)
        err->code = ERROR_INTEGRITY;
    (void)error_prefix(err, "snapshot %llu", (unsigned long long)s->head->number);
    return err->code;
}

static int read_text(struct snapshot *s, const struct place *place, struct buf *text, struct error *err)
{
    if (place->length > RECIPE_TEXT_MAX)
        return error_set(err, ERROR_FORMAT, "a recipe of %llu bytes, more than the %u it may have",
                         (unsigned long long)place->length, RECIPE_TEXT_MAX);
    return object_reader_read(s->reader, place, buf_extend(text, (size_t)place->length), err);
}

static int read_manifest_recipe(struct snapshot *s, struct error *err)
{
    const struct format_head *h = s->head;
    _cleanup_buf_ struct buf text = { 0 };
    uint8_t digest[32];
    object_reader_expect(s->reader, &h->manifest, 1);
    int e = read_text(s, &h->manifest, &text, err);
    if (e < 0)
        return e;
    crypto_sha256(text.data, text.len, digest);
    if (memcmp(digest, h->recipe_sha256, sizeof digest) != 0)
        return error_set(err, ERROR_INTEGRITY, "the recipe of its manifest is not what its head signed");
    e = recipe_parse((const char *)text.data, text.len, &s->manifest, err);
    if (e < 0)
        return error_prefix(err, "manifest");
    if (s->manifest.size != h->manifest_size || !s->manifest.has_sha256 ||
        memcmp(s->manifest.sha256, h->manifest_sha256, sizeof digest) != 0)
        return error_set(err, ERROR_INTEGRITY, "head and recipe of its manifest do not agree");
    return 0;
}

// Data that is missing because it was removed by rule is no damage.
static int explain_missing(const struct repository *r, const struct repository_head *head, struct error *err)
{
    _cleanup_tombstones_ struct tombstones tombstones = { 0 };
    _cleanup_buf_ struct buf why = { 0 };
    struct error ignored;
    if (err->code == ERROR_INTEGRITY && tombstones_load(r, &tombstones, &ignored) == 0 && tombstones_explain(&tombstones, head, io_realtime_ns(r->io), &why))
        (void)error_set(err, ERROR_NOT_FOUND, "snapshot %llu is no longer here: %s; look for it in another copy", (unsigned long long)head->number, buf_str(&why));
    return err->code;
}

// prepare (NULL: nothing) is done with the reader before its first use.
static int open_snapshot(const struct repository *r, const struct repository_head *head, const struct age_identity *identities,
                         size_t n_identities, void (*prepare)(struct object_reader *), struct snapshot *ret_snapshot, struct error *err)
{
    if (!head->valid)
        return error_set(err, ERROR_INTEGRITY, "snapshot %llu cannot be trusted: %s", (unsigned long long)head->number,
                         head->problem);
    _cleanup_snapshot_ struct snapshot s = { .repository = r, .head = &head->head };
    int e = repository_read_refs(r, &head->head, &s.refs, err);
    if (e < 0)
        return explain_missing(r, head, err);
    e = object_reader_new(r->io, r->store, &s.refs, r->info.encrypted, identities, n_identities, CACHE_BYTES, &s.reader, err);
    if (e == 0 && prepare != NULL)
        prepare(s.reader);
    if (e == 0)
        e = read_manifest_recipe(&s, err);
    if (e < 0)
        return not_as_signed(&s, err);
    *ret_snapshot = s;
    s = (struct snapshot){ 0 };
    return 0;
}

int snapshot_open(const struct repository *r, const struct repository_head *head, const struct age_identity *identities,
                  size_t n_identities, struct snapshot *ret_snapshot, struct error *err)
{
    return open_snapshot(r, head, identities, n_identities, NULL, ret_snapshot, err);
}

int snapshot_open_damaged(const struct repository *r, const struct repository_head *head, const struct age_identity *identities,
                          size_t n_identities, struct snapshot *ret_snapshot, struct error *err)
{
    return open_snapshot(r, head, identities, n_identities, object_reader_accept_damaged, ret_snapshot, err);
}

int snapshot_open_parts(const struct repository *r, const struct repository_head *head, const struct age_identity *identities,
                        size_t n_identities, struct snapshot *ret_snapshot, struct error *err)
{
    return open_snapshot(r, head, identities, n_identities, object_reader_want_parts, ret_snapshot, err);
}

void snapshot_done(struct snapshot *s)
{
    recipe_done(&s->manifest);
    object_reader_free(s->reader);
    format_refs_done(&s->refs);
    *s = (struct snapshot){ 0 };
}

int snapshot_read_recipe(struct snapshot *s, const struct place *place, struct recipe *ret_recipe, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    object_reader_expect(s->reader, place, 1);
    int e = read_text(s, place, &text, err);
    if (e == 0)
        e = recipe_parse((const char *)text.data, text.len, ret_recipe, err);
    if (e == ERROR_FORMAT)
        err->code = e = ERROR_INTEGRITY;
    return e < 0 ? error_prefix(err, "recipe at %u:%llu", place->object, (unsigned long long)place->offset) : 0;
}

static void expect_part(struct snapshot *s, const struct place *ranges, size_t n, uint64_t from, uint64_t to)
{
    size_t first = 0, end;
    uint64_t at = 0;
    while (first < n && at + ranges[first].length <= from)
        at += ranges[first++].length;
    for (end = first; end < n && at < to; end++)
        at += ranges[end].length;
    object_reader_expect(s->reader, ranges + first, end - first);
}

// Bytes [from, to) of one piece of the manifest.
static int read_piece_part(struct snapshot *s, const struct recipe_piece *piece, uint64_t from, uint64_t to, uint8_t *data,
                           struct error *err)
{
    struct place scratch;
    const struct place *ranges;
    size_t n;
    recipe_piece_ranges(piece, &scratch, &ranges, &n);
    expect_part(s, ranges, n, from, to);
    uint64_t at = 0; // of ranges[i] in the piece
    for (size_t i = 0; i < n && at < to; at += ranges[i].length, i++) {
        uint64_t skip = from > at ? from - at : 0;
        if (skip >= ranges[i].length)
            continue;
        uint64_t length = ranges[i].length - skip;
        if (length > to - at - skip)
            length = to - at - skip;
        struct place part = { ranges[i].object, ranges[i].object == 0 ? 0 : ranges[i].offset + skip, length };
        int e = object_reader_read(s->reader, &part, data + (at + skip - from), err);
        if (e < 0)
            return e;
    }
    return 0;
}

int snapshot_fetch_manifest(struct snapshot *s, int fd, const char *name, struct error *err)
{
    const struct io *io = s->repository->io;
    _cleanup_free_ char *data = xmalloc(RECIPE_PIECE_SIZE);
    _cleanup_crypto_sha256_ struct crypto_sha256 whole = { 0 };
    crypto_sha256_init(&whole);
    uint8_t digest[32];
    uint64_t offset = 0;
    for (size_t i = 0; i < s->manifest.n_pieces; i++) {
        const struct recipe_piece *piece = &s->manifest.pieces[i];
        int e = read_piece_part(s, piece, 0, piece->length, (uint8_t *)data, err);
        if (e < 0)
            return not_as_signed(s, err);
        crypto_sha256(data, piece->length, digest);
        if (memcmp(digest, piece->sha256, sizeof digest) != 0)
            return error_set(err, ERROR_INTEGRITY, "snapshot %llu: piece %zu of its manifest is damaged",
                             (unsigned long long)s->head->number, i);
        crypto_sha256_update(&whole, data, piece->length);
        e = io_pwrite_all(io, fd, data, piece->length, offset, name, err);
        if (e < 0)
            return e;
        offset += piece->length;
    }
    crypto_sha256_final(&whole, digest);
    if (memcmp(digest, s->head->manifest_sha256, sizeof digest) != 0)
        return error_set(err, ERROR_INTEGRITY, "snapshot %llu: its manifest is not what its head signed",
                         (unsigned long long)s->head->number);
    return 0;
}

// Where lines of `path` and below it can be, going by the index: from the last entry not after `path` to the first one beyond it.
static void find_part(const struct recipe *manifest, const char *path, uint64_t *ret_start, uint64_t *ret_end)
{
    size_t path_len = strlen(path), low = 0, high = manifest->n_index;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *at = manifest->index[middle].path;
        if (manifest_path_compare(at, strlen(at), path, path_len) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_start = low == 0 ? 0 : manifest->index[low - 1].offset;
    size_t beyond = low;
    while (beyond < manifest->n_index &&
           manifest_path_below(manifest->index[beyond].path, strlen(manifest->index[beyond].path), path, path_len))
        beyond++;
    *ret_end = beyond < manifest->n_index ? manifest->index[beyond].offset : manifest->size;
}

int snapshot_fetch_part(struct snapshot *s, const char *path, int fd, const char *name, uint64_t *ret_size, struct error *err)
{
    uint64_t start, end;
    find_part(&s->manifest, path, &start, &end);
    _cleanup_free_ char *data = xmalloc(RECIPE_PIECE_SIZE);
    for (uint64_t at = start; at < end;) {
        size_t i = (size_t)(at / RECIPE_PIECE_SIZE);
        uint64_t piece_start = (uint64_t)i * RECIPE_PIECE_SIZE, piece_end = piece_start + s->manifest.pieces[i].length;
        uint64_t to = end < piece_end ? end : piece_end;
        int e = read_piece_part(s, &s->manifest.pieces[i], at - piece_start, to - piece_start, (uint8_t *)data, err);
        if (e < 0)
            return not_as_signed(s, err);
        e = io_pwrite_all(s->repository->io, fd, data, (size_t)(to - at), at - start, name, err);
        if (e < 0)
            return e;
        at = to;
    }
    *ret_size = end - start;
    return 0;
}
