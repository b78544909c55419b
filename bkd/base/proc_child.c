#include "bkd/base/proc_child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bkd/base/userns.h"

enum { REPORT_FD = 3, OUT_OF_THE_WAY = 16 };

enum step { STEP_PREPARE, STEP_NAMESPACE, STEP_USER, STEP_DIRECTORY, STEP_EXECUTE };

struct failure {
    int os_errno;
    enum step step;
};

// Handlers are ours and ignored signals would stay ignored; a program expects neither.
static void reset_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL); // SIGKILL and SIGSTOP refuse
}

// Moved up first: any of them may be one of the three, when this process was started without.
static bool place_descriptors(const struct proc_child *c, int *report_fd)
{
    int up[] = { c->input_fd, c->output_fd, c->error_fd, *report_fd };
    for (int i = 0; i < 4; i++) {
        up[i] = fcntl(up[i], F_DUPFD, OUT_OF_THE_WAY);
        if (up[i] < 0)
            return false;
    }
    for (int i = 0; i < 4; i++)
        if (dup2(up[i], i) < 0)
            return false;
    *report_fd = REPORT_FD;
    return fcntl(REPORT_FD, F_SETFD, FD_CLOEXEC) == 0 && close_range(REPORT_FD + 1, ~0u, 0) == 0;
}

static bool become_user(const struct proc_child *c)
{
    return c->user == NULL || (setgroups(c->n_groups, c->groups) == 0 && setresgid(c->gid, c->gid, c->gid) == 0 && setresuid(c->uid, c->uid, c->uid) == 0);
}

// Should our parent die before it told of us, there is an end of file instead, and nothing is run.
static bool is_let_go(const int go[2])
{
    char byte;
    (void)close(go[1]);
    return read(go[0], &byte, 1) == 1;
}

#define NICE 10
#define IO_PRIORITY (2 << 13 | 7) // of the class best-effort the last (ioprio_set(2)); idle would wait for ever on a busy disk
#define IO_CLASS_IDLE 3
#define FIRST_TO_GO 500 // proc(5), /proc/PID/oom_score_adj

static void offer_to_go_first(void)
{
    char text[16] = "";
    int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    if (read(fd, text, sizeof text - 1) > 0 && strtol(text, NULL, 10) < FIRST_TO_GO)
        (void)!pwrite(fd, text, (size_t)snprintf(text, sizeof text, "%d", FIRST_TO_GO), 0);
    (void)close(fd);
}

// What the kernel refuses stays as it is, as does what gives way more than that.
static void give_way(void)
{
    const struct rlimit no_core = { 0 };
    if (getpriority(PRIO_PROCESS, 0) < NICE)
        (void)setpriority(PRIO_PROCESS, 0, NICE);
    if (syscall(SYS_ioprio_get, 1, 0) >> 13 != IO_CLASS_IDLE)
        (void)syscall(SYS_ioprio_set, 1, 0, IO_PRIORITY);
    (void)setrlimit(RLIMIT_CORE, &no_core);
    offer_to_go_first();
}

static enum step run(const struct proc_child *c, const int go[2], int *report_fd)
{
    reset_signals();
    bool keeps_rights = c->user == NULL && (c->keep_rights || c->userns_fd > 0);
    if (setsid() < 0 || !is_let_go(go))
        return STEP_PREPARE;
    if (c->gives_way)
        give_way();
    if (c->userns_fd > 0 && userns_enter(c->userns_fd) < 0)
        return STEP_NAMESPACE;
    if (!place_descriptors(c, report_fd))
        return STEP_PREPARE;
    if (!become_user(c) || (!keeps_rights && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)) // our rights are ours
        return STEP_USER;
    if (chdir(c->directory) < 0)
        return STEP_DIRECTORY;
    sigset_t none;
    sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        return STEP_PREPARE;
    (void)execve(c->path, (char *const *)c->argv, (char *const *)c->env); // neither is written to
    return STEP_EXECUTE;
}

_Noreturn static void child_main(const struct proc_child *c, const int go[2], int report_fd)
{
    struct failure failure = { .step = run(c, go, &report_fd) };
    failure.os_errno = errno;
    (void)!write(report_fd, &failure, sizeof failure); // or else it looks like a program that ended with 127
    _exit(127);
}

static const char *execute_hint(const struct proc_child *c, int os_errno)
{
    if (os_errno == EACCES)
        return " (is it executable?)";
    if (os_errno == ENOEXEC)
        return " (a script needs a first line such as #!/bin/sh)";
    return os_errno == ENOENT && access(c->path, F_OK) == 0 ? " (the interpreter it names)" : "";
}

static int set_failure(const struct proc_child *c, const struct failure *f, struct error *err)
{
    switch (f->step) {
    case STEP_NAMESPACE:
        return error_set_errno(err, f->os_errno, "run '%s' in a user namespace", c->path);
    case STEP_USER:
        return error_set_errno(err, f->os_errno, "run '%s' as user '%s'", c->path, c->user);
    case STEP_DIRECTORY:
        return error_set_errno(err, f->os_errno, "run '%s' in directory '%s'", c->path, c->directory);
    case STEP_EXECUTE:
        return error_set_errno(err, f->os_errno, "execute '%s'%s", c->path, execute_hint(c, f->os_errno));
    default:
        return error_set_errno(err, f->os_errno, "start '%s'", c->path);
    }
}

// End of file means that execve closed the other end: the program runs.
static int await_start(const struct proc_child *c, int fd, pid_t pid, struct error *err)
{
    struct failure failure;
    ssize_t n;
    do
        n = read(fd, &failure, sizeof failure);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return 0;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    return set_failure(c, &failure, err);
}

static void let_go(const struct proc_child *c, pid_t pid, int fd)
{
    char text[24];
    int n = snprintf(text, sizeof text, "-%d\n", (int)pid);
    if (c->tell_fd < 0 || write(c->tell_fd, text, (size_t)n) == n)
        (void)!write(fd, "", 1); // else it sees the end of file
}

int proc_child_start(const struct proc_child *c, pid_t *ret_pid, struct error *err)
{
    int report[2], go[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return error_set_errno(err, errno, "start '%s'", c->path);
    if (pipe2(go, O_CLOEXEC) < 0) {
        int os_errno = errno;
        (void)close(report[0]);
        (void)close(report[1]);
        return error_set_errno(err, os_errno, "start '%s'", c->path);
    }
    sigset_t all, old;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old); // none of our handlers runs in the child
    pid_t pid = fork();
    int fork_errno = errno;
    if (pid == 0)
        child_main(c, go, report[1]);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)close(report[1]);
    (void)close(go[0]);
    if (pid > 0)
        let_go(c, pid, go[1]);
    (void)close(go[1]);
    int r = pid < 0 ? error_set_errno(err, fork_errno, "start '%s'", c->path) : await_start(c, report[0], pid, err);
    (void)close(report[0]);
    if (r == 0)
        *ret_pid = pid;
    return r;
}
