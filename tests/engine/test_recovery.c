// What comes after a fault goes wrong too: runs that are killed again while they recover, local state that is lost, damaged, old or another's,
// repositories that were rolled back or made anew, two runs at once. (Rows C-07, C-08, C-14, C-17, K-06, K-11, K-12.)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bkd/base/bytes.h"
#include "tests/support/fault_io.h"
#include "tests/support/tree.h"
#include "tests/support/world.h"

// A backup that is killed at its N-th change. Returns the changes it made when it came to its end before, else 0.
static long killed_backup(const struct scene *scene, const char *place, long n)
{
    int fds[2], status = 0;
    assert_int_equal(pipe(fds), 0);
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct backup_result result;
        struct error err;
        struct fault_io *fault = fault_io_new(&(struct fault_io_options){ .mode = FAULT_KILL, .kinds = FAULT_CHANGES, .call = n });
        int r = scene_backup(scene, fault_io(fault), place, &result, &err);
        long calls = fault_io_calls(fault);
        if (r < 0)
            (void)fprintf(stderr, "      %s\n", err.text);
        (void)!write(fds[1], &calls, sizeof calls);
        _exit(r < 0 ? 1 : 0);
    }
    long calls = 0;
    (void)close(fds[1]);
    if (read(fds[0], &calls, sizeof calls) != sizeof calls)
        calls = 0;
    (void)close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != FAULT_EXIT))
        fail_msg("a run fails (status %x)", status);
    return calls;
}

static void must_be_sound(const struct world *w, bool encrypted, enum world_step step, const char *place, size_t most, const char *after, long n, long m)
{
    if (!world_is_sound(w, encrypted, step, place, most, false))
        fail_msg("after %s %ld, %ld", after, n, m);
}

static long count_changes(const struct world *w, enum world_step step)
{
    _cleanup_free_ char *place = world_place(w, false, step, "count");
    long calls = killed_backup(&w->scene[0], place, 1000000);
    assert_true(calls > 20);
    return calls;
}

// ---- killed again

static char *copy_place(const struct world *w, const char *from, const char *name)
{
    char *place = xasprintf("%s/%s", w->dir, name);
    tree_remove(place);
    tree_copy(from, place);
    return place;
}

// The change that creates the head: killed at it there is none, killed at the next there is.
static long find_commit(const struct world *w, const char *from)
{
    long n;
    size_t committed = 0;
    {
        _cleanup_free_ char *place = copy_place(w, from, "count");
        struct scene_heads heads;
        struct error err;
        n = killed_backup(&w->scene[0], place, 1000000);
        assert_int_equal(scene_list(&w->scene[0], io_real(), place, &heads, &err), 0);
        committed = heads.n;
    }
    for (; n > 0; n--) {
        _cleanup_free_ char *place = copy_place(w, from, "count");
        struct scene_heads heads;
        struct error err;
        (void)killed_backup(&w->scene[0], place, n);
        assert_int_equal(scene_list(&w->scene[0], io_real(), place, &heads, &err), 0);
        if (heads.n < committed)
            return n;
    }
    fail();
    return 0;
}

// Twice near the commit, where the order of head, pin and pending pin matters.
static void test_killed_twice_at_the_commit(void **state)
{
    const struct world *w = *state;
    long first = find_commit(w, w->before[0][WORLD_SECOND]);
    for (long n = first; n <= first + 8; n += w->all ? 1 : 2) {
        _cleanup_free_ char *once = world_place(w, false, WORLD_SECOND, "killed-once");
        (void)killed_backup(&w->scene[0], once, n);
        long again = find_commit(w, once);
        for (long m = again - 12; m <= again + 3; m++) {
            _cleanup_free_ char *place = copy_place(w, once, "place");
            (void)killed_backup(&w->scene[0], place, m);
            must_be_sound(w, false, WORLD_SECOND, place, 2, "kills at", n, m);
        }
    }
}

