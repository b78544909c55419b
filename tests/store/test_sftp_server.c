// The server that only lets a directory grow: every request that would change what is there is refused, told, and changes nothing, which find and
// sha256sum confirm; what a client of ours needs works; memory stays bounded.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/base/fs.h"
#include "bkd/codec/sftp.h"
#include "bkd/store/sftp_server.h"

#define OK(call) do { if ((call) != 0) fail_msg("%s: %s", #call, err.text); } while (0)

// ---- a place with a repository, traps in it, and something to steal beside it

struct place {
    char dir[32];
    struct grow_dir grow;
    struct sftp_server *server, *other; // two sessions
    unsigned refused;
    struct buf out;
};

static void note_refused(void *arg, const char *request, const char *path)
{
    (void)request, (void)path;
    ((struct place *)arg)->refused++;
}

static void run(const struct place *p, const char *command)
{
    _cleanup_free_ char *line = xasprintf("cd %s && %s", p->dir, command);
    assert_int_equal(system(line), 0);
}

static struct sftp_server *begin_session(struct place *p)
{
    static const uint8_t init[] = { 0, 0, 0, 5, SFTP_INIT, 0, 0, 0, 3 };
    struct sftp_server *server = sftp_server_new(io_real(), &p->grow, note_refused, p);
    struct error err;
    bool more;
    OK(sftp_server_feed(server, init, sizeof init, &p->out, &more, &err));
    buf_reset(&p->out);
    return server;
}

static int setup(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    strcpy(p->dir, "/tmp/bkd-serve-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    run(p, "mkdir -p root/objects/ab root/heads/c root/empty outside && echo secret >outside/secret && cd root && echo published >bkd-repository && echo object >objects/ab/1 &&"
           "echo head >heads/c/1 && ln -s ../outside up && ln -s $PWD/../outside abs && ln -s ../outside/secret objects/link && ln -s heads inner && ln -s heads/c/1 headlink &&"
           "ln -s nowhere dangling.part-1 && ln -s bkd-repository to.part-2 && ln bkd-repository hard.part-3 && mkfifo pipe pipe.part-4 && echo old >left.part-5");
    _cleanup_free_ char *root = xasprintf("%s/root", p->dir);
    assert_int_equal(grow_dir_open(&p->grow, io_real(), root), 0);
    p->server = begin_session(p);
    p->other = begin_session(p);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    struct error err;
    sftp_server_free(p->server);
    sftp_server_free(p->other);
    grow_dir_close(&p->grow);
    OK(fs_remove_tree(io_real(), AT_FDCWD, p->dir, &err));
    buf_done(&p->out);
    free(p);
    return 0;
}

// All there is, inside and beside, as tools see it. Caller frees.
static char *listing(const struct place *p)
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

// ---- requests

enum { WRITE = SFTP_OPEN_WRITE, READ = SFTP_OPEN_READ, CREAT = SFTP_OPEN_CREAT, TRUNC = SFTP_OPEN_TRUNC, APPEND = SFTP_OPEN_APPEND, EXCL = SFTP_OPEN_EXCL };

struct request {
    const char *title;
    enum sftp_type type;
    const char *a, *b; // path, second path or name of an extension
    uint32_t flags;    // of OPEN, or which attributes SETSTAT sets
    uint32_t want;     // status
    bool told;
};

static void build(const struct request *q, struct buf *out)
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

// Sends a message and gives the one answer.
static struct sftp_message ask(struct place *p, struct sftp_server *server, const struct buf *message)
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

// The status of an answer; one that is no STATUS is a success.
static uint32_t status_of(struct sftp_message m)
{
    uint32_t status = SFTP_OK;
    if (m.type == SFTP_STATUS)
        assert_true(sftp_get_u32(&m.body, &status));
    return status;
}

static uint32_t send_request(struct place *p, struct sftp_server *server, const struct request *q)
{
    _cleanup_buf_ struct buf message = { 0 };
    build(q, &message);
    return status_of(ask(p, server, &message));
}

