#include "bkd/repo/verify_data.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/base/spill.h"
#include "bkd/base/work.h"
#include "bkd/repo/snapshot.h"

enum {
    SPILL_MEMORY = 16 << 20,
    CACHE = 32 << 20,
    BATCH = 4 << 20, // bytes of content in one job
    BATCH_PIECES = 512,
    XATTR_MAX = 16 << 20,
};

// A record of content to compare. Sorted by everything before the label, so that equal content meets; its object comes first, so that
// objects are read one after the other.
//   u32 object, u64 offset (of the first stored range), u8 kind, u32 length, 32 bytes SHA-256, u32 ranges, ranges (u32, u64, u64) … | u64 snapshot, path NUL
enum kind { KIND_PIECE = 1, KIND_RECIPE, KIND_XATTR };
enum { HEAD_SIZE = 4 + 8 + 1 + 4 + 32 + 4, RANGE_SIZE = 20, RANGES_AT = HEAD_SIZE };

static size_t key_size(const uint8_t *record) { return HEAD_SIZE + (size_t)get_u32be(record + HEAD_SIZE - 4) * RANGE_SIZE; }

static int compare_records(const void *a, size_t a_len, const void *b, size_t b_len)
{
    (void)a_len, (void)b_len;
    size_t x = key_size(a), y = key_size(b);
    int c = memcmp(a, b, x < y ? x : y);
    return c != 0 ? c : x < y ? -1 : x > y;
}

struct data {
    struct verify_data *d;
    struct object_reader *reader;
    struct spill *recipes; // KIND_RECIPE
    struct spill *pieces;  // KIND_PIECE, KIND_XATTR
    int scratch_fd;
    struct buf record;
};

static void tell(struct data *v, const char *file, const char *path, uint64_t snapshot, const char *reason)
{
    const struct format_head *h = &v->d->heads[0]->head;
    _cleanup_free_ char *snapshots =
        xasprintf("%" PRIu64 " of policy %s, host %s, and others with the same content", snapshot, h->policy, h->host);
    struct verify_finding finding = { .severity = VERIFY_ALARM, .file = file, .reason = reason, .snapshots = snapshots, .path = path };
    v->d->totals->alarms++;
    v->d->options->finding(v->d->options->arg, &finding);
}

