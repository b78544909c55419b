// Whole runs: what is stored, what is not, and that a restore gives back exactly what was there, whatever the caches say.
#include "tests/engine/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "bkd/base/fs.h"

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

// Two nights between which nothing changed: /tmp is an entry too (the way to the source), and other programs work there.
static struct backup_result quiet_night(struct lab *lab)
{
    for (unsigned tries = 0; tries < 40; tries++) {
        struct stat before, after;
        assert_int_equal(stat("/tmp", &before), 0);
        (void)lab_backup(lab);
        uint64_t objects = lab_count_files(lab, "repo/objects"), refs = lab_count_files(lab, "repo/refs"), heads = lab_count_files(lab, "repo/heads");
        struct backup_result night = lab_backup(lab);
        assert_int_equal(stat("/tmp", &after), 0);
        if (before.st_mtim.tv_sec != after.st_mtim.tv_sec || before.st_mtim.tv_nsec != after.st_mtim.tv_nsec)
            continue;
        assert_int_equal(lab_count_files(lab, "repo/objects"), objects);
        assert_int_equal(lab_count_files(lab, "repo/refs"), refs);
        assert_int_equal(lab_count_files(lab, "repo/heads"), heads + 1);
        return night;
    }
    skip();
    return (struct backup_result){ 0 };
}

// The source as it was: one head, the same manifest, no object.
static void test_unchanged_night(void **state)
{
    struct lab *lab = *state;
    make_tree(lab);
    struct backup_result night = quiet_night(lab);
    assert_int_equal(night.bytes_stored, 0);
    assert_int_equal(night.bytes_read, 0);
    assert_int_equal(night.objects, 0);
    lab_assert_restores(lab, "latest", NULL);
    // And what was known stays known over such nights.
    lab_sh(lab, "cp $SRC/docs/7.txt $SRC/docs/copy");
    struct backup_result third = lab_backup(lab);
    assert_in_range(third.bytes_stored, 1, 4000);
    lab_assert_restores(lab, "latest", NULL);
}

// Content that is stored stores nothing again, whatever it is called and however it got there: only manifests differ.
static void test_content_is_stored_once(void **state)
{
    struct lab *lab = *state;
    lab_noise(lab, "small", 1, 100000);
    lab_noise(lab, "large", 2, 600000);
    (void)lab_backup(lab);
    static const char *const scripts[] = {
        "cp $SRC/small $SRC/small2; cp $SRC/large $SRC/large2",
        "mv $SRC/small $SRC/moved; mv $SRC/large $SRC/moved2; touch $SRC/moved $SRC/moved2",
        "mkdir $SRC/d; mv $SRC/moved* $SRC/d",
        "mv $SRC/d $SRC/e",
        "touch $SRC/e/*",
        "chmod 600 $SRC/e/*; ln $SRC/e/moved $SRC/e/link",
        "cat $SRC/e/moved >$SRC/e/moved2", // what was large has the content of what was small
    };
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        lab_sh(lab, scripts[i]);
        struct backup_result result = lab_backup(lab);
        assert_in_range(result.bytes_stored, 1, 6000);
        lab_assert_restores(lab, "latest", NULL);
    }
    lab_assert_sound(lab);
}

static void test_moved_directory_is_not_read(void **state)
{
    struct lab *lab = *state;
    make_tree(lab);
    (void)lab_backup(lab);
    lab_sh(lab, "mv $SRC/docs $SRC/papers");
    struct backup_result second = lab_backup(lab);
    assert_int_equal(second.bytes_read, 0);
    assert_int_equal(second.moved_files, 11); // all but the empty one
    assert_in_range(second.bytes_stored, 1, 4000);
    lab_assert_restores(lab, "2", NULL);
}

static void assert_paths(struct lab *lab, const char *present, const char *absent)
{
    _cleanup_free_ char *text = lab_manifest(lab);
    if (strstr(text, present) == NULL || strstr(text, absent) != NULL)
        fail_msg("%s or %s: %s", present, absent, text);
}

static void test_excludes_change(void **state)
{
    struct lab *lab = *state;
    struct error err;
    const char *pattern = "*.txt";
    struct pattern_set *set = NULL;
    scratch_ok(pattern_set_new(&pattern, 1, &set, &err), &err);
    struct exclude_rules rules = { .patterns = set };
    make_tree(lab);
    (void)lab_backup(lab);
    assert_paths(lab, "/docs/1.txt f ", "/none");
    lab->sources[0].exclude = &rules;
    struct backup_result second = lab_backup(lab);
    assert_int_equal(second.files, 4);
    assert_paths(lab, "/docs/middle f ", ".txt f ");
    lab->sources[0].exclude = NULL;
    struct backup_result third = lab_backup(lab);
    assert_int_equal(third.files, 13);
    assert_in_range(third.bytes_stored, 1, 5000); // read, and known
    lab_assert_restores(lab, "3", NULL);
    pattern_set_free(&set);
}