#define DENIED SFTP_PERMISSION_DENIED, true
#define PART WRITE | CREAT | EXCL

static const struct request refused_requests[] = {
    // What is published is not written to.
    { "open for writing", SFTP_OPEN, "bkd-repository", NULL, WRITE, DENIED },
    { "open for reading and writing", SFTP_OPEN, "bkd-repository", NULL, READ | WRITE, DENIED },
    { "overwrite", SFTP_OPEN, "bkd-repository", NULL, WRITE | CREAT, DENIED },
    { "overwrite with truncation, as put does", SFTP_OPEN, "bkd-repository", NULL, WRITE | CREAT | TRUNC, DENIED },
    { "truncate", SFTP_OPEN, "heads/c/1", NULL, WRITE | TRUNC, DENIED },
    { "truncate while reading", SFTP_OPEN, "heads/c/1", NULL, READ | TRUNC, DENIED },
    { "append", SFTP_OPEN, "heads/c/1", NULL, WRITE | APPEND, DENIED },
    { "append only", SFTP_OPEN, "heads/c/1", NULL, APPEND, DENIED },
    { "append, as put -a does", SFTP_OPEN, "heads/c/1", NULL, WRITE | CREAT | APPEND, DENIED },
    { "make what exists", SFTP_OPEN, "heads/c/1", NULL, PART, DENIED },
    { "make under a final name", SFTP_OPEN, "heads/c/2", NULL, PART, DENIED },
    { "make without asking for a new file", SFTP_OPEN, "heads/c/2", NULL, WRITE | CREAT, DENIED },
    { "make a part that may exist", SFTP_OPEN, "heads/c/2.part-9", NULL, WRITE | CREAT, DENIED },
    { "make a part and truncate it", SFTP_OPEN, "heads/c/2.part-9", NULL, PART | TRUNC, DENIED },
    { "make a part for appending", SFTP_OPEN, "heads/c/2.part-9", NULL, PART | APPEND, DENIED },
    { "flags that nobody knows", SFTP_OPEN, "bkd-repository", NULL, 0x80000000, DENIED },
    { "all flags", SFTP_OPEN, "bkd-repository", NULL, UINT32_MAX, DENIED },
    { "a part in the middle of the path only", SFTP_OPEN, "x.part-1/heads", NULL, PART, DENIED },
    { "write to a directory", SFTP_OPEN, "heads", NULL, WRITE, DENIED },
    { "a part that is taken", SFTP_OPEN, "left.part-5", NULL, PART, SFTP_FAILURE, false },
    // Links that somebody planted lead nowhere.
    { "read through an absolute link", SFTP_OPEN, "abs/secret", NULL, READ, DENIED },
    { "read through a link upwards", SFTP_OPEN, "up/secret", NULL, READ, DENIED },
    { "read a link as last component", SFTP_OPEN, "objects/link", NULL, READ, DENIED },
    { "read a link that stays inside", SFTP_OPEN, "headlink", NULL, READ, DENIED },
    { "read through a link that stays inside", SFTP_OPEN, "inner/c/1", NULL, READ, DENIED },
    { "make a part through a link", SFTP_OPEN, "up/x.part-1", NULL, PART, DENIED },
    { "make a part where a dangling link is", SFTP_OPEN, "dangling.part-1", NULL, PART, SFTP_FAILURE, false },
    { "write to a link named as a part", SFTP_OPEN, "to.part-2", NULL, WRITE, DENIED },
    { "write to a dangling link named as a part", SFTP_OPEN, "dangling.part-1", NULL, WRITE, DENIED },
    { "write to a hard link named as a part", SFTP_OPEN, "hard.part-3", NULL, WRITE, DENIED },
    { "list through a link", SFTP_OPENDIR, "up", NULL, 0, DENIED },
    { "list below a link", SFTP_OPENDIR, "abs/", NULL, 0, DENIED },
    { "ask about what is behind a link", SFTP_STAT, "up/secret", NULL, 0, DENIED },
    { "make a directory behind a link", SFTP_MKDIR, "up/new", NULL, 0, DENIED },
    { "make a directory where a link is", SFTP_MKDIR, "inner", NULL, 0, SFTP_FAILURE, false },
    { "hash what is behind a link", SFTP_EXTENDED, "up/secret", "check-file-name", 0, DENIED },
    // No way out.
    { "read above", SFTP_OPEN, "../outside/secret", NULL, READ, DENIED },
    { "read above from below", SFTP_OPEN, "heads/../../outside/secret", NULL, READ, DENIED },
    { "read above, absolute", SFTP_OPEN, "/../outside/secret", NULL, READ, DENIED },
    { "even where it stays inside", SFTP_OPEN, "heads/../bkd-repository", NULL, READ, DENIED },
    { "an absolute path is one from here", SFTP_OPEN, "/etc/passwd", NULL, READ, SFTP_NO_SUCH_FILE, false },
    { "list above", SFTP_OPENDIR, "..", NULL, 0, DENIED },
    { "ask above", SFTP_LSTAT, "../outside", NULL, 0, DENIED },
    { "make a part above", SFTP_OPEN, "../x.part-1", NULL, PART, DENIED },
    { "make a directory above", SFTP_MKDIR, "../new", NULL, 0, DENIED },
    { "read a pipe", SFTP_OPEN, "pipe", NULL, READ, DENIED },
    { "write to a pipe named as a part", SFTP_OPEN, "pipe.part-4", NULL, WRITE, DENIED },
    { "read a directory as a file", SFTP_OPEN, "heads", NULL, READ, DENIED },
    // Nothing is removed, renamed, linked, or given other attributes.
    { "remove", SFTP_REMOVE, "bkd-repository", NULL, 0, DENIED },
    { "remove a head", SFTP_REMOVE, "/heads/c/1", NULL, 0, DENIED },
    { "remove a part that others left", SFTP_REMOVE, "left.part-5", NULL, 0, DENIED },
    { "remove what is not there", SFTP_REMOVE, "nothing", NULL, 0, DENIED },
    { "remove a link", SFTP_REMOVE, "up", NULL, 0, DENIED },
    { "remove a directory", SFTP_RMDIR, "empty", NULL, 0, DENIED },
    { "remove the root", SFTP_RMDIR, "/", NULL, 0, DENIED },
    { "rename away", SFTP_RENAME, "bkd-repository", "elsewhere", 0, DENIED },
    { "rename away into a part", SFTP_RENAME, "bkd-repository", "x.part-1", 0, DENIED },
    { "rename over", SFTP_RENAME, "heads/c/1", "bkd-repository", 0, DENIED },
    { "rename a directory", SFTP_RENAME, "heads", "tails", 0, DENIED },
    { "rename a part of another session over", SFTP_RENAME, "left.part-5", "bkd-repository", 0, DENIED },
    { "publish a part of another session", SFTP_RENAME, "left.part-5", "new", 0, DENIED },
    { "publish a hard link", SFTP_RENAME, "hard.part-3", "new", 0, DENIED },
    { "rename out of the root", SFTP_RENAME, "bkd-repository", "../outside/taken", 0, DENIED },
    { "rename over, as posix-rename", SFTP_EXTENDED, "heads/c/1", "posix-rename@openssh.com", 0, SFTP_OP_UNSUPPORTED, true },
    { "hard link", SFTP_EXTENDED, "bkd-repository", "hardlink@openssh.com", 0, SFTP_OP_UNSUPPORTED, true },
    { "set attributes of a link", SFTP_EXTENDED, "up", "lsetstat@openssh.com", 0, SFTP_OP_UNSUPPORTED, true },
    { "copy data", SFTP_EXTENDED, "bkd-repository", "copy-data", 0, SFTP_OP_UNSUPPORTED, true },
    { "expand a path", SFTP_EXTENDED, "~root", "expand-path@openssh.com", 0, SFTP_OP_UNSUPPORTED, true },
    { "an extension nobody knows", SFTP_EXTENDED, "bkd-repository", "\033[2Jdelete@example.net", 0, SFTP_OP_UNSUPPORTED, true },
    { "symbolic link", SFTP_SYMLINK, "/etc/passwd", "mine", 0, DENIED },
    { "symbolic link, the other way round", SFTP_SYMLINK, "mine", "/etc/passwd", 0, DENIED },
    { "read a link's target", SFTP_READLINK, "up", NULL, 0, DENIED },
    { "truncate by setstat", SFTP_SETSTAT, "bkd-repository", NULL, SFTP_ATTR_SIZE, DENIED },
    { "chmod", SFTP_SETSTAT, "bkd-repository", NULL, SFTP_ATTR_PERMISSIONS, DENIED },
    { "chown", SFTP_SETSTAT, "bkd-repository", NULL, SFTP_ATTR_OWNER, DENIED },
    { "times", SFTP_SETSTAT, "bkd-repository", NULL, SFTP_ATTR_TIMES, DENIED },
    { "chmod of a directory", SFTP_SETSTAT, "heads", NULL, SFTP_ATTR_PERMISSIONS, DENIED },
    { "setstat of nothing", SFTP_SETSTAT, "bkd-repository", NULL, 0, DENIED },
    { "setstat by handle", SFTP_FSETSTAT, "xxxx", NULL, SFTP_ATTR_SIZE, DENIED },
    // Requests of other versions of the protocol.
    { "LINK of version 6", (enum sftp_type)21, "bkd-repository", "mine", 0, SFTP_OP_UNSUPPORTED, false },
    { "BLOCK of version 6", (enum sftp_type)22, "bkd-repository", NULL, 0, SFTP_OP_UNSUPPORTED, false },
    { "an answer as request", SFTP_STATUS, "bkd-repository", NULL, 0, SFTP_OP_UNSUPPORTED, false },
    { "type 0", (enum sftp_type)0, "bkd-repository", NULL, 0, SFTP_OP_UNSUPPORTED, false },
    { "type 255", (enum sftp_type)255, "bkd-repository", NULL, 0, SFTP_OP_UNSUPPORTED, false },
};

