#include "bkd/dr/qr.h"

#include <errno.h>
#include <qrencode.h>
#include <stdlib.h>
#include <string.h>

int qr_encode(const char *text, struct qr *ret_code, struct error *err)
{
    QRcode *code = QRcode_encodeString(text, 0, QR_ECLEVEL_M, QR_MODE_8, 1);
    if (code == NULL)
        return error_set_errno(err, errno, "make a QR code");
    size_t n = (size_t)code->width * (size_t)code->width;
    *ret_code = (struct qr){ .width = code->width, .modules = xcalloc(n, 1) };
    memcpy(ret_code->modules, code->data, n);
    explicit_bzero(code->data, n); // it may be a secret
    QRcode_free(code);
    return 0;
}

void qr_done(struct qr *code)
{
    if (code->modules != NULL)
        explicit_bzero(code->modules, (size_t)code->width * (size_t)code->width);
    free(code->modules);
    *code = (struct qr){ 0 };
}

bool qr_is_dark(const struct qr *code, int row, int column)
{
    row -= QR_QUIET;
    column -= QR_QUIET;
    if (row < 0 || column < 0 || row >= code->width || column >= code->width)
        return false;
    return (code->modules[row * code->width + column] & 1) != 0;
}

void qr_add_svg(const struct qr *code, struct buf *out)
{
    int size = code->width + 2 * QR_QUIET;
    buf_addf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"qr\" viewBox=\"0 0 %d %d\" shape-rendering=\"crispEdges\"><path d=\"", size, size);
    for (int row = 0; row < size; row++)
        for (int column = 0; column < size; column++)
            if (qr_is_dark(code, row, column))
                buf_addf(out, "M%d %dh1v1h-1z", column, row);
    buf_add_str(out, "\"/></svg>");
}
