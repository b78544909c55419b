// Files with recipes: deltas and their limits, holes, copies, files that change while they are read, caches that are wrong.
#include "tests/engine/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "bkd/repo/repository.h"

enum { PIECE = 16 << 20 };

static int setup(void **state)
{
    struct lab *lab = xcalloc(1, sizeof *lab);
    lab_init(lab, false, 0);
    *state = lab;
    return 0;
}

static int teardown(void **state)
{
    lab_done(*state);
    free(*state);
    return 0;
}

static void expect_recipe(struct lab *lab, const char *name, uint32_t chain, const char *kinds)
{
    struct recipe r = lab_recipe(lab, name);
    _cleanup_buf_ struct buf got = { 0 };
    for (size_t i = 0; i < r.n_pieces; i++)
        buf_add_char(&got, "?wdsh"[r.pieces[i].kind]);
    assert_string_equal(buf_str(&got), kinds);
    assert_int_equal(r.chain, chain);
    assert_int_equal(r.has_base, chain > 1);
    recipe_done(&r);
}

// ---- deltas

static void test_delta_and_rdiff(void **state)
{
    struct lab *lab = *state;
    lab_noise(lab, "f", 1, 3000000);
    struct backup_result first = lab_backup(lab);
    expect_recipe(lab, "f", 1, "w");
    assert_true(first.bytes_stored > 3000000);
    lab_sh(lab, "cp $SRC/f old; find $REPO/objects -type f | sort >before");
    lab_scribble(lab, "f", 2, 1500001, 10000);
    struct backup_result second = lab_backup(lab);
    expect_recipe(lab, "f", 2, "d");
    assert_in_range(second.bytes_stored, 10000, 30000);
    lab_sh(lab, "find $REPO/objects -type f | sort | comm -13 before - >new; test $(wc -l <new) = 1\n"
                "mkdir x; zstd -q -d -c <$(cat new) | tar -x -C x; rdiff patch old x/00000000.delta patched; cmp patched $SRC/f");
    lab_assert_restores(lab, "2", NULL);
}

static void test_inserted_bytes(void **state)
{
    struct lab *lab = *state;
    lab_noise(lab, "f", 1, 40 << 20);
    (void)lab_backup(lab);
    expect_recipe(lab, "f", 1, "www");
    lab_sh(lab, "(head -c 12345 /dev/urandom; cat $SRC/f) >new; cat new >$SRC/f");
    struct backup_result second = lab_backup(lab);
    expect_recipe(lab, "f", 2, "ddd");
    assert_in_range(second.bytes_stored, 12345, 200000);
    lab_assert_restores(lab, "2", NULL);
    lab_sh(lab, "truncate -s 20000001 $SRC/f");
    struct backup_result third = lab_backup(lab);
    expect_recipe(lab, "f", 3, "sd"); // the second piece ends within what was there
    assert_in_range(third.bytes_stored, 100, 200000);
    lab_assert_restores(lab, "3", NULL);
    lab_assert_sound(lab);
}

// Zeros elsewhere than before are found by the signature as other bytes are, though their entry is made only once.
static void test_moved_zeros(void **state)
{
    struct lab *lab = *state;
    lab_noise(lab, "f", 1, 2 << 20);
    lab_sh(lab, "cp $SRC/f noise; head -c 4M /dev/zero >>$SRC/f; cat noise >>$SRC/f");
    (void)lab_backup(lab);
    lab_sh(lab, "{ head -c 4M /dev/zero; cat noise noise; } >$SRC/f");
    (void)lab_backup(lab);
    struct recipe r = lab_recipe(lab, "f");
    assert_int_equal(r.pieces[0].kind, RECIPE_DELTA);
    assert_in_range(r.pieces[0].member.length, 10, 200000);
    recipe_done(&r);
    lab_assert_restores(lab, "2", NULL);
}

// Pieces that did not change are taken over: whole ones as whole, those made of deltas as the same.
static void test_untouched_pieces(void **state)
{
    struct lab *lab = *state;
    lab_noise(lab, "f", 1, 3 * PIECE);
    (void)lab_backup(lab);
    lab_scribble(lab, "f", 2, PIECE + 5, 1000);
    (void)lab_backup(lab);
    expect_recipe(lab, "f", 2, "wdw");
    lab_scribble(lab, "f", 3, 2 * PIECE + 5, 1000);
    struct backup_result third = lab_backup(lab);
    expect_recipe(lab, "f", 3, "wsd");
    assert_in_range(third.bytes_stored, 1000, 20000);
    lab_assert_restores(lab, "3", NULL);
    // All of it as it was in the first night: each piece is known.
    lab_noise(lab, "f", 1, 3 * PIECE);
    struct backup_result fourth = lab_backup(lab);
    assert_in_range(fourth.bytes_stored, 100, 20000);
    lab_assert_restores(lab, "4", NULL);
}

