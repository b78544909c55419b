// Somebody who may write in the source exchanges files, directories and the source itself for links that lead out of it, while backups run.
// Every descriptor the run opens and every inode it looks at is compared with those outside: none may be seen, whatever the timing. Runs for
// 4 seconds, or BKD_TEST_SECONDS.
#include "tests/engine/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#define OUTSIDE_MAX 32
#define CANARY "canary-a9f3c17e-not-to-be-read"

struct race {
    struct lab lab;
    int dirs[8];
    atomic_bool stop;
    bool with_source; // the source itself is exchanged as well
    unsigned long swaps;
};

// What io functions of the run see: they get no argument of ours.
static struct {
    ino_t inodes[OUTSIDE_MAX];
    dev_t device;
    size_t n;
    atomic_ulong looks, wins;
} outside;

static int remember_outside(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)path, (void)type, (void)ftw;
    assert_true(outside.n < OUTSIDE_MAX);
    outside.device = st->st_dev;
    outside.inodes[outside.n++] = st->st_ino;
    return 0;
}

static void compare(dev_t device, ino_t inode)
{
    atomic_fetch_add(&outside.looks, 1);
    for (size_t i = 0; i < outside.n; i++)
        if (device == outside.device && inode == outside.inodes[i])
            atomic_fetch_add(&outside.wins, 1);
}

static int watching_openat(const struct io *io, int dirfd, const char *path, int flags, mode_t mode)
{
    struct stat st;
    (void)io;
    int fd = io_real()->openat(io_real(), dirfd, path, flags, mode);
    if (fd >= 0 && fstat(fd, &st) == 0)
        compare(st.st_dev, st.st_ino);
    return fd;
}

static int watching_statx(const struct io *io, int dirfd, const char *path, int flags, unsigned mask, struct statx *st)
{
    (void)io;
    int r = io_real()->statx(io_real(), dirfd, path, flags, mask, st);
    if (r == 0)
        compare(makedev(st->stx_dev_major, st->stx_dev_minor), st->stx_ino);
    return r;
}

// Pairs of entries that change places all the time. The directories they are in are opened beforehand, so that the exchanges themselves never
// go through a link: what is outside stays outside.
enum { TOP, SOURCE, X, Y, DEEP, DEEP_2, DEEP_4, SWAP, N_DIRS };
static const char *const dirs[N_DIRS] = { ".", "source", "source/x", "source/y", "source/deep", "source/deep/1/2", "source/deep/1/2/3/4", "swap" };
static const struct {
    int dir_a;
    const char *a;
    int dir_b;
    const char *b;
} pairs[] = {
    { SOURCE, "x", SWAP, "dir-link" }, { X, "f", SWAP, "file-link" },  { X, "sub", SOURCE, "y" },        { X, "sub", SWAP, "dir-link" },
    { DEEP_2, "3", SWAP, "link-3" },   { DEEP, "1", SWAP, "link-1" },  { Y, "big", SWAP, "big" },        { X, "f", SWAP, "fifo" },
    { DEEP_4, "5", SWAP, "moved" },    { SOURCE, "t", SWAP, "dir-link" }, { SOURCE, "y", SWAP, "y-link" }, { X, "l", X, "f" },
};
enum { N_PAIRS = sizeof pairs / sizeof *pairs };

static void *swap(void *arg)
{
    struct race *race = arg;
    unsigned seed = 7;
    while (!atomic_load(&race->stop)) {
        size_t i = (seed = seed * 1664525u + 1013904223u) >> 16;
        if (race->with_source && i % 16 == 0)
            (void)renameat2(race->dirs[TOP], "source", race->dirs[SWAP], "source-link", RENAME_EXCHANGE);
        i %= N_PAIRS;
        race->swaps += renameat2(race->dirs[pairs[i].dir_a], pairs[i].a, race->dirs[pairs[i].dir_b], pairs[i].b, RENAME_EXCHANGE) == 0;
    }
    return NULL;
}

