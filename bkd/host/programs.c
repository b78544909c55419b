#include "bkd/host/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bkd/base/buf.h"

extern char **environ;

char *programs_path(const char *name)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return xstrdup(name);
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash == NULL)
        return xstrdup(name);
    _cleanup_free_ char *beside = xasprintf("%.*s/%s", (int)(slash - self), self, name);
    return access(beside, X_OK) == 0 ? TAKE(beside) : xstrdup(name);
}

static int start(const char *const *argv, bool discard_output, const sigset_t *mask, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t usual;
    (void)sigemptyset(&usual);
    (void)sigaddset(&usual, SIGINT); // ignored here while it runs, and SIGPIPE always
    (void)sigaddset(&usual, SIGQUIT);
    (void)sigaddset(&usual, SIGPIPE);
    int r = posix_spawn_file_actions_init(&actions);
    if (r != 0)
        return r;
    r = posix_spawnattr_init(&attributes);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(&attributes, &usual);
    if (r == 0)
        r = posix_spawnattr_setsigmask(&attributes, mask);
    if (r == 0)
        r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    if (r == 0 && discard_output)
        r = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (r == 0)
        r = posix_spawnp(ret_pid, argv[0], &actions, &attributes, (char *const *)argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    return r;
}

// What is waited for while a program runs: its end, and being told to stop, unless that is ignored (nohup).
static void signals_of_interest(sigset_t *ret_set)
{
    static const int stops[] = { SIGTERM, SIGHUP };
    struct sigaction action;
    (void)sigemptyset(ret_set);
    (void)sigaddset(ret_set, SIGCHLD);
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++)
        if (sigaction(stops[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            (void)sigaddset(ret_set, stops[i]);
}

// A Ctrl-C reaches the program by itself; what else asks this process to stop is passed on, so that nothing goes on behind its back. How the program
// ends tells what it came to.
static int wait_for(pid_t pid, const sigset_t *signals, int *ret_status, int *ret_stopped)
{
    for (;;) {
        pid_t ended = waitpid(pid, ret_status, WNOHANG);
        if (ended != 0 && (ended > 0 || errno != EINTR))
            return ended > 0 ? 0 : errno;
        int signal = sigwaitinfo(signals, NULL);
        if (signal == SIGTERM || signal == SIGHUP) {
            *ret_stopped = signal;
            (void)kill(pid, signal);
        }
    }
}

static int start_and_wait(const char *const *argv, bool discard_output, int *ret_status, int *ret_stopped, struct error *err)
{
    sigset_t signals, mask;
    pid_t pid = -1;
    signals_of_interest(&signals);
    (void)sigprocmask(SIG_BLOCK, &signals, &mask);
    int r = start(argv, discard_output, &mask, &pid);
    bool is_started = r == 0;
    if (is_started)
        r = wait_for(pid, &signals, ret_status, ret_stopped);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    return r == 0 ? 0 : error_set_errno(err, r, is_started ? "wait for '%s'" : "start '%s'", argv[0]);
}

int programs_run(const char *const *argv, bool discard_output, int *ret_code, struct error *err)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN }, interrupt, quit;
    int status = 0, stopped = 0;
    (void)fflush(stdout); // what was said before comes before what it says
    (void)sigaction(SIGINT, &ignore, &interrupt);
    (void)sigaction(SIGQUIT, &ignore, &quit);
    int r = start_and_wait(argv, discard_output, &status, &stopped, err);
    (void)sigaction(SIGINT, &interrupt, NULL);
    (void)sigaction(SIGQUIT, &quit, NULL);
    if (r < 0)
        return r;
    if (stopped != 0)
        return error_set(err, ERROR_FAILED, "interrupted by signal %d, and '%s' with it", stopped, argv[0]);
    if (!WIFEXITED(status))
        return error_set(err, ERROR_FAILED, "'%s' was ended by signal %d", argv[0], WTERMSIG(status));
    *ret_code = WEXITSTATUS(status);
    return 0;
}

static int spawn_apart(const char *const *argv, const char *const *env, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    int r = posix_spawn_file_actions_init(&actions);
    if (r != 0)
        return r;
    r = posix_spawnattr_init(&attributes);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(&attributes, &all);
    if (r == 0)
        r = posix_spawnattr_setsigmask(&attributes, &none);
    if (r == 0)
        r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (r == 0)
        r = posix_spawnp(ret_pid, argv[0], &actions, &attributes, (char *const *)argv, (char *const *)env);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    return r;
}

int programs_start(const char *const *argv, const char *const *env, pid_t *ret_pid, struct error *err)
{
    int r = spawn_apart(argv, env, ret_pid);
    return r == 0 ? 0 : error_set_errno(err, r, "start '%s'", argv[0]);
}

enum error_code programs_error(int exit_code)
{
    static const enum error_code codes[] = { ERROR_NONE,      ERROR_FAILED, ERROR_USAGE,    ERROR_INCOMPLETE,  ERROR_INTEGRITY,
                                             ERROR_OBJECTIVE, ERROR_BUSY,   ERROR_NO_SPACE, ERROR_UNREACHABLE, ERROR_KEY };
    return exit_code >= 0 && (size_t)exit_code < sizeof codes / sizeof *codes ? codes[exit_code] : ERROR_FAILED;
}
