#include "bkd/engine/live.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/crypto.h"
#include "bkd/base/dirchain.h"
#include "bkd/engine/known.h"
#include "bkd/engine/previous.h"
#include "bkd/engine/source_file.h"
#include "bkd/engine/state.h"
#include "bkd/engine/versions.h"

enum { CHUNK = 1 << 20 };

struct live {
    const struct io *io;
    struct state state; // read only; not open when there is none
    struct previous previous;
    struct known *known; // NULL = none
    struct versions versions; // not open when there are none
    struct select_plan *plan;
    struct scan_names *names;
    struct dirchain chain;
    char *chunk;
    struct manifest_entry entry, read; // given to the caller; refreshed while reading
    struct live_entry item;
};

// What the newest snapshot stored is all there for a reader.
static bool any_object(void *arg, uint32_t object)
{
    (void)arg;
    (void)object;
    return true;
}

static enum select_verdict keep_any(void *arg, const struct manifest_entry *old)
{
    (void)arg;
    (void)old;
    return SELECT_RELY;
}

static int open_caches(struct live *l, const struct live_options *o, struct error *err)
{
    struct error ignored; // no state, no caches: slower, not wrong
    uint8_t key[SEALED_KEY_SIZE];
    const struct repository_head *newest = o->newest;
    if (newest == NULL || state_open_readonly(l->io, o->state_dir, o->policy, &l->state, &ignored) < 0)
        return previous_open(&l->previous, l->io, -1, NULL, NULL, NULL, err);
    state_cache_key(&l->state, newest->head.repository, newest->chain, key);
    if (versions_open_readonly(&l->versions, l->io, l->state.dirfd, key, &ignored) < 0)
        versions_done(&l->versions);
    int r = previous_open(&l->previous, l->io, l->state.dirfd, key, newest->head.manifest_sha256, NULL, err);
    return r < 0 ? r : known_open(l->io, l->state.dirfd, newest->sha256, key, any_object, NULL, &l->known, err);
}

int live_open(const struct io *io, const struct live_options *options, struct live **ret_live, struct error *err)
{
    _cleanup_live_ struct live *l = xcalloc(1, sizeof *l);
    *l = (struct live){ .io = io, .names = scan_names_new(), .chunk = xmalloc_at_page(CHUNK) };
    struct select_options select = { .scan = options->scan, .keep = keep_any, .compare_inode = options->compare_inode };
    int r = dirchain_init(&l->chain, io, "/", err);
    if (r == 0)
        r = open_caches(l, options, err);
    if (r == 0)
        r = select_run(io, &select, &l->previous, options->problem, options->arg, &l->plan, err);
    if (r < 0)
        return r;
    *ret_live = TAKE(l);
    return 0;
}

void live_free(struct live *l)
{
    if (l == NULL)
        return;
    select_free(l->plan);
    previous_done(&l->previous);
    known_free(l->known);
    versions_done(&l->versions);
    state_close(&l->state);
    dirchain_done(&l->chain);
    scan_names_free(l->names);
    manifest_entry_done(&l->entry);
    manifest_entry_done(&l->read);
    free(l->chunk);
    free(l);
}

void free_livep(struct live **l) { live_free(*l); }
const struct select_counts *live_counts(const struct live *l) { return select_counts(l->plan); }
bool live_has_cache(const struct live *l) { return l->previous.has_manifest && l->previous.stat_fd >= 0; }

int live_next(struct live *l, const struct live_entry **ret_entry, struct error *err)
{
    const struct select_item *item = NULL;
    int r = select_next(l->plan, &item, err);
    if (r == 0 && item != NULL)
        r = manifest_parse(item->line, item->line_len, &l->entry, err);
    if (r < 0)
        return r;
    l->item = (struct live_entry){ &l->entry, item != NULL && item->action == SELECT_KEEP };
    *ret_entry = item == NULL ? NULL : &l->item;
    return 0;
}