static void test_refused(void **state)
{
    struct place *p = *state;
    _cleanup_free_ char *before = listing(p);
    for (size_t i = 0; i < sizeof refused_requests / sizeof *refused_requests; i++) {
        const struct request *q = &refused_requests[i];
        p->refused = 0;
        uint32_t status = send_request(p, p->server, q);
        _cleanup_free_ char *after = listing(p);
        if (status != q->want || p->refused != q->told)
            fail_msg("%s: status %u, wanted %u; told %u times", q->title, status, q->want, p->refused);
        if (strcmp(before, after) != 0)
            fail_msg("%s: something changed\n%s", q->title, after);
    }
    assert_true(sizeof refused_requests / sizeof *refused_requests >= 60);
}

// ---- what a client of ours does

static void ask_open(struct place *p, struct sftp_server *server, const char *path, uint32_t flags, struct buf *ret_handle)
{
    _cleanup_buf_ struct buf message = { 0 };
    const uint8_t *handle;
    size_t n;
    build(&(struct request){ .type = SFTP_OPEN, .a = path, .flags = flags }, &message);
    struct sftp_message m = ask(p, server, &message);
    assert_int_equal(m.type, SFTP_HANDLE);
    assert_true(sftp_get_string(&m.body, &handle, &n));
    buf_reset(ret_handle);
    buf_add(ret_handle, handle, n);
}

