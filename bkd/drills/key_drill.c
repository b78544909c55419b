#include "bkd/drills/key_drill.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/crypto.h"
#include "bkd/base/log.h"

enum { PIECE = 1 << 20 };

static bool is_among(const struct age_identities *identities, const char *recipient)
{
    char text[AGE_RECIPIENT_TEXT_SIZE];
    for (size_t i = 0; i < identities->n; i++) {
        age_recipient_format(&identities->list[i].recipient, text);
        if (strcmp(text, recipient) == 0)
            return true;
    }
    return false;
}

// The recipient of the newest snapshot that the identity belongs to; NULL: none.
static const char *find_recipient(const struct format_head *head, const struct age_identities *identities)
{
    for (size_t i = 0; i < head->n_recipients; i++)
        if (is_among(identities, head->recipients[i]))
            return head->recipients[i];
    return NULL;
}

// A drill with the key that is in use every night says nothing about the one in the safe.
static int refuse_everyday_key(const struct drilling *d, const char *recipient, struct error *err)
{
    _cleanup_age_identities_ struct age_identities everyday = { 0 };
    _cleanup_free_ char *path = context_key_path(d->setup.ctx, d->setup.policy.verify.identity);
    struct error ignored; // it is not here, as is best, or under a passphrase
    if (d->head->head.n_recipients < 2 || age_identities_load(d->setup.ctx->io, AT_FDCWD, path, NULL, &everyday, &ignored) < 0 || !is_among(&everyday, recipient))
        return 0;
    return error_set(err, ERROR_KEY, "'%s' is the identity of '%s', which verifications use anyway: bring the one that lies offline (recovery.txt)", d->identity, path);
}

static int step_identity(struct drilling *d, const struct unlock *key, struct age_identities *ret_identities, struct error *err)
{
    uint64_t start = io_monotonic_ns(d->setup.ctx->io);
    int r = unlock_identities(d->setup.ctx->io, key, ret_identities, err);
    if (r < 0)
        return r;
    const char *recipient = find_recipient(&d->head->head, ret_identities);
    if (recipient == NULL)
        return error_set(err, ERROR_KEY, "snapshot %llu is not encrypted for the identity '%s': find the right one, or let the policy encrypt for it", (unsigned long long)d->head->number,
                         d->identity);
    r = refuse_everyday_key(d, recipient, err);
    return r < 0 ? r : drilling_step(d, "the identity", io_monotonic_ns(d->setup.ctx->io) - start, DRILL_PASSED, err, "it belongs to %s", recipient);
}

// Every byte is decrypted, and each chunk's tag compared; nothing is kept.
static int decrypt(const struct age_identities *identities, const struct buf *sealed, uint64_t *ret_size, struct error *err)
{
    _cleanup_age_key_ struct age_key key = { 0 };
    _cleanup_buf_ struct buf plain = { 0 };
    struct age_decrypt decrypter;
    uint64_t size = 0;
    int r = age_unwrap(sealed->data, sealed->len, identities->list, identities->n, &key, err);
    if (r < 0)
        return r;
    age_decrypt_init(&decrypter, &key);
    for (size_t at = key.payload_offset; r == 0 && at < sealed->len; at += PIECE) {
        r = age_decrypt_update(&decrypter, sealed->data + at, sealed->len - at < PIECE ? sealed->len - at : PIECE, &plain, err);
        size += plain.len;
        buf_reset(&plain);
    }
    if (r == 0)
        r = age_decrypt_final(&decrypter, &plain, err);
    size += plain.len;
    age_decrypt_done(&decrypter);
    *ret_size = size;
    return r;
}

static int find_canary(const struct drilling *d, struct format_ref *ret_canary, struct error *err)
{
    _cleanup_format_refs_ struct format_refs refs = { 0 };
    size_t least = 0;
    int r = repository_read_refs(d->repository, &d->head->head, &refs, err);
    if (r == 0 && refs.n == 0)
        r = error_set(err, ERROR_NOT_FOUND, "snapshot %llu needs no objects, so there is nothing to open", (unsigned long long)d->head->number);
    if (r < 0)
        return r;
    for (size_t i = 1; i < refs.n; i++)
        least = refs.refs[i].stored_size < refs.refs[least].stored_size ? i : least;
    *ret_canary = refs.refs[least];
    return 0;
}

static int step_canary(struct drilling *d, const struct age_identities *identities, struct error *err)
{
    _cleanup_buf_ struct buf sealed = { 0 };
    struct format_ref canary = { 0 };
    uint8_t sha256[CRYPTO_SHA256_SIZE];
    uint64_t start = io_monotonic_ns(d->setup.ctx->io), size = 0;
    int r = find_canary(d, &canary, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *name = format_object_name(canary.sha256, true);
    r = store_get_all(d->repository->store, name, canary.stored_size, &sealed, err);
    if (r < 0)
        return r;
    crypto_sha256(sealed.data, sealed.len, sha256);
    if (memcmp(sha256, canary.sha256, sizeof sha256) != 0)
        return error_set(err, ERROR_INTEGRITY, "the canary '%s' is damaged: `bkd check %s`", name, d->setup.policy.name);
    r = decrypt(identities, &sealed, &size, err);
    return r < 0 ? r : drilling_step(d, "the canary", io_monotonic_ns(d->setup.ctx->io) - start, DRILL_PASSED, err, "object %u opens: %llu bytes, each chunk authentic", canary.object,
                                     (unsigned long long)size);
}

int key_drill_run(struct drilling *d, const struct unlock *key, struct error *err)
{
    _cleanup_age_identities_ struct age_identities identities = { 0 };
    if (!d->repository->info.encrypted)
        return error_set(err, ERROR_USAGE, "the repository of policy %s is not encrypted: there is no key to try", d->setup.policy.name);
    int r = step_identity(d, key, &identities, err);
    if (r == 0)
        r = step_canary(d, &identities, err);
    return r < 0 ? r : drill_not_exercised(&d->drill, "a restore with this key; the paper copy of it, where there is one", err);
}
