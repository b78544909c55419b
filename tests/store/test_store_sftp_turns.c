// How many round trips the store on an SFTP server takes for many small things, and what becomes of them when the line breaks or the server lies.
#include "tests/store/far_place.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/store/sftp_client.h"

static void make_files(struct far_place *p, unsigned dirs, unsigned files, size_t size)
{
    char command[256];
    (void)snprintf(command, sizeof command,
                   "cd '%s' && for d in $(seq %u); do mkdir -p \"many/$d\"; for f in $(seq %u); do head -c %zu /dev/zero | tr '\\0' x >\"many/$d/$f\"; done; done", p->dir,
                   dirs, files, size);
    assert_int_equal(system(command), 0);
}

struct tally {
    unsigned n, missing;
    uint64_t bytes;
};

static int tally_entry(void *arg, const char *name, uint64_t size, struct error *err)
{
    struct tally *t = arg;
    (void)name, (void)err;
    t->n++;
    t->bytes += size;
    return 0;
}

static int tally_found(void *arg, size_t index, const struct store_found *found, struct error *err)
{
    struct tally *t = arg;
    (void)index, (void)err;
    t->n++;
    t->missing += found->result == ERROR_NOT_FOUND;
    for (size_t i = 0; found->result == 0 && found->data != NULL && i < found->size; i++)
        assert_int_equal(((const uint8_t *)found->data)[i], 'x');
    t->bytes += found->result == 0 ? found->size : 0;
    return 0;
}

static unsigned turns_of(struct far_place *p, unsigned before) { return p->server.turns - before; }

// A directory costs no round trip of its own.
static void test_turns_of_listing(void **state)
{
    struct far_place *p = *state;
    struct error err;
    struct tally t = { 0 };
    p->server.count = true;
    make_files(p, 100, 3, 10);
    OK(far_place_open(p, &err));
    unsigned before = p->server.turns;
    OK(p->store->ops->list(p->store, "many", tally_entry, &t, &err));
    assert_int_equal(t.n, 300);
    assert_int_equal(t.bytes, 3000);
    print_message("100 directories: %u round trips\n", turns_of(p, before));
    assert_true(turns_of(p, before) <= 10);
}

static void test_turns_of_many(void **state)
{
    struct far_place *p = *state;
    struct error err;
    enum { N = 400 };
    char *names[N + 1];
    p->server.count = true;
    make_files(p, 20, 20, 2000);
    for (unsigned i = 0; i < N; i++)
        names[i] = xasprintf("many/%u/%u", i / 20 + 1, i % 20 + 1);
    names[N] = xstrdup("many/1/none");
    OK(far_place_open(p, &err));
    struct tally sizes = { 0 }, whole = { 0 };
    struct store_many many = { .names = (const char *const *)names, .n = N + 1, .visit = tally_found, .arg = &sizes };
    unsigned before = p->server.turns;
    OK(store_get_many(p->store, &many, &err));
    print_message("401 sizes: %u round trips\n", turns_of(p, before));
    assert_true(turns_of(p, before) <= 8);
    assert_int_equal(sizes.n, N + 1);
    assert_int_equal(sizes.missing, 1);
    assert_int_equal(sizes.bytes, N * 2000);
    many.max = 4000;
    many.arg = &whole;
    before = p->server.turns;
    OK(store_get_many(p->store, &many, &err));
    print_message("401 files: %u round trips\n", turns_of(p, before));
    assert_true(turns_of(p, before) <= 20);
    assert_int_equal(whole.n, N + 1);
    assert_int_equal(whole.missing, 1);
    assert_int_equal(whole.bytes, N * 2000);
    _cleanup_buf_ struct buf one = { 0 };
    before = p->server.turns;
    OK(store_get_all(p->store, names[0], 4000, &one, &err));
    assert_int_equal(one.len, 2000);
    assert_int_equal(turns_of(p, before), 2); // open; size and content
    assert_int_equal(store_get_all(p->store, names[0], 1999, &one, &err), ERROR_FORMAT);
    assert_int_equal(store_get_all(p->store, names[N], 1999, &one, &err), ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, "sftp://test"));
    for (unsigned i = 0; i <= N; i++)
        free(names[i]);
}

// A night's small files: two new directories, a head that waits for all before it.
static void test_turns_of_puts(void **state)
{
    struct far_place *p = *state;
    struct error err;
    enum { N = 60 };
    struct store_put puts[N];
    struct tally t = { 0 };
    uint8_t *data = far_place_pattern(20000);
    p->server.count = true;
    OK(far_place_open(p, &err));
    for (unsigned i = 0; i < N; i++)
        puts[i] = (struct store_put){ .name = xasprintf("objects/%u/%u", i % 2, i), .data = data, .n = 20000 };
    puts[N - 1].last = true;
    unsigned before = p->server.turns;
    OK(store_put_many(p->store, puts, N, &err));
    print_message("60 new files: %u round trips\n", turns_of(p, before));
    assert_true(turns_of(p, before) <= 6);
    OK(p->store->ops->list(p->store, "objects", tally_entry, &t, &err));
    assert_int_equal(t.n, N);
    assert_int_equal(t.bytes, N * 20000);
    before = p->server.turns;
    OK(p->store->ops->put(p->store, "objects/0/one", data, 20000, &err));
    assert_int_equal(turns_of(p, before), 3);
    for (unsigned i = 0; i < N; i++)
        free((char *)(uintptr_t)puts[i].name);
    free(data);
}

