// One export of a catalogue as stored bytes: age( zstd frames ( text ) ), and its signature. The other half of exports.h.
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/clock.h"
#include "bkd/codec/sshsig.h"
#include "bkd/codec/zframe.h"
#include "bkd/repo/exports.h"

#define FRAME (1u << 20)
#define LEVEL 6 // a few MB a night: size counts more than time
#define SIG_MAX 4096u

struct exports_writer {
    const struct io *io;
    struct zframe_compressor *compressor;
    struct age_encrypt encrypt;
    bool encrypted;
    struct buf plain, frame, stored;
};

int exports_writer_new(const struct io *io, const struct age_recipient *recipients, size_t n, struct exports_writer **ret_writer, struct error *err)
{
    struct exports_writer *w = xcalloc(1, sizeof *w);
    w->io = io;
    w->compressor = zframe_compressor_new(LEVEL);
    int r = n == 0 ? 0 : age_encrypt_begin(io, recipients, n, &w->stored, &w->encrypt, err);
    w->encrypted = n > 0 && r == 0;
    if (r < 0)
        exports_writer_free(&w);
    else
        *ret_writer = w;
    return r;
}

void exports_writer_free(struct exports_writer **w)
{
    if (*w == NULL)
        return;
    zframe_compressor_free((*w)->compressor);
    if ((*w)->encrypted)
        age_encrypt_done(&(*w)->encrypt);
    buf_done(&(*w)->plain);
    buf_done(&(*w)->frame);
    buf_done(&(*w)->stored);
    free(*w);
    *w = NULL;
}

static int flush_frame(struct exports_writer *w, size_t n, struct error *err)
{
    buf_reset(&w->frame);
    int r = zframe_compress(w->compressor, w->plain.data, n, &w->frame, err);
    if (r < 0)
        return r;
    if (w->encrypted)
        age_encrypt_update(&w->encrypt, w->frame.data, w->frame.len, &w->stored);
    else
        buf_add(&w->stored, w->frame.data, w->frame.len);
    memmove(w->plain.data, w->plain.data + n, w->plain.len - n);
    w->plain.len -= n;
    return w->stored.len > EXPORTS_MAX ? error_set(err, ERROR_FAILED, "it would take more than %u MiB", EXPORTS_MAX >> 20) : 0;
}

int exports_writer_add(struct exports_writer *w, const void *text, size_t n, struct error *err)
{
    int r = 0;
    buf_add(&w->plain, text, n);
    while (r == 0 && w->plain.len >= FRAME)
        r = flush_frame(w, FRAME, err);
    return r;
}

// Name: the time first, so that names sort by it; a nonce last, so that two never meet.
static char *new_name(const struct exports_writer *w, const uint8_t chain[16], bool is_full)
{
    uint8_t random[8];
    char time[CLOCK_TEXT_MAX], hex[33], nonce[17], *to = time;
    io_random(w->io, random, sizeof random);
    format_hex(nonce, random, sizeof random);
    format_hex(hex, chain, 16);
    clock_format_utc(time, io_realtime_ns(w->io), false);
    for (const char *from = time; *from != '\0'; from++)
        if (*from != '-' && *from != ':')
            *to++ = *from;
    *to = '\0';
    return xasprintf("catalogue/%s/%s-%s-%s.jsonl.zst%s", hex, time, is_full ? "full" : "since", nonce, w->encrypted ? ".age" : "");
}

int exports_writer_put(struct exports_writer **writer, struct store *store, const uint8_t chain[16], bool is_full, const struct sshkey *key, uint64_t *ret_size,
                       struct error *err)
{
    _cleanup_exports_writer_ struct exports_writer *w = TAKE(*writer);
    _cleanup_buf_ struct buf armored = { 0 };
    int r = w->plain.len == 0 ? 0 : flush_frame(w, w->plain.len, err);
    if (r < 0)
        return r;
    if (w->encrypted)
        age_encrypt_final(&w->encrypt, &w->stored);
    sshsig_sign(key, FORMAT_NAMESPACE_RECORD, w->stored.data, w->stored.len, &armored);
    _cleanup_free_ char *name = new_name(w, chain, is_full), *sig = xasprintf("%s.sig", name);
    r = store->ops->put(store, name, w->stored.data, w->stored.len, err);
    if (r == 0)
        r = store->ops->put(store, sig, armored.data, armored.len, err);
    if (r == 0)
        *ret_size = w->stored.len;
    return r;
}

