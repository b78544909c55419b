// The store on an SFTP server that is full: said so, however much room its own failed writes leave behind, and never of one that only may not be written to.
#include "tests/store/far_place.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "bkd/store/sftp_client.h"

enum { MIB = 1 << 20, ROOM = 8 * MIB, OBJECT = 5 * MIB, SENT = 3 * MIB };

// Its own file system of ROOM bytes; false: it cannot be mounted here.
static bool mount_room(const struct far_place *p) { return mount("none", p->dir, "tmpfs", 0, "size=8m") == 0; }

static int teardown(void **state)
{
    struct far_place *p = *state;
    store_close(p->store);
    p->store = NULL;
    (void)umount2(p->dir, MNT_DETACH);
    return far_place_teardown(state);
}

static uint64_t free_there(const struct far_place *p)
{
    struct statvfs st;
    assert_int_equal(statvfs(p->dir, &st), 0);
    return (uint64_t)st.f_frsize * st.f_bavail;
}

// Takes all room but so many bytes; less where others take some meanwhile.
static void fill(const struct far_place *p, uint64_t leave)
{
    char path[64];
    uint64_t n = free_there(p) - leave;
    (void)snprintf(path, sizeof path, "%s/filler", p->dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (uint64_t i = 0; i < n && fwrite((char[4096]){ 0 }, 4096, 1, f) == 1; i += 4096)
        ;
    (void)fclose(f);
}

// Two writers: none begins before both have a connection, which one alone would join to its own; each is held when it has sent SENT bytes, or a little less; and none
// asks why it failed before both have.
struct crowd {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct store_connector inner;
    unsigned writers; // that have a connection
    unsigned held;    // that have sent what they may
    uint64_t sent;    // by both
    bool open;        // they are not held any more
    unsigned asking;  // since then
};

static _Thread_local bool is_counted, is_held;
static _Thread_local size_t sent;

static size_t may_send(void *arg, size_t wanted)
{
    struct crowd *c = arg;
    pthread_mutex_lock(&c->lock);
    c->writers += !is_counted;
    is_counted = true;
    bool has_to_wait = c->writers < 2;
    if (!has_to_wait && !c->open && sent + wanted > SENT) {
        has_to_wait = true;
        c->held += !is_held;
        is_held = true;
    }
    c->sent += has_to_wait ? 0 : wanted;
    pthread_mutex_unlock(&c->lock);
    sent += has_to_wait ? 0 : wanted;
    return has_to_wait ? 0 : wanted;
}

// All that was sent so far has been written: nothing is on its way that could fail before the other one does.
static bool both_are_held(const struct far_place *p, struct crowd *c)
{
    pthread_mutex_lock(&c->lock);
    bool are_held = c->held == 2 && ROOM - free_there(p) >= c->sent;
    pthread_mutex_unlock(&c->lock);
    return are_held;
}

static int connect_together(void *arg, struct sftp_client **ret_client, struct error *err)
{
    struct crowd *c = arg;
    pthread_mutex_lock(&c->lock);
    if (c->open) {
        c->asking++;
        pthread_cond_broadcast(&c->changed);
    }
    while (c->open && c->asking < 2)
        pthread_cond_wait(&c->changed, &c->lock);
    pthread_mutex_unlock(&c->lock);
    return c->inner.connect(c->inner.arg, ret_client, err);
}

struct writer {
    struct store *store;
    const char *name;
    const uint8_t *data;
    int result;
    struct error err;
};

static void *write_one(void *arg)
{
    struct writer *w = arg;
    int fd;
    _cleanup_free_ char *name = NULL;
    w->result = far_place_spool(w->store, w->data, OBJECT, &fd, &name, &w->err);
    if (w->result == 0)
        w->result = w->store->ops->put_spool(w->store, w->name, fd, name, &w->err);
    return NULL;
}

// What the one leaves when it gives up is no room that the other had.
static void test_two_side_by_side(void **state)
{
    struct far_place *p = *state;
    struct error err;
    struct writer writers[2];
    pthread_t threads[2];
    if (!mount_room(p))
        skip();
    uint8_t *data = far_place_pattern(OBJECT);
    struct crowd crowd = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .inner = sftp_server_connector(&p->server) };
    const struct sftp_pace pace = { may_send, &crowd };
    const struct store_connector connector = { .connect = connect_together, .arg = &crowd, .pace = &pace, .lanes = 2 };
    OK(store_sftp_open(io_real(), "sftp://test", p->dir, false, &connector, &p->store, &err));
    for (size_t i = 0; i < 2; i++) {
        writers[i] = (struct writer){ .store = p->store, .name = i == 0 ? "objects/ab/a" : "objects/cd/b", .data = data };
        assert_int_equal(pthread_create(&threads[i], NULL, write_one, &writers[i]), 0);
    }
    for (unsigned i = 0; i < 6000 && !both_are_held(p, &crowd); i++)
        (void)usleep(10000);
    assert_true(both_are_held(p, &crowd));
    fill(p, 0);
    pthread_mutex_lock(&crowd.lock);
    crowd.open = true;
    pthread_mutex_unlock(&crowd.lock);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(writers[i].result, ERROR_NO_SPACE);
        assert_non_null(strstr(writers[i].err.text, "the server has no room for 'objects/"));
        assert_non_null(strstr(writers[i].err.text, "5.0 MiB are needed"));
    }
    assert_int_equal(far_place_files_below(p->dir), 1); // the filler
    assert_true(free_there(p) > OBJECT);
    free(data);
}

