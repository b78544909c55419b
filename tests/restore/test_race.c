// S-07: somebody who may write into the target exchanges its directories with links that lead out, as fast as renameat2 goes, while restores run.
#include "tests/restore/jail.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SECONDS = 4, DIRS = 150, PATIENCE = 3000 };

// Things a restore does by name: directories, files in them, links, FIFOs, hard links, modes and times at the end.
static void make_snapshot(struct fixture *f)
{
    fixture_dir(f, "/", 0755);
    for (int i = 0; i < DIRS; i++) {
        _cleanup_free_ char *dir = xasprintf("/d%03d", i), *sub = xasprintf("/d%03d/dir", i), *deep = xasprintf("/d%03d/dir/file", i),
                            *file = xasprintf("/d%03d/file", i), *link = xasprintf("/d%03d/link l mode=0777 uid=0 gid=0 mtime=5.000000000 target=evil", i),
                            *fifo = xasprintf("/d%03d/new p mode=0666 uid=0 gid=0 mtime=5.000000000 hardlink=%d", i, i),
                            *again = xasprintf("/d%03d/new2 p mode=0666 uid=0 gid=0 mtime=5.000000000 hardlink=%d", i, i);
        fixture_dir(f, dir, 0751);
        fixture_dir(f, sub, 0750);
        fixture_file(f, deep, 0640, "evil\n", 5);
        fixture_file(f, file, 0604, "evil\n", 5);
        fixture_line(f, "%s", link);
        fixture_line(f, "%s", fifo);
        fixture_line(f, "%s", again);
    }
    fixture_commit(f);
}

// For as long as it lives: follows the restore from directory to directory, exchanges each the moment it appears, and back at once.
_Noreturn static void exchange(const struct fixture *f, volatile uint64_t *count)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); // a test that fails does not leave it behind
    _cleanup_free_ char *out = fixture_path(f, "jail/out");
    if (chdir(f->dir) < 0)
        _exit(1);
    for (unsigned n = 0;; n++) {
        char name[64], parked[64];
        (void)snprintf(parked, sizeof parked, "jail/t-parked-%u", n);
        if (symlink(out, "lead-out") < 0 && readlink("lead-out", name, sizeof name) < 0)
            (void)rename("lead-out", parked); // the target was moved away between two exchanges: there is a new link next time
        (void)snprintf(name, sizeof name, n % 4 == 0 ? "jail/t-r/d%03u/dir" : "jail/t-r/d%03u", n % DIRS);
        unsigned tries = 0;
        while (renameat2(AT_FDCWD, "lead-out", AT_FDCWD, name, RENAME_EXCHANGE) < 0 && ++tries < PATIENCE)
            continue;
        if (tries == PATIENCE)
            continue;
        ++*count;
        usleep(n % 3 * 30);
        (void)renameat2(AT_FDCWD, "lead-out", AT_FDCWD, name, RENAME_EXCHANGE);
    }
}

static uint64_t restore_for_a_while(struct fixture *f)
{
    struct timespec now, start;
    uint64_t n = 0;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        struct run_options options = { .keep_going = true, .overwrite = n % 2 == 0 ? DECIDE_NEVER : DECIDE_ALWAYS };
        if (n % 2 == 0)
            fixture_run("cd '%s/jail' && mkdir -p t-r && mv t-r t-old-%llu && mkdir t-r", f->dir, (unsigned long long)n);
        (void)jail_restore(f, "jail/t-r", &options, false); // may say that it was disturbed
        n++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - start.tv_sec < SECONDS);
    return n;
}

static void test_race(void **state)
{
    struct fixture f;
    (void)state;
    volatile uint64_t *count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(count != MAP_FAILED);
    fixture_init(&f, false);
    jail_make(&f);
    make_snapshot(&f);
    _cleanup_free_ char *before = jail_look(&f);
    pid_t other = fork();
    if (other == 0)
        exchange(&f, count);
    uint64_t n = restore_for_a_while(&f);
    assert_int_equal(kill(other, SIGKILL), 0);
    assert_int_equal(waitpid(other, NULL, 0), other);
    jail_check(&f, before, "a race");
    fprintf(stderr, "# %llu restores during %llu exchanges, nothing outside changed\n", (unsigned long long)n, (unsigned long long)*count);
    assert_true(n > 0 && *count > 0);
    fixture_done(&f);
    munmap((void *)(uintptr_t)count, sizeof *count);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_race) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
