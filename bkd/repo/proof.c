#include "bkd/repo/proof.h"

#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/base/log.h"

enum {
    STEP = 1 << 20,
    FAR_STEP = 8 << 20, // a read that is long beside a round trip
    WHOLE_MAX = 1 << 20, // a sample of an object up to here is all of it
    RANGE = 64 << 10,
    RANGES = 8,
};

static int judge(const uint8_t found[32], const uint8_t expected[32], const char *who, struct error *err)
{
    return memcmp(found, expected, 32) == 0
               ? 0
               : error_set(err, ERROR_INTEGRITY, "its bytes do not have the SHA-256 of its name%s: it was changed, or the disk is failing", who);
}

static int hash_by_reading(struct store *s, const char *name, uint64_t size, uint8_t ret_sha256[32], struct error *err)
{
    size_t step_size = s->far ? FAR_STEP : STEP;
    _cleanup_free_ char *step = xmalloc_at_page(step_size);
    _cleanup_crypto_sha256_ struct crypto_sha256 hash;
    int r = 0;
    crypto_sha256_init(&hash);
    for (uint64_t at = 0; r == 0 && at < size;) {
        size_t n = size - at < step_size ? (size_t)(size - at) : step_size;
        r = s->ops->get(s, name, at, step, n, err);
        if (r == 0)
            crypto_sha256_update(&hash, step, n);
        at += n;
    }
    crypto_sha256_final(&hash, ret_sha256);
    return r;
}

// A bit may have been flipped on the way, in the server's memory or in ours: what is damaged on the disk is damaged the second time, too.
static int judge_by_reading(struct store *s, const char *name, uint64_t size, const uint8_t sha256[32], struct error *err)
{
    uint8_t found[32];
    int r = hash_by_reading(s, name, size, found, err);
    if (r < 0 || memcmp(found, sha256, sizeof found) == 0)
        return r;
    store_forget(s, name);
    r = hash_by_reading(s, name, size, found, err);
    if (r == 0)
        r = judge(found, sha256, "", err);
    if (r == 0)
        log_warn("'%s' in %s was read with other bytes the first time, and is right: the server's memory, this host's or what lies between is failing", name, s->url);
    return r;
}

int proof_object(struct store *s, const char *name, uint64_t size, const uint8_t sha256[32], bool read, enum proof_way *ret_way, struct error *err)
{
    uint8_t found[32];
    bool offered = false;
    int r = store_hash(s, name, size, found, &offered, err);
    if (r < 0)
        return r;
    *ret_way = offered ? PROOF_BY_SERVER : read ? PROOF_BY_READING : PROOF_BY_SIZE;
    if (offered)
        return judge(found, sha256, ", says the server", err);
    if (!read)
        return 0;
    return judge_by_reading(s, name, size, sha256, err);
}

static int compare_range(const struct io *io, struct store *s, const char *name, int fd, uint64_t at, struct error *err)
{
    uint8_t there[RANGE], here[RANGE];
    size_t got;
    int r = s->ops->get(s, name, at, there, RANGE, err);
    if (r == 0)
        r = io_pread_full(io, fd, here, RANGE, at, name, &got, err);
    if (r == 0 && memcmp(there, here, RANGE) != 0)
        r = error_set(err, ERROR_INTEGRITY, "at byte %llu the server keeps other bytes than were sent", (unsigned long long)at);
    return r;
}

static int compare_ranges(const struct io *io, struct store *s, const char *name, int fd, uint64_t size, struct error *err)
{
    int r = compare_range(io, s, name, fd, size - RANGE, err);
    for (unsigned i = 1; r == 0 && i < RANGES; i++) {
        uint8_t noise[8];
        io_random(io, noise, sizeof noise);
        r = compare_range(io, s, name, fd, get_u64le(noise) % (size - RANGE), err);
    }
    return r;
}

int proof_sent(const struct io *io, struct store *s, const char *name, int fd, uint64_t size, const uint8_t sha256[32], enum proof_reading reading,
               enum proof_way *ret_way, struct error *err)
{
    bool whole = reading == PROOF_FULL || (reading == PROOF_SAMPLE && size <= WHOLE_MAX);
    int r = proof_object(s, name, size, sha256, whole, ret_way, err);
    if (r < 0 || *ret_way != PROOF_BY_SIZE || reading == PROOF_NONE)
        return r;
    *ret_way = PROOF_BY_RANGES;
    return compare_ranges(io, s, name, fd, size, err);
}
