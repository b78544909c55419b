// QR codes (ISO/IEC 18004). The only module that includes libqrencode's header.
#ifndef BKD_DR_QR_H
#define BKD_DR_QR_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"

#define QR_QUIET 4 // empty modules around a code

struct qr {
    int width;      // modules, without the quiet zone
    uint8_t *modules; // owned
};

// Level M: 15 % may be unreadable. Upper case and digits alone take less room. ERROR_FAILED: too long (about 2300 bytes), or no memory.
MUST_USE int qr_encode(const char *text, struct qr *ret_code, struct error *err);
void qr_done(struct qr *code);
#define _cleanup_qr_ __attribute__((cleanup(qr_done)))
// Of the code with its quiet zone around it: row and column from 0 to width + 2 * QR_QUIET - 1.
bool qr_is_dark(const struct qr *code, int row, int column);
// As an SVG element, with its quiet zone.
void qr_add_svg(const struct qr *code, struct buf *out);

#endif