static int add_record(struct data *v, struct spill *to, enum kind kind, const struct place *ranges, size_t n, uint32_t length,
                      const uint8_t sha256[32], uint64_t snapshot, const char *path, struct error *err)
{
    struct buf *b = &v->record;
    size_t first = 0;
    while (first + 1 < n && ranges[first].object == 0)
        first++;
    buf_reset(b);
    put_u32be(buf_extend(b, 4), ranges[first].object);
    put_u64be(buf_extend(b, 8), ranges[first].offset);
    buf_add_char(b, (char)kind);
    put_u32be(buf_extend(b, 4), length);
    buf_add(b, sha256, 32);
    put_u32be(buf_extend(b, 4), (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        uint8_t *p = buf_extend(b, RANGE_SIZE);
        put_u32be(p, ranges[i].object);
        put_u64be(p + 4, ranges[i].offset);
        put_u64be(p + 12, ranges[i].length);
    }
    put_u64be(buf_extend(b, 8), snapshot);
    buf_add(b, path, strlen(path) + 1);
    return spill_add(to, b->data, b->len, err);
}

// ---- manifests

static int add_entry(struct data *v, const struct manifest_entry *e, uint64_t snapshot, struct error *err)
{
    static const uint8_t none[32];
    const char *path = buf_str(&e->path);
    int r = 0;
    if (e->at.length > 0 && e->at.length <= RECIPE_PIECE_SIZE)
        r = add_record(v, v->pieces, KIND_PIECE, &e->at, 1, (uint32_t)e->at.length, e->sha256, snapshot, path, err);
    if (r == 0 && place_is_set(&e->version)) // the recipe's own content is not hashed: its file's SHA-256 stands in it
        r = add_record(v, v->recipes, KIND_RECIPE, &e->version, 1, 0, e->has_sha256 ? e->sha256 : none, snapshot, path, err);
    if (r == 0 && e->xattr.length > 0 && e->xattr.length <= XATTR_MAX)
        r = add_record(v, v->pieces, KIND_XATTR, &e->xattr, 1, (uint32_t)e->xattr.length, none, snapshot, path, err);
    return r;
}

static int read_manifest(struct data *v, const struct format_head *head, uint64_t snapshot, struct error *err)
{
    struct manifest_reader reader;
    const struct manifest_entry *e;
    manifest_reader_init(&reader, v->d->io, v->scratch_fd, "manifest", 0, head->manifest_size);
    int r;
    while ((r = manifest_reader_next(&reader, &e, err)) == 0 && e != NULL && (r = add_entry(v, e, snapshot, err)) == 0)
        continue;
    manifest_reader_done(&reader);
    return r;
}

// Damage of the store is a finding; what stops the check is an error.
static bool ends_check(int code) { return code == ERROR_UNREACHABLE || code == ERROR_KEY || code == ERROR_NO_SPACE; }

static int take_manifest(struct data *v, const struct repository_head *head, struct error *err)
{
    const struct verify_options *o = v->d->options;
    struct error why = { 0 };
    _cleanup_snapshot_ struct snapshot s = { 0 };
    _cleanup_free_ char *name = format_head_name(head->chain, head->number);
    int r = snapshot_open_damaged(v->d->repository, head, o->identities, o->n_identities, &s, &why);
    if (r == 0)
        r = io_truncate(v->d->io, v->scratch_fd, 0, "scratch file", &why);
    if (r == 0)
        r = snapshot_fetch_manifest(&s, v->scratch_fd, "scratch file", &why);
    if (r == 0)
        r = read_manifest(v, &head->head, head->number, &why);
    if (r == 0 || !ends_check(r)) {
        if (r < 0) {
            _cleanup_free_ char *reason = xasprintf("the snapshot's manifest cannot be read: %s", why.text);
            tell(v, name, NULL, head->number, reason);
        }
        return 0;
    }
    *err = why;
    return r;
}

// ---- recipes

static struct place record_range(const uint8_t *record, uint32_t i)
{
    const uint8_t *p = record + RANGES_AT + (size_t)i * RANGE_SIZE;
    return (struct place){ get_u32be(p), get_u64be(p + 4), get_u64be(p + 12) };
}

static int add_pieces(struct data *v, const struct recipe *recipe, uint64_t snapshot, const char *path, struct error *err)
{
    for (size_t i = 0; i < recipe->n_pieces; i++) {
        const struct recipe_piece *piece = &recipe->pieces[i];
        struct place scratch;
        const struct place *ranges;
        size_t n;
        if (piece->kind == RECIPE_HOLE)
            continue;
        recipe_piece_ranges(piece, &scratch, &ranges, &n);
        int r = add_record(v, v->pieces, KIND_PIECE, ranges, n, piece->length, piece->sha256, snapshot, path, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int take_recipe(struct data *v, const uint8_t *record, struct error *err)
{
    static const uint8_t none[32];
    struct place place = record_range(record, 0);
    const uint8_t *sha256 = record + 17;
    uint64_t snapshot = get_u64be(record + key_size(record));
    const char *path = (const char *)record + key_size(record) + 8;
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_recipe_ struct recipe recipe = { 0 };
    struct error why = { 0 };
    int r = place.length > RECIPE_TEXT_MAX ? error_set(&why, ERROR_FORMAT, "recipe too large") : 0;
    if (r == 0)
        r = object_reader_read(v->reader, &place, buf_extend(&text, (size_t)place.length), &why);
    if (r == 0)
        r = recipe_parse((const char *)text.data, text.len, &recipe, &why);
    if (r == 0 && memcmp(sha256, none, 32) != 0 && memcmp(recipe.sha256, sha256, 32) != 0)
        r = error_set(&why, ERROR_INTEGRITY, "its recipe is not that of this file");
    if (ends_check(r)) {
        *err = why;
        return r;
    }
    if (r < 0) {
        tell(v, "objects/", path, snapshot, why.text);
        return 0;
    }
    return add_pieces(v, &recipe, snapshot, path, err);
}

static int take_recipes(struct data *v, struct error *err)
{
    _cleanup_buf_ struct buf last = { 0 };
    const void *record;
    size_t n;
    int r = spill_sort(v->recipes, err);
    while (r == 0 && (r = spill_next(v->recipes, &record, &n, err)) == 0 && record != NULL) {
        if (last.len > 0 && compare_records(last.data, 0, record, 0) == 0)
            continue;
        buf_reset(&last);
        buf_add(&last, record, n);
        r = take_recipe(v, record, err);
    }
    return r;
}

// ---- comparing

struct batch {
    struct data *v;
    struct buf records;
    size_t starts[BATCH_PIECES];
    size_t n;
    uint64_t bytes;
    struct error errors[BATCH_PIECES]; // code 0 = right
};

static int compare_one(struct data *v, const uint8_t *record, uint8_t *space, struct error *err)
{
    uint32_t n = get_u32be(record + HEAD_SIZE - 4), length = get_u32be(record + 13);
    uint64_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct place range = record_range(record, i);
        if (range.length > length - at)
            return error_set(err, ERROR_INTEGRITY, "its ranges are longer than the piece");
        int r = 0;
        if (range.object == 0)
            memset(space + at, 0, range.length);
        else
            r = object_reader_read(v->reader, &range, space + at, err);
        if (r < 0)
            return r;
        at += range.length;
    }
    uint8_t sha256[32];
    if (record[12] == KIND_XATTR)
        return 0; // authenticated by decryption and the object's hash; it has none of its own
    crypto_sha256(space, at, sha256);
    return memcmp(sha256, record + 17, 32) == 0
               ? 0
               : error_set(err, ERROR_INTEGRITY, "what is stored does not give the recorded SHA-256 (object %u)", get_u32be(record));
}

static void run_batch(void *arg, unsigned worker)
{
    struct batch *b = arg;
    _cleanup_buf_ struct buf space = { 0 };
    (void)worker;
    for (size_t i = 0; i < b->n; i++) {
        const uint8_t *record = b->records.data + b->starts[i];
        buf_reset(&space);
        buf_reserve(&space, (size_t)get_u32be(record + 13) + 1);
        if (compare_one(b->v, record, space.data, &b->errors[i]) == 0)
            b->errors[i].code = ERROR_NONE; // what was tried on the way may have left its own
    }
}

static int take_batch(struct data *v, struct work_pool *pool, struct error *err)
{
    struct batch *b = work_next(pool);
    int r = 0;
    for (size_t i = 0; i < b->n; i++) {
        const uint8_t *record = b->records.data + b->starts[i];
        if (ends_check(b->errors[i].code)) {
            *err = b->errors[i];
            r = err->code;
        } else if (b->errors[i].code != ERROR_NONE) {
            const struct format_ref *ref = format_refs_find(v->d->refs, get_u32be(record));
            _cleanup_free_ char *name =
                ref == NULL ? xstrdup("objects/") : format_object_name(ref->sha256, v->d->repository->info.encrypted);
            tell(v, name, (const char *)record + key_size(record) + 8, get_u64be(record + key_size(record)), b->errors[i].text);
        }
    }
    v->d->totals->pieces += b->n;
    v->d->totals->data_bytes += b->bytes;
    if (v->d->options->progress != NULL)
        v->d->options->progress(v->d->options->arg, b->n, b->bytes);
    buf_done(&b->records);
    free(b);
    return r;
}

static struct batch *batch_new(struct data *v)
{
    struct batch *b = xcalloc(1, sizeof *b);
    b->v = v;
    return b;
}

static int compare_pieces(struct data *v, struct work_pool *pool, struct error *err)
{
    const struct verify_options *o = v->d->options;
    _cleanup_buf_ struct buf last = { 0 };
    struct batch *b = batch_new(v);
    const void *record;
    size_t n;
    int r = spill_sort(v->pieces, err);
    while (r == 0 && (r = spill_next(v->pieces, &record, &n, err)) == 0 && record != NULL) {
        if (last.len > 0 && compare_records(last.data, 0, record, 0) == 0)
            continue;
        buf_reset(&last);
        buf_add(&last, record, n);
        if (b->n == BATCH_PIECES || b->bytes >= BATCH) {
            work_submit(pool, run_batch, b);
            b = batch_new(v);
        }
        b->starts[b->n++] = b->records.len;
        buf_add(&b->records, record, n);
        b->bytes += get_u32be((const uint8_t *)record + 13);
        while (r == 0 && work_count(pool) > work_threads(pool))
            r = take_batch(v, pool, err);
        if (r == 0 && o->interrupted != NULL && o->interrupted())
            r = error_set(err, ERROR_FAILED, "interrupted: the check is not complete");
    }
    work_submit(pool, run_batch, b);
    struct error ignored;
    while (work_count(pool) > 0) {
        int got = take_batch(v, pool, r < 0 ? &ignored : err);
        r = r < 0 ? r : got;
    }
    return r;
}

static int open_scratch(struct data *v, struct error *err)
{
    int dirfd = v->d->options->scratch_dirfd;
    if (io_open(v->d->io, dirfd, ".", O_TMPFILE | O_RDWR, 0600, &v->scratch_fd, err) == 0)
        return 0;
    uint64_t random;
    io_random(v->d->io, &random, sizeof random);
    _cleanup_free_ char *name = xasprintf(".bkd-scratch-%016" PRIx64, random);
    int r = io_open(v->d->io, dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &v->scratch_fd, err);
    if (r == 0)
        (void)v->d->io->unlinkat(v->d->io, dirfd, name, 0); // an empty leftover does no harm
    return r;
}

static int run_all(struct data *v, struct error *err)
{
    const struct verify_options *o = v->d->options;
    int r = open_scratch(v, err);
    for (size_t i = 0; r == 0 && i < v->d->n_heads; i++)
        r = take_manifest(v, v->d->heads[i], err);
    if (r == 0)
        r = take_recipes(v, err);
    if (r == 0 && o->phase != NULL)
        o->phase(o->arg, "read-data", spill_count(v->pieces), 0);
    if (r < 0)
        return r;
    struct work_pool *pool = work_new(o->jobs > 0 ? o->jobs : work_processors());
    r = compare_pieces(v, pool, err);
    work_free(pool);
    return r;
}

int verify_data_run(struct verify_data *d, struct error *err)
{
    if (d->n_heads == 0)
        return 0;
    const struct verify_options *o = d->options;
    struct data v = { .d = d, .scratch_fd = -1 };
    int r = object_reader_new(d->io, d->repository->store, d->refs, d->repository->info.encrypted, o->identities, o->n_identities, CACHE,
                              &v.reader, err);
    if (r < 0)
        return r;
    object_reader_tell_confinement(v.reader);
    object_reader_accept_damaged(v.reader); // each piece is compared, so that the damage is told file by file
    v.recipes = spill_new(d->io, o->scratch_dirfd, compare_records, SPILL_MEMORY);
    v.pieces = spill_new(d->io, o->scratch_dirfd, compare_records, SPILL_MEMORY);
    r = run_all(&v, err);
    io_close_quietly(d->io, &v.scratch_fd);
    spill_free(v.recipes);
    spill_free(v.pieces);
    object_reader_free(v.reader);
    buf_done(&v.record);
    return r;
}
