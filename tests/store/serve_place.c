#include "tests/store/serve_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/fs.h"

void serve_place_note_refused(void *arg, const char *request, const char *path)
{
    (void)request, (void)path;
    ((struct serve_place *)arg)->refused++;
}

void serve_place_run(const struct serve_place *p, const char *command)
{
    _cleanup_free_ char *line = xasprintf("cd %s && %s", p->dir, command);
    assert_int_equal(system(line), 0);
}

struct sftp_server *serve_place_session(struct serve_place *p)
{
    static const uint8_t init[] = { 0, 0, 0, 5, SFTP_INIT, 0, 0, 0, 3 };
    struct sftp_server *server = sftp_server_new(io_real(), &p->grow, serve_place_note_refused, p);
    struct error err;
    bool more;
    OK(sftp_server_feed(server, init, sizeof init, &p->out, &more, &err));
    buf_reset(&p->out);
    return server;
}

int serve_place_setup(void **state)
{
    struct serve_place *p = xcalloc(1, sizeof *p);
    strcpy(p->dir, "/tmp/bkd-serve-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    serve_place_run(p, "mkdir -p root/objects/ab root/heads/c root/empty outside && echo secret >outside/secret && cd root && echo published >bkd-repository && echo object >objects/ab/1 &&"
           "echo head >heads/c/1 && ln -s ../outside up && ln -s $PWD/../outside abs && ln -s ../outside/secret objects/link && ln -s heads inner && ln -s heads/c/1 headlink &&"
           "ln -s nowhere dangling.part-1 && ln -s bkd-repository to.part-2 && ln bkd-repository hard.part-3 && mkfifo pipe pipe.part-4 && echo old >left.part-5");
    _cleanup_free_ char *root = xasprintf("%s/root", p->dir);
    assert_int_equal(grow_dir_open(&p->grow, io_real(), root), 0);
    p->server = serve_place_session(p);
    p->other = serve_place_session(p);
    *state = p;
    return 0;
}

int serve_place_teardown(void **state)
{
    struct serve_place *p = *state;
    struct error err;
    sftp_server_free(p->server);
    sftp_server_free(p->other);
    grow_dir_close(&p->grow);
    OK(fs_remove_tree(io_real(), AT_FDCWD, p->dir, &err));
    buf_done(&p->out);
    free(p);
    return 0;
}

char *serve_place_listing(const struct serve_place *p)
{
    _cleanup_free_ char *command = xasprintf("cd %s && { find . -printf '%%p %%y %%m %%n %%s %%T@ %%l\\n' | sort; find . -type f | sort | xargs sha256sum; }", p->dir);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    struct buf text = { 0 };
    for (int c; (c = fgetc(pipe)) != EOF;)
        buf_add_char(&text, (char)c);
    assert_int_equal(pclose(pipe), 0);
    return buf_take_str(&text);
}

void serve_place_build(const struct serve_request *q, struct buf *out)
{
    const struct sftp_attrs attrs = { .flags = q->flags, .size = 0, .permissions = 0777, .atime = 1, .mtime = 1 };
    size_t start = sftp_begin(out, q->type, 7);
    if (q->type == SFTP_EXTENDED)
        sftp_put_text(out, q->b);
    sftp_put_text(out, q->a);
    if (q->type == SFTP_OPEN) {
        sftp_put_u32(out, q->flags);
        sftp_put_u32(out, 0);
    } else if (q->type == SFTP_SETSTAT || q->type == SFTP_FSETSTAT || q->type == SFTP_MKDIR) {
        sftp_put_attrs(out, &attrs);
    } else if (q->type == SFTP_EXTENDED && strcmp(q->b, "check-file-name") == 0) {
        sftp_put_text(out, "md5,sha256");
        sftp_put_u64(out, 0);
        sftp_put_u64(out, 0);
        sftp_put_u32(out, 0);
    } else if (q->b != NULL) {
        sftp_put_text(out, q->type == SFTP_EXTENDED ? "bkd-repository" : q->b);
    }
    sftp_end(out, start);
}

struct sftp_message serve_place_ask(struct serve_place *p, struct sftp_server *server, const struct buf *message)
{
    struct sftp_message m;
    struct error err;
    size_t length;
    bool more;
    buf_reset(&p->out);
    OK(sftp_server_feed(server, message->data, message->len, &p->out, &more, &err));
    OK(sftp_take_message(p->out.data, p->out.len, &m, &length, &err));
    assert_int_equal(length, p->out.len);
    assert_int_equal(m.id, 7);
    assert_false(more);
    return m;
}

uint32_t serve_place_status(struct sftp_message m)
{
    uint32_t status = SFTP_OK;
    if (m.type == SFTP_STATUS)
        assert_true(sftp_get_u32(&m.body, &status));
    return status;
}

uint32_t serve_place_send(struct serve_place *p, struct sftp_server *server, const struct serve_request *q)
{
    _cleanup_buf_ struct buf message = { 0 };
    serve_place_build(q, &message);
    return serve_place_status(serve_place_ask(p, server, &message));
}

void serve_place_open(struct serve_place *p, struct sftp_server *server, const char *path, uint32_t flags, struct buf *ret_handle)
{
    _cleanup_buf_ struct buf message = { 0 };
    const uint8_t *handle;
    size_t n;
    serve_place_build(&(struct serve_request){ .type = SFTP_OPEN, .a = path, .flags = flags }, &message);
    struct sftp_message m = serve_place_ask(p, server, &message);
    assert_int_equal(m.type, SFTP_HANDLE);
    assert_true(sftp_get_string(&m.body, &handle, &n));
    buf_reset(ret_handle);
    buf_add(ret_handle, handle, n);
}

uint32_t serve_place_on_handle(struct serve_place *p, struct sftp_server *server, enum sftp_type type, const struct buf *handle, uint64_t offset, const char *text)
{
    _cleanup_buf_ struct buf message = { 0 };
    size_t start = sftp_begin(&message, type, 7);
    if (type == SFTP_EXTENDED)
        sftp_put_text(&message, "fsync@openssh.com");
    sftp_put_string(&message, handle->data, handle->len);
    if (type == SFTP_WRITE || type == SFTP_READ)
        sftp_put_u64(&message, offset);
    if (type == SFTP_WRITE)
        sftp_put_text(&message, text);
    else if (type == SFTP_READ)
        sftp_put_u32(&message, UINT32_MAX);
    sftp_end(&message, start);
    return serve_place_status(serve_place_ask(p, server, &message));
}

uint32_t serve_place_rename(struct serve_place *p, struct sftp_server *server, const char *from, const char *to)
{
    return serve_place_send(p, server, &(struct serve_request){ .type = SFTP_RENAME, .a = from, .b = to });
}
