// What the parts of the SFTP server (sftp_server.h) share: its state, the arguments of requests, and the answers that several of them give. Only for
// sftp_server.c, sftp_server_extend.c and sftp_server_make.c.
#ifndef BKD_STORE_SFTP_SERVER_ANSWER_H
#define BKD_STORE_SFTP_SERVER_ANSWER_H

#include "bkd/base/bytes.h"
#include "bkd/codec/sftp.h"
#include "bkd/store/sftp_server.h"

#define SFTP_SERVER_HANDLES_MAX 64u

enum handle_kind { HANDLE_FREE, HANDLE_READ, HANDLE_WRITE, HANDLE_DIR };

struct sftp_server_handle {
    enum handle_kind kind;
    int fd;
    struct buf dirents; // of HANDLE_DIR: names not yet sent
    size_t at;
    bool ended;
    int failure; // of reading the directory: errno
    char *part, *final; // of a file that gets its name when it is closed: where it is written, and the name; owned
};

struct sftp_server {
    const struct io *io;
    const struct grow_dir *dir;
    sftp_server_refused_fn *refused;
    void *arg;
    struct sftp_server_handle handles[SFTP_SERVER_HANDLES_MAX];
    char **parts; // made in this session and not published, as grow_dir_name gives them; owned
    size_t n_parts;
    struct buf in;
    bool greeted;
};

void sftp_server_answer_status(struct buf *out, uint32_t id, uint32_t status, const char *text);
// r: 0 or a negative errno.
void sftp_server_answer_result(struct buf *out, uint32_t id, int r);
// PERMISSION_DENIED, and told.
void sftp_server_answer_refused(struct sftp_server *s, struct buf *out, uint32_t id, const char *request, const char *path);
void sftp_server_answer_fill_attrs(const struct statx *st, struct sftp_attrs *ret_attrs);
void sftp_server_answer_attrs(struct buf *out, uint32_t id, const struct statx *st);

// Gives fd to a new handle and answers with it. NULL: there are too many, which is the answer then, and fd is closed.
struct sftp_server_handle *sftp_server_answer_handle(struct sftp_server *s, struct buf *out, uint32_t id, enum handle_kind kind, int fd);
// Closes what the handle has open and makes it free; one that is free stays so.
void sftp_server_answer_handle_done(struct sftp_server_handle *h);

// A path; NULL when the message ends before it, or it holds a NUL. Caller frees.
char *sftp_server_answer_path(struct cursor *body);
// NULL for a handle that is none of ours, or of another kind (HANDLE_FREE: any kind).
struct sftp_server_handle *sftp_server_answer_handle_of(struct sftp_server *s, struct cursor *body, enum handle_kind kind);

#endif