// WRITE, READ, CLOSE, FSTAT, FSETSTAT, or fsync: all begin with a handle.
static uint32_t ask_handle(struct place *p, struct sftp_server *server, enum sftp_type type, const struct buf *handle, uint64_t offset, const char *text)
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
    return status_of(ask(p, server, &message));
}

static uint32_t rename_to(struct place *p, struct sftp_server *server, const char *from, const char *to)
{
    return send_request(p, server, &(struct request){ .type = SFTP_RENAME, .a = from, .b = to });
}

static void test_growing(void **state)
{
    struct place *p = *state;
    _cleanup_buf_ struct buf one = { 0 }, two = { 0 };
    assert_int_equal(send_request(p, p->server, &(struct request){ .type = SFTP_MKDIR, .a = "/objects/cd" }), SFTP_OK);
    ask_open(p, p->server, "/objects/cd/2.part-x", PART, &one);
    ask_open(p, p->other, "/objects/cd/2.part-x", WRITE, &two); // a second lane
    assert_int_equal(ask_handle(p, p->server, SFTP_WRITE, &one, 0, "first "), SFTP_OK);
    assert_int_equal(ask_handle(p, p->other, SFTP_WRITE, &two, 6, "second"), SFTP_OK);
    assert_int_equal(ask_handle(p, p->server, SFTP_EXTENDED, &one, 0, NULL), SFTP_OK);
    assert_int_equal(ask_handle(p, p->server, SFTP_FSETSTAT, &one, 0, NULL), SFTP_PERMISSION_DENIED);
    assert_int_equal(rename_to(p, p->server, "/objects/cd/2.part-x", "/objects/cd/2"), SFTP_FAILURE); // both still write
    assert_int_equal(ask_handle(p, p->server, SFTP_CLOSE, &one, 0, NULL), SFTP_OK);
    assert_int_equal(rename_to(p, p->server, "/objects/cd/2.part-x", "/objects/cd/2"), SFTP_FAILURE); // one still does
    assert_int_equal(ask_handle(p, p->other, SFTP_CLOSE, &two, 0, NULL), SFTP_OK);
    assert_int_equal(rename_to(p, p->other, "/objects/cd/2.part-x", "/objects/cd/2"), SFTP_PERMISSION_DENIED); // it is not his
    assert_int_equal(rename_to(p, p->server, "/objects/cd/2.part-x", "/bkd-repository"), SFTP_FAILURE);        // taken
    assert_int_equal(rename_to(p, p->server, "/objects/cd/2.part-x", "../outside/2"), SFTP_PERMISSION_DENIED);
    assert_int_equal(rename_to(p, p->server, "/objects/cd/2.part-x", "up/2"), SFTP_PERMISSION_DENIED);
    assert_int_equal(rename_to(p, p->server, "/objects/cd/2.part-x", "/objects/cd/3.part-x"), SFTP_PERMISSION_DENIED);
    assert_int_equal(rename_to(p, p->server, "/objects/cd/2.part-x", "/objects/cd/2"), SFTP_OK);
    assert_int_equal(rename_to(p, p->server, "/objects/cd/2.part-x", "/objects/cd/3"), SFTP_PERMISSION_DENIED); // it is nobody's now
    assert_int_equal(send_request(p, p->server, &(struct request){ .type = SFTP_OPEN, .a = "/objects/cd/2", .flags = WRITE }), SFTP_PERMISSION_DENIED);
    run(p, "[ \"$(cat root/objects/cd/2)\" = 'first second' ] && [ ! -e root/objects/cd/2.part-x ]");
}