// Beginnings and ends of many files: one round trip opens them, one reads. What is not there, or not so long, is told part by part.
static void test_turns_of_parts(void **state)
{
    struct far_place *p = *state;
    struct error err;
    enum { N = 32 };
    struct store_part parts[N];
    uint8_t buffer[N][300];
    p->server.count = true;
    make_files(p, 4, 8, 1000);
    OK(far_place_open(p, &err));
    for (unsigned i = 0; i < N; i++)
        parts[i] = (struct store_part){ .name = xasprintf("many/%u/%u", i / 8 + 1, i % 4 + 1), .offset = i % 8 < 4 ? 0 : 700, .n = 300, .data = buffer[i] };
    parts[3].offset = 701; // a byte too many
    free((char *)(uintptr_t)parts[9].name);
    parts[9].name = xstrdup("many/none");
    unsigned before = p->server.turns;
    OK(p->store->ops->get_parts(p->store, parts, N, &err));
    print_message("32 parts of 17 files: %u round trips\n", turns_of(p, before));
    assert_true(turns_of(p, before) <= 2);
    for (unsigned i = 0; i < N; i++) {
        uint8_t back[300];
        assert_int_equal(parts[i].read, i != 3 && i != 9);
        if (parts[i].read)
            OK(p->store->ops->get(p->store, parts[i].name, parts[i].offset, back, 300, &err));
        assert_true(!parts[i].read || memcmp(back, buffer[i], 300) == 0);
        free((char *)(uintptr_t)parts[i].name);
    }
}

// The line breaks once anywhere: all are there once, whole, and the last one never before the others.
static void test_puts_over_broken_line(void **state)
{
    struct far_place *p = *state;
    struct error err;
    enum { N = 8 };
    uint8_t *data = far_place_pattern(3000);
    for (uint64_t at = 300; at < 30000; at += 997) {
        struct store_put puts[N];
        struct tally t = { 0 };
        _cleanup_free_ char *dir = xasprintf("%llu", (unsigned long long)at);
        p->server = (struct sftp_server){ .cut_after = at, .cuts = 1 };
        OK(far_place_open(p, &err));
        for (unsigned i = 0; i < N; i++)
            puts[i] = (struct store_put){ .name = xasprintf("%s/%u", dir, i), .data = data, .n = 1000 + i, .last = i == N - 1 };
        OK(store_put_many(p->store, puts, N, &err));
        OK(p->store->ops->list(p->store, dir, tally_entry, &t, &err));
        assert_int_equal(t.n, N);
        assert_int_equal(t.bytes, N * 1000 + 28);
        for (unsigned i = 0; i < N; i++) {
            assert_int_equal(puts[i].result, 0); // not taken for somebody else's
            free((char *)(uintptr_t)puts[i].name);
        }
        assert_int_equal(far_place_files_below(p->dir), N); // no part is left
        _cleanup_free_ char *path = xasprintf("%s/%s", p->dir, dir);
        OK(fs_remove_tree(io_real(), AT_FDCWD, path, &err));
    }
    free(data);
}

// What lies together costs one round trip, and stays exact at the end of the file.
static void test_turns_of_small_reads(void **state)
{
    struct far_place *p = *state;
    struct error err;
    enum { SIZE = 300000 };
    uint8_t *data = far_place_pattern(SIZE), back[5000];
    p->server.count = true;
    OK(far_place_open(p, &err));
    OK(p->store->ops->put(p->store, "objects/x", data, SIZE, &err));
    unsigned before = p->server.turns;
    for (size_t at = 0; at < 100000; at += 5000) {
        OK(p->store->ops->get(p->store, "objects/x", at, back, sizeof back, &err));
        assert_memory_equal(back, data + at, sizeof back);
    }
    print_message("20 reads: %u round trips\n", turns_of(p, before));
    assert_true(turns_of(p, before) <= 2);
    OK(p->store->ops->get(p->store, "objects/x", SIZE - 5000, back, 5000, &err));
    assert_memory_equal(back, data + SIZE - 5000, 5000);
    OK(p->store->ops->get(p->store, "objects/x", SIZE - 10, back, 10, &err));
    assert_memory_equal(back, data + SIZE - 10, 10);
    assert_int_equal(p->store->ops->get(p->store, "objects/x", SIZE - 10, back, 11, &err), ERROR_INTEGRITY);
    OK(p->store->ops->get(p->store, "objects/x", 5, back, 10, &err));
    assert_memory_equal(back, data + 5, 10);
    free(data);
}