static void test_chain_limit(void **state)
{
    struct lab *lab = *state;
    lab->options.delta_max_chain = 3;
    lab_noise(lab, "f", 1, 1 << 20);
    static const uint32_t chains[] = { 1, 2, 2, 3, 1, 2, 2 }; // the third and the seventh build on the first and the fifth
    for (unsigned night = 0; night < 7; night++) {
        lab_scribble(lab, "f", 10 + night, night * 1000, 500);
        struct backup_result result = lab_backup(lab);
        expect_recipe(lab, "f", chains[night], chains[night] == 1 ? "w" : "d");
        assert_true(chains[night] == 1 ? result.bytes_stored > 1 << 20 : result.bytes_stored < 50000);
        lab_assert_restores(lab, "latest", NULL);
    }
    lab->options.delta_max_chain = 1; // never a delta
    lab_scribble(lab, "f", 3, 0, 500);
    (void)lab_backup(lab);
    expect_recipe(lab, "f", 1, "w");
}

// When the deltas of a closure pass their share of the file, the anchor is built upon; when its own do, the file is stored whole.
static void test_share_limit(void **state)
{
    struct lab *lab = *state;
    lab->options.delta_max_share_percent = 30;
    lab_noise(lab, "f", 1, 1 << 20);
    static const uint32_t chains[] = { 1, 2, 3, 4, 2, 3 };
    for (unsigned night = 0; night < 6; night++) {
        lab_scribble(lab, "f", 10 + night, 64 << 10, 110 << 10); // a tenth of it each night: after three it is more than 30 %
        (void)lab_backup(lab);
        expect_recipe(lab, "f", chains[night], chains[night] == 1 ? "w" : "d");
    }
    lab_assert_restores(lab, "latest", NULL);
    lab->options.delta_max_share_percent = 5;
    lab_scribble(lab, "f", 20, 0, 100);
    (void)lab_backup(lab);
    expect_recipe(lab, "f", 1, "w");
    lab_assert_restores(lab, "latest", NULL);
}

// A line that is long enough ends in a version that builds on the anchor: the versions between are needed by none after it.
static void test_anchors(void **state)
{
    struct lab *lab = *state;
    lab->options.delta_max_chain = 8;
    lab_noise(lab, "f", 1, 1 << 20);
    static const uint32_t chains[] = { 1, 2, 3, 4, 5, 2, 3, 4, 5, 6, 3, 4 };
    for (unsigned night = 0; night < 12; night++) {
        lab_scribble(lab, "f", 10 + night, night * 8192, 500);
        struct backup_result result = lab_backup(lab);
        expect_recipe(lab, "f", chains[night], night == 0 ? "w" : "d");
        assert_true(night == 0 || result.bytes_stored < 60000);
    }
    for (unsigned night = 1; night <= 12; night++) {
        char number[8];
        (void)snprintf(number, sizeof number, "%u", night);
        free(lab_restore(lab, number));
    }
    lab_assert_restores(lab, "latest", NULL);
    lab_assert_sound(lab);
}

// What a snapshot uses of an object is never more than the object holds, however many nights a piece is taken over.
static void test_bytes_used(void **state)
{
    struct lab *lab = *state;
    struct error err;
    lab_noise(lab, "f", 1, 2 * PIECE);
    for (unsigned night = 0; night < 5; night++) {
        lab_scribble(lab, "f", 5 + night, PIECE + 9 * night, 100);
        (void)lab_backup(lab);
    }
    struct store *store = NULL;
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_format_refs_ struct format_refs refs = { 0 };
    const struct repository_head *head = NULL;
    scratch_ok(store_open(io_real(), lab->repo, NULL, false, &store, &err), &err);
    scratch_ok(repository_open(io_real(), store, lab->signers, &repository, &err), &err);
    scratch_ok(repository_find(repository, NULL, "latest", &head, &err), &err);
    scratch_ok(repository_read_refs(repository, &head->head, &refs, &err), &err);
    assert_int_equal(refs.n, 5);
    for (size_t i = 0; i < refs.n; i++) {
        _cleanup_free_ char *name = format_object_name(refs.refs[i].sha256, false);
        _cleanup_free_ char *script = xasprintf("test $(zstd -q -d -c <repo/%s | wc -c) -ge %llu", name, (unsigned long long)refs.refs[i].used);
        lab_sh(lab, script);
        assert_true(refs.refs[i].used > 0);
    }
    assert_in_range(refs.refs[0].used, 2 * PIECE, 2 * PIECE + 10000);
}