// The server's own path means the same as "/": an address stays as it was when the account is confined.
static void test_own_path(void **state)
{
    struct place *p = *state;
    _cleanup_free_ char *full = xasprintf("%s/root/bkd-repository", p->dir), *root = xasprintf("%s/root/", p->dir), *beside = xasprintf("%s/outside/secret", p->dir),
                        *longer = xasprintf("%s/rooted", p->dir);
    assert_int_equal(send_request(p, p->server, &(struct request){ .type = SFTP_OPEN, .a = full, .flags = READ }), SFTP_OK);
    assert_int_equal(send_request(p, p->server, &(struct request){ .type = SFTP_OPEN, .a = full, .flags = WRITE }), SFTP_PERMISSION_DENIED);
    assert_int_equal(send_request(p, p->server, &(struct request){ .type = SFTP_STAT, .a = root }), SFTP_OK);
    assert_int_equal(send_request(p, p->server, &(struct request){ .type = SFTP_STAT, .a = p->dir }), SFTP_OK);
    assert_int_equal(send_request(p, p->server, &(struct request){ .type = SFTP_MKDIR, .a = p->dir }), SFTP_FAILURE);
    assert_int_equal(send_request(p, p->server, &(struct request){ .type = SFTP_STAT, .a = longer }), SFTP_NO_SUCH_FILE);
    assert_int_equal(send_request(p, p->server, &(struct request){ .type = SFTP_OPEN, .a = beside, .flags = READ }), SFTP_NO_SUCH_FILE);
    assert_int_equal(send_request(p, p->server, &(struct request){ .type = SFTP_OPEN, .a = "./heads/./c//1", .flags = READ }), SFTP_OK);
}

