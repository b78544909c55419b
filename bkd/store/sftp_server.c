#include "bkd/store/sftp_server.h"

#include <dirent.h>
#include <errno.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/codec/sftp.h"
#include "bkd/store/sftp_server_answer.h"
#include "bkd/store/sftp_server_extend.h"
#include "bkd/store/sftp_server_make.h"

enum {
    READ_MAX = 255 << 10,    // an answer stays below SFTP_MESSAGE_MAX
    NAMES_BYTES = 100 << 10, // of one answer to READDIR
    DIRENTS = 32 << 10,
    OUT_MAX = 1 << 20,       // bytes of answers from which on no further request is looked at
    GAP_MAX = 256 << 20,     // bytes a write may lie beyond the file's end: lanes run ahead of each other, holes of an exabyte are an attack
};

struct sftp_server *sftp_server_new(const struct io *io, const struct grow_dir *dir, sftp_server_refused_fn *refused, void *arg)
{
    struct sftp_server *s = xcalloc(1, sizeof *s);
    s->io = io;
    s->dir = dir;
    s->refused = refused;
    s->arg = arg;
    return s;
}

void sftp_server_free(struct sftp_server *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < SFTP_SERVER_HANDLES_MAX; i++)
        sftp_server_answer_handle_done(&s->handles[i]);
    sftp_server_make_drop(s);
    buf_done(&s->in);
    free(s);
}

// ---- requests

static void do_open(struct sftp_server *s, struct cursor *body, uint32_t id, struct buf *out)
{
    _cleanup_free_ char *path = sftp_server_answer_path(body);
    uint32_t flags;
    int fd = -1;
    if (path == NULL) {
        sftp_server_answer_refused(s, out, id, "open", "");
        return;
    }
    if (!sftp_get_u32(body, &flags)) {
        sftp_server_answer_status(out, id, SFTP_BAD_MESSAGE, "no flags");
        return;
    }
    if ((flags & ~(uint32_t)SFTP_OPEN_READ) != 0) {
        sftp_server_make_open(s, out, id, path, flags);
        return;
    }
    int r = grow_dir_read(s->dir, path, &fd);
    if (r == -EPERM)
        sftp_server_answer_refused(s, out, id, "open", path);
    else if (r < 0)
        sftp_server_answer_result(out, id, r);
    else
        (void)sftp_server_answer_handle(s, out, id, HANDLE_READ, fd);
}

static void do_close(struct sftp_server *s, struct cursor *body, uint32_t id, struct buf *out)
{
    struct sftp_server_handle *h = sftp_server_answer_handle_of(s, body, HANDLE_FREE);
    sftp_server_answer_result(out, id, h == NULL ? -EBADF : sftp_server_make_end(s, h));
}

static void do_read(struct sftp_server *s, struct cursor *body, uint32_t id, struct buf *out)
{
    struct sftp_server_handle *h = sftp_server_answer_handle_of(s, body, HANDLE_READ);
    uint64_t offset;
    uint32_t n;
    if (h == NULL || !sftp_get_u64(body, &offset) || !sftp_get_u32(body, &n) || offset > INT64_MAX) {
        sftp_server_answer_result(out, id, -EBADF);
        return;
    }
    size_t before = out->len, start = sftp_begin(out, SFTP_DATA, id);
    n = n > READ_MAX ? READ_MAX : n;
    sftp_put_u32(out, 0);
    size_t data = out->len;
    ssize_t got = s->io->pread(s->io, h->fd, buf_extend(out, n), n, (off_t)offset);
    if (got <= 0) {
        int failure = got < 0 ? errno : 0;
        out->len = before;
        if (failure != 0)
            sftp_server_answer_result(out, id, -failure);
        else
            sftp_server_answer_status(out, id, SFTP_EOF, "");
        return;
    }
    out->len = data + (size_t)got;
    put_u32be(out->data + data - 4, (uint32_t)got);
    sftp_end(out, start);
}

static bool leaves_a_gap(struct sftp_server *s, int fd, uint64_t offset)
{
    struct statx st;
    return s->io->statx(s->io, fd, "", AT_EMPTY_PATH, STATX_SIZE, &st) < 0 || (offset > st.stx_size && offset - st.stx_size > GAP_MAX);
}

static void do_write(struct sftp_server *s, struct cursor *body, uint32_t id, struct buf *out)
{
    struct sftp_server_handle *h = sftp_server_answer_handle_of(s, body, HANDLE_WRITE);
    struct error err = { 0 };
    const uint8_t *data;
    uint64_t offset;
    size_t n;
    if (h == NULL || !sftp_get_u64(body, &offset) || !sftp_get_string(body, &data, &n) || offset > INT64_MAX - n) {
        sftp_server_answer_result(out, id, -EBADF);
        return;
    }
    if (leaves_a_gap(s, h->fd, offset)) {
        sftp_server_answer_refused(s, out, id, "write far beyond the end", "");
        return;
    }
    int r = io_pwrite_all(s->io, h->fd, data, n, offset, "a part", &err);
    sftp_server_answer_result(out, id, r == 0 ? 0 : err.os_errno != 0 ? -err.os_errno : -EIO);
}