static void test_sources_change(void **state)
{
    struct lab *lab = *state;
    make_tree(lab);
    lab_sh(lab, "mkdir other; echo o >other/file; mkdir third");
    _cleanup_free_ char *other = xasprintf("%s/other", lab->dir), *third = xasprintf("%s/third", lab->dir);
    lab->sources[1].path = other;
    lab->n_sources = 2;
    struct backup_result first = lab_backup(lab);
    assert_int_equal(first.files, 14);
    assert_paths(lab, "/other/file f ", "/none");
    // The same in another order, with an empty one in front: nothing to read, no alarm.
    lab->sources[2].path = other;
    lab->sources[1].path = lab->source;
    lab->sources[0].path = third;
    lab->n_sources = 3;
    struct backup_result second = lab_backup(lab);
    assert_int_equal(second.bytes_read, 0);
    assert_int_equal(second.files, 14);
    // One is removed from the policy: not an alarm either.
    lab->sources[0].path = lab->source;
    lab->n_sources = 1;
    struct backup_result last = lab_backup(lab);
    assert_int_equal(last.files, 13);
    assert_int_equal(last.bytes_read, 0);
    assert_paths(lab, "/docs/1.txt f ", "/other/file");
    lab_assert_restores(lab, "3", NULL);
}

static void test_source_empty(void **state)
{
    struct lab *lab = *state;
    struct error err;
    struct backup_result result;
    make_tree(lab);
    (void)lab_backup(lab);
    uint64_t files = lab_count_files(lab, "repo");
    lab_sh(lab, "mv $SRC aside; mkdir $SRC");
    assert_int_equal(lab_try(lab, &result, &err), ERROR_FAILED);
    assert_non_null(strstr(err.text, "is empty"));
    assert_int_equal(lab_count_files(lab, "repo"), files); // nothing was stored
    lab_sh(lab, "rmdir $SRC");
    assert_int_equal(lab_try(lab, &result, &err), ERROR_NOT_FOUND);
    assert_int_equal(lab_count_files(lab, "repo"), files);
    lab_sh(lab, "mv aside $SRC");
    assert_int_equal(lab_backup(lab).snapshot, 2);
    lab_sh(lab, "rm -r $SRC/*");
    lab->options.accept_source_change = true;
    assert_int_equal(lab_backup(lab).files, 0);
    lab->options.accept_source_change = false;
    assert_int_equal(lab_backup(lab).files, 0); // it has been empty before
}

static char *state_listing(struct lab *lab)
{
    struct buf text = { 0 };
    lab_sh(lab, "(cd $STATE && find . -type f ! -name journal -printf '%p %s %T@\\n' | sort; cd $REPO && find . -printf '%p %s %T@\\n' | sort) >listing");
    struct scratch s;
    (void)snprintf(s.dir, sizeof s.dir, "%s", lab->dir);
    scratch_read(&s, "listing", &text);
    return buf_take_str(&text);
}

static void test_dry_run(void **state)
{
    struct lab *lab = *state;
    make_tree(lab);
    lab->options.dry_run = true;
    struct backup_result result = lab_backup(lab);
    assert_int_equal(result.snapshot, 0);
    assert_int_equal(result.changed_files, 13);
    assert_int_equal(lab_count_files(lab, "repo/objects") + lab_count_files(lab, "repo/heads"), 0);
    lab->options.dry_run = false;
    (void)lab_backup(lab);
    lab_noise(lab, "docs/new", 3, 5000);
    lab_sh(lab, "mv $SRC/docs $SRC/papers");
    _cleanup_free_ char *before = state_listing(lab);
    lab->options.dry_run = true;
    lab->options.accept_source_change = true;
    result = lab_backup(lab);
    assert_int_equal(result.bytes_read, 5000); // what moved is not read
    assert_int_equal(result.changed_files, 2); // and an empty file
    assert_int_equal(result.moved_files, 11);
    _cleanup_free_ char *after = state_listing(lab);
    assert_string_equal(before, after);
    lab->options.dry_run = false;
    lab->options.accept_source_change = false;
    result = lab_backup(lab);
    assert_int_equal(result.snapshot, 2);
    assert_int_equal(result.bytes_read, 5000);
    lab_assert_restores(lab, "2", NULL);
}

