// Running real programs: what they find (arguments, environment, descriptors, signals, user), what is kept of what they say, and that their end always comes.
#include "tests/codec/scratch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bkd/base/proc.h"

static const char *const plain_env[] = { "PATH=" PROC_PATH, "NAME=a b\n$(c)", NULL };

static struct proc_options command(const char *const *argv) { return (struct proc_options){ .argv = argv, .env = plain_env }; }

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define SH(script) ARGV("sh", "-c", script)

static struct proc_result run(const struct proc_options *options)
{
    struct proc_result result = { 0 };
    struct error err = { 0 };
    if (proc_run(io_real(), options, &result, &err) < 0)
        fail_msg("%s", err.text);
    return result;
}

static struct proc_result run_sh(const char *script)
{
    struct proc_options o = command(SH(script));
    return run(&o);
}

static bool is_gone(pid_t pid) { return kill(pid, 0) < 0 && errno == ESRCH; }

static bool goes_within(pid_t pid, int ms)
{
    for (; ms > 0 && !is_gone(pid); ms -= 10)
        (void)nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    return is_gone(pid);
}

static void test_gives_way(void **state)
{
    (void)state;
    const struct proc_options o = { .argv = SH("[ $(cut -d ' ' -f 19 /proc/self/stat) -ge 10 ] && [ \"$(ulimit -c)\" = 0 ] && ionice -p $$ | grep -Eq 'prio 7|idle'"), .env = plain_env,
                                    .gives_way = true };
    _cleanup_proc_result_ struct proc_result result = run(&o);
    assert_true(proc_result_ok(&result));
    _cleanup_proc_result_ struct proc_result memory = run(&(struct proc_options){ .argv = ARGV("cat", "/proc/self/oom_score_adj"), .env = plain_env, .gives_way = true });
    assert_true(atoi(buf_str(&memory.output.tail)) >= (geteuid() == 0 ? 500 : 0));
}

static void test_ends(void **state)
{
    (void)state;
    char text[PROC_TEXT_MAX];
    _cleanup_proc_result_ struct proc_result ok = run_sh("exit 0");
    assert_true(proc_result_ok(&ok));
    assert_false(ok.left_open);
    assert_in_range(ok.duration_ns, 1, 10000000000);
    _cleanup_proc_result_ struct proc_result three = run_sh("exit 3");
    assert_false(proc_result_ok(&three));
    assert_int_equal(three.end, PROC_EXITED);
    assert_int_equal(three.code, 3);
    proc_result_text(&three, text);
    assert_string_equal(text, "exited with status 3");
    _cleanup_proc_result_ struct proc_result killed = run_sh("kill -9 $$");
    assert_int_equal(killed.end, PROC_KILLED);
    assert_int_equal(killed.code, SIGKILL);
    proc_result_text(&killed, text);
    assert_string_equal(text, "was killed by signal 9 (Killed)");
}

static void test_outputs_are_kept_apart(void **state)
{
    (void)state;
    _cleanup_proc_result_ struct proc_result r = run_sh("echo out; echo err >&2; printf last");
    assert_string_equal(buf_str(&r.output.tail), "out\nlast");
    assert_string_equal(buf_str(&r.error.tail), "err\n");
    assert_int_equal(r.output.total_bytes, 8);
}

static void test_outputs_in_one(void **state)
{
    (void)state;
    struct proc_options o = command(SH("echo 1; echo 2 >&2; echo 3; echo 4 >&2"));
    o.merge = true;
    _cleanup_proc_result_ struct proc_result r = run(&o);
    assert_string_equal(buf_str(&r.output.tail), "1\n2\n3\n4\n");
    assert_int_equal(r.error.total_bytes, 0);
    assert_true(r.duration_ns < PROC_LINGER_MS * 1000000ull);
}