// ---- nothing new

static void test_touched(void **state)
{
    struct lab *lab = *state;
    lab_noise(lab, "f", 1, 20 << 20);
    (void)lab_backup(lab);
    struct manifest_entry before = lab_entry(lab, "f");
    lab_sh(lab, "touch $SRC/f");
    struct backup_result second = lab_backup(lab);
    struct manifest_entry after = lab_entry(lab, "f");
    assert_int_equal(second.changed_files, 0);
    assert_in_range(second.bytes_read, 20 << 20, 20 << 20);
    assert_in_range(second.bytes_stored, 1, 10000); // a manifest
    assert_memory_equal(&before.version, &after.version, sizeof before.version);
    assert_true(after.mtime_s != before.mtime_s || after.mtime_ns != before.mtime_ns);
    manifest_entry_done(&before);
    manifest_entry_done(&after);
    lab_assert_restores(lab, "2", NULL);
}

static void test_copies(void **state)
{
    struct lab *lab = *state;
    lab_noise(lab, "one", 1, 400000);
    lab_noise(lab, "three", 2, 2 * PIECE + 100);
    (void)lab_backup(lab);
    lab_sh(lab, "cp $SRC/one $SRC/one-more; cp $SRC/three $SRC/three-more; cp $SRC/three $SRC/three-other; mkdir $SRC/d; mv $SRC/one $SRC/d/moved");
    lab_scribble(lab, "three-other", 3, PIECE + 100, 1000); // a copy that went its own way
    struct backup_result second = lab_backup(lab);
    assert_in_range(second.bytes_stored, 1000, 20000);
    struct manifest_entry a = lab_entry(lab, "three"), b = lab_entry(lab, "three-more"), c = lab_entry(lab, "one-more"), d = lab_entry(lab, "d/moved");
    assert_memory_equal(&a.version, &b.version, sizeof a.version);
    assert_memory_equal(&c.version, &d.version, sizeof c.version);
    manifest_entry_done(&a);
    manifest_entry_done(&b);
    manifest_entry_done(&c);
    manifest_entry_done(&d);
    expect_recipe(lab, "three-other", 2, "wdw");
    lab_assert_restores(lab, "2", NULL);
    lab_assert_sound(lab);
}

// Copies that come in the same night.
static void test_copies_at_once(void **state)
{
    struct lab *lab = *state;
    lab_noise(lab, "a", 1, 400000);
    lab_noise(lab, "k", 2, PIECE + 100);
    lab_sh(lab, "for i in b c d; do cp $SRC/a $SRC/$i; done; for i in l m; do cp $SRC/k $SRC/$i; done");
    struct backup_result first = lab_backup(lab);
    assert_in_range(first.bytes_stored, PIECE + 400000, PIECE + 450000);
    lab_assert_restores(lab, "1", NULL);
}

// ---- holes

static void test_holes(void **state)
{
    struct lab *lab = *state;
    struct stat st;
    lab_sh(lab, "truncate -s 100M $SRC/hole; truncate -s 50M $SRC/data; printf x >$SRC/odd; truncate -s 33554433 $SRC/odd; truncate -s 70000 $SRC/small");
    lab_scribble(lab, "data", 1, 20 << 20, 8192);
    lab_scribble(lab, "data", 2, (50 << 20) - 4096, 4096);
    struct backup_result first = lab_backup(lab);
    assert_in_range(first.bytes_stored, 12288, 60000);
    assert_true(first.bytes_read < 50 << 20); // only pieces that have data
    expect_recipe(lab, "hole", 1, "hhhhhhh");
    expect_recipe(lab, "data", 1, "hwhw");
    expect_recipe(lab, "odd", 1, "whh");
    expect_recipe(lab, "small", 1, "h");
    struct recipe r = lab_recipe(lab, "data");
    assert_int_equal(r.n_extents, 2);
    assert_int_equal(r.extents[0].offset, 20 << 20);
    assert_int_equal(r.extents[0].length, 8192);
    recipe_done(&r);
    r = lab_recipe(lab, "hole");
    assert_int_equal(r.n_extents, 1);
    assert_int_equal(r.extents[0].offset, 100 << 20);
    assert_int_equal(r.extents[0].length, 0);
    recipe_done(&r);
    lab_assert_restores(lab, "1", NULL);
    _cleanup_free_ char *target = lab_restore(lab, "1");
    _cleanup_free_ char *file = xasprintf("%s%s/hole", target, lab->source);
    assert_int_equal(stat(file, &st), 0);
    assert_in_range(st.st_blocks * 512, 0, 65536);
    // A hole gets data, data become a hole.
    lab_scribble(lab, "hole", 3, 60 << 20, 4096);
    lab_sh(lab, "fallocate -p -o 20M -l 8192 $SRC/data");
    struct backup_result second = lab_backup(lab);
    assert_in_range(second.bytes_stored, 4096, 40000);
    expect_recipe(lab, "data", 1, "hhhw");
    lab_assert_restores(lab, "2", NULL);
    lab_assert_sound(lab);
}

