// Bech32 text (BIP 173) without its length limit of 90 characters, as age uses it for keys. No Bech32m.
#ifndef BKD_CODEC_BECH32_H
#define BKD_CODEC_BECH32_H

#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"

#define BECH32_PREFIX_MAX 83
#define BECH32_TEXT_MAX 1024

// Appends "<prefix>1<data><checksum>". Upper case when the prefix is upper case (it must not be mixed).
void bech32_encode(const char *prefix, const uint8_t *data, size_t n, struct buf *ret_text);

// Decodes `len` characters: the prefix as written (without the "1", NUL-terminated) and at most `cap` bytes of data.
// ERROR_FORMAT for a bad character, mixed case, a wrong checksum, bits left over, or a text too long. Error texts never contain
// the text itself, which may be a secret; a wrong checksum says that a character may be mistyped.
MUST_USE int bech32_decode(const char *text, size_t len, char ret_prefix[BECH32_PREFIX_MAX + 1], uint8_t *ret_data, size_t cap,
                           size_t *ret_n, struct error *err);

#endif
