#include "bkd/dr/remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/shell.h"

#define SSH_FAILED 255 // ssh(1): an error of its own
#define SEND_TIMEOUT_MS (10 * 60 * 1000)

void remote_words(struct remote *remote, const char *ret_words[REMOTE_WORDS_MAX])
{
    static const char *const always[] = { "ssh", "-T", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15" };
    size_t n = 0;
    for (; n < sizeof always / sizeof *always; n++)
        ret_words[n] = always[n];
    if (remote->identity != NULL) {
        (void)snprintf(remote->options[0], sizeof remote->options[0], "IdentityFile=\"%s\"", remote->identity);
        ret_words[n++] = "-o";
        ret_words[n++] = remote->options[0];
        ret_words[n++] = "-o";
        ret_words[n++] = "IdentitiesOnly=yes";
    }
    if (remote->known_hosts != NULL) {
        (void)snprintf(remote->options[1], sizeof remote->options[1], "UserKnownHostsFile=\"%s\"", remote->known_hosts);
        ret_words[n++] = "-o";
        ret_words[n++] = remote->options[1];
    }
    ret_words[n++] = "--";
    ret_words[n++] = remote->address;
    ret_words[n] = NULL;
}

void remote_env(struct env *ret_env)
{
    env_init(ret_env, NULL);
    env_add(ret_env, "SSH_AUTH_SOCK", getenv("SSH_AUTH_SOCK"));
}

static char *last_line(const struct buf *tail)
{
    const char *text = buf_str((struct buf *)tail);
    size_t end = strlen(text);
    while (end > 0 && strchr(" \t\r\n", text[end - 1]) != NULL)
        end--;
    size_t start = end;
    while (start > 0 && text[start - 1] != '\n')
        start--;
    return xstrndup(text + start, end - start);
}

int remote_run(const struct io *io, struct remote *remote, const char *command, int input, uint64_t timeout_ms, bool (*stop)(void *arg), struct buf *ret_line,
               struct error *err)
{
    const char *words[REMOTE_WORDS_MAX];
    _cleanup_env_ struct env env = { 0 };
    _cleanup_proc_result_ struct proc_result result = { 0 };
    char how[PROC_TEXT_MAX];
    remote_words(remote, words);
    size_t n = 0;
    while (words[n] != NULL)
        n++;
    words[n] = command;
    words[n + 1] = NULL;
    remote_env(&env);
    int r = proc_run(io, &(struct proc_options){ .argv = words, .env = env.list, .stdin_fd = input, .timeout_ms = timeout_ms, .stop = stop }, &result, err);
    if (r < 0)
        return error_prefix(err, "host %s", remote->address);
    _cleanup_free_ char *said = last_line(proc_result_ok(&result) || result.error.tail.len == 0 ? &result.output.tail : &result.error.tail);
    proc_result_text(&result, how);
    if (result.end == PROC_EXITED && result.code == SSH_FAILED)
        return error_set(err, ERROR_UNREACHABLE, "host %s cannot be reached by ssh: %s", remote->address, said);
    if (!proc_result_ok(&result))
        return error_set(err, ERROR_FAILED, "on %s it %s: %s", remote->address, how, said);
    if (ret_line != NULL)
        buf_add_str(ret_line, said);
    return 0;
}

int remote_send(const struct io *io, struct remote *remote, const char *file, const char *path, bool executable, bool (*stop)(void *arg), struct error *err)
{
    _cleanup_buf_ struct buf command = { 0 };
    int fd = -1;
    int r = io_open(io, AT_FDCWD, file, O_RDONLY | O_CLOEXEC, 0, &fd, err);
    if (r < 0)
        return r;
    buf_add_str(&command, "umask 077 && cat >");
    shell_add_quoted(&command, path);
    if (executable) {
        buf_add_str(&command, " && chmod 700 ");
        shell_add_quoted(&command, path);
    }
    r = remote_run(io, remote, buf_str(&command), fd, SEND_TIMEOUT_MS, stop, NULL, err);
    io_close_quietly(io, &fd);
    return r < 0 ? error_prefix(err, "copy '%s'", file) : 0;
}
