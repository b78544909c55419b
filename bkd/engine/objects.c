#include "bkd/engine/objects.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/crypto.h"

enum { CHUNK = 1 << 20 };

void objects_done(struct objects *o)
{
    free(o->items);
    *o = (struct objects){ 0 };
}

void objects_add(struct objects *o, const struct format_ref *object)
{
    uint32_t number = object->object;
    if (number >= o->n) {
        uint32_t n = number + 1 + number / 2;
        o->items = xrealloc(o->items, n * sizeof *o->items);
        memset(o->items + o->n, 0, (n - o->n) * sizeof *o->items);
        o->n = n;
    }
    o->items[number] = *object;
}

static bool is_own(const struct objects *o, uint32_t number) { return o->first_own != 0 && number >= o->first_own; }
static bool is_stored(const struct objects *o, uint32_t number) { return number < o->n && o->items[number].stored_size > 0; }

bool objects_usable(const struct objects *o, uint32_t number) { return is_own(o, number) || is_stored(o, number); }
bool objects_usable_before(const struct objects *o, uint32_t number) { return !is_own(o, number) && is_stored(o, number); }

bool objects_check_stored(struct store *store, bool encrypted, const struct format_ref *object)
{
    struct error ignored; // whatever the reason: it cannot be relied on
    _cleanup_free_ char *name = format_object_name(object->sha256, encrypted);
    uint64_t size = 0;
    if (store->ops->size(store, name, &size, &ignored) < 0 || size != object->stored_size)
        return false;
    _cleanup_free_ char *chunk = xmalloc(CHUNK);
    _cleanup_crypto_sha256_ struct crypto_sha256 hash;
    crypto_sha256_init(&hash);
    for (uint64_t at = 0; at < size;) {
        size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
        if (store->ops->get(store, name, at, chunk, n, &ignored) < 0)
            return false;
        crypto_sha256_update(&hash, chunk, n);
        at += n;
    }
    uint8_t found[CRYPTO_SHA256_SIZE];
    crypto_sha256_final(&hash, found);
    return memcmp(found, object->sha256, sizeof found) == 0;
}

int objects_refs(const struct objects *o, const uint8_t chain[16], const struct versions_needs *needs, struct format_refs *ret_refs, struct error *err)
{
    struct format_refs refs = { .refs = xcalloc(needs->n + 1, sizeof *refs.refs) };
    memcpy(refs.chain, chain, sizeof refs.chain);
    for (size_t i = 0; i < needs->n; i++) {
        uint32_t number = needs->items[i].object;
        if (number >= o->n || o->items[number].stored_size == 0) {
            format_refs_done(&refs);
            return error_set(err, ERROR_INTEGRITY, "the snapshot refers to object %u, which was not stored; nothing was committed", number);
        }
        struct format_ref *ref = &refs.refs[refs.n++];
        *ref = o->items[number];
        ref->used = needs->items[i].used;
    }
    *ret_refs = refs;
    return 0;
}
