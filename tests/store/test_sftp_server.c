// The server that only lets a directory grow: every request that would change what is there is refused, told, and changes nothing, which find and
// sha256sum confirm; memory stays bounded.
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "tests/store/serve_place.h"

#define DENIED SFTP_PERMISSION_DENIED, true

static const struct serve_request refused_requests[] = {
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
    { "make and truncate what exists", SFTP_OPEN, "heads/c/1", NULL, PART | TRUNC, DENIED },
    { "make for appending", SFTP_OPEN, "heads/c/2", NULL, WRITE | CREAT | APPEND, DENIED },
    { "make where a directory is", SFTP_OPEN, "heads/", NULL, PART, DENIED },
    { "make the root", SFTP_OPEN, "/", NULL, PART, DENIED },
    { "make where a link is", SFTP_OPEN, "headlink", NULL, PART, DENIED },
    { "make behind a link", SFTP_OPEN, "up/new", NULL, PART, DENIED },
    { "make above", SFTP_OPEN, "../new", NULL, PART, DENIED },
    { "make above from below", SFTP_OPEN, "heads/..", NULL, PART, DENIED },
    { "make where no directory is", SFTP_OPEN, "nowhere/new", NULL, PART, SFTP_NO_SUCH_FILE, false },
    { "open what is not there for writing", SFTP_OPEN, "heads/c/2", NULL, WRITE, DENIED },
    { "truncate what is not there", SFTP_OPEN, "heads/c/2", NULL, WRITE | TRUNC, DENIED },
    { "make a part that exists", SFTP_OPEN, "left.part-5", NULL, WRITE | CREAT, DENIED },
    { "make and truncate a part that exists, as put does", SFTP_OPEN, "left.part-5", NULL, WRITE | CREAT | TRUNC, DENIED },
    { "truncate a part", SFTP_OPEN, "left.part-5", NULL, WRITE | TRUNC, DENIED },
    { "make a part for appending", SFTP_OPEN, "heads/c/2.part-9", NULL, PART | APPEND, DENIED },
    { "flags that nobody knows", SFTP_OPEN, "bkd-repository", NULL, 0x80000000, DENIED },
    { "all flags", SFTP_OPEN, "bkd-repository", NULL, UINT32_MAX, DENIED },
    { "a part in the middle of the path only", SFTP_OPEN, "x.part-1/heads", NULL, PART, SFTP_NO_SUCH_FILE, false },
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
    { "the path of what is above", SFTP_REALPATH, "../outside", NULL, 0, DENIED },
    { "the path of what is above, from below", SFTP_REALPATH, "/heads/../..", NULL, 0, DENIED },
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
    struct serve_place *p = *state;
    _cleanup_free_ char *before = serve_place_listing(p);
    for (size_t i = 0; i < sizeof refused_requests / sizeof *refused_requests; i++) {
        const struct serve_request *q = &refused_requests[i];
        p->refused = 0;
        uint32_t status = serve_place_send(p, p->server, q);
        _cleanup_free_ char *after = serve_place_listing(p);
        if (status != q->want || p->refused != q->told)
            fail_msg("%s: status %u, wanted %u; told %u times", q->title, status, q->want, p->refused);
        if (strcmp(before, after) != 0)
            fail_msg("%s: something changed\n%s", q->title, after);
    }
    assert_true(sizeof refused_requests / sizeof *refused_requests >= 60);
}

// ---- paths

// Of a REALPATH.
static void assert_resolves(struct serve_place *p, const char *path, const char *want)
{
    _cleanup_buf_ struct buf message = { 0 };
    const uint8_t *text = NULL;
    size_t n = 0;
    uint32_t count;
    serve_place_build(&(struct serve_request){ .type = SFTP_REALPATH, .a = path }, &message);
    struct sftp_message m = serve_place_ask(p, p->server, &message);
    assert_int_equal(m.type, SFTP_NAME);
    assert_true(sftp_get_u32(&m.body, &count) && count == 1 && sftp_get_string(&m.body, &text, &n));
    assert_int_equal(n, strlen(want));
    assert_memory_equal(text, want, n);
}

static void test_realpath(void **state)
{
    static const char *const paths[][2] = { { "", "/" }, { ".", "/" }, { "/", "/" }, { "/heads/..", "/" }, { "/heads/c/new/..", "/heads/c" }, { "heads/c/../../objects/./", "/objects" }, { "//a///b", "/a/b" },
                                            { "..a", "/..a" }, { "not/there", "/not/there" } };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_resolves(*state, paths[i][0], paths[i][1]);
}

