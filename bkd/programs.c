#include "bkd/programs.h"

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

static int start(const char *const *argv, bool discard_output, pid_t *ret_pid)
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
        r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    if (r == 0 && discard_output)
        r = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (r == 0)
        r = posix_spawnp(ret_pid, argv[0], &actions, &attributes, (char *const *)argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    return r;
}

// A Ctrl-C is the program's; what it comes to is told by how it ends.
static int wait_for(pid_t pid, int *ret_status)
{
    while (waitpid(pid, ret_status, 0) < 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

int programs_run(const char *const *argv, bool discard_output, int *ret_code, struct error *err)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN }, interrupt, quit;
    pid_t pid = -1;
    int status = 0;
    (void)fflush(stdout); // what was said before comes before what it says
    (void)sigaction(SIGINT, &ignore, &interrupt);
    (void)sigaction(SIGQUIT, &ignore, &quit);
    int r = start(argv, discard_output, &pid);
    bool is_started = r == 0;
    if (is_started)
        r = wait_for(pid, &status);
    (void)sigaction(SIGINT, &interrupt, NULL);
    (void)sigaction(SIGQUIT, &quit, NULL);
    if (r != 0)
        return error_set_errno(err, r, is_started ? "wait for '%s'" : "start '%s'", argv[0]);
    if (!WIFEXITED(status))
        return error_set(err, ERROR_FAILED, "'%s' was ended by signal %d", argv[0], WTERMSIG(status));
    *ret_code = WEXITSTATUS(status);
    return 0;
}

enum error_code programs_error(int exit_code)
{
    static const enum error_code codes[] = { ERROR_NONE,      ERROR_FAILED, ERROR_USAGE,    ERROR_INCOMPLETE,  ERROR_INTEGRITY,
                                             ERROR_OBJECTIVE, ERROR_BUSY,   ERROR_NO_SPACE, ERROR_UNREACHABLE, ERROR_KEY };
    return exit_code >= 0 && (size_t)exit_code < sizeof codes / sizeof *codes ? codes[exit_code] : ERROR_FAILED;
}