// The bytes are the same, the holes are elsewhere.
static void test_holes_moved(void **state)
{
    struct lab *lab = *state;
    lab_sh(lab, "truncate -s 4M $SRC/f; dd if=/dev/zero of=$SRC/f bs=64k count=1 seek=0 conv=notrunc status=none");
    (void)lab_backup(lab);
    struct recipe before = lab_recipe(lab, "f");
    lab_sh(lab, "truncate -s 0 $SRC/f; truncate -s 4M $SRC/f; dd if=/dev/zero of=$SRC/f bs=64k count=1 seek=32 conv=notrunc status=none");
    struct backup_result second = lab_backup(lab);
    struct recipe after = lab_recipe(lab, "f");
    if (before.n_extents == 0) // a file system without holes
        skip();
    assert_int_equal(before.extents[0].offset, 0);
    assert_int_equal(after.n_extents, 1);
    assert_int_equal(after.extents[0].offset, 2 << 20);
    assert_in_range(second.bytes_stored, 1, 10000);
    assert_memory_equal(before.sha256, after.sha256, 32);
    recipe_done(&before);
    recipe_done(&after);
    lab_assert_restores(lab, "2", NULL);
}

// ---- files that change while they are read

static struct lab *watched;
static off_t shrink_to;
static int reads, change_at; // how many reads of the file, and which of them changes it first; 0 = every one

static bool is_watched(int fd)
{
    char link[64], path[4096] = "";
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return readlink(link, path, sizeof path - 1) > 0 && strcmp(path + strlen(path) - 2, "/f") == 0;
}

static void append(void)
{
    _cleanup_free_ char *path = xasprintf("%s/f", watched->source);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "more", 4), 4);
    assert_int_equal(close(fd), 0);
}

static ssize_t growing_pread(const struct io *io, int fd, void *data, size_t n, off_t offset)
{
    if (is_watched(fd) && (++reads == change_at || change_at == 0))
        append();
    return io_real()->pread(io, fd, data, n, offset);
}

static ssize_t shrinking_pread(const struct io *io, int fd, void *data, size_t n, off_t offset)
{
    if (is_watched(fd) && ++reads == change_at) {
        _cleanup_free_ char *path = xasprintf("%s/f", watched->source);
        assert_int_equal(truncate(path, shrink_to), 0);
    }
    return io_real()->pread(io, fd, data, n, offset);
}

static ssize_t failing_pread(const struct io *io, int fd, void *data, size_t n, off_t offset)
{
    if (is_watched(fd) && ++reads >= change_at) {
        errno = EIO;
        return -1;
    }
    return io_real()->pread(io, fd, data, n, offset);
}

static struct backup_result backup_with(struct lab *lab, ssize_t (*pread_fn)(const struct io *, int, void *, size_t, off_t), int at)
{
    struct io io = *io_real();
    io.pread = pread_fn;
    watched = lab;
    reads = 0;
    change_at = at;
    lab->io = &io;
    lab->options.jobs = 1;
    struct backup_result result = lab_backup(lab);
    lab->io = io_real();
    return result;
}

static void test_changed_once_while_read(void **state)
{
    struct lab *lab = *state;
    lab_noise(lab, "f", 1, 300000);
    struct backup_result result = backup_with(lab, growing_pread, 2);
    assert_true(result.complete); // read again, and quiet then
    lab_assert_restores(lab, "1", NULL);
    struct backup_result next = lab_backup(lab);
    (void)next;
    lab_assert_restores(lab, "2", NULL);
}