// A writer that opened the part before and was slow is not there when the part is published, whoever comes first.
static void test_handle_of_published(void **state)
{
    struct place *p = *state;
    _cleanup_buf_ struct buf handle = { 0 };
    ask_open(p, p->server, "late.part-1", PART, &handle);
    assert_int_equal(ask_handle(p, p->server, SFTP_CLOSE, &handle, 0, NULL), SFTP_OK);
    assert_int_equal(rename_to(p, p->server, "late.part-1", "late"), SFTP_OK);
    assert_int_equal(ask_handle(p, p->server, SFTP_WRITE, &handle, 0, "changed"), SFTP_BAD_MESSAGE);
    ask_open(p, p->server, "late", READ, &handle);
    assert_int_equal(ask_handle(p, p->server, SFTP_WRITE, &handle, 0, "changed"), SFTP_BAD_MESSAGE);
    assert_int_equal(ask_handle(p, p->server, SFTP_EXTENDED, &handle, 0, NULL), SFTP_BAD_MESSAGE);
}

static void test_parts_go_with_their_session(void **state)
{
    struct place *p = *state;
    _cleanup_buf_ struct buf handle = { 0 };
    _cleanup_free_ char *before = listing(p);
    ask_open(p, p->server, "gone.part-1", PART, &handle);
    assert_int_equal(ask_handle(p, p->server, SFTP_WRITE, &handle, 0, "unfinished"), SFTP_OK);
    run(p, "[ -e root/gone.part-1 ]");
    sftp_server_free(p->server);
    run(p, "[ ! -e root/gone.part-1 ] && [ -e root/left.part-5 ]");
    p->server = begin_session(p);
    (void)before;
}

// ---- bounds

static void test_holes(void **state)
{
    struct place *p = *state;
    _cleanup_buf_ struct buf handle = { 0 };
    ask_open(p, p->server, "hole.part-1", PART, &handle);
    assert_int_equal(ask_handle(p, p->server, SFTP_WRITE, &handle, UINT64_C(1) << 62, "x"), SFTP_PERMISSION_DENIED);
    assert_int_equal(ask_handle(p, p->server, SFTP_WRITE, &handle, UINT64_MAX, "x"), SFTP_BAD_MESSAGE);
    assert_int_equal(ask_handle(p, p->server, SFTP_WRITE, &handle, INT64_MAX, "x"), SFTP_BAD_MESSAGE);
    assert_int_equal(ask_handle(p, p->server, SFTP_WRITE, &handle, 64 << 20, "x"), SFTP_OK); // another lane is ahead
    run(p, "[ $(stat -c %s root/hole.part-1) = 67108865 ]");
}

