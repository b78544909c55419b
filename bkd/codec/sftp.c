#include "bkd/codec/sftp.h"

#include <assert.h>
#include <string.h>

#define ATTR_EXTENDED UINT32_C(0x80000000)
#define MESSAGE_HEAD 5u // type and id: no message is shorter

const char *sftp_status_text(uint32_t status)
{
    switch (status) {
    case SFTP_OK: return "ok";
    case SFTP_EOF: return "end of file";
    case SFTP_NO_SUCH_FILE: return "no such file";
    case SFTP_PERMISSION_DENIED: return "permission denied";
    case SFTP_FAILURE: return "failure";
    case SFTP_BAD_MESSAGE: return "bad message";
    case SFTP_NO_CONNECTION: return "no connection";
    case SFTP_CONNECTION_LOST: return "connection lost";
    case SFTP_OP_UNSUPPORTED: return "operation not supported";
    case SFTP_FILE_ALREADY_EXISTS: return "file exists";
    default: return "unknown status";
    }
}

// ---- writing

size_t sftp_begin(struct buf *out, enum sftp_type type, uint32_t id)
{
    size_t start = out->len;
    sftp_put_u32(out, 0); // the length, known at the end
    buf_add_char(out, (char)type);
    sftp_put_u32(out, id);
    return start;
}

void sftp_put_u32(struct buf *out, uint32_t value) { put_u32be(buf_extend(out, 4), value); }
void sftp_put_u64(struct buf *out, uint64_t value) { put_u64be(buf_extend(out, 8), value); }

void sftp_put_string(struct buf *out, const void *data, size_t n)
{
    assert(n <= UINT32_MAX);
    sftp_put_u32(out, (uint32_t)n);
    buf_add(out, data, n);
}

void sftp_put_text(struct buf *out, const char *text) { sftp_put_string(out, text, strlen(text)); }

void sftp_put_attrs(struct buf *out, const struct sftp_attrs *attrs)
{
    sftp_put_u32(out, attrs->flags);
    if (attrs->flags & SFTP_ATTR_SIZE)
        sftp_put_u64(out, attrs->size);
    if (attrs->flags & SFTP_ATTR_OWNER) {
        sftp_put_u32(out, attrs->uid);
        sftp_put_u32(out, attrs->gid);
    }
    if (attrs->flags & SFTP_ATTR_PERMISSIONS)
        sftp_put_u32(out, attrs->permissions);
    if (attrs->flags & SFTP_ATTR_TIMES) {
        sftp_put_u32(out, attrs->atime);
        sftp_put_u32(out, attrs->mtime);
    }
}

void sftp_end(struct buf *out, size_t start) { put_u32be(out->data + start, (uint32_t)(out->len - start - 4)); }

// ---- reading

int sftp_take_message(const void *data, size_t n, struct sftp_message *ret_message, size_t *ret_length, struct error *err)
{
    struct cursor c = cursor_of(data, n);
    uint32_t length;
    *ret_length = 0;
    if (!cursor_u32be(&c, &length))
        return 0;
    if (length < MESSAGE_HEAD || length > SFTP_MESSAGE_MAX)
        return error_set(err, ERROR_FORMAT, "a message of %u bytes is no SFTP: is a shell's greeting or another program answering?", length);
    if (cursor_left(&c) < length)
        return 0;
    struct sftp_message m = { .body = cursor_of(c.at, length) };
    bool whole = cursor_u8(&m.body, &m.type) && cursor_u32be(&m.body, &m.id);
    assert(whole); // MESSAGE_HEAD
    *ret_message = m;
    *ret_length = 4 + (size_t)length;
    return 0;
}

bool sftp_get_u32(struct cursor *body, uint32_t *ret_value) { return cursor_u32be(body, ret_value); }
bool sftp_get_u64(struct cursor *body, uint64_t *ret_value) { return cursor_ube(body, 8, ret_value); }

bool sftp_get_string(struct cursor *body, const uint8_t **ret_data, size_t *ret_n)
{
    struct cursor c = *body;
    uint32_t n;
    if (!cursor_u32be(&c, &n) || !cursor_take(&c, n, ret_data))
        return false;
    *ret_n = n;
    *body = c;
    return true;
}

static bool skip_extended(struct cursor *c)
{
    uint32_t pairs;
    const uint8_t *data;
    size_t n;
    bool good = sftp_get_u32(c, &pairs);
    for (uint64_t i = 0; good && i < 2 * (uint64_t)pairs; i++)
        good = sftp_get_string(c, &data, &n); // ends with the body, whatever `pairs` claims
    return good;
}

bool sftp_get_attrs(struct cursor *body, struct sftp_attrs *ret_attrs)
{
    struct cursor c = *body;
    struct sftp_attrs a = { 0 };
    bool good = sftp_get_u32(&c, &a.flags);
    if (good && (a.flags & SFTP_ATTR_SIZE))
        good = sftp_get_u64(&c, &a.size);
    if (good && (a.flags & SFTP_ATTR_OWNER))
        good = sftp_get_u32(&c, &a.uid) && sftp_get_u32(&c, &a.gid);
    if (good && (a.flags & SFTP_ATTR_PERMISSIONS))
        good = sftp_get_u32(&c, &a.permissions);
    if (good && (a.flags & SFTP_ATTR_TIMES))
        good = sftp_get_u32(&c, &a.atime) && sftp_get_u32(&c, &a.mtime);
    if (good && (a.flags & ATTR_EXTENDED))
        good = skip_extended(&c);
    if (!good)
        return false;
    *ret_attrs = a;
    *body = c;
    return true;
}