static void do_fstat(struct sftp_server *s, struct cursor *body, uint32_t id, struct buf *out)
{
    struct sftp_server_handle *h = sftp_server_answer_handle_of(s, body, HANDLE_FREE);
    struct statx st;
    if (h == NULL)
        sftp_server_answer_result(out, id, -EBADF);
    else if (s->io->statx(s->io, h->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st) < 0)
        sftp_server_answer_result(out, id, -errno);
    else
        sftp_server_answer_attrs(out, id, &st);
}

static void do_stat(struct sftp_server *s, struct cursor *body, uint32_t id, struct buf *out)
{
    _cleanup_free_ char *path = sftp_server_answer_path(body);
    struct statx st;
    int r = path == NULL ? -EPERM : grow_dir_stat(s->dir, path, &st);
    if (r == -EPERM)
        sftp_server_answer_refused(s, out, id, "stat", path == NULL ? "" : path);
    else if (r < 0)
        sftp_server_answer_result(out, id, r);
    else
        sftp_server_answer_attrs(out, id, &st);
}

static void do_opendir(struct sftp_server *s, struct cursor *body, uint32_t id, struct buf *out)
{
    _cleanup_free_ char *path = sftp_server_answer_path(body);
    int fd = -1, r = path == NULL ? -EPERM : grow_dir_list(s->dir, path, &fd);
    if (r == -EPERM)
        sftp_server_answer_refused(s, out, id, "list", path == NULL ? "" : path);
    else if (r < 0)
        sftp_server_answer_result(out, id, r);
    else
        (void)sftp_server_answer_handle(s, out, id, HANDLE_DIR, fd);
}

// The next name of a directory; NULL at its end.
static const char *next_name(struct sftp_server *s, struct sftp_server_handle *h)
{
    while (!h->ended) {
        if (h->at == h->dirents.len) {
            buf_reset(&h->dirents);
            ssize_t n = s->io->getdents64(s->io, h->fd, buf_extend(&h->dirents, DIRENTS), DIRENTS);
            h->ended = n <= 0;
            h->failure = n < 0 ? errno : 0;
            h->dirents.len = n <= 0 ? 0 : (size_t)n;
            h->at = 0;
            continue;
        }
        const struct dirent64 *entry = (const struct dirent64 *)(h->dirents.data + h->at);
        h->at += entry->d_reclen;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return entry->d_name;
    }
    return NULL;
}

static void put_name(struct sftp_server *s, struct sftp_server_handle *h, const char *name, struct buf *out)
{
    struct statx st;
    struct sftp_attrs attrs = { 0 };
    if (s->io->statx(s->io, h->fd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st) == 0)
        sftp_server_answer_fill_attrs(&st, &attrs);
    _cleanup_free_ char *longname = xasprintf("%crw------- 1 %u %u %llu %s", (attrs.permissions & 0170000) == 0040000 ? 'd' : '-', attrs.uid, attrs.gid,
                                              (unsigned long long)attrs.size, name);
    sftp_put_text(out, name);
    sftp_put_text(out, longname);
    sftp_put_attrs(out, &attrs);
}

static void do_readdir(struct sftp_server *s, struct cursor *body, uint32_t id, struct buf *out)
{
    struct sftp_server_handle *h = sftp_server_answer_handle_of(s, body, HANDLE_DIR);
    const char *name;
    uint32_t count = 0;
    if (h == NULL) {
        sftp_server_answer_result(out, id, -EBADF);
        return;
    }
    size_t before = out->len, start = sftp_begin(out, SFTP_NAME, id), at = out->len;
    sftp_put_u32(out, 0);
    while (out->len - start < NAMES_BYTES && (name = next_name(s, h)) != NULL) {
        put_name(s, h, name, out);
        count++;
    }
    put_u32be(out->data + at, count);
    sftp_end(out, start);
    if (count > 0)
        return;
    out->len = before;
    if (h->failure != 0)
        sftp_server_answer_result(out, id, -h->failure);
    else
        sftp_server_answer_status(out, id, SFTP_EOF, "");
}

static void do_mkdir(struct sftp_server *s, struct cursor *body, uint32_t id, struct buf *out)
{
    _cleanup_free_ char *path = sftp_server_answer_path(body);
    int r = path == NULL ? -EPERM : grow_dir_mkdir(s->dir, path);
    if (r == -EPERM)
        sftp_server_answer_refused(s, out, id, "mkdir", path == NULL ? "" : path);
    else
        sftp_server_answer_result(out, id, r);
}

static void do_rename(struct sftp_server *s, struct cursor *body, uint32_t id, struct buf *out)
{
    _cleanup_free_ char *from = sftp_server_answer_path(body), *to = sftp_server_answer_path(body);
    if (from == NULL || to == NULL)
        sftp_server_answer_refused(s, out, id, "rename", from == NULL ? "" : from);
    else
        sftp_server_make_rename(s, out, id, from, to);
}

