// Nights of random work on a tree, with runs that fail, caches that get lost or are of another night: every snapshot restores what was there.
#include "tests/engine/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { NIGHTS = 14, OPERATIONS = 14 };

static uint64_t seed;

static unsigned pick(unsigned n) { return (unsigned)(scratch_random(&seed) >> 20) % n; }

// One of forty names in five directories.
static void choose(char name[32]) { (void)snprintf(name, 32, "d%u/%c%u", pick(5), "fghx"[pick(4)], pick(2)); }

static void write_file(const struct lab *lab, const char *name)
{
    static const size_t sizes[] = { 0, 1, 300, 70000, 262143, 262144, 500000, 1200000 };
    _cleanup_free_ char *script = xasprintf("rm -rf $SRC/%s; mkdir -p $SRC/$(dirname %s)", name, name);
    lab_sh(lab, script);
    lab_noise(lab, name, scratch_random(&seed) % 6, sizes[pick(8)]); // few seeds: the same content comes again
}

static void operate(const struct lab *lab)
{
    char a[32], b[32];
    choose(a);
    choose(b);
    static const char *const scripts[] = {
        "test ! -f $SRC/%1$s || printf more >>$SRC/%1$s",
        "rm -rf $SRC/%1$s",
        "test ! -e $SRC/%1$s -o %1$s = %2$s || { rm -rf $SRC/%2$s; mkdir -p $SRC/$(dirname %2$s); mv $SRC/%1$s $SRC/%2$s; }",
        "test ! -f $SRC/%1$s -o %1$s = %2$s || { rm -rf $SRC/%2$s; mkdir -p $SRC/$(dirname %2$s); cp $SRC/%1$s $SRC/%2$s; }",
        "test ! -f $SRC/%1$s -o %1$s = %2$s || { rm -rf $SRC/%2$s; mkdir -p $SRC/$(dirname %2$s); ln $SRC/%1$s $SRC/%2$s; }",
        "test ! -e $SRC/%1$s || chmod 750 $SRC/%1$s",
        "test ! -e $SRC/%1$s || touch $SRC/%1$s",
        "rm -rf $SRC/%1$s; mkdir -p $SRC/$(dirname %1$s); ln -s %2$s $SRC/%1$s",
        "rm -rf $SRC/%1$s; mkdir -p $SRC/%1$s/sub; echo %2$s >$SRC/%1$s/sub/x",
        "test ! -f $SRC/%1$s || truncate -s 100000 $SRC/%1$s",
        "test ! -f $SRC/%1$s || truncate -s 900000 $SRC/%1$s", // a hole at the end
        "test ! -f $SRC/%1$s || { (echo inserted; cat $SRC/%1$s) >new; cat new >$SRC/%1$s; }",
        "test ! -d $SRC/$(dirname %1$s) -o $(dirname %1$s) = $(dirname %2$s) || { rm -rf $SRC/$(dirname %2$s); mv $SRC/$(dirname %1$s) $SRC/$(dirname %2$s); }",
        "t=$SRC/$(dirname %1$s); test ! -d $t || { mv $t $SRC/away; mkdir $t; mv $SRC/away $t/inner; rm -rf $t/inner/inner; }",
        "test ! -f $SRC/%1$s || { touch -r $SRC/%1$s stamp; printf other | dd of=$SRC/%1$s conv=notrunc status=none; touch -r stamp $SRC/%1$s; }",
    };
    unsigned which = pick(20);
    if (which >= sizeof scripts / sizeof scripts[0]) {
        write_file(lab, a);
        return;
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    _cleanup_free_ char *script = xasprintf(scripts[which], a, b);
#pragma GCC diagnostic pop
    lab_sh(lab, script);
}

static void spoil(const struct lab *lab)
{
    static const char *const scripts[] = {
        "rm -f $STATE/known-*", "rm -f $STATE/stat-*", "rm -f $STATE/manifest-*", "rm -f $STATE/journal", "rm -rf $STATE/versions", "rm -f $STATE/key", "rm -f $STATE/objects",
        "f=$(ls $STATE/versions/*.tags 2>/dev/null | head -n 1); test -z \"$f\" || truncate -s 100 $f",
        "f=$(ls $STATE/versions/*.needs 2>/dev/null | tail -n 1); test -z \"$f\" || echo >>$f",
        "rm -rf saved; cp -a $STATE saved", // to come back some other night, all but the pin
        "test ! -d saved || { rm -f saved/pin saved/pending saved/chain saved/objects saved/key; cp -a saved/. $STATE; }",
        "test ! -d saved || cp -a saved/versions/. $STATE/versions 2>/dev/null || true",
        "f=$(find $REPO/objects -type f | sort | head -n 1); test -z \"$f\" || touch $f",
    };
    lab_sh(lab, scripts[pick(sizeof scripts / sizeof scripts[0])]);
}

static int writes_left;

static bool dies(void)
{
    errno = EIO;
    return writes_left-- <= 0;
}

static int dying_rename(const struct io *io, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, unsigned flags)
{
    (void)io;
    return dies() ? -1 : io_real()->renameat2(io_real(), old_dirfd, old_path, new_dirfd, new_path, flags);
}

static ssize_t dying_pwrite(const struct io *io, int fd, const void *data, size_t n, off_t offset)
{
    (void)io;
    return dies() ? -1 : io_real()->pwrite(io_real(), fd, data, n, offset);
}

static ssize_t dying_write(const struct io *io, int fd, const void *data, size_t n)
{
    (void)io;
    return dies() ? -1 : io_real()->write(io_real(), fd, data, n);
}

// A run on a system whose disk dies after some writes.
static void try_and_fail(struct lab *lab)
{
    struct error err;
    struct backup_result result;
    struct io io = *io_real();
    writes_left = (int)pick(60);
    io.renameat2 = dying_rename;
    io.pwrite = dying_pwrite;
    io.write = dying_write;
    lab->io = &io;
    lab_settle();
    (void)!lab_try(lab, &result, &err);
    lab->io = io_real();
}

static void run_nights(uint64_t begin, bool encrypted)
{
    struct lab lab;
    char *then[200] = { NULL }; // what was there, by snapshot
    lab_init(&lab, encrypted, 200000);
    seed = begin;
    lab.options.delta_max_chain = 4;
    for (unsigned night = 0; night < NIGHTS; night++) {
        for (unsigned i = 0; i < (night == 0 ? 4 * OPERATIONS : OPERATIONS); i++)
            operate(&lab);
        lab.options.jobs = 1 + pick(3);
        lab.options.accept_source_change = true;
        if (night > 0 && pick(2) == 0)
            spoil(&lab);
        if (pick(3) == 0) {
            try_and_fail(&lab);
            operate(&lab);
            if (pick(2) == 0)
                spoil(&lab);
        }
        struct backup_result result = lab_backup(&lab);
        assert_true(result.complete);
        assert_in_range(result.snapshot, 1, 199);
        char name[16];
        (void)snprintf(name, sizeof name, "then-%u", (unsigned)result.snapshot);
        then[result.snapshot] = lab_copy(&lab, name);
        char number[16];
        (void)snprintf(number, sizeof number, "%u", (unsigned)result.snapshot);
        lab_assert_restores(&lab, number, NULL);
    }
    for (unsigned i = 1; i < 200; i++) {
        char number[16];
        (void)snprintf(number, sizeof number, "%u", i);
        if (then[i] != NULL)
            lab_assert_restores(&lab, number, then[i]);
        free(then[i]);
    }
    lab_assert_sound(&lab);
    lab_done(&lab);
}

static void test_plain(void **state)
{
    (void)state;
    const char *given = getenv("BKD_TEST_SEED"); // another one by hand
    run_nights(given == NULL ? 20261123 : strtoull(given, NULL, 10) * 2654435761u + 1, false);
}

static void test_encrypted(void **state)
{
    (void)state;
    run_nights(19700101, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_encrypted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
