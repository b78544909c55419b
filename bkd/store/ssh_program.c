#include "bkd/store/ssh_program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bkd/base/log.h"
#include "bkd/base/printable.h"
#include "bkd/base/proc.h"
#include "bkd/base/shell.h"
#include "bkd/codec/known_hosts.h"
#include "bkd/store/ssh_alias.h"

#define SSH "/usr/bin/ssh"
#define ARGS_MAX 64u
#define SAID_MAX 8192u    // of what ssh says, from its beginning
#define ALIVE "ServerAliveInterval=20" // a dead line ends an ssh whose bkd was killed after three of these
#define LAST_WORDS_MS 500 // what ssh says as it ends comes right after the end of its output

extern char **environ;

struct program {
    struct stream stream;
    pid_t pid;
    int fd, complaints;
    struct buf said;
    char *host, *known_hosts, *repository, *identity; // for messages; identity NULL = the agent's keys
};

static struct program *program_of(struct stream *s) { return (struct program *)s; }

// ---- what ssh is told

struct args {
    const char *list[ARGS_MAX];
    char *made[ARGS_MAX]; // freed with it
    size_t n, n_made;
};

static void add(struct args *a, const char *text) { a->list[a->n++] = text; }

static void add_made(struct args *a, char *text_taken) { a->list[a->n++] = a->made[a->n_made++] = text_taken; }

static void add_option(struct args *a, const char *text)
{
    add(a, "-o");
    add(a, text);
}

// A file's name as ssh_config(5) has it: in quotes, since it may hold blanks, and with the sign of its tokens doubled.
static void add_file(struct args *a, const char *key, const char *path)
{
    struct buf text = { 0 };
    buf_addf(&text, "%s=\"", key);
    for (const char *p = path; *p != '\0'; p++) {
        if (*p == '%')
            buf_add_char(&text, '%');
        if (*p == '"' || *p == '\\')
            buf_add_char(&text, '\\');
        buf_add_char(&text, *p);
    }
    buf_add_char(&text, '"');
    add(a, "-o");
    add_made(a, buf_take_str(&text));
}

// Nothing is asked, nothing but the pinned keys is believed, and nobody else's connection is used, whatever a configuration says.
static void add_rules(struct args *a, const struct ssh_options *o)
{
    static const char *const rules[] = { "BatchMode=yes", "StrictHostKeyChecking=yes", "GlobalKnownHostsFile=/dev/null", "CheckHostIP=no", "UpdateHostKeys=no",
                                         "VerifyHostKeyDNS=no", "ControlMaster=no", "ControlPath=none", "ClearAllForwardings=yes", "ForwardAgent=no", "PermitLocalCommand=no",
                                         "RequestTTY=no", "LogLevel=ERROR", ALIVE };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        add_option(a, rules[i]);
    add_file(a, "UserKnownHostsFile", o->known_hosts);
    add(a, "-o");
    add_made(a, xasprintf("ConnectTimeout=%u", (o->timeout_ms == 0 ? SSH_TIMEOUT_MS : o->timeout_ms) / 1000));
    _cleanup_free_ char *pinned = o->alias != NULL ? xstrdup(o->alias) : known_hosts_name(o->host, o->port == 0 ? 22 : o->port);
    add(a, "-o");
    add_made(a, xasprintf("HostKeyAlias=%s", pinned));
}

// Without a configuration none is read, and the ciphers that processors do by themselves come first.
static void add_config(struct args *a, const struct ssh_options *o)
{
    char *file = o->config == NULL ? NULL : ssh_alias_file(o->config);
    if (o->config == NULL) {
        add(a, "-F");
        add(a, "none");
        add_option(a, "Ciphers=^aes128-gcm@openssh.com,aes256-gcm@openssh.com");
    } else if (file != NULL) {
        add(a, "-F");
        add_made(a, file);
    }
}

