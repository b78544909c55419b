// Every call that init, a first backup, a second backup and a restore make fails, ends the process, or ends it as a power cut would.
// Afterwards, with nothing failing: the repository opens, nothing partial is listed, the next run succeeds, and every committed snapshot
// restores exactly. (Rows C-01, C-03, C-04, C-05, C-06, C-08, C-20 of the fault matrix.)
//
// BKD_FAULTS_ALL=1 takes every N in the costlier modes too; with sanitizers it is every second one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
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

// One kind of loop over N.
struct sweep {
    enum world_step step;
    bool encrypted;
    struct fault_io_options fault;
    long stride; // of N
    const char *name;
};

// ---- one N

static int do_step(const struct world *w, const struct sweep *sweep, const struct io *io, const char *place, bool *ret_complete, struct error *err)
{
    const struct scene *scene = &w->scene[sweep->encrypted];
    struct backup_result result = { .complete = true };
    _cleanup_free_ char *target = xasprintf("%s/target", place);
    int r = sweep->step == WORLD_INIT      ? scene_make_repository(scene, io, place, err)
            : sweep->step == WORLD_RESTORE ? scene_restore(scene, io, place, 2, target, err)
                                     : scene_backup(scene, io, place, &result, err);
    *ret_complete = result.complete;
    return r;
}

static int open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

// What a step that came to its end must have left.
static bool is_done(const struct world *w, const struct sweep *sweep, const char *place, bool complete)
{
    char difference[512] = "";
    _cleanup_free_ char *found = xasprintf("%s/target%s", place, w->source);
    if (sweep->step == WORLD_RESTORE)
        WORLD_REQUIRE(tree_same(w->nights[1], found, false, difference, sizeof difference), "restore says it is done, but %s", difference);
    if (sweep->step == WORLD_FIRST || sweep->step == WORLD_SECOND) {
        struct scene_heads heads = { 0 };
        struct error err = { 0 };
        WORLD_REQUIRE(scene_list(&w->scene[sweep->encrypted], io_real(), place, &heads, &err) == 0, "the repository does not open: %s", err.text);
        WORLD_REQUIRE(heads.n == (size_t)sweep->step, "backup says it is done, but %zu snapshots are listed", heads.n);
        WORLD_REQUIRE(heads.incomplete[heads.n - 1] == !complete, "backup and head do not agree on completeness");
    }
    return true;
}

// A restore that failed has given its final name only to files that are right.
static bool has_only_right_files(const struct world *w, const struct sweep *sweep, const char *place)
{
    char difference[512] = "";
    _cleanup_free_ char *found = xasprintf("%s/target%s", place, w->source);
    if (sweep->step == WORLD_RESTORE && access(found, F_OK) == 0)
        WORLD_REQUIRE(tree_content_fits(w->nights[1], found, ".bkd-part-", difference, sizeof difference), "restore left a file under its name that is not right: %s",
                      difference);
    return true;
}

static bool leaves_no_spool(const struct sweep *sweep, const char *place)
{
    if (sweep->fault.mode != FAULT_ERRORS || sweep->fault.os_errno != ENOSPC)
        return true;
    _cleanup_free_ char *tmp = xasprintf("%s/repository/tmp", place);
    WORLD_REQUIRE(access(tmp, F_OK) < 0 || tree_count(tmp) == 0, "a failed run leaves files in tmp/, where space is short");
    return true;
}

// With errors, in this process. *ret_more: call N was reached.
static bool try_error(const struct world *w, const struct sweep *sweep, long n, const char *place, bool *ret_more)
{
    struct fault_io_options options = sweep->fault;
    struct error err = { 0 };
    bool complete = true;
    options.call = n;
    struct fault_io *fault = fault_io_new(&options);
    int descriptors = open_descriptors();
    int r = do_step(w, sweep, fault_io(fault), place, &complete, &err);
    bool happened = fault_io_happened(fault);
    int left = open_descriptors() - descriptors;
    bool good = left == 0;
    if (!good)
        (void)fprintf(stderr, "      %d descriptors are left open\n", left);
    if (r < 0 && (err.text[0] == '\0' || err.code != r)) {
        (void)fprintf(stderr, "      failed with %d, but the error says %d '%s'\n", r, err.code, err.text);
        good = false;
    }
    if (r < 0 && options.os_errno == ENOSPC && r != ERROR_NO_SPACE && r != ERROR_INCOMPLETE) {
        (void)fprintf(stderr, "      a full disk is reported as %d: %s\n", r, err.text);
        good = false;
    }
    good = good && (r < 0 || is_done(w, sweep, place, complete)) && has_only_right_files(w, sweep, place) && leaves_no_spool(sweep, place);
    // A file that is said not to exist has gone: it is no part of the snapshot, and nothing is missing.
    good = good && world_is_sound(w, sweep->encrypted, sweep->step, place, 1, options.os_errno == ENOENT);
    if (!good)
        (void)fprintf(stderr, "      … when call %ld fails: %s; then the step says: %s\n", n, fault_io_call(fault), r < 0 ? err.text : "done");
    fault_io_free(fault);
    *ret_more = happened;
    return good;
}

