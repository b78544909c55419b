#include "bkd/store/sftp_server_answer.h"

#include <errno.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void sftp_server_answer_status(struct buf *out, uint32_t id, uint32_t status, const char *text)
{
    size_t start = sftp_begin(out, SFTP_STATUS, id);
    sftp_put_u32(out, status);
    sftp_put_text(out, text);
    sftp_put_text(out, "");
    sftp_end(out, start);
}

void sftp_server_answer_result(struct buf *out, uint32_t id, int r)
{
    static const struct { int os_errno; uint32_t status; } known[] = {
        { ENOENT, SFTP_NO_SUCH_FILE }, { EPERM, SFTP_PERMISSION_DENIED }, { EACCES, SFTP_PERMISSION_DENIED }, { EBADF, SFTP_BAD_MESSAGE },
    };
    uint32_t status = r == 0 ? SFTP_OK : SFTP_FAILURE;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].os_errno == -r)
            status = known[i].status;
    sftp_server_answer_status(out, id, status, r == 0 ? "" : strerror(-r));
}

void sftp_server_answer_refused(struct sftp_server *s, struct buf *out, uint32_t id, const char *request, const char *path)
{
    s->refused(s->arg, request, path);
    sftp_server_answer_status(out, id, SFTP_PERMISSION_DENIED, "this place can only grow");
}

void sftp_server_answer_fill_attrs(const struct statx *st, struct sftp_attrs *ret_attrs)
{
    *ret_attrs = (struct sftp_attrs){
        .flags = SFTP_ATTR_SIZE | SFTP_ATTR_OWNER | SFTP_ATTR_PERMISSIONS | SFTP_ATTR_TIMES, .size = st->stx_size, .uid = st->stx_uid, .gid = st->stx_gid,
        .permissions = st->stx_mode, .atime = (uint32_t)st->stx_atime.tv_sec, .mtime = (uint32_t)st->stx_mtime.tv_sec,
    };
}

void sftp_server_answer_attrs(struct buf *out, uint32_t id, const struct statx *st)
{
    struct sftp_attrs attrs;
    sftp_server_answer_fill_attrs(st, &attrs);
    size_t start = sftp_begin(out, SFTP_ATTRS, id);
    sftp_put_attrs(out, &attrs);
    sftp_end(out, start);
}

struct sftp_server_handle *sftp_server_answer_handle(struct sftp_server *s, struct buf *out, uint32_t id, enum handle_kind kind, int fd)
{
    uint8_t number[4];
    uint32_t i = 0;
    while (i < SFTP_SERVER_HANDLES_MAX && s->handles[i].kind != HANDLE_FREE)
        i++;
    if (i == SFTP_SERVER_HANDLES_MAX) {
        (void)close(fd);
        sftp_server_answer_status(out, id, SFTP_FAILURE, "too many open files");
        return NULL;
    }
    s->handles[i] = (struct sftp_server_handle){ .kind = kind, .fd = fd };
    put_u32be(number, i);
    size_t start = sftp_begin(out, SFTP_HANDLE, id);
    sftp_put_string(out, number, sizeof number);
    sftp_end(out, start);
    return &s->handles[i];
}

void sftp_server_answer_handle_done(struct sftp_server_handle *h)
{
    if (h->kind != HANDLE_FREE)
        (void)close(h->fd);
    buf_done(&h->dirents);
    free(h->part);
    free(h->final);
    *h = (struct sftp_server_handle){ 0 };
}

char *sftp_server_answer_path(struct cursor *body)
{
    const uint8_t *data;
    size_t n;
    if (!sftp_get_string(body, &data, &n) || n > GROW_DIR_PATH_MAX || memchr(data, '\0', n) != NULL)
        return NULL;
    return xstrndup((const char *)data, n);
}

struct sftp_server_handle *sftp_server_answer_handle_of(struct sftp_server *s, struct cursor *body, enum handle_kind kind)
{
    const uint8_t *data;
    size_t n;
    if (!sftp_get_string(body, &data, &n) || n != 4 || get_u32be(data) >= SFTP_SERVER_HANDLES_MAX)
        return NULL;
    struct sftp_server_handle *h = &s->handles[get_u32be(data)];
    return h->kind == HANDLE_FREE || (kind != HANDLE_FREE && h->kind != kind) ? NULL : h;
}