static void test_changed_all_the_time(void **state)
{
    struct lab *lab = *state;
    lab_noise(lab, "f", 1, 300000);
    struct backup_result result = backup_with(lab, growing_pread, 0);
    assert_false(result.complete);
    assert_int_equal(result.unstable_files, 1);
    struct manifest_entry e = lab_entry(lab, "f");
    assert_true((e.notes & MANIFEST_UNSTABLE) != 0);
    manifest_entry_done(&e);
    free(lab_restore(lab, "1")); // as it was read, and sound
    lab_assert_sound(lab);
    // Read again next time, though nothing has changed since.
    struct backup_result next = lab_backup(lab);
    assert_true(next.complete);
    assert_true(next.bytes_read >= 300000);
    lab_assert_restores(lab, "2", NULL);
    struct backup_result third = lab_backup(lab);
    assert_int_equal(third.bytes_read, 0);
    lab_assert_restores(lab, "3", NULL);
}

// Of what is read behind the first piece half is gone at once.
static ssize_t halving_pread(const struct io *io, int fd, void *data, size_t n, off_t offset)
{
    if (is_watched(fd) && offset > PIECE) {
        _cleanup_free_ char *path = xasprintf("%s/f", watched->source);
        assert_int_equal(truncate(path, offset + (off_t)n / 2), 0);
    }
    return io_real()->pread(io, fd, data, n, offset);
}

// What the recipe says of holes ends with the file as it was read.
static void test_sparse_shrinks_all_the_time(void **state)
{
    struct lab *lab = *state;
    lab_sh(lab, "truncate -s 40M $SRC/f");
    lab_scribble(lab, "f", 1, 4096, 4096);
    lab_scribble(lab, "f", 2, PIECE + (1 << 20), 65536);
    struct backup_result result = backup_with(lab, halving_pread, 0);
    assert_int_equal(result.unstable_files, 1);
    struct recipe r = lab_recipe(lab, "f");
    assert_true(r.n_extents > 0 && r.extents[r.n_extents - 1].offset + r.extents[r.n_extents - 1].length <= r.size);
    recipe_done(&r);
    free(lab_restore(lab, "1"));
    lab_assert_sound(lab);
    (void)lab_backup(lab);
    lab_assert_restores(lab, "2", NULL);
}

static void test_shrinks_while_read(void **state)
{
    struct lab *lab = *state;
    static const off_t sizes[] = { PIECE + 100, PIECE, 100, 1 };
    for (int at = 2; at <= 5; at++) {
        shrink_to = sizes[at - 2];
        lab_noise(lab, "f", (uint64_t)at, 2 * PIECE + 5);
        struct backup_result result = backup_with(lab, shrinking_pread, at);
        assert_true(result.complete);
        lab_assert_restores(lab, "latest", NULL);
    }
    // To nothing: as it was read, or as it is; the next night has it right in any case.
    for (int at = 1; at <= 4; at++) {
        shrink_to = 0;
        lab_noise(lab, "f", (uint64_t)at, PIECE + 5);
        (void)backup_with(lab, shrinking_pread, at);
        free(lab_restore(lab, "latest"));
        (void)lab_backup(lab);
        lab_assert_restores(lab, "latest", NULL);
    }
    lab_assert_sound(lab);
}

// Changes while it is read the first time, cannot be read the second: left out and reported, the run goes on.
static ssize_t growing_then_failing_pread(const struct io *io, int fd, void *data, size_t n, off_t offset)
{
    if (is_watched(fd) && ++reads == 2)
        append();
    if (is_watched(fd) && reads >= 3) {
        errno = EIO;
        return -1;
    }
    return io_real()->pread(io, fd, data, n, offset);
}

static void test_fails_when_read_again(void **state)
{
    struct lab *lab = *state;
    lab_noise(lab, "f", 1, 300000);
    lab_noise(lab, "g", 2, 300000);
    struct backup_result result = backup_with(lab, growing_then_failing_pread, 0);
    assert_int_equal(result.skipped, 1);
    assert_int_equal(result.files, 1);
    lab_assert_sound(lab);
}

static void test_unreadable_in_the_middle(void **state)
{
    struct lab *lab = *state;
    lab_noise(lab, "f", 1, 3 * PIECE);
    lab_noise(lab, "g", 2, 300000);
    lab_file(lab, "h", "small");
    for (int at = 1; at <= 4; at++) {
        struct backup_result result = backup_with(lab, failing_pread, at);
        assert_false(result.complete);
        assert_int_equal(result.skipped, 1);
        assert_non_null(strstr(buf_str(&lab->problems), "/f: "));
        assert_int_equal(result.files, 2);
    }
    lab_assert_sound(lab);
    assert_true(lab_backup(lab).complete);
    lab_assert_restores(lab, "latest", NULL);
}

