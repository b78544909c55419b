// Messages of SFTP are any bytes: a message lies within them, and what is read of its body lies within the message.
#include <assert.h>

#include "bkd/codec/sftp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_body(struct cursor body)
{
    const uint8_t *end = body.end, *text;
    struct sftp_attrs attrs;
    size_t n;
    uint32_t number;
    struct cursor c = body;
    while (sftp_get_string(&c, &text, &n))
        assert(text + n <= end && c.at <= end);
    c = body;
    while (sftp_get_attrs(&c, &attrs))
        assert(c.at <= end && c.at > body.at);
    c = body;
    while (sftp_get_u32(&c, &number) && sftp_get_string(&c, &text, &n) && sftp_get_attrs(&c, &attrs))
        assert(c.at <= end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        struct error err;
        struct sftp_message m;
        size_t length = 0;
        int r = sftp_take_message(data + at, size - at, &m, &length, &err);
        assert(r == 0 || r == ERROR_FORMAT);
        if (r < 0 || length == 0)
            break;
        assert(length <= size - at && m.body.end == data + at + length);
        read_body(m.body);
        at += length;
    }
    return 0;
}