// The absolute path, without what can be left out. ".." takes off what is before it, as text: that is the truth where no link is followed. False: it leads out.
static bool resolve(const char *path, struct buf *out)
{
    for (const char *p = path; *p != '\0';) {
        size_t n = strcspn(p, "/");
        bool up = n == 2 && p[0] == '.' && p[1] == '.';
        if (up && out->len == 0)
            return false;
        if (up) {
            out->len = (size_t)((uint8_t *)memrchr(out->data, '/', out->len) - out->data);
            out->data[out->len] = '\0'; // it is read as text
        } else if (n > 0 && !(n == 1 && p[0] == '.')) {
            buf_add_char(out, '/');
            buf_add(out, p, n);
        }
        p += n + (p[n] == '/');
    }
    if (out->len == 0)
        buf_add_char(out, '/');
    return true;
}

// Nothing is looked up: a name that is not there yet has a path, too.
static void do_realpath(struct sftp_server *s, struct cursor *body, uint32_t id, struct buf *out)
{
    _cleanup_free_ char *path = sftp_server_answer_path(body);
    _cleanup_buf_ struct buf absolute = { 0 };
    if (path == NULL || !resolve(path, &absolute)) {
        sftp_server_answer_refused(s, out, id, "realpath", path == NULL ? "" : path);
        return;
    }
    size_t start = sftp_begin(out, SFTP_NAME, id);
    sftp_put_u32(out, 1);
    sftp_put_text(out, buf_str(&absolute));
    sftp_put_text(out, buf_str(&absolute));
    sftp_put_attrs(out, &(struct sftp_attrs){ 0 });
    sftp_end(out, start);
}

// ---- messages

static void greet(struct sftp_server *s, struct buf *out)
{
    static const char *const extensions[][2] = { { "fsync@openssh.com", "1" }, { "statvfs@openssh.com", "2" }, { "check-file", "sha256" } };
    size_t start = sftp_begin(out, SFTP_VERSION_REPLY, SFTP_VERSION);
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
        sftp_put_text(out, extensions[i][0]);
        sftp_put_text(out, extensions[i][1]);
    }
    sftp_end(out, start);
    s->greeted = true;
}

// Requests that change what is there, by the name a log calls them.
static const char *forbidden(uint8_t type)
{
    switch (type) {
    case SFTP_SETSTAT:
    case SFTP_FSETSTAT: return "setstat";
    case SFTP_REMOVE: return "remove";
    case SFTP_RMDIR: return "rmdir";
    case SFTP_SYMLINK: return "symlink";
    case SFTP_READLINK: return "readlink";
    default: return NULL;
    }
}

static int answer(struct sftp_server *s, struct sftp_message *m, struct buf *out, struct error *err)
{
    if (m->type == SFTP_INIT && !s->greeted) {
        greet(s, out);
        return 0;
    }
    if (!s->greeted || m->type == SFTP_INIT)
        return error_set(err, ERROR_FORMAT, "the client does not begin as SFTP clients do");
    switch (m->type) {
    case SFTP_OPEN: do_open(s, &m->body, m->id, out); break;
    case SFTP_CLOSE: do_close(s, &m->body, m->id, out); break;
    case SFTP_READ: do_read(s, &m->body, m->id, out); break;
    case SFTP_WRITE: do_write(s, &m->body, m->id, out); break;
    case SFTP_LSTAT:
    case SFTP_STAT: do_stat(s, &m->body, m->id, out); break;
    case SFTP_FSTAT: do_fstat(s, &m->body, m->id, out); break;
    case SFTP_OPENDIR: do_opendir(s, &m->body, m->id, out); break;
    case SFTP_READDIR: do_readdir(s, &m->body, m->id, out); break;
    case SFTP_MKDIR: do_mkdir(s, &m->body, m->id, out); break;
    case SFTP_REALPATH: do_realpath(s, &m->body, m->id, out); break;
    case SFTP_RENAME: do_rename(s, &m->body, m->id, out); break;
    case SFTP_EXTENDED: sftp_server_extend(s, &m->body, m->id, out); break;
    default: {
        const char *request = forbidden(m->type);
        _cleanup_free_ char *path = request != NULL && m->type != SFTP_FSETSTAT ? sftp_server_answer_path(&m->body) : NULL;
        if (request == NULL)
            sftp_server_answer_status(out, m->id, SFTP_OP_UNSUPPORTED, "no request of version 3");
        else
            sftp_server_answer_refused(s, out, m->id, request, path == NULL ? "" : path);
    }
    }
    return 0;
}

int sftp_server_feed(struct sftp_server *s, const void *data, size_t n, struct buf *out, bool *ret_more, struct error *err)
{
    size_t at = 0, length = 0;
    int r = 0;
    buf_add(&s->in, data, n);
    do {
        struct sftp_message m;
        r = sftp_take_message(s->in.data + at, s->in.len - at, &m, &length, err);
        if (r == 0 && length > 0 && out->len < OUT_MAX)
            r = answer(s, &m, out, err);
        else
            break;
        at += length;
    } while (r == 0);
    if (at > 0)
        memmove(s->in.data, s->in.data + at, s->in.len - at);
    s->in.len -= at;
    *ret_more = r == 0 && length > 0;
    return r;
}