// Arguments and environment arrive byte for byte, and nothing else does.
static void test_what_it_finds(void **state)
{
    (void)state;
    assert_int_equal(setenv("BKD_TEST_SECRET", "x", 1), 0);
    struct proc_options o = command(ARGV("printf", "%s|", "a b", "$(id)", ";", "*", "", "\xff\n"));
    _cleanup_proc_result_ struct proc_result args = run(&o);
    assert_string_equal(buf_str(&args.output.tail), "a b|$(id)|;|*||\xff\n|");
    o = command(ARGV("/usr/bin/env", "-0"));
    _cleanup_proc_result_ struct proc_result env = run(&o);
    assert_int_equal(env.output.tail.len, strlen(plain_env[0]) + strlen(plain_env[1]) + 2);
    assert_memory_equal(env.output.tail.data, plain_env[0], strlen(plain_env[0]) + 1);
    assert_string_equal((char *)env.output.tail.data + strlen(plain_env[0]) + 1, plain_env[1]);
    _cleanup_proc_result_ struct proc_result here = run_sh("pwd; cat; test \"$(ps -o sid= -p $$ | tr -d ' ')\" = $$ && echo leads");
    assert_string_equal(buf_str(&here.output.tail), "/\nleads\n");
}

// A descriptor without O_CLOEXEC, as a careless library may leave one; and a soft limit lowered below it, which loops over all descriptors would trust.
static void test_no_descriptor_is_inherited(void **state)
{
    (void)state;
    int open_fd = open("/dev/null", O_RDONLY), high = fcntl(open_fd, F_DUPFD, 700);
    assert_true(open_fd >= 0 && high >= 700);
    struct rlimit old, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = 200;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    _cleanup_proc_result_ struct proc_result r = run_sh("cd /proc/self/fd && echo *"); // the shell opens 3 for the listing itself
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_string_equal(buf_str(&r.output.tail), "0 1 2 3\n");
    (void)close(open_fd);
    (void)close(high);
}

static unsigned long long signal_mask(const struct proc_result *r, const char *name)
{
    const char *found = strstr(buf_str(&r->output.tail), name);
    assert_non_null(found);
    return strtoull(found + strlen(name), NULL, 16);
}

static void test_signals_are_reset(void **state)
{
    (void)state;
    void (*old)(int) = signal(SIGPIPE, SIG_IGN);
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, &before), 0);
    struct proc_options o = command(ARGV("cat", "/proc/self/status"));
    _cleanup_proc_result_ struct proc_result r = run(&o);
    (void)signal(SIGPIPE, old);
    assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
    assert_int_equal(signal_mask(&r, "\nSigBlk:"), 0);
    assert_int_equal(signal_mask(&r, "\nSigIgn:") & 0x7fffffff, 0); // the C library keeps two behind these for itself
    assert_int_equal(signal_mask(&r, "\nSigCgt:"), 0);
}

static void test_input_and_directory(void **state)
{
    (void)state;
    char name[] = "/tmp/bkd-proc-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0 && write(fd, "given", 5) == 5 && lseek(fd, 0, SEEK_SET) == 0);
    struct proc_options o = command(SH("cat; pwd"));
    o.stdin_fd = fd;
    o.directory = "/usr";
    _cleanup_proc_result_ struct proc_result r = run(&o);
    assert_string_equal(buf_str(&r.output.tail), "given/usr\n");
    (void)close(fd);
    (void)unlink(name);
}

static void test_another_user(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct proc_options o = command(SH("id -un; id -Gn; echo $(ps -o sid= -p $$)"));
    o.user = "nobody";
    _cleanup_proc_result_ struct proc_result r = run(&o);
    assert_memory_equal(buf_str(&r.output.tail), "nobody\nnogroup\n", 15);
    struct error err;
    struct proc_result none;
    o.user = "no-such-user";
    assert_int_equal(proc_run(io_real(), &o, &none, &err), ERROR_FAILED);
    assert_string_equal(err.text, "there is no user 'no-such-user'");
}

static void refuse(struct proc_options o, enum error_code code, const char *part)
{
    struct proc_result r;
    struct error err = { 0 };
    assert_int_equal(proc_run(io_real(), &o, &r, &err), code);
    if (strstr(err.text, part) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, part);
}

