// The store on an SFTP server beyond the contract: lines that break anywhere, poor servers, large files through several lanes.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bkd/base/crypto.h"
#include "bkd/base/fs.h"
#include "bkd/repo/sftp_client.h"
#include "tests/support/sftp_server.h"

#define OK(call) do { if ((call) != 0) fail_msg("%s: %s", #call, err.text); } while (0)

struct place {
    char dir[32];
    struct sftp_server server;
    struct store *store;
};

static int setup(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    strcpy(p->dir, "/tmp/bkd-sftp-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    struct error err;
    store_close(p->store);
    OK(fs_remove_tree(io_real(), AT_FDCWD, p->dir, &err));
    free(p);
    return 0;
}

static int open_store(struct place *p, struct error *err)
{
    struct store_connector connector = sftp_server_connector(&p->server);
    store_close(p->store);
    p->store = NULL;
    return store_sftp_open(io_real(), "sftp://test", p->dir, false, &connector, &p->store, err);
}

static int spool(struct store *s, const void *data, size_t n, int *ret_fd, char **ret_name, struct error *err)
{
    int r = s->ops->spool_open(s, ret_fd, ret_name, err);
    return r < 0 ? r : io_write_all(io_real(), *ret_fd, data, n, "spool", err);
}

static uint8_t *pattern(size_t n)
{
    uint8_t *data = xmalloc(n);
    uint32_t x = 1;
    for (size_t i = 0; i < n; i++)
        data[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
    return data;
}

static unsigned files_below(const char *dir)
{
    char command[128];
    unsigned n = 0;
    (void)snprintf(command, sizeof command, "find '%s' -type f | wc -l", dir);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%u", &n), 1);
    (void)pclose(f);
    return n;
}

// Not more than so many bytes since the beginning: what is left is long enough for further lanes on the fastest machine.
struct trickle {
    uint64_t since_ns, sent;
};

static size_t trickle(void *arg, size_t wanted)
{
    struct trickle *t = arg;
    uint64_t rate = 40 << 20, may = (io_monotonic_ns(io_real()) - t->since_ns) / 1000 * rate / 1000000;
    if (t->sent + wanted > may)
        return 0;
    t->sent += wanted;
    return wanted;
}

static void test_large_file_through_lanes(void **state)
{
    struct place *p = *state;
    struct error err;
    enum { SIZE = (20 << 20) + 12345 };
    uint8_t *data = pattern(SIZE), *back = xmalloc(SIZE);
    int fd;
    _cleanup_free_ char *name = NULL;
    struct trickle slow = { .since_ns = io_monotonic_ns(io_real()) };
    struct sftp_pace pace = { trickle, &slow };
    struct store_connector connector = sftp_server_connector(&p->server);
    connector.pace = &pace;
    OK(store_sftp_open(io_real(), "sftp://test", p->dir, false, &connector, &p->store, &err));
    OK(spool(p->store, data, SIZE, &fd, &name, &err));
    OK(p->store->ops->put_spool(p->store, "objects/ab/big", fd, name, &err));
    assert_in_range(p->server.started, 2, 4); // a near server gets two lanes, one that is slow, as on a busy machine, the usual four
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
    struct place *p = *state;
    struct error err;
    enum { SIZE = 9 << 20 };
    uint8_t *data = pattern(SIZE);
    int fd;
    uint64_t size;
    _cleanup_free_ char *name = NULL;
    p->server.refuse_after = 1;
    OK(open_store(p, &err));
    OK(spool(p->store, data, SIZE, &fd, &name, &err));
    OK(p->store->ops->put_spool(p->store, "big", fd, name, &err));
    OK(p->store->ops->size(p->store, "big", &size, &err));
    assert_int_equal(size, SIZE);
    free(data);
}

// Connections that joined break in the middle, as the first one does: it is sent anew, and in the end over one line, which breaks less often.
static void test_joined_connections_break(void **state)
{
    struct place *p = *state;
    struct error err;
    enum { SIZE = 16 << 20 };
    uint8_t *data = pattern(SIZE), *back = xmalloc(SIZE);
    for (unsigned cuts = 1; cuts <= 4; cuts++) {
        struct trickle slow = { .since_ns = io_monotonic_ns(io_real()) };
        struct sftp_pace pace = { trickle, &slow };
        p->server = (struct sftp_server){ .cut_after = 5 << 20, .cuts = cuts };
        struct store_connector connector = sftp_server_connector(&p->server);
        connector.pace = &pace;
        connector.back_off_ms = 1;
        int fd;
        _cleanup_free_ char *spooled = NULL, *name = xasprintf("objects/ab/%u", cuts);
        struct store *s = NULL;
        OK(store_sftp_open(io_real(), "sftp://test", p->dir, false, &connector, &s, &err));
        OK(spool(s, data, SIZE, &fd, &spooled, &err));
        OK(s->ops->put_spool(s, name, fd, spooled, &err));
        OK(s->ops->get(s, name, 0, back, SIZE, &err));
        assert_memory_equal(data, back, SIZE);
        store_close(s);
        assert_int_equal(files_below(p->dir), cuts); // no part is left
    }
    free(data);
    free(back);
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
    w->result = spool(w->store, w->data, w->n, &fd, &name, &err);
    if (w->result == 0)
        w->result = w->store->ops->put_spool(w->store, w->name, fd, name, &err);
    return NULL;
}

// So it does where two write: the one that gets no connection waits for that of the other, and nobody asks the server again and again.
static void test_single_connection_of_two(void **state)
{
    struct place *p = *state;
    struct error err;
    enum { SIZE = 9 << 20 };
    uint8_t *data = pattern(SIZE);
    struct writer writers[] = { { .name = "a" }, { .name = "b" }, { .name = "c" } };
    pthread_t threads[3];
    p->server.refuse_after = 1;
    OK(open_store(p, &err));
    for (size_t i = 0; i < 3; i++) {
        writers[i] = (struct writer){ p->store, writers[i].name, data, SIZE, -1 };
        assert_int_equal(pthread_create(&threads[i], NULL, write_one, &writers[i]), 0);
    }
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(writers[i].result, 0);
    assert_int_equal(files_below(p->dir), 3);
    assert_in_range(p->server.started, 2, 4); // the usual number of lanes, each tried once
    free(data);
}

// The line breaks after every number of bytes once: the put ends well all the same, whole, and nothing else is left.
static void test_cut_anywhere(void **state)
{
    struct place *p = *state;
    struct error err;
    static const char text[] = "a head, say, of a few bytes";
    unsigned cuts = 0;
    for (uint64_t at = 1;; at += 7) {
        p->server = (struct sftp_server){ .cut_after = at, .cuts = 1 };
        char name[32];
        (void)snprintf(name, sizeof name, "heads/aa/%u", (unsigned)at);
        OK(open_store(p, &err));
        OK(p->store->ops->put(p->store, name, text, sizeof text, &err));
        _cleanup_buf_ struct buf back = { 0 };
        OK(store_get_all(p->store, name, 1000, &back, &err));
        assert_memory_equal(back.data, text, sizeof text);
        assert_int_equal(p->store->ops->put(p->store, name, "other", 5, &err), ERROR_EXISTS);
        if (p->server.started == 1)
            break;
        cuts++;
        assert_int_equal(files_below(p->dir), cuts); // no part is left
    }
    assert_true(cuts > 60);
    print_message("cut at %u places\n", cuts);
}

static void test_given_up(void **state)
{
    struct place *p = *state;
    struct error err;
    OK(open_store(p, &err));
    store_close(p->store);
    p->store = NULL;
    p->server = (struct sftp_server){ .cut_after = 100, .cuts = 1000 };
    assert_int_equal(open_store(p, &err), ERROR_UNREACHABLE);
    assert_non_null(strstr(err.text, "given up"));
}

// Without extensions, as many servers are.
static void test_poor_server(void **state)
{
    struct place *p = *state;
    struct error err;
    p->server.denied = "posix-rename,hardlink,fsync,statvfs,fstatvfs,lsetstat,limits,setstat,fsetstat,symlink,readlink,realpath";
    OK(open_store(p, &err));
    OK(p->store->ops->put(p->store, "refs/x", "text", 4, &err));
    assert_int_equal(p->store->ops->put(p->store, "refs/x", "next", 4, &err), ERROR_EXISTS);
    assert_int_equal(files_below(p->dir), 1);
    p->server.denied = "write";
    OK(open_store(p, &err));
    assert_int_equal(p->store->ops->put(p->store, "refs/y", "text", 4, &err), ERROR_FAILED);
    assert_non_null(strstr(err.text, "ermission"));
}

static void test_modes(void **state)
{
    struct place *p = *state;
    struct error err;
    struct stat st;
    char path[64];
    OK(open_store(p, &err));
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
    struct place *p = *state;
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

// ---- round trips

static void make_files(struct place *p, unsigned dirs, unsigned files, size_t size)
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

static unsigned turns_of(struct place *p, unsigned before) { return p->server.turns - before; }

// A directory costs no round trip of its own.
static void test_turns_of_listing(void **state)
{
    struct place *p = *state;
    struct error err;
    struct tally t = { 0 };
    p->server.count = true;
    make_files(p, 100, 3, 10);
    OK(open_store(p, &err));
    unsigned before = p->server.turns;
    OK(p->store->ops->list(p->store, "many", tally_entry, &t, &err));
    assert_int_equal(t.n, 300);
    assert_int_equal(t.bytes, 3000);
    print_message("100 directories: %u round trips\n", turns_of(p, before));
    assert_true(turns_of(p, before) <= 10);
}

static void test_turns_of_many(void **state)
{
    struct place *p = *state;
    struct error err;
    enum { N = 400 };
    char *names[N + 1];
    p->server.count = true;
    make_files(p, 20, 20, 2000);
    for (unsigned i = 0; i < N; i++)
        names[i] = xasprintf("many/%u/%u", i / 20 + 1, i % 20 + 1);
    names[N] = xstrdup("many/1/none");
    OK(open_store(p, &err));
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
    struct place *p = *state;
    struct error err;
    enum { N = 60 };
    struct store_put puts[N];
    struct tally t = { 0 };
    uint8_t *data = pattern(20000);
    p->server.count = true;
    OK(open_store(p, &err));
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
    struct place *p = *state;
    struct error err;
    enum { N = 32 };
    struct store_part parts[N];
    uint8_t buffer[N][300];
    p->server.count = true;
    make_files(p, 4, 8, 1000);
    OK(open_store(p, &err));
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
    struct place *p = *state;
    struct error err;
    enum { N = 8 };
    uint8_t *data = pattern(3000);
    for (uint64_t at = 300; at < 30000; at += 997) {
        struct store_put puts[N];
        struct tally t = { 0 };
        _cleanup_free_ char *dir = xasprintf("%llu", (unsigned long long)at);
        p->server = (struct sftp_server){ .cut_after = at, .cuts = 1 };
        OK(open_store(p, &err));
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
        assert_int_equal(files_below(p->dir), N); // no part is left
        _cleanup_free_ char *path = xasprintf("%s/%s", p->dir, dir);
        OK(fs_remove_tree(io_real(), AT_FDCWD, path, &err));
    }
    free(data);
}

// What lies together costs one round trip, and stays exact at the end of the file.
static void test_turns_of_small_reads(void **state)
{
    struct place *p = *state;
    struct error err;
    enum { SIZE = 300000 };
    uint8_t *data = pattern(SIZE), back[5000];
    p->server.count = true;
    OK(open_store(p, &err));
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
    struct place *p = *state;
    struct error err;
    enum { SIZE = 100000 };
    uint8_t *data = pattern(SIZE), *back = xmalloc(SIZE);
    OK(open_store(p, &err));
    OK(p->store->ops->put(p->store, "objects/x", data, SIZE, &err));
    unsigned refused = 0;
    for (enum sftp_lie lie = SFTP_HONEST; lie < SFTP_LIES; lie++) {
        _cleanup_buf_ struct buf whole = { 0 };
        struct tally t = { 0 };
        char name[32];
        p->server = (struct sftp_server){ .lie = lie };
        if (open_store(p, &err) < 0) {
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
        OK(open_store(p, &err));
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
    struct place *p = *state;
    struct error err;
    enum { SIZE = (5 << 20) + 123 };
    uint8_t *data = pattern(SIZE);
    int fd;
    _cleanup_free_ char *name = NULL;
    _cleanup_buf_ struct buf back = { 0 };
    OK(open_store(p, &err));
    OK(spool(p->store, data, SIZE, &fd, &name, &err));
    OK(p->store->ops->put_spool(p->store, "refs/long", fd, name, &err));
    OK(store_get_all(p->store, "refs/long", SIZE, &back, &err));
    assert_int_equal(back.len, SIZE);
    assert_memory_equal(back.data, data, SIZE);
    free(data);
}

// The line breaks once, anywhere in the middle of many: each name is answered exactly once all the same.
static void test_many_over_broken_line(void **state)
{
    struct place *p = *state;
    struct error err;
    enum { N = 90 };
    char *names[N];
    make_files(p, 3, 30, 700);
    for (unsigned i = 0; i < N; i++)
        names[i] = xasprintf("many/%u/%u", i / 30 + 1, i % 30 + 1);
    for (uint64_t at = 500; at < 90000; at += 7919) {
        struct tally whole = { 0 }, listed = { 0 };
        p->server = (struct sftp_server){ .cut_after = at, .cuts = 1 };
        OK(open_store(p, &err));
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_large_file_through_lanes), TEST(test_single_connection), TEST(test_joined_connections_break), TEST(test_single_connection_of_two), TEST(test_cut_anywhere), TEST(test_given_up),
        TEST(test_poor_server), TEST(test_modes), TEST(test_root),
        TEST(test_turns_of_listing), TEST(test_turns_of_many), TEST(test_turns_of_small_reads), TEST(test_turns_of_parts), TEST(test_turns_of_puts), TEST(test_puts_over_broken_line),
        TEST(test_server_that_lies), TEST(test_whole_long_file), TEST(test_many_over_broken_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
