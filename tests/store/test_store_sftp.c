// The store on an SFTP server beyond the contract: lines that break anywhere, poor servers, large files through several lanes.
#include "tests/store/far_place.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/crypto.h"
#include "bkd/store/pace.h"
#include "bkd/store/sftp_client.h"

// So slow that what is left is long enough for further lanes on the fastest machine; a busy one that comes late does not make up for it.
static void slow_down(struct pace *bucket, const char *bandwidth, struct sftp_pace *ret_pace)
{
    struct bandwidth rate;
    struct error err;
    OK(bandwidth_parse(bandwidth, &rate, &err));
    pace_init(bucket, io_real(), &rate);
    *ret_pace = (struct sftp_pace){ pace_may_send, bucket };
}

static void test_large_file_through_lanes(void **state)
{
    struct far_place *p = *state;
    struct error err;
    enum { SIZE = (20 << 20) + 12345 };
    uint8_t *data = far_place_pattern(SIZE), *back = xmalloc(SIZE);
    int fd;
    _cleanup_free_ char *name = NULL;
    struct pace bucket;
    struct sftp_pace pace;
    slow_down(&bucket, "10MiB/s", &pace);
    struct store_connector connector = sftp_server_connector(&p->server);
    connector.pace = &pace;
    OK(store_sftp_open(io_real(), "sftp://test", p->dir, false, &connector, &p->store, &err));
    OK(far_place_spool(p->store, data, SIZE, &fd, &name, &err));
    OK(p->store->ops->put_spool(p->store, "objects/ab/big", fd, name, &err));
    assert_in_range(p->server.started, 2, 3); // a near server gets two lanes; one that is slow, as on a busy machine, the usual four but one, which the next file has
    OK(p->store->ops->get(p->store, "objects/ab/big", 0, back, SIZE, &err));
    assert_memory_equal(data, back, SIZE);
    OK(p->store->ops->get(p->store, "objects/ab/big", SIZE - 100, back, 100, &err));
    assert_memory_equal(data + SIZE - 100, back, 100);
    assert_int_equal(p->store->ops->get(p->store, "objects/ab/big", SIZE - 100, back, 101, &err), ERROR_INTEGRITY);
    OK(p->store->ops->get(p->store, "objects/ab/big", 7, back, 1, &err)); // the lane is in order after that
    assert_int_equal(back[0], data[7]);
    free(data);
    free(back);
}

// Where a second connection is refused the first does it all.
static void test_single_connection(void **state)
{
    struct far_place *p = *state;
    struct error err;
    enum { SIZE = 9 << 20 };
    uint8_t *data = far_place_pattern(SIZE);
    int fd;
    uint64_t size;
    _cleanup_free_ char *name = NULL;
    p->server.refuse_after = 1;
    OK(far_place_open(p, &err));
    OK(far_place_spool(p->store, data, SIZE, &fd, &name, &err));
    OK(p->store->ops->put_spool(p->store, "big", fd, name, &err));
    OK(p->store->ops->size(p->store, "big", &size, &err));
    assert_int_equal(size, SIZE);
    free(data);
}

struct writer {
    struct store *store;
    const char *name;
    const uint8_t *data;
    size_t n;
    int result;
};

static void *write_one(void *arg)
{
    struct writer *w = arg;
    struct error err;
    int fd;
    _cleanup_free_ char *name = NULL;
    w->result = far_place_spool(w->store, w->data, w->n, &fd, &name, &err);
    if (w->result == 0)
        w->result = w->store->ops->put_spool(w->store, w->name, fd, name, &err);
    return NULL;
}

// Two at a time, as objects of a first backup are: the second finds a lane of its own, and both are whole.
static void test_two_side_by_side(void **state)
{
    struct far_place *p = *state;
    struct error err;
    enum { SIZE = 12 << 20 };
    uint8_t *data = far_place_pattern(SIZE), *back = xmalloc(SIZE);
    struct pace bucket;
    struct sftp_pace pace;
    slow_down(&bucket, "40MiB/s", &pace);
    struct store_connector connector = sftp_server_connector(&p->server);
    struct writer writers[2];
    pthread_t threads[2];
    connector.pace = &pace;
    OK(store_sftp_open(io_real(), "sftp://test", p->dir, false, &connector, &p->store, &err));
    for (size_t i = 0; i < 2; i++) {
        writers[i] = (struct writer){ p->store, i == 0 ? "objects/ab/a" : "objects/cd/b", data + i, SIZE - i, -1 };
        assert_int_equal(pthread_create(&threads[i], NULL, write_one, &writers[i]), 0);
    }
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(writers[i].result, 0);
        OK(p->store->ops->get(p->store, writers[i].name, 0, back, SIZE - i, &err));
        assert_memory_equal(back, data + i, SIZE - i);
    }
    assert_in_range(p->server.started, 2, 4);
    assert_int_equal(far_place_files_below(p->dir), 2);
    free(data);
    free(back);
}

// Connections that joined break in the middle, as the first one does: it is sent anew, and in the end over one line, which breaks less often.
static void test_joined_connections_break(void **state)
{
    struct far_place *p = *state;
    struct error err;
    enum { SIZE = 16 << 20 };
    uint8_t *data = far_place_pattern(SIZE), *back = xmalloc(SIZE);
    for (unsigned cuts = 1; cuts <= 4; cuts++) {
        struct pace bucket;
        struct sftp_pace pace;
        slow_down(&bucket, "40MiB/s", &pace);
        p->server = (struct sftp_server){ .cut_after = 5 << 20, .cuts = cuts };
        struct store_connector connector = sftp_server_connector(&p->server);
        connector.pace = &pace;
        connector.back_off_ms = 1;
        int fd;
        _cleanup_free_ char *spooled = NULL, *name = xasprintf("objects/ab/%u", cuts);
        struct store *s = NULL;
        OK(store_sftp_open(io_real(), "sftp://test", p->dir, false, &connector, &s, &err));
        OK(far_place_spool(s, data, SIZE, &fd, &spooled, &err));
        OK(s->ops->put_spool(s, name, fd, spooled, &err));
        OK(s->ops->get(s, name, 0, back, SIZE, &err));
        assert_memory_equal(data, back, SIZE);
        store_close(s);
        assert_int_equal(far_place_files_below(p->dir), cuts); // no part is left
    }
    free(data);
    free(back);
}

