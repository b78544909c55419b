// Storing anew from the live source: what lies in mostly dead objects moves to new ones, and the old ones are needed no more.
#include <sys/stat.h>

#include "bkd/base/log.h"
#include "bkd/engine/renew.h"
#include "tests/engine/lab.h"

enum { FILES = 40, SIZE = 20000, BIG = 600000 };

static int setup(void **state)
{
    struct lab *lab = xcalloc(1, sizeof *lab);
    lab_init(lab, true, 0);
    lab->options.renewal_min_live_percent = 30;
    lab->options.renewal_budget_percent = 100;
    *state = lab;
    return 0;
}

static int teardown(void **state)
{
    lab_done(*state);
    free(*state);
    return 0;
}

static void write_files(struct lab *lab, unsigned from, unsigned to, unsigned seed)
{
    for (unsigned i = from; i < to; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%02u", i);
        lab_noise(lab, name, seed + i, SIZE);
    }
}

// Is the object among the refs of the newest snapshot?
static bool needs_object(struct lab *lab, uint32_t object)
{
    struct error err;
    struct store *store = NULL;
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_format_refs_ struct format_refs refs = { 0 };
    const struct repository_head *head = NULL;
    scratch_ok(store_open(io_real(), lab->repo, NULL, false, &store, &err), &err);
    scratch_ok(repository_open(io_real(), store, lab->signers, &repository, &err), &err);
    scratch_ok(repository_find(repository, NULL, "latest", &head, &err), &err);
    scratch_ok(repository_read_refs(repository, &head->head, &refs, &err), &err);
    for (size_t i = 0; i < refs.n; i++)
        if (refs.refs[i].object == object)
            return true;
    return false;
}

static uint32_t object_of(struct lab *lab, const char *name)
{
    struct manifest_entry entry = lab_entry(lab, name);
    uint32_t object = place_is_set(&entry.version) ? entry.version.object : entry.at.object;
    manifest_entry_done(&entry);
    return object;
}

// Of 40 files 35 change: what is left in the first object is stored anew in the run after, and the object is needed no more.
static void test_small_files(void **state)
{
    struct lab *lab = *state;
    write_files(lab, 0, FILES, 1);
    lab_sh(lab, "ln $SRC/f39 $SRC/link; setfattr -n user.a -v b $SRC/f38 2>/dev/null || true");
    (void)lab_backup(lab);
    uint32_t first = object_of(lab, "f39");
    write_files(lab, 0, 35, 100);
    struct backup_result second = lab_backup(lab);
    assert_int_equal(second.renewed_files, 0);
    assert_true(needs_object(lab, first));
    struct backup_result third = lab_backup(lab);
    assert_int_equal(third.renewed_files, 6); // f39 has two names
    assert_int_equal(third.renewed_bytes, 5 * SIZE);
    assert_int_equal(third.changed_files, 0);
    assert_false(needs_object(lab, first));
    assert_true(object_of(lab, "f39") > object_of(lab, "f00"));
    for (int i = 1; i <= 3; i++)
        free(lab_restore(lab, i == 1 ? "1" : i == 2 ? "2" : "3"));
    lab_assert_restores(lab, "latest", NULL);
    lab_assert_sound(lab);
    struct backup_result fourth = lab_backup(lab);
    assert_int_equal(fourth.renewed_files, 0);
    assert_int_equal(fourth.bytes_read, 0);
    assert_true(fourth.bytes_stored < SIZE); // at most a manifest: directories above the source may have changed
}

static void test_budget(void **state)
{
    struct lab *lab = *state;
    lab->options.renewal_budget_bytes = 2 * SIZE;
    write_files(lab, 0, FILES, 1);
    (void)lab_backup(lab);
    uint32_t first = object_of(lab, "f39");
    write_files(lab, 0, 35, 100);
    (void)lab_backup(lab);
    for (unsigned night = 0; night < 3; night++) {
        struct backup_result result = lab_backup(lab);
        assert_int_equal(result.renewed_files, night < 2 ? 2 : 1);
        assert_true(needs_object(lab, first) == (night < 2));
    }
    lab_assert_restores(lab, "latest", NULL);
    lab_assert_sound(lab);
    lab->options.renewal_min_live_percent = 0;
}

static void test_not_wanted(void **state)
{
    struct lab *lab = *state;
    lab->options.renewal_min_live_percent = 0;
    write_files(lab, 0, FILES, 1);
    (void)lab_backup(lab);
    write_files(lab, 0, 39, 100);
    (void)lab_backup(lab);
    struct backup_result third = lab_backup(lab);
    assert_int_equal(third.renewed_files, 0);
    assert_int_equal(third.bytes_read, 0);
}

// A file of versions: its whole version and its deltas lie in objects that die; then it is whole again, in one of its own.
static void test_version(void **state)
{
    struct lab *lab = *state;
    write_files(lab, 0, FILES * 5 / 2, 1);
    lab_noise(lab, "big", 1, BIG);
    (void)lab_backup(lab);
    uint32_t first = object_of(lab, "big");
    lab_scribble(lab, "big", 2, 1000, 500);
    write_files(lab, 0, FILES * 5 / 2, 500);
    (void)lab_backup(lab);
    struct backup_result third = lab_backup(lab);
    assert_int_equal(third.renewed_files, 1);
    assert_true(third.renewed_bytes == BIG);
    assert_false(needs_object(lab, first));
    struct recipe recipe = lab_recipe(lab, "big");
    assert_int_equal(recipe.chain, 1);
    recipe_done(&recipe);
    lab_scribble(lab, "big", 3, 5000, 500); // and it is a base for the next one
    struct backup_result fourth = lab_backup(lab);
    assert_true(fourth.bytes_stored < 100000);
    lab_assert_restores(lab, "latest", NULL);
    lab_assert_sound(lab);
}