// Ending the process, in a child. FAULT_EXIT from it: call N was reached.
static bool try_end(const struct world *w, const struct sweep *sweep, long n, const char *place, const char *aside, bool *ret_more)
{
    _cleanup_free_ char *repository = xasprintf("%s/repository", place), *state = xasprintf("%s/state", place);
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct fault_io_options options = sweep->fault;
        struct error err = { 0 };
        bool complete;
        options.call = n;
        options.seed = (uint64_t)n;
        options.roots[0] = repository;
        options.roots[1] = state;
        options.aside = aside;
        struct fault_io *fault = fault_io_new(&options);
        int r = do_step(w, sweep, fault_io(fault), place, &complete, &err);
        if (r < 0)
            (void)fprintf(stderr, "      without a fault: %s\n", err.text);
        _exit(r < 0 ? 1 : 0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != FAULT_EXIT)) {
        (void)fprintf(stderr, "      the child ended with status %x\n", status);
        return false;
    }
    *ret_more = WEXITSTATUS(status) == FAULT_EXIT;
    bool good = has_only_right_files(w, sweep, place) && world_is_sound(w, sweep->encrypted, sweep->step, place, 1, false);
    if (!good)
        (void)fprintf(stderr, "      … when the process ended at call %ld (power %d)\n", n, sweep->fault.power);
    return good;
}

static bool try_one(const struct world *w, const struct sweep *sweep, long n, unsigned worker, bool *ret_more)
{
    _cleanup_free_ char *place = xasprintf("%s/place-%u", w->dir, worker), *aside = xasprintf("%s/aside-%u", w->dir, worker);
    tree_remove(place);
    tree_remove(aside);
    assert_int_equal(mkdir(aside, 0700), 0);
    tree_copy(w->before[sweep->encrypted][sweep->step], place);
    if (sweep->fault.mode == FAULT_KILL || sweep->fault.mode == FAULT_POWER)
        return try_end(w, sweep, n, place, aside, ret_more);
    return try_error(w, sweep, n, place, ret_more);
}

// ---- all N

// With sanitizers each try costs several times as much; what they look for is the same in every second one.
#ifdef __SANITIZE_ADDRESS__
enum { SLOWER = 2 };
#else
enum { SLOWER = 1 };
#endif

// Worker k takes every `workers`th N. Exit: 0 all good, 1 not; the number of tries goes to the pipe.
static _Noreturn void work(const struct world *w, const struct sweep *sweep, unsigned worker, int pipe_fd)
{
    long tries = 0, failures = 0, stride = w->all ? 1 : SLOWER * sweep->stride;
    bool more = true;
    for (long n = 1 + (long)worker * stride; more && failures < 3; n += (long)w->workers * stride, tries++)
        failures += !try_one(w, sweep, n, worker, &more);
    (void)!write(pipe_fd, &tries, sizeof tries);
    exit(failures > 0); // not _exit: the leak checker speaks here
}

static void sweep_all(const struct world *w, const struct sweep *sweep)
{
    int fds[2], status;
    long tries = 0, total = 0;
    bool good = true;
    assert_int_equal(pipe(fds), 0);
    (void)fflush(NULL);
    for (unsigned i = 0; i < w->workers; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            work(w, sweep, i, fds[1]);
    }
    for (unsigned i = 0; i < w->workers; i++) {
        assert_true(wait(&status) > 0);
        good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (!WIFEXITED(status))
            (void)fprintf(stderr, "      a worker ended by signal %d\n", WTERMSIG(status));
    }
    (void)close(fds[1]);
    while (read(fds[0], &tries, sizeof tries) == sizeof tries)
        total += tries;
    (void)close(fds[0]);
    print_message("             %s, %s, %s: %ld tries\n", world_step_names[sweep->step], sweep->encrypted ? "encrypted" : "plain", sweep->name, total);
    if (!good)
        fail_msg("%s, %s, %s", world_step_names[sweep->step], sweep->encrypted ? "encrypted" : "plain", sweep->name);
}

