#include "bkd/engine/live.h"

#include <stdlib.h>

#include "bkd/base/crypto.h"
#include "bkd/base/dirchain.h"
#include "bkd/engine/known.h"
#include "bkd/engine/previous.h"
#include "bkd/engine/source_file.h"
#include "bkd/engine/state.h"

enum { CHUNK = 1 << 20 };

struct live {
    const struct io *io;
    struct state state; // read only; not open when there is none
    struct previous previous;
    struct known *known; // NULL = none
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
    int r = previous_open(&l->previous, l->io, l->state.dirfd, key, newest->head.manifest_sha256, NULL, err);
    return r < 0 ? r : known_open(l->io, l->state.dirfd, newest->sha256, key, any_object, NULL, &l->known, err);
}

int live_open(const struct io *io, const struct live_options *options, struct live **ret_live, struct error *err)
{
    _cleanup_live_ struct live *l = xcalloc(1, sizeof *l);
    *l = (struct live){ .io = io, .names = scan_names_new(), .chunk = xmalloc(CHUNK) };
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