// What is called when a snapshot is committed; the store is open, and has its head.
struct beside {
    struct lab *lab;
    unsigned calls;
};

static int begin_nothing(void *arg, struct error *err)
{
    (void)arg, (void)err;
    return 0;
}

static int count_head(void *arg, const char *name, uint64_t size, struct error *err)
{
    (void)name, (void)size, (void)err;
    (*(unsigned *)arg)++;
    return 0;
}

static void note_committed(void *arg, struct store *store)
{
    struct beside *b = arg;
    struct error err;
    unsigned heads = 0;
    b->calls++;
    scratch_ok(store->ops->list(store, "heads", count_head, &heads, &err), &err);
    assert_int_equal(heads, b->calls);
}

static void end_nothing(void *arg, int r, const struct backup_result *result, const struct error *err) { (void)arg, (void)r, (void)result, (void)err; }

// Over the run's connection, once the snapshot is there: not in a rehearsal, nor when nothing was committed.
static void test_beside_the_snapshot(void **state)
{
    struct lab *lab = *state;
    struct beside beside = { .lab = lab };
    const struct backup_around around = { begin_nothing, note_committed, end_nothing, &beside };
    struct backup_result result;
    struct error err;
    lab_file(lab, "a", "a");
    lab->options.around = &around;
    lab->options.dry_run = true;
    (void)lab_try(lab, &result, &err);
    assert_int_equal(beside.calls, 0);
    lab->options.dry_run = false;
    (void)lab_backup(lab);
    assert_int_equal(beside.calls, 1);
    lab_sh(lab, "mv $SRC $SRC.away");
    assert_true(lab_try(lab, &result, &err) < 0);
    assert_int_equal(beside.calls, 1);
    lab_sh(lab, "mv $SRC.away $SRC");
}