static int open_file(struct live *l, const struct manifest_entry *entry, struct source_file *ret_file, struct error *err)
{
    manifest_entry_copy(&l->read, entry);
    enum source_file_result result = source_file_open(ret_file, &l->chain, l->names, &l->read, err);
    if (result == SOURCE_FILE_GONE)
        return error_set(err, ERROR_NOT_FOUND, "'%s' is gone, or something else now", buf_str(&entry->path));
    return result == SOURCE_FILE_READ ? 0 : err->code;
}

int live_hash(struct live *l, const struct manifest_entry *entry, uint8_t ret_sha256[32], struct error *err)
{
    struct source_file file;
    _cleanup_crypto_sha256_ struct crypto_sha256 hash = { 0 };
    int r = open_file(l, entry, &file, err);
    if (r < 0)
        return r;
    crypto_sha256_init(&hash);
    uint64_t at = 0;
    for (size_t got = CHUNK; r == 0 && got == CHUNK; at += got) {
        r = io_pread_full(l->io, file.fd, l->chunk, CHUNK, at, buf_str(&entry->path), &got, err);
        if (r == 0)
            crypto_sha256_update(&hash, l->chunk, got);
    }
    source_file_close(&file, l->io);
    if (r == 0)
        crypto_sha256_final(&hash, ret_sha256);
    return r;
}

static int compare_piece(struct live *l, int fd, const struct recipe_piece *piece, uint64_t offset, bool *ret_same, struct error *err)
{
    _cleanup_crypto_sha256_ struct crypto_sha256 hash = { 0 };
    uint8_t sha256[32];
    bool is_zeros = true;
    crypto_sha256_init(&hash);
    for (size_t got, want, done = 0; done < piece->length; done += got) {
        want = piece->length - done < CHUNK ? piece->length - done : CHUNK;
        int r = io_pread_full(l->io, fd, l->chunk, want, offset + done, "piece", &got, err);
        if (r < 0 || got < want) {
            *ret_same = false;
            return r;
        }
        if (piece->kind == RECIPE_HOLE)
            is_zeros = is_zeros && l->chunk[0] == 0 && memcmp(l->chunk, l->chunk + 1, got - 1) == 0;
        else
            crypto_sha256_update(&hash, l->chunk, got);
    }
    crypto_sha256_final(&hash, sha256);
    *ret_same = piece->kind == RECIPE_HOLE ? is_zeros : memcmp(sha256, piece->sha256, sizeof sha256) == 0;
    return 0;
}

int live_has_content(struct live *l, const struct manifest_entry *entry, const struct place *version, bool *ret_same, struct error *err)
{
    _cleanup_recipe_ struct recipe recipe = { 0 };
    struct source_file file;
    struct error ignored; // there is one thing to say of it
    bool same = true;
    if (l->versions.io == NULL || versions_read_recipe(&l->versions, version, &recipe, &ignored) < 0)
        return error_set(err, ERROR_FORMAT, "it is mostly holes, so that the snapshot has no SHA-256 of the whole, and its pieces are not known on this host any more");
    int r = open_file(l, entry, &file, err);
    if (r < 0)
        return r;
    uint64_t offset = 0;
    for (size_t i = 0; r == 0 && same && i < recipe.n_pieces; offset += recipe.pieces[i++].length)
        r = compare_piece(l, file.fd, &recipe.pieces[i], offset, &same, err);
    source_file_close(&file, l->io);
    if (r == 0)
        *ret_same = same && offset == entry->size;
    return r;
}

int live_attrs(struct live *l, const struct manifest_entry *entry, struct buf *ret_xattrs, uint32_t *ret_flags, struct error *err)
{
    struct source_file file;
    int r = open_file(l, entry, &file, err);
    if (r < 0)
        return r;
    enum source_file_result result = source_file_attrs(&file, l->io, ret_xattrs, err);
    source_file_close(&file, l->io);
    if (result != SOURCE_FILE_READ)
        return err->code;
    *ret_flags = l->read.flags;
    return 0;
}

bool live_find_xattrs(struct live *l, const struct buf *text, struct place *ret_place)
{
    uint8_t sha256[32];
    if (l->known == NULL)
        return false;
    crypto_sha256(text->data, text->len, sha256);
    return known_find(l->known, KNOWN_XATTR, sha256, ret_place);
}