// A key file that is not there is left to the configuration, as with libssh2.
static void add_identity(struct args *a, const struct ssh_options *o)
{
    if (o->identity == NULL || (o->config != NULL && access(o->identity, F_OK) < 0))
        return;
    add_option(a, "IdentitiesOnly=yes");
    add_file(a, "IdentityFile", o->identity);
}

static void add_target(struct args *a, const struct ssh_options *o)
{
    if (o->port != 0) {
        add(a, "-p");
        add_made(a, xasprintf("%u", o->port));
    }
    if (o->user != NULL) {
        add(a, "-l");
        add(a, o->user);
    }
}

static void args_done(struct args *a)
{
    for (size_t i = 0; i < a->n_made; i++)
        free(a->made[i]);
}

// ---- what ssh says

static void hear(struct program *p)
{
    uint8_t text[1024];
    ssize_t n;
    while ((n = read(p->complaints, text, sizeof text)) > 0)
        if (p->said.len < SAID_MAX)
            buf_add(&p->said, text, (size_t)n);
}

static bool says(const struct program *p, const char *words) { return strstr(buf_str(&p->said), words) != NULL; }

static char *last_line(const struct program *p)
{
    struct buf printable = { 0 };
    size_t n;
    const char *line = proc_last_line(&p->said, &n);
    printable_add(&printable, line, n);
    return buf_take_str(&printable);
}

static int explain(struct program *p, struct error *err)
{
    struct pollfd end = { .fd = p->complaints, .events = POLLIN };
    if (p->said.len == 0)
        (void)poll(&end, 1, LAST_WORDS_MS);
    hear(p);
    _cleanup_free_ char *repository = shell_word(p->repository);
    if (says(p, "HOST IDENTIFICATION HAS CHANGED"))
        return error_set(err, ERROR_INTEGRITY,
                         "host %s shows another key than the one pinned in '%s': either it was installed anew or somebody sits in between; nothing was sent. If its administrator "
                         "confirms the new key, pin it instead: bkd trust-host %s", p->host, p->known_hosts, repository);
    if (says(p, "host key is known for") || says(p, "Host key verification failed"))
        return error_set(err, ERROR_KEY, "host %s is not known: '%s' has no key for it. Compare the one it shows with what its administrator says: bkd trust-host %s", p->host,
                         p->known_hosts, repository);
    if (says(p, "Permission denied (") || says(p, "Too many authentication failures"))
        return p->identity == NULL ? error_set(err, ERROR_KEY, "%s accepts none of the agent's keys (SSH_AUTH_SOCK), or there is no agent: name the key file", p->host)
                                   : error_set(err, ERROR_KEY, "%s does not accept the key '%s': is its .pub line in the account's authorized_keys, and the key without a passphrase or in "
                                               "the agent?", p->host, p->identity);
    _cleanup_free_ char *line = last_line(p);
    return error_set(err, ERROR_UNREACHABLE, "ssh to %s ended: %.300s", p->host, line[0] == '\0' ? "is its sftp-server there, and the account allowed to use it?" : line);
}

// ---- the stream

static bool is_later(int os_errno) { return os_errno == EAGAIN || os_errno == EWOULDBLOCK || os_errno == EINTR; }

static int read_program(struct stream *s, void *data, size_t n, size_t *ret_n, struct error *err)
{
    struct program *p = program_of(s);
    ssize_t got = recv(p->fd, data, n, 0);
    if (got == 0 || (got < 0 && !is_later(errno)))
        return explain(p, err);
    if (got < 0)
        hear(p); // it must not wait for room there
    *ret_n = got < 0 ? 0 : (size_t)got;
    return 0;
}

static int write_program(struct stream *s, const void *data, size_t n, size_t *ret_n, struct error *err)
{
    struct program *p = program_of(s);
    ssize_t put = send(p->fd, data, n, MSG_NOSIGNAL);
    if (put < 0 && !is_later(errno))
        return explain(p, err);
    *ret_n = put < 0 ? 0 : (size_t)put;
    return 0;
}

static void wants(struct stream *s, bool writing, struct pollfd *ret_poll)
{
    *ret_poll = (struct pollfd){ .fd = program_of(s)->fd, .events = (short)(POLLIN | (writing ? POLLOUT : 0)) };
}

