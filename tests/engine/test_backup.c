// Whole runs: what is stored, what is not, and that a restore gives back exactly what was there, whatever the caches say.
#include "tests/engine/lab.h"

#include <errno.h>
#include <fcntl.h>

static int setup(void **state)
{
    struct lab *lab = xcalloc(1, sizeof *lab);
    lab_init(lab, false, 256 << 10);
    *state = lab;
    return 0;
}

static int teardown(void **state)
{
    lab_done(*state);
    free(*state);
    return 0;
}

// A tree of every kind of thing.
static void make_tree(struct lab *lab)
{
    lab_sh(lab, "mkdir -p $SRC/docs/deep/er $SRC/empty\n"
                "for i in 1 2 3 4 5 6 7 8 9; do seq 1 $((i * 100)) >$SRC/docs/$i.txt; done\n"
                "ln -s ../docs/1.txt $SRC/docs/link; mkfifo -m 600 $SRC/docs/fifo; : >$SRC/docs/deep/nothing\n"
                "ln $SRC/docs/2.txt $SRC/docs/deep/er/hard; chmod 4711 $SRC/docs/3.txt; touch -d '1969-12-31 23:59:58.75' $SRC/docs/4.txt\n");
    lab_noise(lab, "big", 1, 3 << 20);
    lab_noise(lab, "docs/middle", 2, 300 << 10);
}

static void test_two_nights(void **state)
{
    struct lab *lab = *state;
    make_tree(lab);
    struct backup_result first = lab_backup(lab);
    assert_int_equal(first.snapshot, 1);
    assert_int_equal(first.files, 13);
    assert_int_equal(first.changed_files, 13);
    assert_true(first.complete);
    lab_assert_restores(lab, "1", NULL);
    _cleanup_free_ char *then = lab_copy(lab, "then");
    lab_sh(lab, "echo more >>$SRC/docs/1.txt; rm $SRC/docs/9.txt; rm $SRC/docs/link; mkdir $SRC/docs/link; echo x >$SRC/docs/link/x; mv $SRC/docs/8.txt $SRC/docs/eight");
    lab_scribble(lab, "big", 3, 1 << 20, 5000);
    struct backup_result second = lab_backup(lab);
    assert_int_equal(second.snapshot, 2);
    assert_int_equal(second.changed_files, 3); // 1.txt, big, link/x; eight has the content it had
    assert_in_range(second.bytes_stored, 5000, 40000);
    lab_assert_restores(lab, "2", NULL);
    lab_assert_restores(lab, "1", then);
    lab_assert_sound(lab);
}

static void test_encrypted(void **state)
{
    struct lab lab;
    (void)state;
    lab_init(&lab, true, 1 << 20);
    make_tree(&lab);
    (void)lab_backup(&lab);
    _cleanup_free_ char *then = lab_copy(&lab, "then");
    lab_scribble(&lab, "big", 3, 1 << 20, 5000);
    struct backup_result second = lab_backup(&lab);
    assert_in_range(second.bytes_stored, 5000, 40000);
    lab_assert_restores(&lab, "1", then);
    lab_assert_restores(&lab, "2", NULL);
    lab_done(&lab);
}

static int refuse_heads(const struct io *io, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, unsigned flags)
{
    (void)io;
    if (strncmp(new_path, "heads/", 6) != 0)
        return io_real()->renameat2(io_real(), old_dirfd, old_path, new_dirfd, new_path, flags);
    errno = EIO;
    return -1;
}

// A run that does everything but the commit.
static void backup_without_commit(struct lab *lab)
{
    struct error err;
    struct backup_result result;
    struct io io = *io_real();
    io.renameat2 = refuse_heads;
    lab->io = &io;
    lab_settle();
    assert_int_equal(lab_try(lab, &result, &err), ERROR_FAILED);
    lab->io = io_real();
}

// The local cache knows content by object number. When a run dies after it saved that cache, and the journal is lost, the next run gives the
// same numbers to other objects: nothing may then be found at the old places.
static void test_numbers_given_twice(void **state)
{
    struct lab *lab = *state;
    make_tree(lab);
    backup_without_commit(lab);
    lab_sh(lab, "rm $STATE/journal; echo first >$SRC/a");
    lab_noise(lab, "aa", 77, 1 << 20);
    (void)lab_backup(lab);
    lab_assert_restores(lab, "latest", NULL);
    lab_assert_sound(lab);
    lab_sh(lab, "cp -a $SRC/docs $SRC/docs-copy");
    (void)lab_backup(lab);
    lab_assert_restores(lab, "latest", NULL);
    lab_assert_sound(lab);
}

static void test_cut_off_run_goes_on(void **state)
{
    struct lab *lab = *state;
    make_tree(lab);
    backup_without_commit(lab);
    uint64_t objects = lab_count_files(lab, "repo/objects");
    lab_sh(lab, "cp $STATE/journal $STATE/chain .");
    struct backup_result again = lab_backup(lab);
    assert_true(again.resumed);
    assert_int_equal(again.bytes_read, 0); // all was stored; only what was not settled could be read again
    assert_true(lab_count_files(lab, "repo/objects") <= objects + 1); // the manifest may differ
    lab_sh(lab, "cmp chain $STATE/chain; test ! -e $STATE/journal");
    lab_assert_restores(lab, "1", NULL);
    // A journal is of no use on top of another snapshot than the one it was begun after.
    lab_sh(lab, "cp journal $STATE/journal; echo 1 >$SRC/new");
    struct backup_result next = lab_backup(lab);
    assert_false(next.resumed);
    lab_assert_restores(lab, "2", NULL);
    lab_assert_sound(lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_two_nights, setup, teardown),
        cmocka_unit_test_setup_teardown(test_encrypted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_off_run_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers_given_twice, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
