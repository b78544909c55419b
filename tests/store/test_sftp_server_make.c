// What clients add to a directory that only grows: parts that are renamed, as ours do, and files that get their names when they are closed, as `sftp` and
// `scp` put them. Whole or not at all, and nobody writes to them afterwards.
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "tests/store/serve_place.h"

static void test_growing(void **state)
{
    struct serve_place *p = *state;
    _cleanup_buf_ struct buf one = { 0 }, two = { 0 };
    assert_int_equal(serve_place_send(p, p->server, &(struct serve_request){ .type = SFTP_MKDIR, .a = "/objects/cd" }), SFTP_OK);
    serve_place_open(p, p->server, "/objects/cd/2.part-x", PART, &one);
    serve_place_open(p, p->other, "/objects/cd/2.part-x", WRITE, &two); // a second lane
    assert_int_equal(serve_place_on_handle(p, p->server, SFTP_WRITE, &one, 0, "first "), SFTP_OK);
    assert_int_equal(serve_place_on_handle(p, p->other, SFTP_WRITE, &two, 6, "second"), SFTP_OK);
    assert_int_equal(serve_place_on_handle(p, p->server, SFTP_EXTENDED, &one, 0, NULL), SFTP_OK);
    assert_int_equal(serve_place_on_handle(p, p->server, SFTP_FSETSTAT, &one, 0, NULL), SFTP_PERMISSION_DENIED);
    assert_int_equal(serve_place_rename(p, p->server, "/objects/cd/2.part-x", "/objects/cd/2"), SFTP_FAILURE); // both still write
    assert_int_equal(serve_place_on_handle(p, p->server, SFTP_CLOSE, &one, 0, NULL), SFTP_OK);
    assert_int_equal(serve_place_rename(p, p->server, "/objects/cd/2.part-x", "/objects/cd/2"), SFTP_FAILURE); // one still does
    assert_int_equal(serve_place_on_handle(p, p->other, SFTP_CLOSE, &two, 0, NULL), SFTP_OK);
    assert_int_equal(serve_place_rename(p, p->other, "/objects/cd/2.part-x", "/objects/cd/2"), SFTP_PERMISSION_DENIED); // it is not his
    assert_int_equal(serve_place_rename(p, p->server, "/objects/cd/2.part-x", "/bkd-repository"), SFTP_FAILURE);        // taken
    assert_int_equal(serve_place_rename(p, p->server, "/objects/cd/2.part-x", "../outside/2"), SFTP_PERMISSION_DENIED);
    assert_int_equal(serve_place_rename(p, p->server, "/objects/cd/2.part-x", "up/2"), SFTP_PERMISSION_DENIED);
    assert_int_equal(serve_place_rename(p, p->server, "/objects/cd/2.part-x", "/objects/cd/3.part-x"), SFTP_PERMISSION_DENIED);
    assert_int_equal(serve_place_rename(p, p->server, "/objects/cd/2.part-x", "/objects/cd/2"), SFTP_OK);
    assert_int_equal(serve_place_rename(p, p->server, "/objects/cd/2.part-x", "/objects/cd/3"), SFTP_PERMISSION_DENIED); // it is nobody's now
    assert_int_equal(serve_place_send(p, p->server, &(struct serve_request){ .type = SFTP_OPEN, .a = "/objects/cd/2", .flags = WRITE }), SFTP_PERMISSION_DENIED);
    serve_place_run(p, "[ \"$(cat root/objects/cd/2)\" = 'first second' ] && [ ! -e root/objects/cd/2.part-x ]");
}

// As `sftp`, `scp` and others put files: without renaming them. What they make has its name when it is whole, and not before.
static void test_making_without_rename(void **state)
{
    struct serve_place *p = *state;
    static const uint32_t flags[] = { WRITE | CREAT | EXCL, WRITE | CREAT | TRUNC, WRITE | CREAT, READ | WRITE | CREAT | TRUNC | EXCL };
    _cleanup_buf_ struct buf one = { 0 }, two = { 0 };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        _cleanup_free_ char *path = xasprintf("/heads/c/new-%zu", i), *look = xasprintf("[ ! -e root%s ]", path), *there = xasprintf("[ \"$(cat root%s)\" = whole ]", path);
        const struct serve_request again = { .type = SFTP_OPEN, .a = path, .flags = flags[i] }, ask_size = { .type = SFTP_STAT, .a = path };
        serve_place_open(p, p->server, path, flags[i], &one);
        assert_int_equal(serve_place_on_handle(p, p->server, SFTP_WRITE, &one, 0, "whole"), SFTP_OK);
        serve_place_run(p, look);
        assert_int_equal(serve_place_send(p, p->server, &ask_size), SFTP_NO_SUCH_FILE);
        assert_int_equal(serve_place_on_handle(p, p->server, SFTP_CLOSE, &one, 0, NULL), SFTP_OK);
        serve_place_run(p, there);
        assert_int_equal(serve_place_on_handle(p, p->server, SFTP_WRITE, &one, 0, "late"), SFTP_BAD_MESSAGE);
        assert_int_equal(serve_place_send(p, p->server, &again), SFTP_PERMISSION_DENIED);
        serve_place_run(p, there);
    }
    serve_place_open(p, p->server, "both", WRITE | CREAT, &one);
    serve_place_open(p, p->other, "both", WRITE | CREAT | EXCL, &two);
    assert_int_equal(serve_place_on_handle(p, p->other, SFTP_WRITE, &two, 0, "first"), SFTP_OK);
    assert_int_equal(serve_place_on_handle(p, p->other, SFTP_CLOSE, &two, 0, NULL), SFTP_OK);
    assert_int_equal(serve_place_on_handle(p, p->server, SFTP_CLOSE, &one, 0, NULL), SFTP_FAILURE); // taken meanwhile
    serve_place_open(p, p->server, "unfinished", WRITE | CREAT, &one);
    sftp_server_free(p->server);
    serve_place_run(p, "[ \"$(cat root/both)\" = first ] && [ ! -e root/unfinished ] &&"
           " [ -z \"$(find root -name 'both.part-*' -o -name 'new-*.part-*' -o -name 'unfinished.part-*')\" ]");
    p->server = serve_place_session(p);
}

