// Messages of the SSH file transfer protocol, version 3, as OpenSSH speaks it (draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL for the
// extensions). Pure: bytes in memory only; the client (store/sftp_client) and a server have this module in common.
//
// A message is a big-endian uint32 length of what follows, a type byte, and (all but INIT and VERSION) a uint32 request id.
// Writing: size_t start = sftp_begin(out, type, id); sftp_put_…; sftp_end(out, start).
// Reading: sftp_take_message cuts a whole message off a buffer; its body is read with the cursor functions of base/bytes.h and sftp_get_….
#ifndef BKD_CODEC_SFTP_H
#define BKD_CODEC_SFTP_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/bytes.h"
#include "bkd/base/error.h"

#define SFTP_VERSION 3u
#define SFTP_MESSAGE_MAX (256u << 10) // OpenSSH's own limit, both ways
#define SFTP_DATA_MAX (32u << 10)     // bytes of one READ or WRITE that every server must take

enum sftp_type {
    SFTP_INIT = 1,
    SFTP_VERSION_REPLY = 2,
    SFTP_OPEN = 3,
    SFTP_CLOSE = 4,
    SFTP_READ = 5,
    SFTP_WRITE = 6,
    SFTP_LSTAT = 7,
    SFTP_FSTAT = 8,
    SFTP_SETSTAT = 9,
    SFTP_FSETSTAT = 10,
    SFTP_OPENDIR = 11,
    SFTP_READDIR = 12,
    SFTP_REMOVE = 13,
    SFTP_MKDIR = 14,
    SFTP_RMDIR = 15,
    SFTP_REALPATH = 16,
    SFTP_STAT = 17,
    SFTP_RENAME = 18,
    SFTP_READLINK = 19,
    SFTP_SYMLINK = 20,
    SFTP_STATUS = 101,
    SFTP_HANDLE = 102,
    SFTP_DATA = 103,
    SFTP_NAME = 104,
    SFTP_ATTRS = 105,
    SFTP_EXTENDED = 200,
    SFTP_EXTENDED_REPLY = 201,
};

enum sftp_status {
    SFTP_OK = 0,
    SFTP_EOF = 1,
    SFTP_NO_SUCH_FILE = 2,
    SFTP_PERMISSION_DENIED = 3,
    SFTP_FAILURE = 4,
    SFTP_BAD_MESSAGE = 5,
    SFTP_NO_CONNECTION = 6,
    SFTP_CONNECTION_LOST = 7,
    SFTP_OP_UNSUPPORTED = 8,
    SFTP_FILE_ALREADY_EXISTS = 11, // of version 6; some servers answer with it all the same
};
const char *sftp_status_text(uint32_t status);

enum { SFTP_OPEN_READ = 1, SFTP_OPEN_WRITE = 2, SFTP_OPEN_APPEND = 4, SFTP_OPEN_CREAT = 8, SFTP_OPEN_TRUNC = 16, SFTP_OPEN_EXCL = 32 };

// File attributes; a field counts when its bit is in `flags`.
enum { SFTP_ATTR_SIZE = 1, SFTP_ATTR_OWNER = 2, SFTP_ATTR_PERMISSIONS = 4, SFTP_ATTR_TIMES = 8 };
struct sftp_attrs {
    uint32_t flags;
    uint64_t size;
    uint32_t uid, gid;
    uint32_t permissions; // st_mode, with the type where the server tells it
    uint32_t atime, mtime;
};

size_t sftp_begin(struct buf *out, enum sftp_type type, uint32_t id); // for INIT and VERSION the id is the version
void sftp_put_u32(struct buf *out, uint32_t value);
void sftp_put_u64(struct buf *out, uint64_t value);
void sftp_put_string(struct buf *out, const void *data, size_t n);
void sftp_put_text(struct buf *out, const char *text);
void sftp_put_attrs(struct buf *out, const struct sftp_attrs *attrs);
void sftp_end(struct buf *out, size_t start);

struct sftp_message {
    uint8_t type;
    uint32_t id; // of INIT and VERSION: the version
    struct cursor body;
};
// *ret_length: bytes the message takes at the front of the n bytes, or 0 when more are needed. ERROR_FORMAT for a length no message has.
MUST_USE int sftp_take_message(const void *data, size_t n, struct sftp_message *ret_message, size_t *ret_length, struct error *err);

// Each returns false, and moves nothing, when the body ends before it.
bool sftp_get_u32(struct cursor *body, uint32_t *ret_value);
bool sftp_get_u64(struct cursor *body, uint64_t *ret_value);
bool sftp_get_string(struct cursor *body, const uint8_t **ret_data, size_t *ret_n); // borrowed from the message
bool sftp_get_attrs(struct cursor *body, struct sftp_attrs *ret_attrs);             // extended attributes are passed over

#endif