static void test_killed_five_times(void **state)
{
    const struct world *w = *state;
    unsigned seed = 1;
    for (int round = 0; round < (w->all ? 500 : 25); round++) {
        bool encrypted = round % 2 != 0;
        _cleanup_free_ char *place = world_place(w, encrypted, WORLD_SECOND, "place");
        for (int kill = 0; kill < 5; kill++)
            (void)killed_backup(&w->scene[encrypted], place, 1 + rand_r(&seed) % 170);
        must_be_sound(w, encrypted, WORLD_SECOND, place, 5, "five kills, round", round, 0);
    }
}

// Without encryption an object that is stored again has the same bytes, and so the same name: the state directory was lost after a run was killed.
static void test_same_object_again(void **state)
{
    const struct world *w = *state;
    struct scene scene;
    struct error err;
    struct backup_result result;
    _cleanup_free_ char *source = xasprintf("%s/small-files", w->dir), *begun = xasprintf("%s/begun", w->dir), *place = xasprintf("%s/place", w->dir);
    tree_make_small(source, 0, 0);
    scene_init(&scene, source, false);
    assert_int_equal(mkdir(begun, 0700), 0);
    assert_int_equal(scene_make_repository(&scene, io_real(), begun, &err), 0);
    assert_int_equal(scene_backup(&scene, io_real(), begun, &result, &err), 0);
    tree_remove(source);
    tree_make_small(source, 160, 40000);
    for (long n = 1, calls = 0; calls == 0; n++) {
        _cleanup_free_ char *policy_state = xasprintf("%s/state", place);
        tree_remove(place);
        tree_copy(begun, place);
        calls = killed_backup(&scene, place, n);
        tree_remove(policy_state);
        if (scene_backup(&scene, io_real(), place, &result, &err) < 0)
            fail_msg("killed at call %ld: %s", n, err.text);
        assert_true(calls == 0 || n > 60);
    }
    scene_done(&scene);
}

// ---- local state

typedef void change_fn(const char *path);

static void lose(const char *path) { assert_int_equal(unlink(path), 0); }

static void damage(const char *path)
{
    struct stat st;
    unsigned char byte = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pread(fd, &byte, 1, st.st_size / 2), st.st_size > 0);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, st.st_size / 2), 1);
    assert_int_equal(close(fd), 0);
}

static void cut(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size / 2), 0);
}

static void empty(const char *path) { assert_int_equal(truncate(path, 0), 0); }

// Names of regular files below a directory, relative to it.
static size_t list_files(const char *dir, const char *below, char names[][300], size_t n, size_t max)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", dir, below);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL && n < max;) {
        char name[300];
        if (e->d_name[0] == '.')
            continue;
        assert_true((size_t)snprintf(name, sizeof name, "%s%s%s", below, below[0] == '\0' ? "" : "/", e->d_name) < sizeof name);
        if (e->d_type == DT_DIR)
            n = list_files(dir, name, names, n, max);
        else
            memcpy(names[n++], name, sizeof name);
    }
    (void)closedir(d);
    return n;
}

// A damaged pin or a damaged count of objects stops the run, since without them a rolled back repository, or numbers given twice, could not be
// told; the message says what to remove.
static void backup_or_remove(const struct scene *scene, const char *place, const char *path, const char *name)
{
    struct backup_result result;
    struct error err;
    int r = scene_backup(scene, io_real(), place, &result, &err);
    if (r == ERROR_INTEGRITY && strstr(err.text, "remove it") != NULL && strstr(err.text, name) != NULL) {
        lose(path);
        r = scene_backup(scene, io_real(), place, &result, &err);
    } else if (r == ERROR_INTEGRITY && strstr(err.text, "remove the policy's state directory") != NULL && strstr(err.text, name) != NULL) {
        _cleanup_free_ char *state = xasprintf("%s/state", place);
        tree_remove(state);
        r = scene_backup(scene, io_real(), place, &result, &err);
    }
    if (r < 0)
        fail_msg("%s", err.text);
    assert_true(result.complete);
}