static void test_handles_run_out(void **state)
{
    struct place *p = *state;
    _cleanup_buf_ struct buf first = { 0 }, handle = { 0 };
    const struct request q = { .type = SFTP_OPEN, .a = "bkd-repository", .flags = READ };
    ask_open(p, p->server, "bkd-repository", READ, &first);
    unsigned n = 1;
    while (n < 1000 && send_request(p, p->server, &q) == SFTP_OK)
        n++;
    assert_int_equal(n, 64);
    assert_int_equal(send_request(p, p->server, &(struct request){ .type = SFTP_OPENDIR, .a = "/" }), SFTP_FAILURE);
    assert_int_equal(ask_handle(p, p->server, SFTP_CLOSE, &first, 0, NULL), SFTP_OK);
    ask_open(p, p->server, "bkd-repository", READ, &handle);
}

static void test_parts_run_out(void **state)
{
    struct place *p = *state;
    unsigned n = 0;
    for (; n < 5000; n++) {
        _cleanup_free_ char *name = xasprintf("many-%u.part-1", n);
        _cleanup_buf_ struct buf message = { 0 };
        build(&(struct request){ .type = SFTP_OPEN, .a = name, .flags = PART }, &message);
        struct sftp_message m = ask(p, p->server, &message);
        if (m.type != SFTP_HANDLE)
            continue;
        struct buf handle = { 0 };
        const uint8_t *bytes;
        size_t length;
        assert_true(sftp_get_string(&m.body, &bytes, &length));
        buf_add(&handle, bytes, length);
        assert_int_equal(ask_handle(p, p->server, SFTP_CLOSE, &handle, 0, NULL), SFTP_OK);
        buf_done(&handle);
    }
    run(p, "[ $(ls root | grep -c ^many) = 1024 ]");
}

// A client that asks for 4000 times 255 KiB and takes nothing.
static void test_answers_stay_bounded(void **state)
{
    struct place *p = *state;
    _cleanup_buf_ struct buf handle = { 0 }, requests = { 0 };
    struct error err;
    bool more;
    size_t answers = 0;
    run(p, "head -c 300000 /dev/zero >root/large");
    ask_open(p, p->server, "large", READ, &handle);
    for (unsigned i = 0; i < 4000; i++) {
        size_t start = sftp_begin(&requests, SFTP_READ, i);
        sftp_put_string(&requests, handle.data, handle.len);
        sftp_put_u64(&requests, 0);
        sftp_put_u32(&requests, UINT32_MAX);
        sftp_end(&requests, start);
    }
    buf_reset(&p->out);
    OK(sftp_server_feed(p->server, requests.data, requests.len, &p->out, &more, &err));
    assert_true(more);
    assert_in_range(p->out.len, 1 << 20, 2 << 20);
    for (; more; answers += p->out.len / (255 << 10)) {
        buf_reset(&p->out);
        OK(sftp_server_feed(p->server, NULL, 0, &p->out, &more, &err));
        assert_in_range(p->out.len, 1, 2 << 20);
    }
    assert_in_range(answers, 3990, 4000);
}

// ---- strange bytes

static void test_names_with_nul(void **state)
{
    struct place *p = *state;
    static const enum sftp_type types[] = { SFTP_OPEN, SFTP_OPENDIR, SFTP_STAT, SFTP_MKDIR, SFTP_REMOVE, SFTP_RENAME };
    _cleanup_free_ char *before = listing(p);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        _cleanup_buf_ struct buf message = { 0 };
        size_t start = sftp_begin(&message, types[i], 7);
        sftp_put_string(&message, "bkd-repository\0.part-1", 22);
        sftp_put_u32(&message, types[i] == SFTP_OPEN ? WRITE : 0);
        sftp_put_u32(&message, 0);
        sftp_end(&message, start);
        p->refused = 0;
        assert_int_equal(status_of(ask(p, p->server, &message)), SFTP_PERMISSION_DENIED);
        assert_int_equal(p->refused, 1);
    }
    _cleanup_free_ char *after = listing(p);
    assert_string_equal(before, after);
}