static void test_what_cannot_be_started(void **state)
{
    (void)state;
    refuse(command(ARGV("no-such-program")), ERROR_NOT_FOUND, "there is no program 'no-such-program' in /usr/local/sbin:");
    refuse(command(ARGV("/no/such/program")), ERROR_NOT_FOUND, "execute '/no/such/program': No such file or directory");
    refuse(command(ARGV("bin/sh")), ERROR_FAILED, "absolute path");
    refuse(command(ARGV("/etc/passwd")), ERROR_FAILED, "execute '/etc/passwd' (is it executable?): Permission denied");
    struct proc_options o = command(ARGV("true"));
    o.directory = "/no/such/directory";
    refuse(o, ERROR_NOT_FOUND, "in directory '/no/such/directory'");
    char name[] = "/tmp/bkd-proc-XXXXXX";
    int fd = mkstemp(name);
    assert_true(write(fd, "#!/no/interpreter\n", 18) == 18 && fchmod(fd, 0755) == 0);
    (void)close(fd);
    refuse(command(ARGV(name)), ERROR_NOT_FOUND, "the interpreter it names");
    (void)unlink(name);
}

// A gigabyte costs what is kept; the end of it is.
static void test_flood(void **state)
{
    (void)state;
    struct rusage before, after;
    (void)getrusage(RUSAGE_SELF, &before);
    _cleanup_proc_result_ struct proc_result r = run_sh("yes 0123456789abcde | head -c 1073741824; echo; echo the end");
    (void)getrusage(RUSAGE_SELF, &after);
    assert_int_equal(r.output.total_bytes, (1u << 30) + 9);
    assert_int_equal(r.output.tail.len, PROC_KEEP_BYTES);
    assert_memory_equal(r.output.tail.data + r.output.tail.len - 9, "\nthe end\n", 9);
    assert_true(after.ru_maxrss - before.ru_maxrss < 4096); // KiB
}

struct lines {
    struct buf text;
    size_t count, longest;
};

static void note_line(void *arg, enum proc_stream stream, const char *line, size_t n)
{
    struct lines *l = arg;
    assert_int_equal(strlen(line), n);
    l->count++;
    l->longest = n > l->longest ? n : l->longest;
    if (n < 100)
        buf_addf(&l->text, "%d:%s|", stream, line);
}

static void test_lines(void **state)
{
    (void)state;
    struct lines l = { 0 };
    struct proc_options o = command(SH("echo one; echo; sleep 0.1; printf tw; sleep 0.1; echo o; sleep 1; echo e >&2; sleep 1; printf last"));
    o.line = note_line;
    o.arg = &l;
    __attribute__((unused)) _cleanup_proc_result_ struct proc_result r = run(&o);
    assert_string_equal(buf_str(&l.text), "0:one|0:|0:two|1:e|0:last|");
    o.argv = SH("head -c 10000 /dev/zero | tr '\\0' x; echo; head -c 4096 /dev/zero | tr '\\0' y; echo");
    buf_reset(&l.text);
    l.count = 0;
    __attribute__((unused)) _cleanup_proc_result_ struct proc_result long_ones = run(&o);
    assert_int_equal(l.count, 4); // 4096 4096 1808, 4096
    assert_int_equal(l.longest, PROC_LINE_MAX);
    buf_done(&l.text);
}

static pid_t number_in(const struct buf *text) { return (pid_t)strtol(buf_str(text), NULL, 10); }

static void test_timeout_kills_the_group(void **state)
{
    (void)state;
    struct proc_options o = command(SH("trap '' TERM; sleep 1000 & echo $!; sleep 1000; sleep 1000"));
    o.timeout_ms = 1500; // the shell has to have come to its `sleep` by then
    o.grace_ms = 200;
    _cleanup_proc_result_ struct proc_result r = run(&o);
    assert_int_equal(r.end, PROC_TIMED_OUT);
    assert_int_equal(r.code, SIGKILL);
    assert_in_range(r.duration_ns, 1700000000, 30000000000);
    assert_true(goes_within(number_in(&r.output.tail), 2000));
}

static void test_grace_lets_it_clean_up(void **state)
{
    (void)state;
    struct proc_options o = command(SH("trap 'echo bye; exit 0' TERM; echo hi; sleep 1000 & wait"));
    o.timeout_ms = 1500;
    _cleanup_proc_result_ struct proc_result r = run(&o);
    assert_int_equal(r.end, PROC_TIMED_OUT); // whatever it exits with
    assert_string_equal(buf_str(&r.output.tail), "hi\nbye\n");
    assert_false(proc_result_ok(&r));
}

