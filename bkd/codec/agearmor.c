#include "bkd/codec/agearmor.h"

#include <string.h>

#include "bkd/base/bytes.h"

#define BEGIN "-----BEGIN AGE ENCRYPTED FILE-----"
#define END "-----END AGE ENCRYPTED FILE-----"
#define COLUMNS 64

bool agearmor_is(const uint8_t *data, size_t n) { return n >= strlen(BEGIN) && memcmp(data, BEGIN, strlen(BEGIN)) == 0; }

// A line without its LF or CR LF; the last one may end with the file.
static bool take_line(struct cursor *c, const char **ret_line, size_t *ret_len)
{
    if (!cursor_line(c, ret_line, ret_len)) {
        if (cursor_left(c) == 0)
            return false;
        *ret_line = (const char *)c->at;
        *ret_len = cursor_left(c);
        c->at = c->end;
    }
    if (*ret_len > 0 && (*ret_line)[*ret_len - 1] == '\r')
        (*ret_len)--;
    return true;
}

static bool is_line(const char *line, size_t len, const char *text)
{
    return len == strlen(text) && memcmp(line, text, len) == 0;
}

int agearmor_decode(const uint8_t *data, size_t n, struct buf *ret_bytes, struct error *err)
{
    struct cursor c = cursor_of(data, n);
    const char *line;
    size_t len;
    bool more = take_line(&c, &line, &len) && is_line(line, len, BEGIN), ended = false, short_line = false;
    while (more && take_line(&c, &line, &len)) {
        ended = is_line(line, len, END);
        if (ended)
            break;
        uint8_t bytes[COLUMNS / 4 * 3];
        size_t got = 0;
        more = !short_line && len > 0 && len <= COLUMNS && base64_decode(line, len, true, bytes, sizeof bytes, &got);
        short_line = len < COLUMNS || line[len - 1] == '=';
        if (more)
            buf_add(ret_bytes, bytes, got);
    }
    for (; more && c.at < c.end; c.at++)
        more = strchr(" \t\r\n", *c.at) != NULL && *c.at != '\0';
    if (!more || !ended)
        return error_set(err, ERROR_FORMAT, "the armor of the age file is malformed");
    return 0;
}