// Nor is what many small files leave when one of them finds no room.
static void test_many_small(void **state)
{
    struct far_place *p = *state;
    struct error err;
    enum { N = 20, SIZE = 8192 };
    struct store_put puts[N];
    if (!mount_room(p))
        skip();
    uint8_t *data = far_place_pattern(SIZE);
    OK(far_place_open(p, &err));
    OK(p->store->ops->put(p->store, "objects/first", data, SIZE, &err));
    fill(p, N / 2 * SIZE);
    for (unsigned i = 0; i < N; i++)
        puts[i] = (struct store_put){ .name = xasprintf("objects/%u", i), .data = data, .n = SIZE };
    assert_int_equal(store_put_many(p->store, puts, N, &err), ERROR_NO_SPACE);
    assert_non_null(strstr(err.text, "the server has no room"));
    assert_int_equal(far_place_files_below(p->dir), 2);
    OK(store_put_many(p->store, puts, N / 4, &err));
    for (unsigned i = 0; i < N; i++)
        free((char *)(uintptr_t)puts[i].name);
    free(data);
}

// "failure" is all that a server says of a mount that is read-only.
static void test_not_writable(void **state)
{
    struct far_place *p = *state;
    struct error err;
    int fd;
    _cleanup_free_ char *name = NULL;
    if (!mount_room(p))
        skip();
    uint8_t *data = far_place_pattern(OBJECT);
    OK(far_place_open(p, &err));
    OK(p->store->ops->put(p->store, "objects/first", data, 1, &err));
    OK(far_place_spool(p->store, data, OBJECT, &fd, &name, &err));
    assert_int_equal(mount("none", p->dir, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=8m"), 0);
    assert_int_equal(p->store->ops->put_spool(p->store, "objects/big", fd, name, &err), ERROR_FAILED);
    assert_non_null(strstr(err.text, "Can the account write there"));
    assert_int_equal(p->store->ops->put(p->store, "objects/small", data, 100, &err), ERROR_FAILED);
    assert_non_null(strstr(err.text, "Can the account write there"));
    free(data);
}

int main(void)
{
    if (!sftp_server_is_there()) {
        print_message("openssh-sftp-server is not installed\n");
        return 77;
    }
#define TEST(name) cmocka_unit_test_setup_teardown(name, far_place_setup, teardown)
    const struct CMUnitTest tests[] = { TEST(test_two_side_by_side), TEST(test_many_small), TEST(test_not_writable) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