static int verify(const struct repository *r, const struct export *export, const char *signers_text, const struct buf *stored, struct error *err)
{
    _cleanup_free_ char *sig = xasprintf("%s.sig", export->name);
    _cleanup_buf_ struct buf armored = { 0 };
    _cleanup_signers_ struct signers signers = { 0 };
    int e = signers_parse(signers_text, strlen(signers_text), &signers, err);
    if (e == 0)
        e = store_get_all(r->store, sig, SIG_MAX, &armored, err);
    return e < 0 ? e : sshsig_verify(&signers, NULL, FORMAT_NAMESPACE_RECORD, export->time_s, stored->data, stored->len, armored.data, armored.len, NULL, err);
}

static int decrypt(struct buf *stored, const struct age_identity *identities, size_t n, struct buf *ret_plain, struct error *err)
{
    _cleanup_age_key_ struct age_key key = { 0 };
    _cleanup_age_decrypt_ struct age_decrypt d = { 0 };
    if (n == 0)
        return error_set(err, ERROR_KEY, "it is encrypted: give an identity with -i FILE");
    int r = age_unwrap(stored->data, stored->len, identities, n, &key, err);
    if (r < 0)
        return r;
    age_decrypt_init(&d, &key);
    r = age_decrypt_update(&d, stored->data + key.payload_offset, stored->len - key.payload_offset, ret_plain, err);
    return r < 0 ? r : age_decrypt_final(&d, ret_plain, err);
}

static int decompress(const struct buf *frames, struct buf *ret_text, struct error *err)
{
    struct zframe_decompressor *d = zframe_decompressor_new();
    int r = 0;
    for (size_t at = 0; r == 0 && at < frames->len;) {
        size_t stored = 0, plain = 0;
        r = zframe_measure(frames->data + at, frames->len - at, &stored, &plain, err);
        if (r == 0 && ret_text->len + plain > EXPORTS_PLAIN_MAX)
            r = error_set(err, ERROR_FORMAT, "its text is larger than %u MiB", EXPORTS_PLAIN_MAX >> 20);
        if (r == 0 && plain > 0)
            r = zframe_decompress(d, frames->data + at, stored, buf_extend(ret_text, plain), plain, err);
        at += stored;
    }
    zframe_decompressor_free(d);
    return r;
}

static int read_signed(const struct repository *r, const struct export *export, const char *signers, struct buf *ret_stored, struct error *err)
{
    int e = export->is_signed ? store_get_all(r->store, export->name, EXPORTS_MAX, ret_stored, err) : error_set(err, ERROR_INTEGRITY, "it has no signature");
    return e < 0 ? e : verify(r, export, signers, ret_stored, err);
}

int exports_check(const struct repository *r, const struct export *export, const char *signers, struct error *err)
{
    _cleanup_buf_ struct buf stored = { 0 };
    return read_signed(r, export, signers, &stored, err);
}

static bool is_encrypted(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, ".age") == 0;
}

int exports_read(const struct repository *r, const struct export *export, const char *signers, const struct age_identity *identities, size_t n_identities,
                 struct buf *ret_text, struct error *err)
{
    _cleanup_buf_ struct buf stored = { 0 }, frames = { 0 };
    int e = read_signed(r, export, signers, &stored, err);
    if (e == 0 && is_encrypted(export->name))
        e = decrypt(&stored, identities, n_identities, &frames, err);
    if (e == 0)
        e = decompress(is_encrypted(export->name) ? &frames : &stored, ret_text, err);
    return e < 0 ? error_prefix(err, "%s", export->name) : 0;
}
