// What a confined process can still do: each attempt in a process of its own, which ends with a number that says how it went.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bkd/base/buf.h"
#include "bkd/base/sandbox.h"

enum { FORBIDDEN = 40, DONE, NO_FILTER }; // how an attempt ends, if it is not killed

static int parent_pid;

// Each returns true when the kernel let it happen.
static bool opens_file(void) { return open("/etc/passwd", O_RDONLY) >= 0; }
static bool makes_file(void) { return open("/tmp/bkd-sandbox-escape", O_WRONLY | O_CREAT, 0600) >= 0; }
static bool removes_file(void) { return unlink("/tmp/bkd-sandbox-victim") == 0; }
static bool writes_descriptor(void) { return write(SANDBOX_FD, "x", 1) == 1; } // sockets are sent to, not written
static bool makes_socket(void) { return socket(AF_INET, SOCK_STREAM, 0) >= 0; }
static bool makes_pair(void) { int p[2]; return socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0; }
static bool makes_memfd(void) { return memfd_create("x", 0) >= 0; }
static bool runs_program(void) { return execl("/bin/true", "true", (char *)NULL) == 0; }
static bool forks(void) { return fork() >= 0; }
static bool signals_parent(void) { return kill(parent_pid, 0) == 0; }
static bool traces_parent(void) { return ptrace(PTRACE_ATTACH, parent_pid, NULL, NULL) == 0; }
static bool reads_parent(void)
{
    char here[8];
    struct iovec mine = { here, sizeof here }, theirs = { &parent_pid, sizeof parent_pid };
    return syscall(SYS_process_vm_readv, parent_pid, &mine, 1, &theirs, 1, 0) > 0;
}
static bool makes_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}
static bool turns_memory_into_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED || mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0;
}
static bool becomes_root(void) { return setuid(0) == 0; }
static bool lifts_limit(void)
{
    struct rlimit more = { 1024, 1024 };
    return setrlimit(RLIMIT_NOFILE, &more) == 0;
}
static bool becomes_dumpable(void) { return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0; }

static const struct attempt {
    const char *name;
    bool (*run)(void);
} attempts[] = {
    { "open a file", opens_file },
    { "make a file", makes_file },
    { "remove a file", removes_file },
    { "write to a descriptor", writes_descriptor },
    { "make a socket", makes_socket },
    { "make a socket pair", makes_pair },
    { "make a memory file", makes_memfd },
    { "run a program", runs_program },
    { "fork", forks },
    { "signal its parent", signals_parent },
    { "trace its parent", traces_parent },
    { "read its parent's memory", reads_parent },
    { "map executable memory", makes_code },
    { "make memory executable", turns_memory_into_code },
    { "become root", becomes_root },
    { "lift a limit", lifts_limit },
    { "become dumpable", becomes_dumpable },
};
enum { ATTEMPTS = sizeof attempts / sizeof *attempts };

_Noreturn static void confined(bool (*run)(void), int socket, bool filter)
{
    struct sandbox_state state;
    sandbox_keep_only(socket);
    sandbox_limit(64 << 20, &state);
    sandbox_no_more_files();
    if (filter)
        sandbox_filter(SANDBOX_WORKS, &state);
    if (filter && !state.filtered)
        _exit(NO_FILTER);
    _exit(run() ? DONE : FORBIDDEN);
}

// FORBIDDEN, DONE, NO_FILTER, or minus the signal that ended it.
static int try(bool (*run)(void), bool filter)
{
    int pair[2], status = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        confined(run, pair[1], filter);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)close(pair[0]);
    (void)close(pair[1]);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_attempts(void **state)
{
    (void)state;
    parent_pid = getpid();
    int fd = open("/tmp/bkd-sandbox-victim", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    for (size_t i = 0; i < ATTEMPTS; i++) {
        int how = try(attempts[i].run, true);
        if (how == NO_FILTER)
            skip();
        if (how != FORBIDDEN && how != -SIGSYS)
            fail_msg("a confined process can %s (%d)", attempts[i].name, how);
    }
    assert_int_equal(unlink("/tmp/bkd-sandbox-victim"), 0);
    assert_int_equal(access("/tmp/bkd-sandbox-escape", F_OK), -1);
}

// What only an attack asks for ends the process, so that it is noticed.
static void test_attacks_are_noticed(void **state)
{
    (void)state;
    int how = try(runs_program, true);
    if (how == NO_FILTER)
        skip();
    assert_int_equal(how, -SIGSYS);
    assert_int_equal(try(makes_socket, true), -SIGSYS);
    assert_int_equal(try(traces_parent, true), -SIGSYS);
}

// Without the filter (containers may forbid it) the limits still keep files away.
static void test_without_filter(void **state)
{
    (void)state;
    assert_int_equal(try(opens_file, false), FORBIDDEN);
    assert_int_equal(try(makes_file, false), FORBIDDEN);
    assert_int_equal(try(makes_socket, false), FORBIDDEN);
    assert_int_equal(try(makes_memfd, false), FORBIDDEN);
}

// What decoding needs goes on: memory, messages, ending.
static bool works(void)
{
    char *p = malloc(30 << 20), message[4];
    if (p == NULL || p == (void *)message)
        return false;
    memset(p, 1, 30 << 20);
    free(p);
    return send(SANDBOX_FD, "here", 4, MSG_NOSIGNAL) == 4 && recv(SANDBOX_FD, message, sizeof message, 0) == 4;
}

static void test_work_goes_on(void **state)
{
    (void)state;
    int pair[2], status = 0;
    char message[4];
    for (int filter = 0; filter < 2; filter++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        pid_t pid = fork();
        if (pid == 0)
            confined(works, pair[1], filter != 0);
        (void)close(pair[1]);
        assert_int_equal(recv(pair[0], message, 4, 0), 4);
        assert_int_equal(send(pair[0], message, 4, 0), 4);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == DONE || WEXITSTATUS(status) == NO_FILTER));
        (void)close(pair[0]);
    }
}

static bool takes_a_gigabyte(void)
{
    char *p = malloc(1 << 30);
    if (p == NULL)
        return false;
    p[1 << 29] = 1;
    return p[1 << 29] == 1;
}

static void test_memory_is_bounded(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    skip(); // no such limit in builds with a sanitizer
#endif
    assert_int_equal(try(takes_a_gigabyte, false), FORBIDDEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attempts),       cmocka_unit_test(test_attacks_are_noticed), cmocka_unit_test(test_without_filter),
        cmocka_unit_test(test_work_goes_on), cmocka_unit_test(test_memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