// A part may also be called x.part; and whoever names it otherwise means the same file.
static void test_names_of_parts(void **state)
{
    struct serve_place *p = *state;
    _cleanup_buf_ struct buf handle = { 0 };
    serve_place_open(p, p->server, "heads/c/7.part", PART | TRUNC, &handle);
    assert_int_equal(serve_place_on_handle(p, p->server, SFTP_CLOSE, &handle, 0, NULL), SFTP_OK);
    assert_int_equal(serve_place_rename(p, p->server, "heads/c/7.part", "heads/c/8.part"), SFTP_PERMISSION_DENIED);
    assert_int_equal(serve_place_rename(p, p->server, "/heads/./c//7.part", "/heads/c/7"), SFTP_OK);
    assert_int_equal(serve_place_rename(p, p->server, "heads/c/7.part", "heads/c/9"), SFTP_PERMISSION_DENIED);
}

// A writer that opened the part before and was slow is not there when the part is published, whoever comes first.
static void test_handle_of_published(void **state)
{
    struct serve_place *p = *state;
    _cleanup_buf_ struct buf handle = { 0 };
    serve_place_open(p, p->server, "late.part-1", PART, &handle);
    assert_int_equal(serve_place_on_handle(p, p->server, SFTP_CLOSE, &handle, 0, NULL), SFTP_OK);
    assert_int_equal(serve_place_rename(p, p->server, "late.part-1", "late"), SFTP_OK);
    assert_int_equal(serve_place_on_handle(p, p->server, SFTP_WRITE, &handle, 0, "changed"), SFTP_BAD_MESSAGE);
    serve_place_open(p, p->server, "late", READ, &handle);
    assert_int_equal(serve_place_on_handle(p, p->server, SFTP_WRITE, &handle, 0, "changed"), SFTP_BAD_MESSAGE);
    assert_int_equal(serve_place_on_handle(p, p->server, SFTP_EXTENDED, &handle, 0, NULL), SFTP_BAD_MESSAGE);
}

static void test_parts_go_with_their_session(void **state)
{
    struct serve_place *p = *state;
    _cleanup_buf_ struct buf handle = { 0 };
    serve_place_open(p, p->server, "gone.part-1", PART, &handle);
    assert_int_equal(serve_place_on_handle(p, p->server, SFTP_WRITE, &handle, 0, "unfinished"), SFTP_OK);
    serve_place_run(p, "[ -e root/gone.part-1 ]");
    sftp_server_free(p->server);
    serve_place_run(p, "[ ! -e root/gone.part-1 ] && [ -e root/left.part-5 ]");
    p->server = serve_place_session(p);
}

static void test_parts_run_out(void **state)
{
    struct serve_place *p = *state;
    unsigned n = 0;
    for (; n < 5000; n++) {
        _cleanup_free_ char *name = xasprintf("many-%u.part-1", n);
        _cleanup_buf_ struct buf message = { 0 };
        serve_place_build(&(struct serve_request){ .type = SFTP_OPEN, .a = name, .flags = PART }, &message);
        struct sftp_message m = serve_place_ask(p, p->server, &message);
        if (m.type != SFTP_HANDLE)
            continue;
        struct buf handle = { 0 };
        const uint8_t *bytes;
        size_t length;
        assert_true(sftp_get_string(&m.body, &bytes, &length));
        buf_add(&handle, bytes, length);
        assert_int_equal(serve_place_on_handle(p, p->server, SFTP_CLOSE, &handle, 0, NULL), SFTP_OK);
        buf_done(&handle);
    }
    serve_place_run(p, "[ $(ls root | grep -c ^many) = 1024 ]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_growing, serve_place_setup, serve_place_teardown),
        cmocka_unit_test_setup_teardown(test_making_without_rename, serve_place_setup, serve_place_teardown),
        cmocka_unit_test_setup_teardown(test_names_of_parts, serve_place_setup, serve_place_teardown),
        cmocka_unit_test_setup_teardown(test_handle_of_published, serve_place_setup, serve_place_teardown),
        cmocka_unit_test_setup_teardown(test_parts_go_with_their_session, serve_place_setup, serve_place_teardown),
        cmocka_unit_test_setup_teardown(test_parts_run_out, serve_place_setup, serve_place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
