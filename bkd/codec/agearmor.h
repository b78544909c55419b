// The ASCII armor of age files, as `age --armor` writes it. Only for identity files under a passphrase; repositories hold no
// armored files.
#ifndef BKD_CODEC_AGEARMOR_H
#define BKD_CODEC_AGEARMOR_H

#include <stdbool.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"

// Does a file begin like an armored one?
bool agearmor_is(const uint8_t *data, size_t n);
// Appends the bytes within. ERROR_FORMAT unless every line but the last has exactly 64 columns and nothing but blank space
// follows.
MUST_USE int agearmor_decode(const uint8_t *data, size_t n, struct buf *ret_bytes, struct error *err);

#endif