static void test_a_stopped_program_ends_too(void **state)
{
    (void)state;
    struct proc_options o = command(SH("kill -STOP $$"));
    o.timeout_ms = 100;
    o.grace_ms = 500;
    _cleanup_proc_result_ struct proc_result r = run(&o);
    assert_int_equal(r.end, PROC_TIMED_OUT);
    assert_int_equal(r.code, SIGTERM);
}

static bool third_time(void *arg) { return ++*(int *)arg >= 3; }

static void test_interrupt(void **state)
{
    (void)state;
    int asked = 0;
    struct proc_options o = command(ARGV("sleep", "1000"));
    o.stop = third_time;
    o.arg = &asked;
    _cleanup_proc_result_ struct proc_result r = run(&o);
    assert_int_equal(r.end, PROC_INTERRUPTED);
    assert_true(r.duration_ns < 5000000000);
    assert_int_equal(asked, 3);
}

// What is left behind in the group goes with the program; a daemon, which made a session of its own, stays. Neither is waited for when it holds an output open.
static void test_what_stays_behind(void **state)
{
    (void)state;
    _cleanup_proc_result_ struct proc_result group = run_sh("sleep 1000 >/dev/null 2>&1 & echo $!");
    assert_true(proc_result_ok(&group) && !group.left_open);
    assert_true(goes_within(number_in(&group.output.tail), 2000));
    _cleanup_proc_result_ struct proc_result holds = run_sh("sleep 1000 & echo $!");
    assert_true(proc_result_ok(&holds) && holds.left_open);
    assert_true(goes_within(number_in(&holds.output.tail), 2000));
    _cleanup_proc_result_ struct proc_result daemon = run_sh("setsid sh -c 'echo $$; exec sleep 1000' & sleep 0.5");
    assert_true(proc_result_ok(&daemon) && daemon.left_open);
    assert_true(daemon.duration_ns < 2000000000);
    assert_false(is_gone(number_in(&daemon.output.tail)));
    assert_int_equal(kill(number_in(&daemon.output.tail), SIGKILL), 0);
}

// A process that is killed cannot end what it started: its group goes all the same, after a grace also what does not listen.
static void test_our_death(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t us = fork();
    if (us == 0) {
        struct proc_options o = command(SH("trap '' TERM; sleep 1000 & echo $!; sleep 1000; true"));
        o.read_output = true;
        o.grace_ms = 1000;
        struct proc *p = NULL;
        struct error err;
        char text[64];
        size_t n = 0;
        if (proc_start(io_real(), &o, &p, &err) < 0 || proc_read(p, text, sizeof text, &n, &err) < 0 || write(ends[1], text, n) != (ssize_t)n)
            _exit(1);
        (void)pause();
    }
    _cleanup_buf_ struct buf text = { 0 };
    (void)close(ends[1]);
    text.len = (size_t)read(ends[0], buf_extend(&text, 63), 63);
    text.data[text.len] = '\0';
    pid_t sleeper = number_in(&text);
    assert_true(sleeper > 1 && !is_gone(sleeper));
    assert_int_equal(kill(us, SIGKILL), 0);
    assert_int_equal(waitpid(us, NULL, 0), us);
    assert_true(goes_within(sleeper, 10000));
    (void)close(ends[0]);
}

// What a pipeline still writes after its shell ended is not lost.
static void test_late_writers(void **state)
{
    (void)state;
    _cleanup_proc_result_ struct proc_result r = run_sh("(sleep 0.5; echo late) & echo early");
    assert_string_equal(buf_str(&r.output.tail), "early\nlate\n");
    assert_false(r.left_open);
}

static uint64_t read_all(struct proc *p, size_t piece, unsigned nap_ms)
{
    _cleanup_buf_ struct buf data = { 0 };
    struct error err = { 0 };
    size_t n = 1;
    uint64_t total = 0;
    while (n > 0) {
        buf_reset(&data);
        if (proc_read(p, buf_extend(&data, piece), piece, &n, &err) < 0)
            fail_msg("%s", err.text);
        total += n;
        (void)nanosleep(&(struct timespec){ .tv_sec = nap_ms / 1000, .tv_nsec = nap_ms % 1000 * 1000000 }, NULL);
    }
    return total;
}