// ---- caches

static void spoil_and_back_up(struct lab *lab, const char *script, unsigned night)
{
    lab_sh(lab, script);
    lab_scribble(lab, "f", 50 + night, night * 7777, 1000);
    struct backup_result result = lab_backup(lab);
    assert_true(result.complete);
    lab_assert_restores(lab, "latest", NULL);
}

static void test_wrong_caches(void **state)
{
    struct lab *lab = *state;
    static const char *const scripts[] = {
        "rm $STATE/versions/*.tags", "rm $STATE/versions/*.recipe", "rm $STATE/versions/*.needs", "rm -r $STATE/versions", "rm $STATE/known-*", "rm $STATE/manifest-*",
        "rm $STATE/stat-*", "rm $STATE/key",
        "for f in $STATE/versions/*.tags; do printf x | dd of=$f bs=1 seek=5000 conv=notrunc status=none; done",
        "for f in $STATE/versions/*.recipe; do printf x | dd of=$f bs=1 seek=50 conv=notrunc status=none; done",
        "for f in $STATE/versions/*.needs; do printf 9 | dd of=$f bs=1 seek=7 conv=notrunc status=none; done",
        "for f in $STATE/versions/*.needs; do truncate -s 10 $f; done", "for f in $STATE/versions/*.tags; do : >$f; done",
        "cd $STATE/versions; a=$(ls *.tags | head -n 1); for f in *.tags; do cp $a t; mv t $f; done", // all those of one file
        "cd $STATE/versions; a=$(ls *.recipe | head -n 1); for f in *.recipe; do cp $a t; mv t $f; done",
        "cd $STATE/versions; a=$(ls *.needs | head -n 1); for f in *.needs; do cp $a t; mv t $f; done",
    };
    lab_noise(lab, "f", 1, 1 << 20);
    lab_noise(lab, "g", 2, 1 << 20);
    (void)lab_backup(lab);
    for (unsigned i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
        spoil_and_back_up(lab, scripts[i], i + 1);
    lab_assert_sound(lab);
}

// Yesterday's tags under today's name: of another version, so of no use.
static void test_old_caches(void **state)
{
    struct lab *lab = *state;
    lab_noise(lab, "f", 1, 1 << 20);
    (void)lab_backup(lab);
    lab_sh(lab, "cp -a state state-then");
    lab_scribble(lab, "f", 2, 100000, 50000);
    (void)lab_backup(lab);
    lab_sh(lab, "cd $STATE/versions; t=$(echo *.tags | tr ' ' '\\n' | tail -n 1); cp ../../../../state-then/policies/test/versions/*.tags .; ls *.tags >/dev/null\n"
                "old=$(cd ../../../../state-then/policies/test/versions; ls *.tags | tail -n 1); cp ../../../../state-then/policies/test/versions/$old $t");
    lab_scribble(lab, "f", 3, 0, 100);
    (void)lab_backup(lab);
    lab_assert_restores(lab, "3", NULL);
    lab_assert_sound(lab);
}

// What no version in use needs goes from the local directory.
static void test_swept(void **state)
{
    struct lab *lab = *state;
    lab_noise(lab, "f", 1, 1 << 20);
    lab_noise(lab, "g", 2, 1 << 20);
    for (unsigned night = 0; night < 4; night++) {
        lab_scribble(lab, "f", 5 + night, 0, 100);
        (void)lab_backup(lab);
    }
    lab_sh(lab, "ls $STATE/versions | wc -l >count; test $(cat count) = 12"); // f, its anchor, g, the manifest: recipe, needs, tags
    lab_sh(lab, "rm $SRC/g; echo x >$SRC/x");
    (void)lab_backup(lab);
    lab_sh(lab, "test $(ls $STATE/versions | wc -l) = 9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_delta_and_rdiff, setup, teardown),
        cmocka_unit_test_setup_teardown(test_inserted_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moved_zeros, setup, teardown),
        cmocka_unit_test_setup_teardown(test_untouched_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chain_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_share_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_anchors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bytes_used, setup, teardown),
        cmocka_unit_test_setup_teardown(test_touched, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copies_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_holes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_holes_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed_once_while_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed_all_the_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shrinks_while_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sparse_shrinks_all_the_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fails_when_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unreadable_in_the_middle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_caches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old_caches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_swept, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