static void test_long_paths(void **state)
{
    struct place *p = *state;
    _cleanup_buf_ struct buf path = { 0 };
    while (path.len < 5000)
        buf_add_str(&path, "a/");
    assert_int_equal(send_request(p, p->server, &(struct request){ .type = SFTP_STAT, .a = buf_str(&path) }), SFTP_PERMISSION_DENIED);
    path.data[4001] = '\0';
    assert_int_equal(send_request(p, p->server, &(struct request){ .type = SFTP_STAT, .a = buf_str(&path) }), SFTP_NO_SUCH_FILE);
}

static void test_listing_of_any_bytes(void **state)
{
    struct place *p = *state;
    _cleanup_buf_ struct buf handle = { 0 }, message = { 0 };
    const uint8_t *bytes;
    size_t n;
    uint32_t count;
    run(p, "mkdir root/odd && touch \"$(printf 'root/odd/\\377\\033[2J\\nx')\"");
    build(&(struct request){ .type = SFTP_OPENDIR, .a = "odd" }, &message);
    struct sftp_message m = ask(p, p->server, &message);
    assert_true(sftp_get_string(&m.body, &bytes, &n));
    buf_add(&handle, bytes, n);
    buf_reset(&message);
    size_t start = sftp_begin(&message, SFTP_READDIR, 7);
    sftp_put_string(&message, handle.data, handle.len);
    sftp_end(&message, start);
    m = ask(p, p->server, &message);
    assert_int_equal(m.type, SFTP_NAME);
    assert_true(sftp_get_u32(&m.body, &count) && sftp_get_string(&m.body, &bytes, &n));
    assert_int_equal(count, 1);
    assert_int_equal(n, 7);
    assert_memory_equal(bytes, "\377\033[2J\nx", 7);
    assert_int_equal(status_of(ask(p, p->server, &message)), SFTP_EOF);
}

static void test_hash(void **state)
{
    struct place *p = *state;
    _cleanup_buf_ struct buf message = { 0 };
    uint8_t digest[CRYPTO_SHA256_SIZE];
    const uint8_t *text;
    size_t n;
    build(&(struct request){ .type = SFTP_EXTENDED, .a = "heads/c/1", .b = "check-file-name" }, &message);
    struct sftp_message m = ask(p, p->server, &message);
    assert_int_equal(m.type, SFTP_EXTENDED_REPLY);
    assert_true(sftp_get_string(&m.body, &text, &n) && n == 10 && memcmp(text, "check-file", n) == 0);
    assert_true(sftp_get_string(&m.body, &text, &n) && n == 6 && memcmp(text, "sha256", n) == 0);
    crypto_sha256("head\n", 5, digest);
    assert_int_equal(cursor_left(&m.body), sizeof digest);
    assert_memory_equal(m.body.at, digest, sizeof digest);
}

static void test_no_sftp(void **state)
{
    struct place *p = *state;
    struct error err;
    bool more;
    assert_int_equal(sftp_server_feed(p->server, "SSH-2.0-OpenSSH\r\n", 17, &p->out, &more, &err), ERROR_FORMAT);
    struct sftp_server *fresh = sftp_server_new(io_real(), &p->grow, note_refused, p);
    static const uint8_t stat[] = { 0, 0, 0, 10, SFTP_STAT, 0, 0, 0, 1, 0, 0, 0, 1, '/' };
    assert_int_equal(sftp_server_feed(fresh, stat, sizeof stat, &p->out, &more, &err), ERROR_FORMAT); // without a greeting
    sftp_server_free(fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_growing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_path, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handle_of_published, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts_go_with_their_session, setup, teardown),
        cmocka_unit_test_setup_teardown(test_holes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handles_run_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts_run_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answers_stay_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_with_nul, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listing_of_any_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_sftp, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