// So it does where two write: the one that gets no connection waits for that of the other, and nobody asks the server again and again.
static void test_single_connection_of_two(void **state)
{
    struct far_place *p = *state;
    struct error err;
    enum { SIZE = 9 << 20 };
    uint8_t *data = far_place_pattern(SIZE);
    struct writer writers[] = { { .name = "a" }, { .name = "b" }, { .name = "c" } };
    pthread_t threads[3];
    p->server.refuse_after = 1;
    OK(far_place_open(p, &err));
    for (size_t i = 0; i < 3; i++) {
        writers[i] = (struct writer){ p->store, writers[i].name, data, SIZE, -1 };
        assert_int_equal(pthread_create(&threads[i], NULL, write_one, &writers[i]), 0);
    }
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(writers[i].result, 0);
    assert_int_equal(far_place_files_below(p->dir), 3);
    assert_in_range(p->server.started, 2, 4); // the usual number of lanes, each tried once
    free(data);
}

// The line breaks after every number of bytes once: the put ends well all the same, whole, and nothing else is left.
static void test_cut_anywhere(void **state)
{
    struct far_place *p = *state;
    struct error err;
    static const char text[] = "a head, say, of a few bytes";
    unsigned cuts = 0;
    for (uint64_t at = 1;; at += 7) {
        p->server = (struct sftp_server){ .cut_after = at, .cuts = 1 };
        char name[32];
        (void)snprintf(name, sizeof name, "heads/aa/%u", (unsigned)at);
        OK(far_place_open(p, &err));
        OK(p->store->ops->put(p->store, name, text, sizeof text, &err));
        _cleanup_buf_ struct buf back = { 0 };
        OK(store_get_all(p->store, name, 1000, &back, &err));
        assert_memory_equal(back.data, text, sizeof text);
        assert_int_equal(p->store->ops->put(p->store, name, "other", 5, &err), ERROR_EXISTS);
        if (p->server.started == 1)
            break;
        cuts++;
        assert_int_equal(far_place_files_below(p->dir), cuts); // no part is left
    }
    assert_true(cuts > 60);
    print_message("cut at %u places\n", cuts);
}

static void test_given_up(void **state)
{
    struct far_place *p = *state;
    struct error err;
    OK(far_place_open(p, &err));
    store_close(p->store);
    p->store = NULL;
    p->server = (struct sftp_server){ .cut_after = 100, .cuts = 1000 };
    assert_int_equal(far_place_open(p, &err), ERROR_UNREACHABLE);
    assert_non_null(strstr(err.text, "given up"));
}

// Without extensions, as many servers are.
static void test_poor_server(void **state)
{
    struct far_place *p = *state;
    struct error err;
    p->server.denied = "posix-rename,hardlink,fsync,statvfs,fstatvfs,lsetstat,limits,setstat,fsetstat,symlink,readlink,realpath";
    OK(far_place_open(p, &err));
    OK(p->store->ops->put(p->store, "refs/x", "text", 4, &err));
    assert_int_equal(p->store->ops->put(p->store, "refs/x", "next", 4, &err), ERROR_EXISTS);
    assert_int_equal(far_place_files_below(p->dir), 1);
    p->server.denied = "write";
    OK(far_place_open(p, &err));
    assert_int_equal(p->store->ops->put(p->store, "refs/y", "text", 4, &err), ERROR_FAILED);
    assert_non_null(strstr(err.text, "ermission"));
}

static void test_modes(void **state)
{
    struct far_place *p = *state;
    struct error err;
    struct stat st;
    char path[64];
    OK(far_place_open(p, &err));
    OK(p->store->ops->put(p->store, "objects/ab/x", "x", 1, &err));
    (void)snprintf(path, sizeof path, "%s/objects/ab/x", p->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    (void)snprintf(path, sizeof path, "%s/objects", p->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

static void test_root(void **state)
{
    struct far_place *p = *state;
    struct error err;
    char root[64];
    struct store *s = NULL;
    struct store_connector connector = sftp_server_connector(&p->server);
    (void)snprintf(root, sizeof root, "%s/a/b", p->dir);
    assert_int_equal(store_sftp_open(io_real(), "sftp://test", root, false, &connector, &s, &err), ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, root));
    OK(store_sftp_open(io_real(), "sftp://test", root, true, &connector, &s, &err));
    OK(s->ops->put(s, "x", "x", 1, &err));
    store_close(s);
}

int main(void)
{
    if (!sftp_server_is_there()) {
        print_message("openssh-sftp-server is not installed\n");
        return 77;
    }
#define TEST(name) cmocka_unit_test_setup_teardown(name, far_place_setup, far_place_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_large_file_through_lanes), TEST(test_two_side_by_side), TEST(test_single_connection), TEST(test_joined_connections_break), TEST(test_single_connection_of_two),
        TEST(test_cut_anywhere), TEST(test_given_up), TEST(test_poor_server), TEST(test_modes),
        TEST(test_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
