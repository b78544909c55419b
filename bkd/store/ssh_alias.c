#include "bkd/store/ssh_alias.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bkd/base/bytes.h"
#include "bkd/base/proc.h"

#define SSH "/usr/bin/ssh"
#define RESOLVE_MS 20000u

extern char **environ;

char *ssh_alias_file(const char *config)
{
    const char *home = getenv("HOME");
    const struct passwd *me = getpwuid(getuid());
    if (strcmp(config, "true") != 0)
        return xstrdup(config);
    if (home == NULL || me == NULL || strcmp(home, me->pw_dir) == 0)
        return NULL;
    char *own = xasprintf("%s/.ssh/config", home);
    if (access(own, R_OK) == 0)
        return own;
    free(own);
    return NULL;
}

// ---- what ssh -G prints: "key value", one a line

static void take(char **at, const char *value)
{
    if (*at == NULL && strcmp(value, "none") != 0)
        *at = xstrdup(value);
}

static char *home_path(const char *path)
{
    const char *home = getenv("HOME");
    return path[0] == '~' && path[1] == '/' && home != NULL ? xasprintf("%s%s", home, path + 1) : xstrdup(path);
}

static void read_line(struct ssh_alias *a, const char *key, const char *value)
{
    uint64_t port;
    if (strcmp(key, "hostname") == 0)
        take(&a->host, value);
    else if (strcmp(key, "user") == 0)
        take(&a->user, value);
    else if (strcmp(key, "port") == 0 && parse_u64(value, strlen(value), 65535, &port))
        a->port = (unsigned)port;
    else if (strcmp(key, "proxyjump") == 0)
        take(&a->jump, value);
    else if (strcmp(key, "proxycommand") == 0)
        take(&a->command, value);
    else if (strcmp(key, "identityfile") == 0 && a->identity == NULL) {
        a->identity = home_path(value);
        if (access(a->identity, F_OK) < 0) {
            free(a->identity);
            a->identity = NULL;
        }
    }
}

static void read_lines(struct ssh_alias *a, char *text)
{
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *space = strchr(line, ' ');
        if (space == NULL)
            continue;
        *space = '\0';
        read_line(a, line, space + 1);
    }
}

int ssh_alias_resolve(const struct io *io, const char *config, const char *host, unsigned port, const char *user, struct ssh_alias *ret_alias, struct error *err)
{
    char number[16];
    const char *argv[16] = { SSH, "-G" };
    size_t n = 2;
    _cleanup_free_ char *file = ssh_alias_file(config);
    (void)snprintf(number, sizeof number, "%u", port);
    if (file != NULL) {
        argv[n++] = "-F";
        argv[n++] = file;
    }
    if (port != 0) {
        argv[n++] = "-p";
        argv[n++] = number;
    }
    if (user != NULL) {
        argv[n++] = "-l";
        argv[n++] = user;
    }
    argv[n++] = "--";
    argv[n++] = host;
    _cleanup_proc_result_ struct proc_result result = { 0 };
    int r = proc_run(io, &(struct proc_options){ .argv = argv, .env = (const char *const *)environ, .timeout_ms = RESOLVE_MS }, &result, err);
    if (r < 0)
        return error_prefix(err, "ssh configuration");
    if (!proc_result_ok(&result))
        return error_set(err, ERROR_USAGE, "ssh does not understand its configuration: %.300s", buf_str(&result.error.tail));
    *ret_alias = (struct ssh_alias){ 0 };
    _cleanup_free_ char *text = xstrdup(buf_str(&result.output.tail));
    read_lines(ret_alias, text);
    take(&ret_alias->host, host);
    return 0;
}

void ssh_alias_done(struct ssh_alias *a)
{
    free(a->host);
    free(a->user);
    free(a->identity);
    free(a->jump);
    free(a->command);
    *a = (struct ssh_alias){ 0 };
}

// ---- the way through others

// %h, %p and %r of a ProxyCommand; everything else stays.
static char *expand(const struct ssh_alias *a)
{
    struct buf out = { 0 };
    buf_add_str(&out, "exec ");
    for (const char *p = a->command; *p != '\0'; p++) {
        char next = p[0] == '%' ? p[1] : '\0';
        if (next == 'h')
            buf_add_str(&out, a->host);
        else if (next == 'p')
            buf_add_u64(&out, a->port);
        else if (next == 'r')
            buf_add_str(&out, a->user == NULL ? "" : a->user);
        else if (next == '%')
            buf_add_char(&out, '%');
        else
            buf_add_char(&out, *p);
        p += next != '\0' && strchr("hpr%", next) != NULL;
    }
    return buf_take_str(&out);
}

static int spawn(const char *const *argv, int fd, pid_t *ret_pid, struct error *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, 0);
    posix_spawn_file_actions_adddup2(&actions, fd, 1);
    int failure = posix_spawn(ret_pid, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return failure == 0 ? 0 : error_set_errno(err, failure, "start '%s' for the way to the host", argv[0]);
}

static int spawn_jump(const struct ssh_alias *a, const char *config, int fd, pid_t *ret_pid, struct error *err)
{
    const char *last = strrchr(a->jump, ','), *argv[16] = { SSH, "-o", "BatchMode=yes" };
    _cleanup_free_ char *before = last == NULL ? NULL : xstrndup(a->jump, (size_t)(last - a->jump));
    _cleanup_free_ char *target = strchr(a->host, ':') != NULL ? xasprintf("[%s]:%u", a->host, a->port) : xasprintf("%s:%u", a->host, a->port);
    _cleanup_free_ char *jump = xasprintf("ssh://%s", last == NULL ? a->jump : last + 1);
    _cleanup_free_ char *file = ssh_alias_file(config);
    size_t n = 3;
    if (file != NULL) {
        argv[n++] = "-F";
        argv[n++] = file;
    }
    if (before != NULL) {
        argv[n++] = "-J";
        argv[n++] = before;
    }
    argv[n++] = "-W";
    argv[n++] = target;
    argv[n++] = "--";
    argv[n++] = strncmp(last == NULL ? a->jump : last + 1, "ssh://", 6) == 0 ? (last == NULL ? a->jump : last + 1) : jump;
    return spawn(argv, fd, ret_pid, err);
}

int ssh_alias_start(const struct ssh_alias *a, const char *config, int *ret_fd, pid_t *ret_pid, struct error *err)
{
    int pair[2];
    *ret_fd = -1;
    if (a->jump == NULL && a->command == NULL)
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set_errno(err, errno, "a socket for the way to '%s'", a->host);
    (void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
    _cleanup_free_ char *command = a->jump == NULL ? expand(a) : NULL;
    const char *const shell[] = { "/bin/sh", "-c", command, NULL };
    int r = a->jump != NULL ? spawn_jump(a, config, pair[1], ret_pid, err) : spawn(shell, pair[1], ret_pid, err);
    (void)close(pair[1]);
    if (r < 0)
        (void)close(pair[0]);
    else
        *ret_fd = pair[0];
    return r;
}