static void test_tag_and_lock(void **state)
{
    struct lab *lab = *state;
    struct error err;
    struct backup_result result;
    lab_file(lab, "f", "x");
    lab->options.tag = "before the upgrade %\n";
    (void)lab_backup(lab);
    lab_sh(lab, "grep -qx 'tag before%20the%20upgrade%20%25%0A' $REPO/heads/*/1");
    int fd = -1, dirfd = open(lab->policy_state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    scratch_ok(fs_lock(io_real(), dirfd, "lock", &fd, &err), &err);
    assert_int_equal(lab_try(lab, &result, &err), ERROR_BUSY);
    assert_int_equal(close(fd), 0);
    assert_int_equal(close(dirfd), 0);
    assert_int_equal(lab_backup(lab).snapshot, 2);
}

// An object that is gone: what it held is read and stored again, and the new snapshot is whole.
static void test_object_gone(void **state)
{
    struct lab *lab = *state;
    make_tree(lab);
    (void)lab_backup(lab);
    lab_sh(lab, "rm $(find $REPO/objects -type f | head -n 1)");
    struct backup_result second = lab_backup(lab);
    assert_int_equal(second.damaged_objects, 1);
    assert_true(second.bytes_stored > 10000);
    lab_assert_restores(lab, "2", NULL);
    lab_sh(lab, "for f in $(find $REPO/objects -type f); do truncate -s -1 $f; done");
    struct backup_result third = lab_backup(lab);
    assert_true(third.damaged_objects > 0);
    lab_assert_restores(lab, "3", NULL);
}

static void test_repository_rolled_back(void **state)
{
    struct lab *lab = *state;
    struct error err;
    struct backup_result result;
    make_tree(lab);
    (void)lab_backup(lab);
    lab_sh(lab, "cp -a $REPO repo-then");
    lab_scribble(lab, "big", 5, 0, 1000);
    (void)lab_backup(lab);
    lab_sh(lab, "mv $REPO repo-now; cp -a repo-then $REPO");
    assert_int_equal(lab_try(lab, &result, &err), ERROR_INTEGRITY);
    lab_sh(lab, "rm $STATE/pin"); // as the message says
    lab_scribble(lab, "big", 6, 500000, 1000);
    assert_int_equal(lab_backup(lab).snapshot, 2);
    lab_assert_restores(lab, "2", NULL);
    lab_assert_sound(lab);
    lab_sh(lab, "rm -r $REPO; mv repo-now $REPO"); // and the other way: heads this host did not write
    assert_int_equal(lab_try(lab, &result, &err), ERROR_INTEGRITY);
    lab_sh(lab, "rm $STATE/pin");
    lab_scribble(lab, "big", 7, 900000, 1000);
    assert_int_equal(lab_backup(lab).snapshot, 3);
    lab_assert_restores(lab, "3", NULL);
    lab_assert_sound(lab);
}

// All of the state lost: the chain goes on, everything is read, and what can be known of is not stored again without need.
static void test_state_lost(void **state)
{
    struct lab *lab = *state;
    make_tree(lab);
    (void)lab_backup(lab);
    lab_sh(lab, "rm -r state");
    struct backup_result second = lab_backup(lab);
    assert_int_equal(second.snapshot, 2);
    assert_int_equal(second.bytes_read > 3 << 20, true);
    lab_assert_restores(lab, "2", NULL);
    assert_int_equal(lab_backup(lab).bytes_read, 0);
    lab_assert_sound(lab);
}

// What killed runs left in the state goes with the next snapshot; what is needed stays.
static void test_left_overs(void **state)
{
    struct lab *lab = *state;
    make_tree(lab);
    (void)lab_backup(lab);
    lab_sh(lab, "cd $STATE; ls >../../../names; for f in known-0123456789abcdef manifest-0123456789abcdef stat-0123456789abcdef spill-00 plan-00 pin.part-00 versions/00.new; do echo x >$f; done");
    lab_file(lab, "new", "new");
    (void)lab_backup(lab);
    lab_sh(lab, "strip() { sed -e /^nights$/d -e 's/^\\(known\\|manifest\\|stat\\)-.*/\\1/'; }; strip <names >expected; (cd $STATE; ls) | strip >got; diff expected got >&2\n"
                "test ! -e $STATE/versions/00.new; grep -q known got; grep -q pin got");
    lab_assert_restores(lab, "2", NULL);
}

// Files that go, come and change between the scan and their reading.
static struct lab *watched;

static int racing_openat(const struct io *io, int dirfd, const char *path, int flags, mode_t mode)
{
    (void)io;
    if (strcmp(path, "plan") == 0 || strncmp(path, "plan-", 5) == 0)
        return io_real()->openat(io_real(), dirfd, path, flags, mode);
    if (strcmp(path, "gone") == 0 || strcmp(path, "gone-big") == 0) {
        _cleanup_free_ char *file = xasprintf("%s/%s", watched->source, path);
        (void)unlink(file);
    }
    if (strcmp(path, "turns") == 0 && (flags & O_CREAT) == 0) {
        _cleanup_free_ char *file = xasprintf("%s/turns", watched->source);
        (void)unlink(file);
        assert_int_equal(symlink("/etc/passwd", file), 0);
    }
    if (strcmp(path, "emptied") == 0) {
        _cleanup_free_ char *file = xasprintf("%s/emptied", watched->source);
        assert_int_equal(truncate(file, 0), 0);
    }
    return io_real()->openat(io_real(), dirfd, path, flags, mode);
}

static void test_changes_behind_the_scan(void **state)
{
    struct lab *lab = *state;
    struct io io = *io_real();
    lab_noise(lab, "a", 1, 100);
    lab_noise(lab, "emptied", 2, 400000);
    lab_noise(lab, "gone", 3, 100);
    lab_noise(lab, "gone-big", 4, 400000);
    lab_noise(lab, "turns", 5, 100);
    lab_noise(lab, "z", 6, 400000);
    watched = lab;
    io.openat = racing_openat;
    lab->io = &io;
    struct backup_result result = lab_backup(lab);
    lab->io = io_real();
    assert_true(result.complete); // as if they had gone before
    assert_int_equal(result.files, 3);
    assert_int_equal(result.entries, 3 + 4); // and the directories down to them
    lab_sh(lab, "rm $SRC/turns; touch -r $SRC x");
    _cleanup_free_ char *target = lab_restore(lab, "1");
    _cleanup_free_ char *script = xasprintf("diff -r $SRC %s%s", target, lab->source);
    lab_sh(lab, script);
    lab_assert_sound(lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_two_nights, setup, teardown),
        cmocka_unit_test_setup_teardown(test_encrypted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_off_run_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers_given_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unchanged_night, setup, teardown),
        cmocka_unit_test_setup_teardown(test_content_is_stored_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moved_directory_is_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_excludes_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sources_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_source_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dry_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_beside_the_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tag_and_lock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_object_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_repository_rolled_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_state_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_left_overs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes_behind_the_scan, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