// ---- the loops

static void sweep_errors(const struct world *w, enum world_step step)
{
    static const struct {
        struct fault_io_options fault;
        const char *name;
        bool encrypted;
        long stride;
    } loops[] = {
        { { .mode = FAULT_ERROR, .kinds = FAULT_ALL, .os_errno = EIO }, "one call fails with EIO", true, 1 },
        { { .mode = FAULT_ERRORS, .kinds = FAULT_SPACE, .os_errno = ENOSPC }, "the disk is full from one call on", false, 1 },
        { { .mode = FAULT_ERRORS, .kinds = FAULT_CHANGES, .os_errno = EROFS }, "nothing can be changed from one call on", true, 7 },
        { { .mode = FAULT_ERROR, .kinds = FAULT_ALL, .os_errno = ENOENT }, "one call fails with ENOENT", false, 11 },
        { { .mode = FAULT_ERRORS, .kinds = FAULT_OPEN, .os_errno = EMFILE }, "no descriptors from one call on", false, 11 },
    };
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++)
        sweep_all(w, &(struct sweep){ step, loops[i].encrypted, loops[i].fault, loops[i].stride, loops[i].name });
}

static void sweep_kills(const struct world *w, enum world_step step)
{
    for (int encrypted = 0; encrypted < 2; encrypted++)
        sweep_all(w, &(struct sweep){ step, encrypted != 0, { .mode = FAULT_KILL, .kinds = FAULT_CHANGES }, encrypted == 0 ? 1 : 5, "killed" });
}

static void sweep_power(const struct world *w, enum world_step step)
{
    static const char *const names[FAULT_POWERS] = { "power cut, nothing lasts that was not synced", "power cut, names without bytes", "power cut, torn bytes",
                                                     "power cut, zeros", "power cut, some of it" };
    for (int power = 0; power < FAULT_POWERS; power++)
        sweep_all(w, &(struct sweep){ step, power % 2 == 0, { .mode = FAULT_POWER, .kinds = FAULT_CHANGES, .power = power }, 5, names[power] });
}

// Every call that may be is interrupted once, and reads and writes are short: nothing of that is an error.
static void check_interrupts(const struct world *w, enum world_step step)
{
    const struct sweep sweep = { step, true, { .mode = FAULT_INTERRUPT }, 1, "" };
    bool more;
    if (!try_one(w, &sweep, 1, 0, &more))
        fail_msg("%s: interrupted calls and short reads and writes", world_step_names[step]);
}

static void test_init_errors(void **state) { sweep_errors(*state, WORLD_INIT); }
static void test_init_kills(void **state) { sweep_kills(*state, WORLD_INIT); }
static void test_init_power(void **state) { sweep_power(*state, WORLD_INIT); }
static void test_first_errors(void **state) { sweep_errors(*state, WORLD_FIRST); }
static void test_first_kills(void **state) { sweep_kills(*state, WORLD_FIRST); }
static void test_first_power(void **state) { sweep_power(*state, WORLD_FIRST); }
static void test_second_errors(void **state) { sweep_errors(*state, WORLD_SECOND); }
static void test_second_kills(void **state) { sweep_kills(*state, WORLD_SECOND); }
static void test_second_power(void **state) { sweep_power(*state, WORLD_SECOND); }
static void test_restore_errors(void **state) { sweep_errors(*state, WORLD_RESTORE); }
static void test_restore_kills(void **state) { sweep_kills(*state, WORLD_RESTORE); }

static void test_interrupts(void **state)
{
    check_interrupts(*state, WORLD_INIT);
    check_interrupts(*state, WORLD_FIRST);
}

// The source changes here: what comes before this test backs up the first night, what comes after it the second.
static void test_next_night(void **state)
{
    struct world *w = *state;
    world_next_night(w);
    check_interrupts(w, WORLD_SECOND);
    check_interrupts(w, WORLD_RESTORE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interrupts),     cmocka_unit_test(test_init_errors),    cmocka_unit_test(test_init_kills),
        cmocka_unit_test(test_init_power),     cmocka_unit_test(test_first_errors),   cmocka_unit_test(test_first_kills),
        cmocka_unit_test(test_first_power),    cmocka_unit_test(test_next_night),     cmocka_unit_test(test_second_errors),
        cmocka_unit_test(test_second_kills),   cmocka_unit_test(test_second_power),   cmocka_unit_test(test_restore_errors),
        cmocka_unit_test(test_restore_kills),
    };
    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