static void each_state_file(const struct world *w, bool encrypted, enum world_step step, long kill_at)
{
    static const struct {
        change_fn *change;
        const char *name;
    } changes[] = { { lose, "lost" }, { damage, "damaged" }, { cut, "cut" }, { empty, "emptied" } };
    static char names[200][300];
    const struct scene *scene = &w->scene[encrypted];
    for (size_t c = 0; c < sizeof changes / sizeof *changes; c++)
        for (size_t i = 0;; i++) {
            _cleanup_free_ char *place = world_place(w, encrypted, step, "place"), *state = xasprintf("%s/state", place);
            if (kill_at > 0)
                (void)killed_backup(scene, place, kill_at);
            if (i >= list_files(state, "", names, 0, 200))
                break;
            _cleanup_free_ char *path = xasprintf("%s/%s", state, names[i]);
            const char *name = strrchr(path, '/') + 1;
            struct stat st;
            if (stat(path, &st) == 0 && st.st_size == 0 && changes[c].change != lose)
                continue;
            changes[c].change(path);
            backup_or_remove(scene, place, path, name);
            if (!world_all_restore(w, encrypted, step, place, 1, false))
                fail_msg("state file '%s' %s", names[i], changes[c].name);
        }
}

static void test_state_files_of_the_first_night(void **state)
{
    const struct world *w = *state;
    long changes = count_changes(w, WORLD_FIRST);
    each_state_file(w, true, WORLD_FIRST, changes - 2); // committed, not tidied
    each_state_file(w, false, WORLD_FIRST, changes * 3 / 4);
    for (long n = changes - 24; n <= changes; n += 8)
        each_state_file(w, n % 16 != 0, WORLD_FIRST, n);
}

static void test_state_files(void **state)
{
    const struct world *w = *state;
    each_state_file(w, false, WORLD_RESTORE, 0);
    each_state_file(w, true, WORLD_RESTORE, 0);
}

static void remove_in(const char *place, const char *name)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", place, name);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    if (S_ISDIR(st.st_mode))
        tree_remove(path);
    else
        lose(path);
}

static void take_from(const char *other, const char *place, const char *name)
{
    _cleanup_free_ char *from = xasprintf("%s/%s", other, name), *to = xasprintf("%s/%s", place, name);
    tree_remove(to);
    tree_copy(from, to);
}