// The server's own path means the same as "/": an address stays as it was when the account is confined.
static void test_own_path(void **state)
{
    struct serve_place *p = *state;
    _cleanup_free_ char *full = xasprintf("%s/root/bkd-repository", p->dir), *root = xasprintf("%s/root/", p->dir), *beside = xasprintf("%s/outside/secret", p->dir),
                        *longer = xasprintf("%s/rooted", p->dir);
    assert_int_equal(serve_place_send(p, p->server, &(struct serve_request){ .type = SFTP_OPEN, .a = full, .flags = READ }), SFTP_OK);
    assert_int_equal(serve_place_send(p, p->server, &(struct serve_request){ .type = SFTP_OPEN, .a = full, .flags = WRITE }), SFTP_PERMISSION_DENIED);
    assert_int_equal(serve_place_send(p, p->server, &(struct serve_request){ .type = SFTP_STAT, .a = root }), SFTP_OK);
    assert_int_equal(serve_place_send(p, p->server, &(struct serve_request){ .type = SFTP_STAT, .a = p->dir }), SFTP_OK);
    assert_int_equal(serve_place_send(p, p->server, &(struct serve_request){ .type = SFTP_MKDIR, .a = p->dir }), SFTP_FAILURE);
    assert_int_equal(serve_place_send(p, p->server, &(struct serve_request){ .type = SFTP_STAT, .a = longer }), SFTP_NO_SUCH_FILE);
    assert_int_equal(serve_place_send(p, p->server, &(struct serve_request){ .type = SFTP_OPEN, .a = beside, .flags = READ }), SFTP_NO_SUCH_FILE);
    assert_int_equal(serve_place_send(p, p->server, &(struct serve_request){ .type = SFTP_OPEN, .a = "./heads/./c//1", .flags = READ }), SFTP_OK);
}

// ---- bounds

static void test_holes(void **state)
{
    struct serve_place *p = *state;
    _cleanup_buf_ struct buf handle = { 0 };
    serve_place_open(p, p->server, "hole.part-1", PART, &handle);
    assert_int_equal(serve_place_on_handle(p, p->server, SFTP_WRITE, &handle, UINT64_C(1) << 62, "x"), SFTP_PERMISSION_DENIED);
    assert_int_equal(serve_place_on_handle(p, p->server, SFTP_WRITE, &handle, UINT64_MAX, "x"), SFTP_BAD_MESSAGE);
    assert_int_equal(serve_place_on_handle(p, p->server, SFTP_WRITE, &handle, INT64_MAX, "x"), SFTP_BAD_MESSAGE);
    assert_int_equal(serve_place_on_handle(p, p->server, SFTP_WRITE, &handle, 64 << 20, "x"), SFTP_OK); // another lane is ahead
    serve_place_run(p, "[ $(stat -c %s root/hole.part-1) = 67108865 ]");
}

static void test_handles_run_out(void **state)
{
    struct serve_place *p = *state;
    _cleanup_buf_ struct buf first = { 0 }, handle = { 0 };
    const struct serve_request q = { .type = SFTP_OPEN, .a = "bkd-repository", .flags = READ };
    serve_place_open(p, p->server, "bkd-repository", READ, &first);
    unsigned n = 1;
    while (n < 1000 && serve_place_send(p, p->server, &q) == SFTP_OK)
        n++;
    assert_int_equal(n, 64);
    assert_int_equal(serve_place_send(p, p->server, &(struct serve_request){ .type = SFTP_OPENDIR, .a = "/" }), SFTP_FAILURE);
    assert_int_equal(serve_place_on_handle(p, p->server, SFTP_CLOSE, &first, 0, NULL), SFTP_OK);
    serve_place_open(p, p->server, "bkd-repository", READ, &handle);
}

// A client that asks for 4000 times 255 KiB and takes nothing.
static void test_answers_stay_bounded(void **state)
{
    struct serve_place *p = *state;
    _cleanup_buf_ struct buf handle = { 0 }, requests = { 0 };
    struct error err;
    bool more;
    size_t answers = 0;
    serve_place_run(p, "head -c 300000 /dev/zero >root/large");
    serve_place_open(p, p->server, "large", READ, &handle);
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
    struct serve_place *p = *state;
    static const enum sftp_type types[] = { SFTP_OPEN, SFTP_OPENDIR, SFTP_STAT, SFTP_MKDIR, SFTP_REMOVE, SFTP_RENAME };
    _cleanup_free_ char *before = serve_place_listing(p);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        _cleanup_buf_ struct buf message = { 0 };
        size_t start = sftp_begin(&message, types[i], 7);
        sftp_put_string(&message, "bkd-repository\0.part-1", 22);
        sftp_put_u32(&message, types[i] == SFTP_OPEN ? WRITE : 0);
        sftp_put_u32(&message, 0);
        sftp_end(&message, start);
        p->refused = 0;
        assert_int_equal(serve_place_status(serve_place_ask(p, p->server, &message)), SFTP_PERMISSION_DENIED);
        assert_int_equal(p->refused, 1);
    }
    _cleanup_free_ char *after = serve_place_listing(p);
    assert_string_equal(before, after);
}