static int setup(void **state)
{
    struct race *race = xcalloc(1, sizeof *race);
    lab_init(&race->lab, false, 0);
    lab_sh(&race->lab, "mkdir -p outside/x outside/sub outside/1/2/3/4/5 swap/moved source/x/sub source/y source/deep/1/2/3/4/5 source/t\n"
                       "for f in outside/f outside/big outside/g outside/sub/g outside/x/f outside/1/2/3/4/5/f outside/1/2/3/f; do echo " CANARY " >$f; done\n"
                       "truncate -s 5M outside/big; mkfifo swap/fifo; ln -s \"$PWD/outside\" swap/dir-link; ln -s \"$PWD/outside/f\" swap/file-link\n"
                       "ln -s \"$PWD/outside/1/2/3\" swap/link-3; ln -s ../outside/1 swap/link-1; ln -s \"$PWD/outside/big\" swap/big; ln -s ../outside swap/y-link\n"
                       "ln -s \"$PWD/outside\" swap/source-link; ln -s ../../outside/f source/x/l\n"
                       "for f in x/f x/sub/g y/g deep/1/2/3/f deep/1/2/3/4/5/f t/f; do echo inside >source/$f; done; head -c 1000000 /dev/urandom >source/y/big\n"
                       "i=0; while [ $i -lt 300 ]; do echo $i >source/x/n$i; echo $i >source/deep/1/2/n$i; i=$((i + 1)); done");
    for (int i = 0; i < N_DIRS; i++) {
        _cleanup_free_ char *dir = xasprintf("%s/%s", race->lab.dir, dirs[i]);
        race->dirs[i] = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    outside.n = 0;
    atomic_store(&outside.looks, 0);
    atomic_store(&outside.wins, 0);
    _cleanup_free_ char *path = xasprintf("%s/outside", race->lab.dir);
    assert_int_equal(nftw(path, remember_outside, 10, FTW_PHYS), 0);
    *state = race;
    return 0;
}

static int teardown(void **state)
{
    struct race *race = *state;
    for (int i = 0; i < N_DIRS; i++)
        (void)close(race->dirs[i]);
    lab_done(&race->lab);
    free(race);
    return 0;
}

static int back_up(struct race *race, struct error *err)
{
    struct backup_result result;
    return lab_try(&race->lab, &result, err);
}

static int see(void *arg, const struct manifest_entry *e, const struct scan_stat *stat, uint32_t links, uint64_t blocks_bytes, struct error *err)
{
    (void)arg, (void)e, (void)links, (void)blocks_bytes, (void)err;
    compare(outside.device, stat->inode);
    return 0;
}

static void ignore(void *arg, const struct scan_problem *problem) { (void)arg, (void)problem; }

// The first half of a backup, which is quick enough to be tried thousands of times.
static int only_scan(struct race *race, struct error *err)
{
    struct scan_options options = { .sources = race->lab.sources, .n_sources = 1, .one_filesystem = true, .scratch_fd = race->dirs[TOP] };
    struct scan_callbacks callbacks = { .visit = see, .problem = ignore };
    return scan_run(race->lab.io, &options, &callbacks, err);
}

static void run_race(struct race *race, int (*run)(struct race *, struct error *))
{
    pthread_t thread;
    struct error err;
    struct io io = *io_real();
    unsigned long runs = 0, complete = 0;
    const char *seconds = getenv("BKD_TEST_SECONDS");
    time_t end = time(NULL) + (seconds == NULL ? 4 : atoi(seconds)) / 2;
    io.openat = watching_openat;
    io.statx = watching_statx;
    race->lab.io = &io;
    race->lab.options.accept_source_change = true;
    assert_int_equal(pthread_create(&thread, NULL, swap, race), 0);
    for (; time(NULL) <= end; runs++) {
        int r = run(race, &err);
        if (r < 0 && !race->with_source)
            print_message("%s\n", err.text);
        assert_true(r == 0 || race->with_source); // only the loss of the source itself ends a run
        complete += r == 0;
    }
    atomic_store(&race->stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    print_message("%lu exchanges, %lu runs, %lu of them to the end, %lu looks, %lu outside\n", race->swaps, runs, complete, atomic_load(&outside.looks),
                  atomic_load(&outside.wins));
    assert_true(race->swaps > 1000 && complete > 0);
    assert_int_equal(atomic_load(&outside.wins), 0);
}

static void assert_no_canary(struct race *race)
{
    race->lab.io = io_real();
    _cleanup_free_ char *restored = lab_restore(&race->lab, "latest"), *script = xasprintf("if grep -rq " CANARY " '%s'; then exit 1; fi", restored);
    lab_sh(&race->lab, script);
}

static void test_scan(void **state)
{
    struct race *race = *state;
    lab_sh(&race->lab, "rm source/x/n* source/deep/1/2/n*");
    run_race(race, only_scan);
}

static void test_exchanged_within(void **state)
{
    run_race(*state, back_up);
    assert_no_canary(*state);
}

static void test_source_exchanged(void **state)
{
    struct race *race = *state;
    race->with_source = true;
    run_race(race, back_up);
    assert_no_canary(race);
}

// The watch itself: a run whose source is outside is seen.
static void test_watch_sees(void **state)
{
    struct race *race = *state;
    struct error err;
    struct backup_result result;
    struct io io = *io_real();
    _cleanup_free_ char *path = xasprintf("%s/outside", race->lab.dir);
    io.openat = watching_openat;
    race->lab.io = &io;
    race->lab.sources[0].path = path;
    scratch_ok(lab_try(&race->lab, &result, &err), &err);
    assert_true(atomic_load(&outside.wins) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_scan, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exchanged_within, setup, teardown),
        cmocka_unit_test_setup_teardown(test_source_exchanged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watch_sees, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