static void test_state_directory_lost(void **state)
{
    const struct world *w = *state;
    for (int encrypted = 0; encrypted < 2; encrypted++) {
        _cleanup_free_ char *place = world_place(w, encrypted, WORLD_RESTORE, "place");
        struct backup_result result;
        struct error err;
        remove_in(place, "state");
        if (scene_backup(&w->scene[encrypted], io_real(), place, &result, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(result.snapshot, 3); // the chain goes on
        assert_true(world_all_restore(w, encrypted, WORLD_RESTORE, place, 3, false));
    }
}

static void must_alarm(const struct scene *scene, const char *place)
{
    struct backup_result result;
    struct error err;
    assert_int_equal(scene_backup(scene, io_real(), place, &result, &err), ERROR_INTEGRITY);
    assert_non_null(strstr(err.text, "pin")); // the way on
}

// The state directory came back from an old copy, or the repository did: an alarm; then, told to go on, no wrong reference.
static void test_state_and_repository_of_different_nights(void **state)
{
    const struct world *w = *state;
    for (int i = 0; i < 4; i++) {
        bool encrypted = i % 2 != 0;
        struct backup_result result;
        struct error err;
        _cleanup_free_ char *place = world_place(w, encrypted, WORLD_RESTORE, "place");
        take_from(w->before[encrypted][WORLD_SECOND], place, i < 2 ? "state" : "repository");
        must_alarm(&w->scene[encrypted], place);
        must_alarm(&w->scene[encrypted], place); // and not only once
        remove_in(place, "state/policies/test/pin");
        if (scene_backup(&w->scene[encrypted], io_real(), place, &result, &err) < 0)
            fail_msg("%s", err.text);
        assert_true(world_all_restore(w, encrypted, WORLD_RESTORE, place, i < 2 ? 3 : 2, false));
        if (scene_backup(&w->scene[encrypted], io_real(), place, &result, &err) < 0)
            fail_msg("%s", err.text);
        assert_true(world_all_restore(w, encrypted, WORLD_RESTORE, place, i < 2 ? 4 : 3, false));
    }
}

// A repository made anew at the same address, with the state of the old one; the first run into it is killed at some call.
static void test_repository_made_anew(void **state)
{
    const struct world *w = *state;
    struct error err;
    for (long n = 10; n < 200; n += w->all ? 1 : 19) {
        _cleanup_free_ char *place = world_place(w, n % 2 != 0, WORLD_RESTORE, "place");
        const struct scene *scene = &w->scene[n % 2];
        remove_in(place, "repository");
        assert_int_equal(scene_make_repository(scene, io_real(), place, &err), 0);
        (void)killed_backup(scene, place, n);
        struct backup_result result;
        if (scene_backup(scene, io_real(), place, &result, &err) < 0)
            fail_msg("%s", err.text);
        // Numbers begin at 1 again, and all of it is the second night.
        struct world second = *w;
        second.nights[0] = w->nights[1];
        if (!world_all_restore(&second, n % 2 != 0, WORLD_RESTORE, place, 1, false))
            fail_msg("repository made anew, first run killed at call %ld", n);
    }
}

// ---- two of them

static void test_cloned_host(void **state)
{
    const struct world *w = *state;
    _cleanup_free_ char *place = world_place(w, true, WORLD_RESTORE, "place"), *clone = world_place(w, true, WORLD_RESTORE, "clone");
    struct backup_result result;
    struct error err;
    assert_int_equal(scene_backup(&w->scene[1], io_real(), place, &result, &err), 0);
    take_from(place, clone, "repository"); // the clone writes to the same one
    must_alarm(&w->scene[1], clone);
    assert_true(world_all_restore(w, true, WORLD_RESTORE, clone, 3, false));
}

static void test_two_runs_at_once(void **state)
{
    const struct world *w = *state;
    enum { RUNS = 6 };
    for (int round = 0; round < 10; round++) {
        _cleanup_free_ char *place = world_place(w, true, WORLD_RESTORE, "place");
        int ended[3] = { 0 };
        for (int i = 0; i < RUNS; i++) {
            pid_t child = fork();
            assert_true(child >= 0);
            if (child > 0)
                continue;
            struct backup_result result;
            struct error err;
            int r = scene_backup(&w->scene[1], io_real(), place, &result, &err);
            if (r < 0 && r != ERROR_BUSY)
                (void)fprintf(stderr, "      %s\n", err.text);
            _exit(r == 0 ? 0 : r == ERROR_BUSY ? 1 : 2);
        }
        for (int i = 0; i < RUNS; i++) {
            int status = 0;
            assert_true(wait(&status) > 0);
            assert_true(WIFEXITED(status));
            ended[WEXITSTATUS(status) % 3]++;
        }
        assert_int_equal(ended[2], 0);
        assert_true(ended[0] >= 1);
        struct scene_heads heads;
        struct error err;
        assert_int_equal(scene_list(&w->scene[1], io_real(), place, &heads, &err), 0);
        assert_int_equal(heads.problems, 0);
        assert_int_equal(heads.n, 2 + (size_t)ended[0]);
        assert_true(world_all_restore(w, true, WORLD_RESTORE, place, heads.n, false));
    }
}

static void test_next_night(void **state)
{
    world_next_night(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_object_again),
        cmocka_unit_test(test_state_files_of_the_first_night),
        cmocka_unit_test(test_next_night), // the source changes here
        cmocka_unit_test(test_killed_twice_at_the_commit),
        cmocka_unit_test(test_killed_five_times),
        cmocka_unit_test(test_state_files),
        cmocka_unit_test(test_state_directory_lost),
        cmocka_unit_test(test_state_and_repository_of_different_nights),
        cmocka_unit_test(test_repository_made_anew),
        cmocka_unit_test(test_cloned_host),
        cmocka_unit_test(test_two_runs_at_once),
    };
    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