static void test_long_paths(void **state)
{
    struct serve_place *p = *state;
    _cleanup_buf_ struct buf path = { 0 };
    while (path.len < 5000)
        buf_add_str(&path, "a/");
    assert_int_equal(serve_place_send(p, p->server, &(struct serve_request){ .type = SFTP_STAT, .a = buf_str(&path) }), SFTP_PERMISSION_DENIED);
    path.data[4001] = '\0';
    assert_int_equal(serve_place_send(p, p->server, &(struct serve_request){ .type = SFTP_STAT, .a = buf_str(&path) }), SFTP_NO_SUCH_FILE);
}

static void test_listing_of_any_bytes(void **state)
{
    struct serve_place *p = *state;
    _cleanup_buf_ struct buf handle = { 0 }, message = { 0 };
    const uint8_t *bytes;
    size_t n;
    uint32_t count;
    serve_place_run(p, "mkdir root/odd && touch \"$(printf 'root/odd/\\377\\033[2J\\nx')\"");
    serve_place_build(&(struct serve_request){ .type = SFTP_OPENDIR, .a = "odd" }, &message);
    struct sftp_message m = serve_place_ask(p, p->server, &message);
    assert_true(sftp_get_string(&m.body, &bytes, &n));
    buf_add(&handle, bytes, n);
    buf_reset(&message);
    size_t start = sftp_begin(&message, SFTP_READDIR, 7);
    sftp_put_string(&message, handle.data, handle.len);
    sftp_end(&message, start);
    m = serve_place_ask(p, p->server, &message);
    assert_int_equal(m.type, SFTP_NAME);
    assert_true(sftp_get_u32(&m.body, &count) && sftp_get_string(&m.body, &bytes, &n));
    assert_int_equal(count, 1);
    assert_int_equal(n, 7);
    assert_memory_equal(bytes, "\377\033[2J\nx", 7);
    assert_int_equal(serve_place_status(serve_place_ask(p, p->server, &message)), SFTP_EOF);
}

static void test_hash(void **state)
{
    struct serve_place *p = *state;
    _cleanup_buf_ struct buf message = { 0 };
    uint8_t digest[CRYPTO_SHA256_SIZE];
    const uint8_t *text;
    size_t n;
    serve_place_build(&(struct serve_request){ .type = SFTP_EXTENDED, .a = "heads/c/1", .b = "check-file-name" }, &message);
    struct sftp_message m = serve_place_ask(p, p->server, &message);
    assert_int_equal(m.type, SFTP_EXTENDED_REPLY);
    assert_true(sftp_get_string(&m.body, &text, &n) && n == 10 && memcmp(text, "check-file", n) == 0);
    assert_true(sftp_get_string(&m.body, &text, &n) && n == 6 && memcmp(text, "sha256", n) == 0);
    crypto_sha256("head\n", 5, digest);
    assert_int_equal(cursor_left(&m.body), sizeof digest);
    assert_memory_equal(m.body.at, digest, sizeof digest);
}

static void test_no_sftp(void **state)
{
    struct serve_place *p = *state;
    struct error err;
    bool more;
    assert_int_equal(sftp_server_feed(p->server, "SSH-2.0-OpenSSH\r\n", 17, &p->out, &more, &err), ERROR_FORMAT);
    struct sftp_server *fresh = sftp_server_new(io_real(), &p->grow, serve_place_note_refused, p);
    static const uint8_t stat[] = { 0, 0, 0, 10, SFTP_STAT, 0, 0, 0, 1, 0, 0, 0, 1, '/' };
    assert_int_equal(sftp_server_feed(fresh, stat, sizeof stat, &p->out, &more, &err), ERROR_FORMAT); // without a greeting
    sftp_server_free(fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused, serve_place_setup, serve_place_teardown),
        cmocka_unit_test_setup_teardown(test_realpath, serve_place_setup, serve_place_teardown),
        cmocka_unit_test_setup_teardown(test_own_path, serve_place_setup, serve_place_teardown),
        cmocka_unit_test_setup_teardown(test_holes, serve_place_setup, serve_place_teardown),
        cmocka_unit_test_setup_teardown(test_handles_run_out, serve_place_setup, serve_place_teardown),
        cmocka_unit_test_setup_teardown(test_answers_stay_bounded, serve_place_setup, serve_place_teardown),
        cmocka_unit_test_setup_teardown(test_names_with_nul, serve_place_setup, serve_place_teardown),
        cmocka_unit_test_setup_teardown(test_long_paths, serve_place_setup, serve_place_teardown),
        cmocka_unit_test_setup_teardown(test_listing_of_any_bytes, serve_place_setup, serve_place_teardown),
        cmocka_unit_test_setup_teardown(test_hash, serve_place_setup, serve_place_teardown),
        cmocka_unit_test_setup_teardown(test_no_sftp, serve_place_setup, serve_place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