// Whatever a server says instead of the truth: what comes back is right, or an error. Nothing hangs, and what was stored stays.
static void test_server_that_lies(void **state)
{
    struct far_place *p = *state;
    struct error err;
    enum { SIZE = 100000 };
    uint8_t *data = far_place_pattern(SIZE), *back = xmalloc(SIZE);
    OK(far_place_open(p, &err));
    OK(p->store->ops->put(p->store, "objects/x", data, SIZE, &err));
    unsigned refused = 0;
    for (enum sftp_lie lie = SFTP_HONEST; lie < SFTP_LIES; lie++) {
        _cleanup_buf_ struct buf whole = { 0 };
        struct tally t = { 0 };
        char name[32];
        p->server = (struct sftp_server){ .lie = lie };
        if (far_place_open(p, &err) < 0) {
            refused++;
            continue;
        }
        struct store *s = p->store;
        int r = store_get_all(s, "objects/x", SIZE + 10, &whole, &err);
        if (r == 0) {
            assert_int_equal(whole.len, lie == SFTP_SMALLER_SIZE ? SIZE - 1 : SIZE); // a file cut short is what hashes are for
            assert_memory_equal(whole.data, data, whole.len);
        }
        assert_true(r == 0 || (lie != SFTP_HONEST && lie != SFTP_SHORT_DATA));
        refused += r < 0;
        if (s->ops->get(s, "objects/x", 1000, back, 70000, &err) == 0)
            assert_memory_equal(back, data + 1000, 70000);
        if (s->ops->get(s, "objects/x", SIZE - 50, back, 50, &err) == 0)
            assert_memory_equal(back, data + SIZE - 50, 50);
        (void)!s->ops->list(s, "", tally_entry, &t, &err);
        (void)snprintf(name, sizeof name, "heads/%u", (unsigned)lie);
        bool put = s->ops->put(s, name, data, 1000, &err) == 0;
        p->server.lie = SFTP_HONEST;
        OK(far_place_open(p, &err));
        _cleanup_buf_ struct buf kept = { 0 };
        if (put) { // said to be there: it is
            OK(store_get_all(p->store, name, 1000, &kept, &err));
            assert_memory_equal(kept.data, data, 1000);
        }
    }
    print_message("%u of %u lies were found out\n", refused, SFTP_LIES - 1u);
    assert_true(refused >= 9);
    free(data);
    free(back);
}

// Longer than one answer, and longer than the window.
static void test_whole_long_file(void **state)
{
    struct far_place *p = *state;
    struct error err;
    enum { SIZE = (5 << 20) + 123 };
    uint8_t *data = far_place_pattern(SIZE);
    int fd;
    _cleanup_free_ char *name = NULL;
    _cleanup_buf_ struct buf back = { 0 };
    OK(far_place_open(p, &err));
    OK(far_place_spool(p->store, data, SIZE, &fd, &name, &err));
    OK(p->store->ops->put_spool(p->store, "refs/long", fd, name, &err));
    OK(store_get_all(p->store, "refs/long", SIZE, &back, &err));
    assert_int_equal(back.len, SIZE);
    assert_memory_equal(back.data, data, SIZE);
    free(data);
}

// The line breaks once, anywhere in the middle of many: each name is answered exactly once all the same.
static void test_many_over_broken_line(void **state)
{
    struct far_place *p = *state;
    struct error err;
    enum { N = 90 };
    char *names[N];
    make_files(p, 3, 30, 700);
    for (unsigned i = 0; i < N; i++)
        names[i] = xasprintf("many/%u/%u", i / 30 + 1, i % 30 + 1);
    for (uint64_t at = 500; at < 90000; at += 7919) {
        struct tally whole = { 0 }, listed = { 0 };
        p->server = (struct sftp_server){ .cut_after = at, .cuts = 1 };
        OK(far_place_open(p, &err));
        struct store_many many = { .names = (const char *const *)names, .n = N, .max = 4000, .visit = tally_found, .arg = &whole };
        OK(store_get_many(p->store, &many, &err));
        assert_int_equal(whole.n, N);
        assert_int_equal(whole.bytes, N * 700);
        OK(p->store->ops->list(p->store, "", tally_entry, &listed, &err));
        assert_int_equal(listed.n, N);
    }
    for (unsigned i = 0; i < N; i++)
        free(names[i]);
}

int main(void)
{
    if (!sftp_server_is_there()) {
        print_message("openssh-sftp-server is not installed\n");
        return 77;
    }
#define TEST(name) cmocka_unit_test_setup_teardown(name, far_place_setup, far_place_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_turns_of_listing), TEST(test_turns_of_many), TEST(test_turns_of_puts), TEST(test_turns_of_parts),
        TEST(test_puts_over_broken_line), TEST(test_turns_of_small_reads), TEST(test_server_that_lies), TEST(test_whole_long_file),
        TEST(test_many_over_broken_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