static struct proc *start_reading(const char *script, uint64_t timeout_ms)
{
    struct proc_options o = command(SH(script));
    o.read_output = true;
    o.timeout_ms = timeout_ms;
    struct proc *p = NULL;
    struct error err = { 0 };
    if (proc_start(io_real(), &o, &p, &err) < 0)
        fail_msg("%s", err.text);
    return p;
}

// A megabyte on each: whoever waited for one before it reads the other would wait for ever.
static void test_reading(void **state)
{
    (void)state;
    _cleanup_proc_ struct proc *p = start_reading("head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero; exit 4", 0);
    assert_int_equal(read_all(p, 100000, 0), 3000000);
    _cleanup_proc_result_ struct proc_result r = { 0 };
    proc_wait(p, &r);
    assert_int_equal(r.code, 4);
    assert_int_equal(r.error.total_bytes, 3000000);
    assert_int_equal(r.output.total_bytes, 3000000);
    assert_int_equal(r.output.tail.len, 0);
}

// The program has long ended, the pipe is still full.
static void test_reading_slowly(void **state)
{
    (void)state;
    _cleanup_proc_ struct proc *p = start_reading("head -c 40000 /dev/zero", 0);
    assert_int_equal(read_all(p, 15000, PROC_LINGER_MS / 2 + 100), 40000);
    _cleanup_proc_result_ struct proc_result r = { 0 };
    proc_wait(p, &r);
    assert_true(proc_result_ok(&r) && !r.left_open);
}

static void test_reading_ends_with_the_timeout(void **state)
{
    (void)state;
    _cleanup_proc_ struct proc *p = start_reading("exec cat /dev/zero", 1500);
    assert_true(read_all(p, 65536, 0) > 0);
    _cleanup_proc_result_ struct proc_result r = { 0 };
    proc_wait(p, &r);
    assert_int_equal(r.end, PROC_TIMED_OUT);
}

static void test_not_reading_on(void **state)
{
    (void)state;
    _cleanup_proc_ struct proc *p = start_reading("exec cat /dev/zero", 0);
    char byte;
    size_t n;
    struct error err;
    assert_int_equal(proc_read(p, &byte, 1, &n, &err), 0);
    _cleanup_proc_result_ struct proc_result r = { 0 };
    proc_wait(p, &r);
    assert_int_equal(r.end, PROC_KILLED);
    assert_int_equal(r.code, SIGPIPE);
    proc_free(start_reading("exec sleep 1000", 0)); // does not wait for it
}

static void assert_last_line(const char *said, const char *wanted)
{
    _cleanup_buf_ struct buf tail = { 0 };
    size_t n = 1;
    buf_add_str(&tail, said);
    const char *line = proc_last_line(&tail, &n);
    assert_int_equal(n, strlen(wanted));
    assert_memory_equal(line, wanted, n);
}

static void test_last_words(void **state)
{
    const struct buf nothing = { 0 };
    size_t n = 1;
    (void)state;
    (void)proc_last_line(&nothing, &n);
    assert_int_equal(n, 0);
    assert_last_line(" \n\t\r\n", "");
    assert_last_line("it", "it");
    assert_last_line("\t it said\r\n\n  \n", "it said");
    assert_last_line("first\n  the last one\n", "the last one");
    assert_last_line("first\n\tthe last one", "the last one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends), cmocka_unit_test(test_gives_way),
        cmocka_unit_test(test_outputs_are_kept_apart),
        cmocka_unit_test(test_outputs_in_one),
        cmocka_unit_test(test_what_it_finds),
        cmocka_unit_test(test_no_descriptor_is_inherited),
        cmocka_unit_test(test_signals_are_reset),
        cmocka_unit_test(test_input_and_directory),
        cmocka_unit_test(test_another_user),
        cmocka_unit_test(test_what_cannot_be_started),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_timeout_kills_the_group),
        cmocka_unit_test(test_grace_lets_it_clean_up),
        cmocka_unit_test(test_a_stopped_program_ends_too),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_what_stays_behind),
        cmocka_unit_test(test_our_death),
        cmocka_unit_test(test_late_writers),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_reading_slowly),
        cmocka_unit_test(test_reading_ends_with_the_timeout),
        cmocka_unit_test(test_not_reading_on),
        cmocka_unit_test(test_last_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