// Pieces that lie whole in objects that are well used are taken over.
static void test_pieces(void **state)
{
    struct lab *lab = *state;
    enum { PIECE = 16 << 20 };
    lab->options.renewal_min_live_percent = 60;
    lab_noise(lab, "big", 1, 2 * PIECE);
    (void)lab_backup(lab);
    lab_noise(lab, "big2", 2, PIECE);
    lab_sh(lab, "cat $SRC/big2 $SRC/big >all; head -c 33554432 all >$SRC/big; rm $SRC/big2 all"); // the second piece is what the first was
    (void)lab_backup(lab);
    struct backup_result third = lab_backup(lab);
    assert_int_equal(third.renewed_files, 1);
    assert_int_equal(third.renewed_bytes, PIECE);
    lab_assert_restores(lab, "latest", NULL);
    lab_assert_sound(lab);
}

// A disk that gives back other bytes than were written, of the file in io->state.
static ssize_t rotten_pread(const struct io *io, int fd, void *data, size_t n, off_t offset)
{
    char link[32], path[256];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1), got = io_real()->pread(io, fd, data, n, offset);
    path[length < 0 ? 0 : length] = '\0';
    if (got > 100 && strcmp(path, io->state) == 0)
        ((char *)data)[100] ^= 1;
    return got;
}

static ssize_t rotten_read(const struct io *io, int fd, void *data, size_t n)
{
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t got = rotten_pread(io, fd, data, n, at);
    return got > 0 && lseek(fd, got, SEEK_CUR) < 0 ? -1 : got;
}

// The snapshot keeps what was stored, and it is said each time until somebody writes the file anew.
static void expect_rot(struct lab *lab, const char *name)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", lab->source, name);
    struct io io = *io_real();
    io.pread = rotten_pread;
    io.read = rotten_read;
    io.state = path;
    uint32_t first = object_of(lab, name);
    lab->io = &io;
    log_set_level(LOG_LEVEL_ERROR);
    for (int i = 0; i < 2; i++) {
        struct backup_result result = lab_backup(lab);
        assert_int_equal(result.differing_files, 1);
        assert_int_equal(result.changed_files, 0);
        assert_true(result.complete);
        assert_int_equal(object_of(lab, name), first);
    }
    lab->io = io_real();
    lab_assert_restores(lab, "latest", NULL); // the file itself is as it was
    struct backup_result well = lab_backup(lab);
    assert_int_equal(well.differing_files, 0);
    assert_int_equal(well.renewed_files, 1);
    assert_false(needs_object(lab, first));
    lab_assert_sound(lab);
}

static void test_damaged_small_file(void **state)
{
    struct lab *lab = *state;
    write_files(lab, 0, FILES, 1);
    (void)lab_backup(lab);
    write_files(lab, 0, 39, 100);
    (void)lab_backup(lab);
    expect_rot(lab, "f39");
}

static void test_damaged_version(void **state)
{
    struct lab *lab = *state;
    write_files(lab, 0, FILES * 5 / 2, 1);
    lab_noise(lab, "big", 1, BIG);
    (void)lab_backup(lab);
    write_files(lab, 0, FILES * 5 / 2, 500);
    (void)lab_backup(lab);
    expect_rot(lab, "big");
}

static struct lab *rewritten; // before its file f39 is opened next

static int rewriting_openat(const struct io *io, int dirfd, const char *path, int flags, mode_t mode)
{
    if (rewritten != NULL && strcmp(path, "f39") == 0)
        lab_noise(TAKE(rewritten), "f39", 777, SIZE);
    return io_real()->openat(io, dirfd, path, flags, mode);
}

// What was to be stored anew as unchanged, and is changed before it is read, is no damage: what is there now is stored.
static void test_changed_meanwhile(void **state)
{
    struct lab *lab = *state;
    struct io io = *io_real();
    write_files(lab, 0, FILES, 1);
    (void)lab_backup(lab);
    write_files(lab, 0, 39, 100);
    (void)lab_backup(lab);
    io.openat = rewriting_openat;
    rewritten = lab;
    lab->io = &io;
    struct backup_result result = lab_backup(lab);
    lab->io = io_real();
    assert_null(rewritten);
    assert_int_equal(result.differing_files, 0);
    assert_int_equal(result.changed_files, 1);
    lab_assert_restores(lab, "latest", NULL);
    lab_assert_sound(lab);
}

// Objects are known by number, the first and the last of those there are as well.
static void test_each_number(void **state)
{
    (void)state;
    const struct renewal_rule rule = { .min_live_percent = 30, .budget_bytes = 1 << 20 };
    for (size_t dead = 0; dead < 3; dead++) {
        struct format_ref list[3] = { { .object = 4 }, { .object = 5 }, { .object = 9 } };
        const struct format_refs refs = { .refs = list, .n = 3 };
        struct renew renew = { 0 };
        for (size_t i = 0; i < 3; i++) {
            list[i].stored_size = 1000;
            list[i].used = i == dead ? 10 : 1000;
        }
        renew_plan(&renew, &rule, &refs);
        for (uint32_t number = 0; number < 12; number++)
            assert_int_equal(renew_is_due(&renew, number), number == list[dead].object);
        renew_done(&renew);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_small_files, setup, teardown), cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_wanted, setup, teardown),  cmocka_unit_test_setup_teardown(test_version, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),      cmocka_unit_test_setup_teardown(test_damaged_small_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_version, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed_meanwhile, setup, teardown), cmocka_unit_test(test_each_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