// With those it started for the way there: all of its group.
static void close_program(struct stream *s)
{
    struct program *p = program_of(s);
    (void)close(p->fd);
    if (p->pid > 0) {
        (void)kill(-p->pid, SIGTERM);
        (void)waitpid(p->pid, NULL, 0);
    }
    if (p->complaints >= 0)
        (void)close(p->complaints);
    buf_done(&p->said);
    free(p->host);
    free(p->known_hosts);
    free(p->repository);
    free(p->identity);
    free(p);
}

static const struct stream_ops program_ops = { .read = read_program, .write = write_program, .wants = wants, .close = close_program };

// ---- starting

// In a group of its own, which the terminal's Ctrl-C does not reach: bkd ends what it does first. Signals are as a program expects them.
static int spawn(const struct args *a, int fd, int complaints, pid_t *ret_pid, struct error *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, 0);
    posix_spawn_file_actions_adddup2(&actions, fd, 1);
    posix_spawn_file_actions_adddup2(&actions, complaints, 2);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    int failure = posix_spawn(ret_pid, SSH, &actions, &attributes, (char *const *)a->list, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failure == ENOENT)
        return error_set(err, ERROR_FAILED, "there is no " SSH ", which `transport: ssh` runs: install the package openssh-client, or leave `transport` out");
    return failure == 0 ? 0 : error_set_errno(err, failure, "start '" SSH "'");
}

static int start(const struct args *a, struct program *p, struct error *err)
{
    int pair[2], said[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set_errno(err, errno, "a socket to ssh");
    p->fd = pair[0];
    if (pipe2(said, O_CLOEXEC) < 0) {
        (void)close(pair[1]);
        return error_set_errno(err, errno, "a pipe from ssh");
    }
    p->complaints = said[0];
    (void)fcntl(p->fd, F_SETFL, O_NONBLOCK);
    (void)fcntl(p->complaints, F_SETFL, O_NONBLOCK);
    int r = spawn(a, pair[1], said[1], &p->pid, err);
    (void)close(pair[1]);
    (void)close(said[1]);
    return r;
}

static int open_program(struct args *a, const struct ssh_options *o, struct stream **ret_stream, struct error *err)
{
    struct program *p = xcalloc(1, sizeof *p);
    *p = (struct program){ .stream = { &program_ops }, .fd = -1, .complaints = -1, .host = xstrdup(o->host), .known_hosts = xstrdup(o->known_hosts),
                           .repository = xstrdup(o->repository == NULL ? o->host : o->repository), .identity = o->identity == NULL ? NULL : xstrdup(o->identity) };
    int r = start(a, p, err);
    if (r < 0)
        close_program(&p->stream);
    else
        *ret_stream = &p->stream;
    return r;
}

static int run_ssh(const struct ssh_options *o, bool subsystem, const char *what, struct stream **ret_stream, struct error *err)
{
    struct args a = { .list = { SSH }, .n = 1 };
    if (o->passphrase != NULL)
        return error_set(err, ERROR_USAGE, "with `transport: ssh` the key's passphrase is the agent's business: give `identity: agent`, or leave `transport` out");
    add_rules(&a, o);
    add_config(&a, o);
    add_identity(&a, o);
    add_target(&a, o);
    if (subsystem)
        add(&a, "-s");
    add(&a, "--");
    add(&a, o->host);
    add(&a, what);
    int r = open_program(&a, o, ret_stream, err);
    args_done(&a);
    if (r == 0)
        log_debug("%s: connecting by " SSH, o->host);
    return r;
}

int ssh_program_subsystem(const struct ssh_options *options, const char *name, struct stream **ret_stream, struct error *err)
{
    return run_ssh(options, true, name, ret_stream, err);
}

int ssh_program_exec(const struct ssh_options *options, const char *command, struct stream **ret_stream, struct error *err)
{
    return run_ssh(options, false, command, ret_stream, err);
}
