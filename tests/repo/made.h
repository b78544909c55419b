// Objects, recipes and heads made by hand for tests of the readers.
#ifndef TESTS_REPO_MADE_H
#define TESTS_REPO_MADE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bkd/base/crypto.h"
#include "bkd/codec/age.h"
#include "bkd/codec/zframe.h"
#include "bkd/repo/format.h"
#include "bkd/store/store.h"

#define OK(call) \
    do { \
        if ((call) != 0) \
            fail_msg("%s: %s", #call, err.text); \
    } while (0)

// Bytes that compress a little and differ by seed.
static inline void made_bytes(uint64_t seed, size_t n, struct buf *out)
{
    uint8_t *p = buf_extend(out, n);
    seed = seed * 2654435761u + 88172645463325252u;
    for (size_t i = 0; i < n; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        p[i] = (uint8_t)("abcdefgh01234567"[seed >> 20 & 15]);
    }
}

// The stored form of a tar stream: frames of frame_size, seek table, and age unless n_recipients is 0.
static inline void made_stored(const void *plain, size_t n, size_t frame_size, const struct age_recipient *recipients,
                               size_t n_recipients, struct buf *ret_stored)
{
    struct error err;
    _cleanup_buf_ struct buf frames = { 0 };
    _cleanup_zframe_table_ struct zframe_table table = { 0 };
    struct zframe_compressor *c = zframe_compressor_new(3);
    for (size_t at = 0; at < n; at += frame_size) {
        size_t length = n - at < frame_size ? n - at : frame_size, before = frames.len;
        OK(zframe_compress(c, (const char *)plain + at, length, &frames, &err));
        assert_true(zframe_table_add(&table, (uint32_t)(frames.len - before), (uint32_t)length));
    }
    zframe_compressor_free(c);
    zframe_table_append(&table, &frames);
    if (n_recipients == 0) {
        buf_add(ret_stored, frames.data, frames.len);
        return;
    }
    _cleanup_age_encrypt_ struct age_encrypt e = { 0 };
    OK(age_encrypt_begin(io_real(), recipients, n_recipients, ret_stored, &e, &err));
    age_encrypt_update(&e, frames.data, frames.len, ret_stored);
    age_encrypt_final(&e, ret_stored);
}

// Puts stored bytes as object `number` and describes it.
static inline void made_put(struct store *store, uint32_t number, const struct buf *stored, bool encrypted,
                            struct format_ref *ret_ref)
{
    struct error err;
    *ret_ref = (struct format_ref){ .object = number, .stored_size = stored->len, .used = 1 };
    crypto_sha256(stored->data, stored->len, ret_ref->sha256);
    // An age file's header ends with the line "--- MAC", its nonce of 16 bytes follows.
    const uint8_t *mac = encrypted ? memmem(stored->data, stored->len, "\n--- ", 5) : NULL;
    const uint8_t *lf = mac == NULL ? NULL : memchr(mac + 1, '\n', stored->len - (size_t)(mac + 1 - stored->data));
    if (lf != NULL) {
        ret_ref->opening_size = (uint32_t)(lf + 1 - stored->data) + 16;
        crypto_sha256(stored->data, ret_ref->opening_size, ret_ref->opening_sha256);
    }
    _cleanup_free_ char *name = format_object_name(ret_ref->sha256, encrypted);
    OK(store->ops->put(store, name, stored->data, stored->len, &err));
}

#endif
